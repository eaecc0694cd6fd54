"""Files that are there whole or not at all, written by several processes side by side.

A file is written under a temporary name, flushed to the disk and renamed. The writer holds a lock (flock) on its
temporary file; the kernel drops the lock when the process dies, however it dies. So a temporary file that can be locked
is a dead one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from forestpilot.sim.errors import ForestPilotError

TEMPORARY_SUFFIX = ".tmp"


class DiskFullError(ForestPilotError):
    """No space (or quota) left for a file; what was written before is whole."""


def write_new_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file so that it is there whole or not at all, even after kill -9, power loss or a full disk.

    Args:
        path: file to make; one that is there already is replaced.
        parts: its bytes, in order.

    Raises:
        DiskFullError: no space left. The temporary file is gone, other files are untouched.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        descriptor = _open_locked(temporary)
        try:
            for part in parts:
                _write_all(descriptor, part)
            os.fsync(descriptor)
            os.replace(temporary, path)
        finally:
            os.close(descriptor)
        _flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(_disk_full_message(path)) from error
        raise


def remove_stale_temporaries(folder: Path) -> list[str]:
    """Remove the temporary files of writers that have died; those of living writers stay.

    Returns:
        Names of the files removed.
    """
    removed = []
    for path in sorted(folder.glob(f".*{TEMPORARY_SUFFIX}")):
        with suppress(
            OSError
        ):  # gone meanwhile, locked by its writer, not ours to remove, or a file system without locks
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed.append(path.name)
            finally:
                os.close(descriptor)
    return removed


def _open_locked(path: Path) -> int:
    """A locked descriptor of a new file; made again if a clean-up took the file between its making and its locking."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with suppress(OSError):  # a file system without locks: temporary files then stay until someone removes them
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink > 0:
            return descriptor
        os.close(descriptor)


def _write_all(descriptor: int, part: bytes) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(descriptor, view) :]


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def _disk_full_message(path: Path) -> str:
    try:
        free = f"{shutil.disk_usage(path.parent).free / 1e6:.0f} MB"
    except OSError:
        free = "unknown"
    return (
        f"no space left to write {path.name} in {path.parent} (free: {free}, quotas apart). "
        "Every file written before is whole; make room and run the same command again to go on"
    )
