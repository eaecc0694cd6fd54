"""A dataset back from RLDS: pictures from the record files, all else from what was kept beside them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import read_json
from forestpilot.data_collection.export import png
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.keepsake_import import KeepsakeImporter
from forestpilot.data_collection.export.rlds import FILE_FORMAT, INFO, METADATA, OBSERVATION
from forestpilot.data_collection.export.tfrecord import BrokenRecordError, Record, read_record, records_of
from forestpilot.sim.envs.task_spec import TaskSpec


class RldsImporter(KeepsakeImporter):
    """Reads a folder that `RldsExporter` wrote.

    Args:
        source: the folder, which holds dataset_info.json.
    """

    @cached_property
    def _info(self) -> dict[str, Any]:
        path = self.source / INFO
        try:
            info = read_json(path)
        except (OSError, ValueError) as error:
            raise ImportDataError(f"{self.source} is no RLDS dataset: no {INFO} ({error})") from error
        if not isinstance(info, dict) or info.get("fileFormat") != FILE_FORMAT:
            raise ImportDataError(f"{path} does not describe a dataset in files of the format {FILE_FORMAT}")
        return info

    def require_format(self) -> None:
        """See `KeepsakeImporter.require_format`."""
        self._info  # noqa: B018  (it says what is wrong with a folder of another kind)

    def require_same_steps(self, spec: TaskSpec) -> None:
        """See `KeepsakeImporter.require_same_steps`."""
        found = self._features_of(0)[f"{METADATA}/control_hz"].int64_list.value
        if list(found) != [spec.control_hz]:
            raise ImportDataError(
                f"{self.source} has {list(found)} steps a second, what was exported {spec.control_hz}: "
                "it was resampled; import the original"
            )

    def read_pictures(self, camera: str, number: int, count: int) -> NDArray[np.uint8]:
        """See `KeepsakeImporter.read_pictures`."""
        packed = self._features_of(number)[f"{OBSERVATION}/{camera}"].bytes_list.value
        if len(packed) != count:
            raise ImportDataError(
                f"episode {number} of {self.source} has {len(packed)} pictures of {camera}, exported were {count}: "
                "import the original"
            )
        size = (self.task_spec.image_height, self.task_spec.image_width)
        try:
            return np.stack([png.unpack(data, size) for data in packed])
        except ValueError as error:
            raise ImportDataError(
                f"episode {number} of {self.source}: {camera} is {error}, as it was exported; import the original"
            ) from error

    @cached_property
    def _records(self) -> list[Record]:
        """Where the episodes there lie."""
        try:
            files = sorted(self.source.glob(f"*.{FILE_FORMAT}-*"))
            return [record for path in files for record in records_of(path)]
        except (OSError, BrokenRecordError) as error:
            raise ImportDataError(f"{error}: export the dataset again") from error

    def _features_of(self, number: int) -> Any:
        """What is stored of an episode there, by name; the last one read is at hand."""
        if number not in self._at_hand:
            if not 0 <= number < len(self._records):
                raise ImportDataError(f"{self.source} has no episode {number}: it was cut short; import the original")
            try:
                example = read_record(self._records[number])
            except (OSError, BrokenRecordError) as error:
                raise ImportDataError(f"{error}: export the dataset again") from error
            self._at_hand.clear()
            self._at_hand[number] = example.features.feature
        return self._at_hand[number]

    @cached_property
    def _at_hand(self) -> dict[int, Any]:
        return {}
