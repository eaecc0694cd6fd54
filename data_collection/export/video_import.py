"""A dataset back from videos: episodes without actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import TABLE_BYTES, parse_json, read_bytes
from forestpilot.data_collection.episodes.episode import OPTIONAL_ARRAYS, Episode
from forestpilot.data_collection.episodes.errors import EpisodeError
from forestpilot.data_collection.episodes.layout import MAX_STEPS, kind_of, misfit
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.export.importer import ImportDataError, Importer
from forestpilot.data_collection.export.keepsake import ALWAYS
from forestpilot.data_collection.export.mp4 import read_mp4
from forestpilot.data_collection.export.video import FORMAT, VERSION
from forestpilot.sim.envs.task_spec import TaskSpec


class VideoImporter(Importer):
    """Reads a folder that `VideoExporter` wrote.

    Args:
        source: the folder.
    """

    lacks: ClassVar[tuple[str, ...]] = ("actions",)

    @cached_property
    def _side_files(self) -> list[Path]:
        files = sorted(self.source.glob("*.json")) if self.source.is_dir() else []
        if not files or not any(self.source.glob("*.mp4")):
            raise ImportDataError(f"{self.source} is no video dataset: it has no MP4 files with JSON files beside")
        return files

    @cached_property
    def task_spec(self) -> TaskSpec:
        """See `Importer.task_spec`."""
        try:
            return TaskSpec.from_dict(self._first.task_spec)
        except ValueError as error:
            raise ImportDataError(f"{self._side_files[0]} does not tell the task: {error}; export it again") from error

    @property
    def env_id(self) -> str:
        """See `Importer.env_id`."""
        return self._first.env_id

    @cached_property
    def _first(self) -> EpisodeMeta:
        path = self._side_files[0]
        return _meta(path, _read(path))

    def __len__(self) -> int:
        return len(self._side_files)

    def episodes(self, is_known: Callable[[EpisodeMeta, Rerun], bool] | None = None) -> Iterator[Episode]:
        """See `Importer.episodes`."""
        for path in self._side_files:
            told = _read(path)
            meta = _meta(path, told)
            try:
                rerun = Rerun(**told["rerun"])
                if is_known is not None and is_known(meta, rerun):
                    continue
                episode = self._episode(path, told, meta, rerun)
            except (KeyError, ValueError, TypeError, AttributeError, EpisodeError) as error:
                raise ImportDataError(f"{path} cannot be read: {error}; export it again") from error
            yield episode

    def _episode(self, path: Path, told: dict[str, Any], meta: EpisodeMeta, rerun: Rerun) -> Episode:
        steps = int(told["frames"]) - 1
        if not 1 <= steps <= MAX_STEPS:
            raise ImportDataError(f"{path} tells of {steps} steps; allowed: 1 to {MAX_STEPS:,}")
        spec = self.task_spec
        arrays = {}
        for name in (*ALWAYS, *OPTIONAL_ARRAYS):
            if name in told["arrays"]:
                arrays[name] = _array(path, name, told["arrays"][name], steps)
        seen = {key: _array(path, f"obs/{key}", values, steps) for key, values in told["observations"].items()}
        shape = (steps + 1, spec.image_height, spec.image_width, 3)
        for key, file in told["pictures"].items():
            if Path(file).name != file:
                raise ImportDataError(f"{path} names {file!r}, which is no file beside it")
            seen[key] = read_mp4(path.parent / file, shape)
        unknown = np.full((steps, 2), np.nan, np.float32)
        return Episode(observations=seen, meta=meta, rerun=rerun, **{**arrays, "actions": unknown})


def _read(path: Path) -> dict[str, Any]:
    """The content of a side file."""
    try:
        told = parse_json(read_bytes(path, TABLE_BYTES), finite=True)
    except (OSError, ValueError) as error:
        raise ImportDataError(f"{path} cannot be read ({error}): export the dataset again") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ImportDataError(f"{path.parent} is no video dataset: {path.name} does not tell of a video")
    if told.get("version") != VERSION:
        raise ImportDataError(f"{path} is of version {told.get('version')}; this ForestPilot reads {VERSION}")
    return told


def _meta(path: Path, told: dict[str, Any]) -> EpisodeMeta:
    try:
        return EpisodeMeta(**told["meta"])
    except (KeyError, TypeError, ValueError, EpisodeError) as error:
        raise ImportDataError(f"{path} does not tell what it is: {error}; export it again") from error


def _array(path: Path, name: str, values: Any, steps: int) -> NDArray[Any]:
    """An array of an episode, of the type and shape that it must have."""
    array: NDArray[Any] = np.asarray(values, kind_of(name).dtype)
    wrong = misfit(name, array.dtype, array.shape, steps)
    if wrong:
        raise ImportDataError(f"{name} in {path} {wrong}; export it again")
    return array
