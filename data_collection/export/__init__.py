"""Exporters: datasets as other projects' tools read them.

An exporter is one file and one line here; `forestpilot export DATASET --to NAME` takes it.
"""

from __future__ import annotations

from forestpilot.data_collection.export.exporter import Exporter, ExporterConfig, ExportError
from forestpilot.sim.registry import Registry

__all__ = ["EXPORTERS", "ExportError", "Exporter", "ExporterConfig"]

_HERE = "forestpilot.data_collection.export"

EXPORTERS: Registry[type[Exporter]] = Registry("exporter", f"{_HERE}:EXPORTERS")
EXPORTERS.register("robomimic", f"{_HERE}.robomimic:RobomimicExporter", "one HDF5 file, as robomimic reads it")
