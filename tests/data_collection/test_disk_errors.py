"""What the disk refuses: one line that names the path and the way out, and nothing lost."""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.episodes import disk_errors, files
from forestpilot.data_collection.episodes.disk_errors import in_words
from forestpilot.data_collection.episodes.files import DiskFullError, require_writable, write_new_file
from forestpilot.launch.cli import main

COLLECT = ["collect", "--episodes", "1", "--workers", "1"]


def failing(number: int, path: str | None = None) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number), path)

    return fail


@pytest.fixture
def old_file(tmp_path: Path) -> Iterator[Path]:
    """A file that somebody writes anew; after whatever fails it is as it was, with nothing beside it."""
    path = tmp_path / "episode.hdf5"
    path.write_bytes(b"old")
    yield path
    assert path.read_bytes() == b"old"
    assert [other.name for other in tmp_path.iterdir()] == ["episode.hdf5"]


@pytest.mark.parametrize("function", ["write", "fsync", "replace", "open"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EIO, "the disk failed .* run the same command again"),
        (errno.EROFS, "is read-only; give a folder that can be written to"),
        (errno.EACCES, "permission denied"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_a_fault_of_the_disk_names_the_file_and_the_way_out(
    old_file: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, words: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(files.os, function, failing(number))
        with pytest.raises(OSError) as raised:
            write_new_file(old_file, [b"new"])
    told = in_words(raised.value)
    assert told is not None and told.startswith(str(old_file)) and re.search(words, told)


@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_no_space_left_says_so(old_file: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(files.os, function, failing(errno.ENOSPC))
        with pytest.raises(DiskFullError, match="no space left to write"):
            write_new_file(old_file, [b"new"])


def test_no_inodes_left_is_told_apart_from_no_space(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        f_files, f_favail, f_bavail = 1000, 0, 99

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", failing(errno.ENOSPC))
        patched.setattr(disk_errors.os, "statvfs", lambda path: Full)
        with pytest.raises(DiskFullError, match="holds 1000 files"):
            write_new_file(old_file, [b"new"])


def test_a_limit_of_file_size_is_told(old_file: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            write_new_file(old_file, [bytes(5000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "ulimit -f unlimited" in (in_words(raised.value) or "")


def test_a_probe_leaves_nothing_and_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(files.os, "open", failing(errno.EROFS))
    with pytest.raises(OSError) as raised:
        require_writable(tmp_path)
    assert in_words(raised.value) == f"{tmp_path}: the file system is read-only; give a folder that can be written to"


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("there/data", "there is a file, and a folder is needed there"),
        ("there", "there is a file, and a folder is needed there"),
        ("x" * 300, "is too long for a name (300 bytes"),
    ],
)
def test_a_path_that_cannot_be_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str, words: str
) -> None:
    (tmp_path / "there").write_text("a file")
    monkeypatch.setattr("forestpilot.data_collection.rollouts.pool.roll_out", failing(errno.EIO))
    assert main([*COLLECT, "--out", str(tmp_path / out)]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert words in told[-1] and "Traceback" not in "".join(told)
    assert (tmp_path / "there").read_text() == "a file"


def test_a_full_disk_ends_a_command_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("forestpilot.data_collection.rollouts.pool.roll_out", failing(errno.EIO))
    monkeypatch.setattr(files.os, "fsync", failing(errno.ENOSPC))
    assert main([*COLLECT, "--out", str(tmp_path / "data")]) == 1
    assert "no space left" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
