"""Exporters and importers: datasets as other projects' tools read them, and back.

An exporter is one file and one line here; `forestpilot export DATASET --to NAME` takes it.
"""

from __future__ import annotations

from forestpilot.data_collection.export.exporter import Exporter, ExporterConfig, ExportError
from forestpilot.data_collection.export.importer import ImportDataError, Importer
from forestpilot.sim.registry import Registry

__all__ = ["EXPORTERS", "IMPORTERS", "ExportError", "Exporter", "ExporterConfig", "ImportDataError", "Importer"]

_HERE = "forestpilot.data_collection.export"

EXPORTERS: Registry[type[Exporter]] = Registry("exporter", f"{_HERE}:EXPORTERS")
EXPORTERS.register("robomimic", f"{_HERE}.robomimic:RobomimicExporter", "one HDF5 file, as robomimic reads it")
EXPORTERS.register("lerobot", f"{_HERE}.lerobot:LerobotExporter", "videos and Parquet tables, as LeRobot reads them")
EXPORTERS.register("minari", f"{_HERE}.minari:MinariExporter", "one HDF5 file and its spaces, as Minari reads them")
EXPORTERS.register("rlds", f"{_HERE}.rlds:RldsExporter", "record files of steps, as TensorFlow Datasets reads them")
EXPORTERS.register("video", f"{_HERE}.video:VideoExporter", "MP4 files and a JSON file for each episode, no actions")

IMPORTERS: Registry[type[Importer]] = Registry("importer", f"{_HERE}:IMPORTERS")
IMPORTERS.register("lerobot", f"{_HERE}.lerobot_import:LerobotImporter", "what `forestpilot export --to lerobot` wrote")
IMPORTERS.register("minari", f"{_HERE}.minari_import:MinariImporter", "what `forestpilot export --to minari` wrote")
IMPORTERS.register("rlds", f"{_HERE}.rlds_import:RldsImporter", "what `forestpilot export --to rlds` wrote")
IMPORTERS.register(
    "robomimic", f"{_HERE}.robomimic_import:RobomimicImporter", "what `forestpilot export --to robomimic` wrote"
)
IMPORTERS.register("video", f"{_HERE}.video_import:VideoImporter", "what `forestpilot export --to video` wrote")
