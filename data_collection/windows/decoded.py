"""Decoded steps of episodes, in files beside their dataset: drawing a window from them unpacks nothing.

    DATASET/decoded/SETTINGS/EPISODE.steps

SETTINGS is the fingerprint of all that a step as training sees it depends on: cameras, labels, preparation of pictures.
A file is one line of text that says which episode it is of (that file's own first line, with its checksum), then one
record for each step and each camera that can tell it, with a checksum of its own; whatever is missing, damaged or of
another episode is made anew. Windows are read from where they lie in a file. The system keeps in memory what it has
room for, once for all processes; that is as fast as mapping the files, and a process does not grow by what it has read.

It is a cache: the folder `decoded` can be deleted at any time.
"""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode_file import HEADER_BYTES, check_bytes, open_episode
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.data_collection.episodes.files import DiskFullError, remove_stale_temporaries, write_new_file
from forestpilot.data_collection.windows.training_steps import StepLoader, TrainingSteps
from forestpilot.sim.scratch import scratch_folder

DECODED_FOLDER = "decoded"
DECODED_VERSION = 1
"""Version of the files; part of the settings' fingerprint."""
SUFFIX = ".steps"
USER_SUFFIX = ".in-use"
FREE_BYTES_LEFT = 2 * 10**9
"""Room on the disk that is left to others."""
CACHE_TAG = "CACHEDIR.TAG"
_TAG_TEXT = b"""Signature: 8a477f597d28d172789f06886806bc55
# Decoded episodes: a cache of ForestPilot's that can be deleted at any time. See https://bford.info/cachedir/
"""
_CHECKSUM_START = np.uint64(0x9E3779B97F4A7C15)
"""So that a record of zeros, as a disk may leave behind, is not valid."""


class DecodedCacheWarning(UserWarning):
    """Decoded steps were damaged and made anew, or could not be kept."""


class Source(NamedTuple):
    """An episode that windows are drawn from."""

    path: Path
    """Its file."""
    num_steps: int
    """Number of actions T."""
    has_costs: bool
    """Whether its labels come with the expert's costs."""


def open_decoded(dataset_folder: Path, loader: StepLoader, max_bytes: int) -> DecodedFolder | None:
    """The decoded steps beside a dataset; in a temporary folder where nothing can be written there, and None, with a
    warning, where nothing can be written at all."""
    settings = loader.fingerprint()
    try:
        return DecodedFolder(dataset_folder / DECODED_FOLDER / settings, loader, max_bytes)
    except OSError as beside:
        try:
            elsewhere = scratch_folder("decoded")
            folder = DecodedFolder(elsewhere / DECODED_FOLDER / settings, loader, max_bytes, is_temporary=True)
            where = f"are kept in {folder.folder.parent} meanwhile"
        except OSError as error:
            folder = None
            where = f"cannot be kept elsewhere either ({error}): they are held in memory, or unpacked again and again"
        warnings.warn(
            f"decoded episodes cannot be kept in {dataset_folder} ({beside}); they {where}",
            DecodedCacheWarning,
            stacklevel=3,
        )
        return folder


def decoded_bytes(dataset_folder: Path) -> int:
    """Bytes of disk that decoded steps of all settings take beside a dataset."""
    return _size_of(dataset_folder / DECODED_FOLDER)


def remove_abandoned(*datasets: Path) -> None:
    """Remove decoded steps that a killed process has left in the folders of datasets; others, kept or in use, stay."""
    for dataset in datasets:
        everything = dataset / DECODED_FOLDER
        if not everything.is_dir():
            continue
        for folder in sorted(path for path in everything.iterdir() if path.is_dir()):
            is_abandoned = any(folder.glob(f".*{USER_SUFFIX}")) or not any(folder.glob(f"*{SUFFIX}"))
            if is_abandoned and not _is_in_use(folder):
                _remove_settings(folder)
        _remove_if_empty(everything)


class DecodedFolder:
    """Decoded steps of one dataset's episodes for one reader's settings.

    While it is open, no other process takes it for left behind.

    Args:
        folder: where they are, or will be.
        loader: decodes episodes as the settings ask.
        max_bytes: bound of the disk space that decoded steps of all settings may take beside the dataset.
        is_temporary: whether the folder is this reader's own and goes with it in any case.

    Raises:
        OSError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, loader: StepLoader, max_bytes: int, is_temporary: bool = False) -> None:
        self.folder = folder
        self.is_temporary = is_temporary
        self.loader = loader
        """Decodes episodes."""
        self._max_bytes = max_bytes
        self.used_bytes = _size_of(folder.parent)
        """Disk space that decoded steps of all settings take beside the dataset, in bytes."""
        self._kinds = {has_costs: loader.record_type(has_costs) for has_costs in (False, True)}
        self._trusted: set[Path] = set()
        self._paths: dict[Path, Path] = {}  # windows are small: putting a path together takes as long as reading one
        self._is_full = False
        self._has_warned = False
        folder.mkdir(parents=True, exist_ok=True)
        self._user = FileLock(folder / f".{uuid.uuid4().hex}{USER_SUFFIX}")
        with suppress(NotImplementedError):  # a file system without locks
            self._user.acquire(blocking=False)
        remove_stale_temporaries(folder.parent, below=True)
        _tag(folder.parent)

    def has(self, source: Source) -> bool:
        """True where there is a file of this very episode."""
        if source.path in self._trusted:
            return True
        path = self._path_of(source)
        try:
            with open(path, "rb") as file:
                first_line = file.read(HEADER_BYTES)
                size = os.fstat(file.fileno()).st_size
        except OSError:
            return False
        if first_line != self._first_line(source):
            self._note_remade(path, "is of another or an older episode, or damaged")
        elif size != self._file_bytes(source):
            self._note_remade(path, "is truncated or extended")
        else:
            self._trusted.add(source.path)
        return source.path in self._trusted

    def read(self, source: Source, row: int, start: int, stop: int) -> NDArray[Any] | None:
        """Records (n,) of some steps as one camera tells them; None where they are missing or damaged.

        Args:
            source: the episode.
            row: which of the cameras that can tell a step.
            start: first step.
            stop: step after the last.
        """
        records: NDArray[Any] = np.empty(stop - start, dtype=self._kinds[source.has_costs])
        if not self.has(source):
            return None
        if self.fill(records, source, row, start) and are_whole(records).all():
            return records
        self._trusted.discard(source.path)
        path = self._path_of(source)
        if path.exists():  # not deleted, then
            self._note_remade(path, "is damaged")
        return None

    def fill(self, records: NDArray[Any], source: Source, row: int, start: int) -> bool:
        """Read steps into records; whether those are as they were written, `are_whole` tells.

        Args:
            records: (n,) of the episode's type.
            source: the episode.
            row: which of the cameras that can tell a step.
            start: first step.

        Returns:
            Whether there were n steps to read.
        """
        if not self.has(source):
            return False
        room = records.view(np.uint8).data
        try:
            file = os.open(self._path_of(source), os.O_RDONLY)
            try:
                return os.preadv(file, [room], self._place_of(source, row, start)) == len(room)
            finally:
                os.close(file)
        except OSError:
            return False

    def records(self, count: int, steps: int, has_costs: bool) -> NDArray[Any]:
        """Room for steps (count, steps) of episodes with or without costs."""
        return np.empty((count, steps), dtype=self._kinds[has_costs])

    def look_ahead(self, source: Source, row: int, start: int, stop: int) -> None:
        """Let the disk get ready what `read` will want; where nothing is there, or no such help, nothing happens."""
        if not hasattr(os, "posix_fadvise"):
            return
        place = self._place_of(source, row, start)
        size = self._place_of(source, row, stop) - place
        with suppress(OSError):
            file = os.open(self._path_of(source), os.O_RDONLY)
            try:
                os.posix_fadvise(file, place, size, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(file)

    def missing(self, sources: Sequence[Source]) -> list[Source]:
        """Episodes of which there are no steps yet, as many as there is room for."""
        room = self._max_bytes - self.used_bytes
        missing = []
        for source in sources:
            if not self._path_of(source).exists():
                room -= self._file_bytes(source)
                missing.append(source)
            if room < 0:
                return missing[:-1]
        return missing

    def make(self, source: Source) -> bool:
        """Decode an episode, if there is room for it.

        Returns:
            Whether it is there now.

        Raises:
            BrokenEpisodeError: the episode's file is damaged.
        """
        need = self._file_bytes(source)
        if self._is_full or not self._has_room(need):
            return False
        check_bytes(source.path)
        with open_episode(source.path) as demo:
            steps = self.loader.load(demo, 0, source.num_steps)
        if len(steps.mask) != source.num_steps:
            raise BrokenEpisodeError(f"{source.path.name} was replaced since it was checked; open the dataset again")
        parts = [self._first_line(source), _pack(steps, self._kinds[source.has_costs])]
        try:
            write_new_file(self._path_of(source), parts, durable=False)
        except (OSError, DiskFullError) as error:
            self._stop(str(error))
            return False
        self.used_bytes += need
        return True

    def close(self, keep: bool) -> None:
        """Leave the folder; unless it is to be kept or another process uses it, remove it."""
        ours = Path(self._user.lock_file)
        self._user.release()
        if (self.is_temporary or not keep) and not _is_in_use(self.folder, besides=ours):
            _remove_settings(self.folder)
        with suppress(OSError):
            ours.unlink(missing_ok=True)
        if not keep:
            _remove_if_empty(self.folder.parent)

    def _file_bytes(self, source: Source) -> int:
        """Size of an episode's file."""
        return HEADER_BYTES + self._kinds[source.has_costs].itemsize * len(self.loader.tellers) * source.num_steps

    def _place_of(self, source: Source, row: int, step: int) -> int:
        """Where in its file a record begins."""
        return HEADER_BYTES + (row * source.num_steps + step) * self._kinds[source.has_costs].itemsize

    def _path_of(self, source: Source) -> Path:
        path = self._paths.get(source.path)
        if path is None:
            path = self._paths[source.path] = self.folder / f"{source.path.stem}{SUFFIX}"
        return path

    def _first_line(self, source: Source) -> bytes:
        """What a file of this episode begins with: its steps, and the first line of the episode itself."""
        with open(source.path, "rb") as file:
            episode = file.read(HEADER_BYTES).split(b"\n")[0].strip()
        line = f"decoded steps {source.num_steps} costs {source.has_costs} of ".encode() + episode
        return line[: HEADER_BYTES - 1].ljust(HEADER_BYTES - 1) + b"\n"

    def _has_room(self, need: int) -> bool:
        everything = self.folder.parent
        if self.used_bytes + need > self._max_bytes:
            _remove_unused(everything, self.folder)
            self.used_bytes = _size_of(everything)
        if self.used_bytes + need > self._max_bytes:
            self._stop(f"they may take {self._max_bytes / 1e9:.1f} GB there")
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)  # whoever deleted it may have wanted room once
            free_bytes = shutil.disk_usage(self.folder).free
        except OSError as error:
            self._stop(str(error))
            return False
        if free_bytes - need < FREE_BYTES_LEFT:
            self._stop(f"less than {FREE_BYTES_LEFT / 1e9:.0f} GB of the disk are free")
            return False
        return True

    def _note_remade(self, path: Path, why: str) -> None:
        """Say once that steps are made anew."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{path} {why}; it is made anew, and so is any other", DecodedCacheWarning, stacklevel=3)

    def _stop(self, reason: str) -> None:
        """Decode no more episodes, and say why."""
        self._is_full = True
        warnings.warn(
            f"no more decoded episodes are kept in {self.folder.parent} ({reason}); the others are held in memory or "
            "unpacked again and again, which is slow",
            DecodedCacheWarning,
            stacklevel=2,
        )


def are_whole(records: NDArray[Any]) -> NDArray[np.bool_]:
    """Which records (...) are as they were written."""
    whole: NDArray[np.bool_] = records["checksum"] == _checksums(records)
    return whole


def _pack(steps: TrainingSteps, kind: np.dtype[Any]) -> bytes:
    """The records of an episode's steps, as bytes."""
    records = np.zeros(steps.views.shape[:2], dtype=kind)
    for name in ("views", "state", "goal", "actions", "costs", "mask", "grounds"):
        if name in (kind.names or ()):
            records[name] = getattr(steps, name)
    records["checksum"] = _checksums(records)
    return records.tobytes()


def _checksums(records: NDArray[Any]) -> NDArray[np.uint64]:
    """Sum of the 64-bit words of a record but the first, which holds it: faster than a CRC, and a lone error shows."""
    words = records.view(np.uint64).reshape(*records.shape, -1)
    total: NDArray[np.uint64] = words[..., 1:].sum(axis=-1, dtype=np.uint64) + _CHECKSUM_START
    return total


def _tag(folder: Path) -> None:
    """Mark a folder as a cache, for people, backups and git."""
    for name, text in ((CACHE_TAG, _TAG_TEXT), (".gitignore", b"*\n")):
        if not (folder / name).exists():
            (folder / name).write_bytes(text)


def _size_of(folder: Path) -> int:
    """Bytes of the files in a folder and below it; 0 where there is none."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone meanwhile
            size += path.lstat().st_size
    return size


def _is_in_use(folder: Path, besides: Path | None = None) -> bool:
    """True while a living process has the folder open; what dead ones left there is removed."""
    in_use = False
    for path in folder.glob(f".*{USER_SUFFIX}"):
        if path == besides:
            continue
        try:
            lock = FileLock(path)
            lock.acquire(blocking=False)
            path.unlink(missing_ok=True)
            lock.release()
        except Timeout:
            in_use = True
        except (OSError, NotImplementedError):  # somebody else's file, or a file system without locks
            in_use = True
    return in_use


def _remove_unused(everything: Path, ours: Path) -> None:
    """Remove decoded steps of other settings that nobody uses."""
    for folder in sorted(everything.iterdir()):
        if folder.is_dir() and folder != ours and not _is_in_use(folder):
            _remove_settings(folder)


def _remove_settings(folder: Path) -> None:
    """Remove decoded steps of some settings, the steps first: what a kill leaves of it is seen to be abandoned."""
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):
            path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_if_empty(everything: Path) -> None:
    """Remove the folder of all settings once it holds nothing but its marks."""
    with suppress(OSError):
        if not {path.name for path in everything.iterdir()} - {CACHE_TAG, ".gitignore"}:
            shutil.rmtree(everything)
