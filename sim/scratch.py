"""Temporary folders that do not stay behind: gone when the process ends, or by the next one where it was killed.

Beside a folder lies a lock file that its process holds. The system drops the lock when the process dies, however it
dies; so a folder whose lock can be had is a dead one's.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "forestpilot-"
LOCK_SUFFIX = ".lock"


def scratch_folder(kind: str) -> Path:
    """A temporary folder of this process, which goes when the process exits.

    Args:
        kind: what it is for; part of its name.
    """
    folder, descriptor = _make(kind)
    atexit.register(_remove, folder, descriptor)
    return folder


@contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """A temporary folder for a `with` block."""
    folder, descriptor = _make(kind)
    try:
        yield folder
    finally:
        _remove(folder, descriptor)


def remove_scratch_of_the_dead() -> list[Path]:
    """Remove the temporary folders of processes that have died; those of others' accounts stay."""
    removed = []
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*{LOCK_SUFFIX}"):
        with suppress(OSError):  # held, gone meanwhile, or not ours
            descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_uid == os.getuid():
                    folder = lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
                    _remove(folder, None)
                    removed.append(folder)
            finally:
                os.close(descriptor)
    return removed


def _make(kind: str) -> tuple[Path, int]:
    """A new folder, and its lock file, open and locked."""
    remove_scratch_of_the_dead()
    while True:
        folder = Path(tempfile.gettempdir()) / f"{PREFIX}{kind}-{uuid.uuid4().hex[:12]}"
        lock = Path(f"{folder}{LOCK_SUFFIX}")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # nobody has cleared it away before it was locked
            folder.mkdir(mode=0o700)
            return folder, descriptor
        os.close(descriptor)


def _remove(folder: Path, descriptor: int | None) -> None:
    """Remove a folder, then its lock, which is let go last."""
    shutil.rmtree(folder, ignore_errors=True)
    Path(f"{folder}{LOCK_SUFFIX}").unlink(missing_ok=True)
    if descriptor is not None:
        os.close(descriptor)
