"""A dataset back from LeRobot's format: pictures from the videos, all else from what was kept beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import read_json
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.keepsake_import import KeepsakeImporter
from forestpilot.data_collection.export.lerobot import PICTURES, VERSION, VIDEO_PATH
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.extras import require


class _Place(NamedTuple):
    """Where an episode's pictures of one camera lie."""

    path: Path
    first: int
    """Number of its first picture in the file."""


class LerobotImporter(KeepsakeImporter):
    """Reads a folder that `LerobotExporter` wrote.

    Args:
        source: the folder.
    """

    def __init__(self, source: Path | str) -> None:
        super().__init__(source)
        self._readers: defaultdict[str, _Pictures] = defaultdict(_Pictures)

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

    def require_format(self) -> None:
        """See `KeepsakeImporter.require_format`."""
        self._info  # noqa: B018  (it says what is wrong with a folder of another kind)

    def require_same_steps(self, spec: TaskSpec) -> None:
        """See `KeepsakeImporter.require_same_steps`."""
        if self._info.get("fps") != spec.control_hz:
            raise ImportDataError(
                f"{self.source} has {self._info.get('fps')} pictures a second, its episodes {spec.control_hz} steps: "
                "it was resampled; import the original"
            )

    def read_pictures(self, camera: str, number: int, count: int) -> NDArray[np.uint8]:
        """See `KeepsakeImporter.read_pictures`."""
        places = self._places.get(camera, [])
        if not 0 <= number < len(places):
            raise ImportDataError(
                f"{self.source} has no pictures of {camera} in episode {number}: it was cut short; import the original"
            )
        return self._readers[camera].read(places[number], count)

    @cached_property
    def _places(self) -> dict[str, list[_Place]]:
        """Where the pictures of each episode there lie, by camera."""
        fps = self.task_spec.control_hz
        features = self._info.get("features")
        names = [name for name in features if name.startswith(PICTURES)] if isinstance(features, dict) else []
        places: dict[str, list[_Place]] = {name.removeprefix(PICTURES): [] for name in names}
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
                    video = VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
                    own.append(_Place(self.source / video, round(from_s * fps)))
        return places


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
