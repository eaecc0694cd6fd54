"""`forestpilot import`: read back a dataset that was exported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro.conf

from forestpilot.data_collection.export import IMPORTERS
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.sim.registry import name_of


@dataclass(frozen=True)
class ImportConfig:
    """Read back a dataset that was exported, for example `forestpilot import lerobot exports/flights --out
    datasets/back`; interrupted, the same command goes on."""

    source: Annotated[Path, tyro.conf.Positional]
    """File or folder that was exported; the format may stand before it."""
    out: Path
    """Folder of the dataset to write."""
    format: str = field(
        default_factory=lambda: IMPORTERS.names()[0],
        metadata=name_of("forestpilot.data_collection.export:IMPORTERS"),
    )
    """Format that it is in."""


def reorder(args: list[str]) -> list[str]:
    """The arguments, with a format that stands first as `--format`."""
    if args and args[0] in IMPORTERS and not Path(args[0]).exists():
        return [*args[1:], "--format", args[0]]
    return args


def run(config: ImportConfig) -> None:
    """Read all episodes and say where they lie."""
    dataset = IMPORTERS.get(config.format)(config.source).import_to(config.out, make_progress())
    print(f"{dataset.folder}: {len(dataset)} episodes, {dataset.total_steps} steps")


VERB = Verb(ImportConfig, run, resumes=True, reorder=reorder)
