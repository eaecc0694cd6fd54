"""A dataset back from Minari's format: pictures from its one file, all else from what was kept beside it."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import read_bytes
from forestpilot.data_collection.export.foreign_hdf5 import opened, read_array
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.keepsake_import import KeepsakeImporter
from forestpilot.data_collection.export.minari import MAIN_DATA, METADATA
from forestpilot.sim.envs.task_spec import TaskSpec

METADATA_BYTES = 2**27
"""Most that is read: three cameras of 1280x720, bounds told pixel by pixel, take 50 MB."""


class MinariImporter(KeepsakeImporter):
    """Reads a folder that `MinariExporter` wrote.

    Args:
        source: the folder, which holds data/.
    """

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        path = self.source / METADATA
        try:
            metadata = json.loads(read_bytes(path, METADATA_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise ImportDataError(f"{self.source} is no Minari dataset: no {METADATA} ({error})") from error
        if not isinstance(metadata, dict) or metadata.get("data_format") != "hdf5":
            raise ImportDataError(f"{path} does not describe a Minari dataset in HDF5")
        if metadata.get("jpeg_encoding", True):
            raise ImportDataError(f"the pictures in {self.source} are lossy (jpeg_encoding); import the original")
        return metadata

    def require_format(self) -> None:
        """See `KeepsakeImporter.require_format`."""
        self._metadata  # noqa: B018  (it says what is wrong with a folder of another kind)

    def require_same_steps(self, spec: TaskSpec) -> None:
        """See `KeepsakeImporter.require_same_steps`."""
        found = self._metadata.get("control_hz", spec.control_hz)
        if found != spec.control_hz:
            raise ImportDataError(
                f"{self.source} has {found} steps a second, what was exported {spec.control_hz}: it was resampled; "
                "import the original"
            )

    def read_pictures(self, camera: str, number: int, count: int) -> NDArray[np.uint8]:
        """See `KeepsakeImporter.read_pictures`."""
        spec = self.task_spec
        with opened(self.source / MAIN_DATA) as file:
            group = file.get(f"episode_{number}")
            if not isinstance(group, h5py.Group):
                raise ImportDataError(f"{file.filename} has no episode_{number}: it was cut short; import the original")
            shape = (count, spec.image_height, spec.image_width, 3)
            return read_array(group, f"observations/{camera}", np.uint8, shape)
