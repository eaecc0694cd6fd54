"""What older versions stored, as this version reads it: the one place that knows how things were called before.

Plain values in, plain values out; what is of this version already comes back as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def migrate_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a config of any version (a run's, a YAML file's, a training state's) as of this version."""
    return dict(values)


def episodes_folder(folder: Path) -> Path:
    """Where an evaluation keeps its episodes: in `episodes/`, which version 0.1 called `trips/`."""
    old = folder / "trips"
    return old if old.is_dir() else folder / "episodes"


OLD_COLUMNS = {"trips": "episodes", "helped_steps": "intervention_steps"}
"""Columns of the tables of version 0.1 that have another name now."""


def migrate_columns(columns: Sequence[str]) -> list[str]:
    """The columns of a table by the names of this version."""
    return [OLD_COLUMNS.get(column, column) for column in columns]
