"""Episodes back from an export that has a keepsake: pictures as the format has them, all else from what was kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import parse_json
from forestpilot.data_collection.episodes.episode import OPTIONAL_ARRAYS, Episode
from forestpilot.data_collection.episodes.errors import EpisodeError
from forestpilot.data_collection.episodes.layout import MAX_STEPS, kind_of
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.export.foreign_hdf5 import opened, read_array
from forestpilot.data_collection.export.importer import ImportDataError, Importer
from forestpilot.data_collection.export.keepsake import ALWAYS, KEEPSAKE
from forestpilot.sim.envs.task_spec import TaskSpec


class KeepsakeImporter(Importer):
    """Reads a folder with a keepsake; subclasses say where the pictures are.

    Args:
        source: the folder.
    """

    @abstractmethod
    def require_format(self) -> None:
        """Look at the folder.

        Raises:
            ImportDataError: it is not in this format.
        """

    @abstractmethod
    def require_same_steps(self, spec: TaskSpec) -> None:
        """Look if the steps there are those that were exported.

        Args:
            spec: task spec of what was exported.

        Raises:
            ImportDataError: they are not, for example because somebody has drawn them out to another rate.
        """

    @abstractmethod
    def read_pictures(self, camera: str, number: int, count: int) -> NDArray[np.uint8]:
        """The first pictures of an episode there; they are asked for in order.

        Args:
            camera: whose.
            number: of the episode there.
            count: how many.

        Returns:
            (count, H, W, 3).

        Raises:
            ImportDataError: they are missing, or are not what was written.
        """

    def root(self, file: h5py.File) -> h5py.Group:
        """Where the episodes lie in the keepsake."""
        return file

    @cached_property
    def kept(self) -> Path:
        """The keepsake."""
        self.require_format()
        path = self.source / KEEPSAKE
        if not path.is_file():
            raise ImportDataError(
                f"{self.source} has no {KEEPSAKE}: only what `forestpilot export` wrote comes back (with its views "
                "together), for worlds and cameras are not in the format's own tables"
            )
        return path

    @cached_property
    def task_spec(self) -> TaskSpec:
        """See `Importer.task_spec`."""
        with opened(self.kept) as file:
            try:
                spec = TaskSpec.from_dict(parse_json(str(self.root(file).attrs["task_spec"])))
            except (KeyError, ValueError, TypeError) as error:
                raise ImportDataError(f"{self.kept} does not tell the task: {error}; export it again") from error
        self.require_same_steps(spec)
        return spec

    @property
    def env_id(self) -> str:
        """See `Importer.env_id`."""
        with opened(self.kept) as file:
            return self._meta(_member(self.root(file), 0)).env_id

    def __len__(self) -> int:
        with opened(self.kept) as file:
            return len(self.root(file))

    def episodes(self, is_known: Callable[[EpisodeMeta, Rerun], bool] | None = None) -> Iterator[Episode]:
        """See `Importer.episodes`."""
        with opened(self.kept) as file:
            root = self.root(file)
            for number in range(len(root)):
                group = _member(root, number)
                try:
                    meta = self._meta(group)
                    rerun = Rerun(**parse_json(str(group.attrs["rerun"]), finite=True))
                    if is_known is not None and is_known(meta, rerun):
                        continue
                    episode = self._episode(group, meta, rerun)
                except (KeyError, OSError, ValueError, TypeError, EpisodeError) as error:
                    raise ImportDataError(f"{group.name} of {self.kept} cannot be read: {error}") from error
                yield episode

    def _meta(self, group: h5py.Group) -> EpisodeMeta:
        try:
            return EpisodeMeta.from_json(str(group.attrs["meta"]))
        except (KeyError, EpisodeError) as error:
            raise ImportDataError(f"{group.name} of {self.kept} does not tell what it is: {error}") from error

    def _episode(self, group: h5py.Group, meta: EpisodeMeta, rerun: Rerun) -> Episode:
        steps = min(len(group["arrays/actions"]), MAX_STEPS)
        arrays = {
            name: _array(group, f"arrays/{name}", name, steps)
            for name in (*ALWAYS, *OPTIONAL_ARRAYS)
            if name in ALWAYS or f"arrays/{name}" in group
        }
        observations = {key: _array(group, f"obs/{key}", f"obs/{key}", steps) for key in group["obs"]}
        return Episode(
            observations={**self._pictures(group, meta, steps), **observations},
            meta=meta,
            rerun=rerun,
            **arrays,
        )

    def _pictures(self, group: h5py.Group, meta: EpisodeMeta, steps: int) -> dict[str, NDArray[np.uint8]]:
        """(T+1, H, W, 3) of each camera."""
        stretches = read_array(group, "stretches", np.int64, (None, 3)).tolist()
        loose = read_array(group, "loose/steps", np.int64, (None,)).tolist()
        bounds = [0, steps + 1, *loose, *(place for _, *places in stretches for place in places)]
        if min(bounds) < 0 or max(bounds) > steps + 1:
            raise ImportDataError(f"{group.name} of {self.kept} counts {min(bounds)} to {max(bounds)} of {steps} steps")
        covered = {step for _, first, stop in stretches for step in range(first, stop)}
        missing = steps + 1 - len(covered.union(loose))
        if missing:
            raise ImportDataError(
                f"the episode of world {meta.seed} lacks {missing} of its {steps + 1} pictures: only steps that the "
                "expert answered were exported; export it again with --to.action taught"
            )
        size = (self.task_spec.image_height, self.task_spec.image_width, 3)
        pictures = {}
        for camera in (name for name in group["loose"] if name != "steps"):
            own = np.empty((steps + 1, *size), np.uint8)
            own[loose] = read_array(group, f"loose/{camera}", np.uint8, (len(loose), *size))
            for number, first, stop in stretches:
                own[first:stop] = self._checked(camera, number, stop - first, size)
            pictures[camera] = own
        return pictures

    def _checked(self, camera: str, number: int, count: int, size: tuple[int, int, int]) -> NDArray[np.uint8]:
        found = self.read_pictures(camera, number, count)
        if found.shape != (count, *size):
            raise ImportDataError(
                f"pictures of {camera} in episode {number} are {found.shape[1:]}, recorded were {size}: "
                "they were scaled; import the original"
            )
        return found


def _member(root: h5py.Group, number: int) -> h5py.Group:
    group = root.get(f"episode_{number}")
    if not isinstance(group, h5py.Group):
        raise ImportDataError(f"there is no episode_{number} in {root.file.filename}: export the dataset again")
    return group


def _array(group: h5py.Group, path: str, name: str, steps: int) -> NDArray[Any]:
    """An array of an episode, of the type and shape that it must have."""
    kind = kind_of(name)
    return read_array(group, path, kind.dtype, (steps + kind.extra, *kind.inner))
