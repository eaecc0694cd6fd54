"""`forestpilot export`: write a dataset as other projects' tools read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro.conf

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.export import EXPORTERS, ExporterConfig
from forestpilot.launch.reading.datasets import dataset_folder
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.sim.registry import part_of


@dataclass(frozen=True)
class ExportConfig:
    """Write a dataset in the format of another project; what is there already is left as it is."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset, or of a run that holds one."""
    out: Path
    """File or folder to write, as the format has it; must not be there yet."""
    to: ExporterConfig = field(
        default_factory=lambda: EXPORTERS.get(EXPORTERS.names()[0]).Config(),
        metadata=part_of("forestpilot.data_collection.export:EXPORTERS"),
    )
    """Format, and its options."""


def run(config: ExportConfig) -> None:
    """Write all episodes and say where they lie."""
    dataset = Dataset.open(dataset_folder(config.dataset))
    exporter = EXPORTERS.get(config.to.part)()
    path = exporter.export(dataset, config.out, config.to, make_progress())
    print(f"{path}: {len(dataset)} episodes, {dataset.total_steps} steps, for {config.to.part}")


VERB = Verb(ExportConfig, run)
