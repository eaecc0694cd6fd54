"""Files that are there whole or not at all, written by several processes side by side.

A file is written under a temporary name, flushed to the disk and renamed. Beside it lies a lock file that the writer
holds; it is dropped when the process dies, however it dies. So a temporary file whose lock can be had is a dead one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from forestpilot.data_collection.episodes.disk_errors import NO_SPACE, name_path, no_space
from forestpilot.sim.errors import ForestPilotError

if TYPE_CHECKING:
    import numpy as np

TEMPORARY_SUFFIX = ".tmp"
LOCK_SUFFIX = ".lock"
LOCK_TRIES = 100
LOCK_PAUSE_S = 0.01
PROBE = ".writable"
PROBE_BYTES = 65536


class DiskFullError(ForestPilotError):
    """No space (or quota) left for a file; what was written before is whole."""

    exit_code = 1


def require_writable(folder: Path) -> None:
    """Find out before any work whether a folder can be written to.

    Raises:
        DiskFullError: no space or no inode is left.
        OSError: it is read-only, another's, ...; names the folder.
    """
    probe = folder / PROBE
    try:
        write_new_file(probe, [bytes(PROBE_BYTES)])
    except OSError as error:
        error.filename = str(folder)
        raise
    finally:
        with suppress(OSError):
            probe.unlink()


def write_new_file(path: Path, parts: Iterable[bytes | np.ndarray], durable: bool = True) -> None:
    """Write a file so that it is there whole or not at all, even after kill -9, power loss or a full disk.

    Args:
        path: file to make; one that is there already is replaced.
        parts: its bytes, in order; arrays of uint8 are as good.
        durable: False does not wait for the disk, so that a power loss may damage or lose it; for caches.

    Raises:
        DiskFullError: no space left. The temporary file is gone, other files are untouched.
    """
    with written_whole(path, durable) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o644)
        try:
            for part in parts:
                _write_all(descriptor, part)
        finally:
            os.close(descriptor)


@contextmanager
def written_whole(path: Path, durable: bool = True) -> Iterator[Path]:
    """A place to write to, file or folder, that takes the place of `path` when the `with` block is done.

    Until then `path` stays as it is, and it does for ever if the block raises or the process is killed. A folder can
    only take the place of none or of an empty one.

    Args:
        path: file or folder to make.
        durable: see `write_new_file`.

    Raises:
        DiskFullError: no space left. What was written is gone, other files are untouched.
        FileNotFoundError: the folder that it would lie in is missing.
    """
    if not path.parent.is_dir():  # the block might make it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        with _held(_lock_of(temporary)):
            try:
                yield temporary
                if durable:
                    _flush(temporary)
                os.replace(temporary, path)
            finally:
                _remove(temporary)
        if durable:
            _flush_folder(path.parent)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DiskFullError(no_space(path)) from error
        name_path(error, path, temporary)
        raise


def destination_of(temporary: Path) -> Path:
    """The path that a place of `written_whole` is for; any other path is its own."""
    match = _TEMPORARY_NAME.fullmatch(temporary.name)
    return temporary.with_name(match[1]) if match else temporary


def remove_stale_temporaries(folder: Path, below: bool = False) -> list[str]:
    """Remove what writers that have died left behind; the temporary files of living writers stay.

    Args:
        folder: where to look.
        below: look into the folders below it as well.

    Returns:
        Names of the temporary files removed.
    """
    removed = []
    for temporary in sorted(_temporaries(folder, below)):
        # Held by its writer, gone meanwhile, not ours to remove, or a file system without locks.
        with suppress(OSError):
            lock = _lock_of(temporary)
            descriptor = _acquire(lock)
            try:
                there = temporary.exists()
                _remove(temporary)
                lock.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
            if there:
                removed.append(temporary.name)
    return removed


def _temporaries(folder: Path, below: bool) -> set[Path]:
    """Temporary files and folders, of the living and the dead."""
    found = set()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            name = name.removesuffix(LOCK_SUFFIX)
            if _TEMPORARY_NAME.fullmatch(name):
                found.add(Path(place, name))
        if not below:
            break
        folders[:] = [name for name in folders if not name.startswith(".")]
    return found


_TEMPORARY_NAME = re.compile(rf"\.(.+)\.[0-9a-f]+{re.escape(TEMPORARY_SUFFIX)}")
_BINARY = getattr(os, "O_BINARY", 0)
"""Windows would otherwise change the ends of lines."""


def _lock_of(temporary: Path) -> Path:
    return temporary.with_name(f"{temporary.name}{LOCK_SUFFIX}")


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """The lock, held; on a file system without locks nothing is, and what a dead writer leaves stays."""
    descriptor = _acquire_soon(lock)
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink(missing_ok=True)
        if descriptor is not None:
            os.close(descriptor)


def _acquire_soon(lock: Path) -> int | None:
    """`_acquire`, within a second; None where it cannot be had."""
    for _ in range(LOCK_TRIES):
        try:
            return _acquire(lock)
        except BlockingIOError:  # by somebody who removes what the dead have left: for a moment
            time.sleep(LOCK_PAUSE_S)
        except OSError:
            break
    return None


def _acquire(lock: Path) -> int:
    """A lock file, made if need be, open and locked.

    Raises:
        BlockingIOError: somebody else holds it.
        OSError: there are no locks here, or the file is not ours.
    """
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:  # its last holder has not removed it meanwhile
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _flush(temporary: Path) -> None:
    """Have every byte on the disk."""
    files = [temporary]
    if temporary.is_dir():
        files = [file for file in temporary.rglob("*") if file.is_file()]
    for file in files:
        descriptor = os.open(file, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(temporary: Path) -> None:
    """Remove a file or folder, if it is there."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_all(descriptor: int, part: bytes | np.ndarray) -> None:
    view = memoryview(part)  # type: ignore[arg-type]  # NumPy does not tell mypy that arrays are buffers on 3.11
    while view:
        view = view[os.write(descriptor, view) :]


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power loss."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)
