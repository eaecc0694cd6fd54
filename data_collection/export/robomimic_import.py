"""A dataset back from robomimic's file: from the episodes that it links to, or from what a copy holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.errors import EpisodeError, SchemaVersionError
from forestpilot.data_collection.episodes.header import read_header
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.export.foreign_hdf5 import opened, read_array
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.keepsake_import import KeepsakeImporter
from forestpilot.data_collection.export.robomimic import BACK, EPISODE_OBS, EPISODES
from forestpilot.sim.envs.task_spec import TaskSpec


class RobomimicImporter(KeepsakeImporter):
    """Reads a file that `RobomimicExporter` wrote: a copy by itself, one of links with the dataset that it leads to.

    Args:
        source: the file.
    """

    def require_format(self) -> None:
        """See `KeepsakeImporter.require_format`."""
        if not self.source.is_file():
            raise ImportDataError(f"{self.source} is no robomimic dataset: there is no such file")
        with opened(self.source) as file:
            if not isinstance(file.get("data"), h5py.Group):
                raise ImportDataError(f"{self.source} is no robomimic dataset: it has no data/demo_0")

    @cached_property
    def kept(self) -> Path:
        """The file itself."""
        self.require_format()
        if not self._linked:
            with opened(self.source) as file:
                if not isinstance(file.get(BACK), h5py.Group):
                    raise ImportDataError(
                        f"{self.source} cannot come back: only what `forestpilot export` wrote does, and this has "
                        f"neither links to episodes nor {BACK}/"
                    )
        return self.source

    def root(self, file: h5py.File) -> h5py.Group:
        """See `KeepsakeImporter.root`."""
        return file[BACK]

    def require_same_steps(self, spec: TaskSpec) -> None:
        """A file of steps has no rate of its own."""

    def read_pictures(self, camera: str, number: int, count: int) -> NDArray[np.uint8]:
        """See `KeepsakeImporter.read_pictures`."""
        with opened(self.source) as file:
            group = file.get(f"{EPISODES}/episode_{number}")
            if not isinstance(group, h5py.Group):
                raise ImportDataError(f"{self.source} has no {EPISODES}/episode_{number}; import the original")
            size = (self.task_spec.image_height, self.task_spec.image_width, 3)
            return read_array(group, camera, np.uint8, (count, *size))

    @cached_property
    def _linked(self) -> list[Path]:
        """Files of the episodes that the file links to; none of a copy."""
        paths = []
        with opened(self.source) as file:
            group = file.get(EPISODES)
            for number in range(len(group) if isinstance(group, h5py.Group) else 0):
                link = group.get(f"episode_{number}", getlink=True)
                if not isinstance(link, h5py.ExternalLink) or link.path != EPISODE_OBS:
                    return []
                paths.append(self.source.resolve().parent / link.filename)
        return paths

    @cached_property
    def task_spec(self) -> TaskSpec:
        """See `Importer.task_spec`."""
        self.require_format()
        if self._linked:
            try:
                return TaskSpec.from_dict(self._meta_of(self._linked[0])[0].task_spec)
            except ValueError as error:
                raise ImportDataError(f"{self._linked[0]} does not tell the task: {error}") from error
        return super().task_spec

    @property
    def env_id(self) -> str:
        """See `Importer.env_id`."""
        return self._meta_of(self._linked[0])[0].env_id if self._linked else super().env_id

    def __len__(self) -> int:
        return len(self._linked) or super().__len__()

    def episodes(self, is_known: Callable[[EpisodeMeta, Rerun], bool] | None = None) -> Iterator[Episode]:
        """See `Importer.episodes`."""
        if not self._linked:
            yield from super().episodes(is_known)
        for path in self._linked:
            if is_known is None or not is_known(*self._meta_of(path)):
                try:
                    yield load_episode(path)
                except (OSError, EpisodeError, SchemaVersionError) as error:
                    raise self._gone(path, error) from error

    def _meta_of(self, path: Path) -> tuple[EpisodeMeta, Rerun]:
        """What an episode's own file says of it."""
        try:
            header = read_header(path)
        except (OSError, EpisodeError, SchemaVersionError) as error:
            raise self._gone(path, error) from error
        return header.meta, header.rerun

    def _gone(self, path: Path, error: Exception) -> ImportDataError:
        return ImportDataError(
            f"{self.source} links to {path}, which cannot be read ({error}): put file and dataset where they lay to "
            "each other when it was exported"
        )
