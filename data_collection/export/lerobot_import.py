"""A dataset back from LeRobot's format: pictures from the videos, all else from what was kept beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import parse_json, read_json
from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.export.importer import ImportDataError, Importer
from forestpilot.data_collection.export.lerobot import KEEPSAKE, PICTURES, VERSION
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.extras import require


class _Place(NamedTuple):
    """Where an episode's pictures of one camera lie."""

    path: Path
    first: int
    """Number of its first picture in the file."""


class LerobotImporter(Importer):
    """Reads a folder that `LerobotExporter` wrote.

    Args:
        source: the folder.
    """

    @cached_property
    def _info(self) -> dict[str, Any]:
        path = self.source / "meta" / "info.json"
        try:
            info = read_json(path)
        except (OSError, ValueError) as error:
            raise ImportDataError(f"{self.source} is no LeRobot dataset: no {path.name} ({error})") from error
        if not isinstance(info, dict) or info.get("codebase_version") != VERSION:
            found = info.get("codebase_version") if isinstance(info, dict) else None
            raise ImportDataError(f"{self.source} is of LeRobot's version {found}, this reads {VERSION}")
        return info

    @cached_property
    def _kept(self) -> Path:
        self._info  # noqa: B018  (it says what is wrong with a folder of another kind)
        path = self.source / KEEPSAKE
        if not path.is_file():
            raise ImportDataError(
                f"{self.source} has no {KEEPSAKE}: only what `forestpilot export` wrote comes back, for worlds and "
                "cameras are not in LeRobot's own tables"
            )
        return path

    @cached_property
    def task_spec(self) -> TaskSpec:
        """See `Importer.task_spec`."""
        with _open(self._kept) as kept:
            spec = TaskSpec.from_dict(parse_json(str(kept.attrs["task_spec"])))
        if self._info.get("fps") != spec.control_hz:
            raise ImportDataError(
                f"{self.source} has {self._info.get('fps')} pictures a second, its episodes {spec.control_hz} steps: "
                "it was resampled; import the original"
            )
        return spec

    @property
    def env_id(self) -> str:
        """See `Importer.env_id`."""
        with _open(self._kept) as kept:
            return EpisodeMeta.from_json(kept["episode_0"].attrs["meta"]).env_id

    def __len__(self) -> int:
        with _open(self._kept) as kept:
            return len(kept)

    def episodes(self) -> Iterator[Episode]:
        """See `Importer.episodes`."""
        places = self._places()
        readers = {camera: _Pictures() for camera in places}
        with _open(self._kept) as kept:
            for number in range(len(kept)):
                group = kept[f"episode_{number}"]
                yield self._episode(group, places, readers)

    def _episode(self, group: h5py.Group, places: dict[str, list[_Place]], readers: dict[str, _Pictures]) -> Episode:
        meta = EpisodeMeta.from_json(group.attrs["meta"])
        steps = len(group["arrays/actions"])
        stretches = group["stretches"][:]
        covered = sum(int(stop - start) for _, start, stop in stretches)
        if covered != steps:
            raise ImportDataError(
                f"the episode of world {meta.seed} has pictures of {covered} of its {steps} steps: only the expert's "
                "were exported; export it again with --to.action taught"
            )
        observations = {}
        for camera in places:
            parts = []
            for there, start, stop in stretches.tolist():
                parts.append(readers[camera].read(places[camera][there], stop - start))
            observations[camera] = np.concatenate([*parts, group[f"last/{camera}"][:]])
        for key in group["obs"]:
            observations[key] = group[f"obs/{key}"][:]
        arrays = {name: values[:] for name, values in group["arrays"].items()}
        rerun = Rerun(**json.loads(group.attrs["rerun"]))
        return Episode(observations=observations, meta=meta, rerun=rerun, **arrays)

    def _places(self) -> dict[str, list[_Place]]:
        """Where the pictures of each episode there lie, by camera."""
        fps = self.task_spec.control_hz
        with _open(self._kept) as kept:
            places: dict[str, list[_Place]] = {camera: [] for camera in kept["episode_0/last"]}
        for path in sorted((self.source / "meta" / "episodes").glob("*/*.parquet")):
            columns = _columns_of(path)
            for camera, own in places.items():
                key = f"{PICTURES}{camera}"
                try:
                    files = zip(columns[f"videos/{key}/chunk_index"], columns[f"videos/{key}/file_index"])
                    starts = columns[f"videos/{key}/from_timestamp"]
                except KeyError as error:
                    raise ImportDataError(f"{path} lacks the column {error}") from error
                for (chunk, file), from_s in zip(files, starts):
                    video = self._info["video_path"].format(video_key=key, chunk_index=chunk, file_index=file)
                    own.append(_Place(self.source / video, round(from_s * fps)))
        return places


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ImportDataError(f"{path} cannot be read ({error}): export the dataset again") from error


def _columns_of(path: Path) -> dict[str, list[Any]]:
    """The columns of a Parquet file that say where something lies."""
    parquet = require("pyarrow.parquet")
    try:
        names = [name for name in parquet.read_schema(path).names if not name.startswith("stats/")]
        columns: dict[str, list[Any]] = parquet.read_table(path, columns=names).to_pydict()
    except (OSError, ValueError) as error:
        raise ImportDataError(f"{path} cannot be read ({error}): export the dataset again") from error
    return columns


class _Pictures:
    """Reads the pictures of one camera in the order in which they were written; a file is decoded once."""

    def __init__(self) -> None:
        self._path = Path()
        self._frames: Iterator[NDArray[np.uint8]] = iter(())
        self._next = 0

    def read(self, place: _Place, count: int) -> NDArray[np.uint8]:
        """(count, H, W, 3) from a place on."""
        if place.path != self._path or place.first < self._next:
            self._path = place.path
            self._frames = _decode(place.path)
            self._next = 0
        pictures = []
        for picture in self._frames:
            self._next += 1
            if self._next > place.first:
                pictures.append(picture)
            if len(pictures) == count:
                return np.stack(pictures)
        raise ImportDataError(
            f"{place.path} ends before picture {place.first + count}: it was cut off; export it again"
        )


def _decode(path: Path) -> Iterator[NDArray[np.uint8]]:
    av = require("av")
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except (OSError, ValueError) as error:
        raise ImportDataError(f"{path} cannot be read ({error}): export the dataset again") from error
