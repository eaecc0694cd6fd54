"""Folders that commands write into, one at a time: the second waits, and is told who holds the folder.

A command holds a lock on `FOLDER/.lock` while it writes; the file says who that is. The system drops the lock when the
process dies, however it dies, so that a dead one never blocks anybody:

    with written_by_one(folder, progress):
        ...

Several processes may share the work of a folder, item by item:

    with written_by_one(folder, progress, shared=True), Claims(folder) as claims:
        for seed in seeds:
            if claims.take(seed):
                ...
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from forestpilot.data_collection.episodes.files import remove_stale_temporaries, require_writable
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress

LOCK_FILE = ".lock"
CLAIMS_FILE = ".claims"
SETTING_UP = 2**40
"""A claim that no item has: that of whoever looks whether the work may be shared at all."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What a file system without locks answers."""
LONGEST_COMMAND = 160
"""Characters of a command that are noted."""
_FLOCK = "hhqqi"
"""C's `struct flock` on Linux: type, whence, start, length, process."""

_mine = threading.local()


@contextmanager
def written_by_one(
    folder: str | Path, progress: Progress | None = None, shared: bool = False, only: str = ""
) -> Iterator[None]:
    """Hold a folder while something is written into it; what dead writers left there is removed first.

    The same thread may hold a folder several times. A folder that this makes goes again if nothing was written.

    Args:
        folder: made if it is not there.
        progress: is told who holds the folder, if somebody does.
        shared: others who share may hold it at the same time.
        only: name of the one file in the folder that is written, so that others may write other files there.

    Raises:
        OSError: the folder cannot be made or written into.
    """
    folder = Path(folder)
    path = folder / (f".{only}{LOCK_FILE}" if only else LOCK_FILE)
    place = os.path.realpath(path)
    held: set[str] = _mine.__dict__.setdefault("held", set())
    if place in held:
        yield
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    descriptor = _acquire(path, progress or SilentProgress(), shared)
    held.add(place)
    try:
        remove_stale_temporaries(folder, below=not only and _is_run(folder))
        require_writable(folder)
        yield
    finally:
        held.discard(place)
        with suppress(OSError):  # what the disk would not let go of
            remove_stale_temporaries(folder, below=not only and _is_run(folder))
        _release(descriptor, path)
        for path in made:
            with suppress(OSError):  # something was written into it
                path.rmdir()


class Claims:
    """Items of a folder's work that several processes share, each one's who took it until it lets go or dies.

    Args:
        folder: where the work is.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / CLAIMS_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)

    def take(self, item: int) -> bool:
        """Take an item; False where another process has it."""
        try:
            self._lock(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, item, 1)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def wait_for(self, item: int) -> None:
        """Take an item as soon as nobody else has it."""
        self._lock(fcntl.F_OFD_SETLKW, fcntl.F_WRLCK, item, 1)

    def let_go(self) -> None:
        """Give all items back."""
        self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, 0, 0)

    @contextmanager
    def setting_up(self) -> Iterator[None]:
        """Be the only one, for a moment."""
        self.wait_for(SETTING_UP)
        try:
            yield
        finally:
            self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, SETTING_UP, 1)

    def _lock(self, command: int, kind: int, start: int, length: int) -> None:
        try:
            fcntl.fcntl(self._descriptor, command, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise


def holders(lock: Path) -> list[str]:
    """Who holds a lock file, in words; those who are known to be dead are left out."""
    told = []
    with suppress(OSError):
        for line in lock.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                noted = json.loads(line)
                if noted["host"] != socket.gethostname() or _is_alive(int(noted["pid"])):
                    text = f"{noted['command']} (process {noted['pid']} on {noted['host']}, since {noted['since']})"
                    told.append("".join(character for character in text if character.isprintable()))
    return told


def _acquire(path: Path, progress: Progress, shared: bool) -> int:
    """A lock file, open and locked; who locks it is noted in it."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # the folder has just been removed by who made it for nothing
            continue
        try:
            _wait(descriptor, kind, path, progress)
            if _is_still(descriptor, path):
                _note_self(descriptor, alone=not shared)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait(descriptor: int, kind: int, path: Path, progress: Progress) -> None:
    """Wait for the lock, and say for whom."""
    what = path.parent
    if path.name != LOCK_FILE:
        what = path.with_name(path.name.removeprefix(".").removesuffix(LOCK_FILE))
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            who = " and ".join(holders(path)) or "another process"
            progress.note(f"{what} is being written by {who}; waiting until that is done (Ctrl-C gives up)")
            fcntl.flock(descriptor, kind)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        progress.note(f"the file system of {what} has no locks: see to it that nothing else writes there meanwhile")


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether the file that was opened still has its name: its last holder removes it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _note_self(descriptor: int, alone: bool) -> None:
    """Write into the lock file who this is."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:LONGEST_COMMAND]
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    noted = {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": since}
    with suppress(OSError):  # no space left: the lock holds all the same
        if alone:
            os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{json.dumps(noted)}\n".encode())


def _release(descriptor: int, path: Path) -> None:
    """Let go; whoever is the last one removes the files."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(descriptor, path):
            if path.name == LOCK_FILE:
                path.with_name(CLAIMS_FILE).unlink(missing_ok=True)
            path.unlink()
    os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run's or a dataset's, so that all below it is ours."""
    return any((folder / name).exists() for name in ("config.json", "dataset.json", "dagger.json", "study.json"))
