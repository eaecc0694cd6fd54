"""What the disk refuses, in words: one place that turns an OSError into a line that names the path and the way out."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
PATH_ERRORS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
"""What is wrong with a path, which another path mends; anything else is a fault of the machine."""


def in_words(error: OSError) -> str | None:
    """A line for the user; None where the error names no path, or is of a kind that no user can mend."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{error.strerror}: allow more (ulimit -n 4096), or give fewer --workers"
    if error.errno is None or not isinstance(error.filename, (str, bytes)):
        return None
    path = _shown(Path(os.fsdecode(error.filename)))
    tell = _WORDS.get(error.errno)
    return tell(path) if tell else f"{path}: {error.strerror}"


def name_path(error: OSError, path: Path, temporary: Path) -> None:
    """Let an error of a file that is being made name it as it will be called, not as it is called meanwhile."""
    named = error.filename
    if error.errno is not None and (named is None or os.fsdecode(named).startswith(str(temporary))):
        error.filename = str(path)


def no_space(path: Path) -> str:
    """That nothing more can be written, and what it is that has run out."""
    free = "unknown"
    with suppress(OSError, AttributeError):
        system = os.statvfs(_existing(path))
        if system.f_files and not system.f_favail and system.f_bavail:
            return (
                f"no file more can be made in {path.parent}: its file system holds {system.f_files} files, which is "
                "all it can (df -i). Every file written before is whole; delete some and run the same command again"
            )
        free = f"{shutil.disk_usage(_existing(path)).free / 1e6:.0f} MB"
    return (
        f"no space left to write {path.name} in {path.parent} (free: {free}, quotas apart). "
        "Every file written before is whole; make room and run the same command again to go on"
    )


def _in_the_way(path: Path) -> str:
    """A file lies where a folder should be."""
    for place in (path, *path.parents):
        if place.is_file():
            return f"{place} is a file, and a folder is needed there; move it away, or give another folder"
    return f"{path}: there is no such folder; give another one"


def _too_long(path: Path) -> str:
    longest = max(path.parts, key=lambda part: len(os.fsencode(part)))
    return (
        f"{longest[:60]}... is too long for a name ({len(os.fsencode(longest))} bytes, with what is added while it is "
        "written); give a shorter one, below 200"
    )


def _read_only(path: Path) -> str:
    return f"{path}: the file system is read-only; give a folder that can be written to"


def _forbidden(path: Path) -> str:
    there = _existing(path)
    missing = [word for word, how in (("read", os.R_OK), ("written to", os.W_OK)) if not os.access(there, how)]
    return (
        f"{path}: permission denied ({there} may not be {' or '.join(missing) or 'used so'} by this user); "
        "have its owner allow it (chmod u+rw), or give another one"
    )


def _failed(path: Path) -> str:
    return (
        f"{path}: the disk failed (input/output error). Files that were written before stay as they are; see to the "
        "disk (dmesg), then run the same command again to go on"
    )


def _too_large(path: Path) -> str:
    return (
        f"{path}: larger than this user's files may be; allow more (ulimit -f unlimited) and run the same command again"
    )


def _missing(path: Path) -> str:
    return f"{path}: No such file or directory"


def _is_folder(path: Path) -> str:
    return f"{path} is a folder, and a file is needed there; move it away, or give another name"


def _there_already(path: Path) -> str:
    return _in_the_way(path) if path.is_file() else f"{path} is there already; move it away, or give another name"


_WORDS: dict[int, Callable[[Path], str]] = {
    errno.ENOSPC: no_space,
    errno.EDQUOT: no_space,
    errno.ENOENT: _missing,
    errno.ENOTDIR: _in_the_way,
    errno.EEXIST: _there_already,
    errno.EISDIR: _is_folder,
    errno.ENAMETOOLONG: _too_long,
    errno.EROFS: _read_only,
    errno.EACCES: _forbidden,
    errno.EPERM: _forbidden,
    errno.EIO: _failed,
    errno.EFBIG: _too_large,
}


def _existing(path: Path) -> Path:
    """The path, or what there is of it."""
    for place in (path, *path.parents):
        with suppress(OSError):
            if place.exists():
                return place
    return Path(path.anchor or ".")


def _shown(path: Path) -> Path:
    """A path without the ending that a lock, or a file under way, has."""
    name = path.name.removesuffix(".lock")
    if name.startswith(".") and name.endswith(".tmp"):
        return path.with_name(name.removesuffix(".tmp")[1:].rpartition(".")[0] or name)
    return path
