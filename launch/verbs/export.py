"""`forestpilot export`: write datasets as other projects' tools read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro.conf

from forestpilot.data_collection.episodes.dataset import Dataset, join_datasets
from forestpilot.data_collection.export import EXPORTERS, ExporterConfig
from forestpilot.launch.reading.datasets import dataset_folder
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import part_of


@dataclass(frozen=True)
class ExportConfig:
    """Write datasets in the format of another project, for example `forestpilot export lerobot datasets/flights --out
    exports/flights`; what is there already is left as it is."""

    datasets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of datasets of one task, or of runs that hold one; the format may stand before them."""
    out: Path
    """File or folder to write, as the format has it; must not be there yet."""
    to: ExporterConfig = field(
        default_factory=lambda: EXPORTERS.get(EXPORTERS.names()[0]).Config(),
        metadata=part_of("forestpilot.data_collection.export:EXPORTERS"),
    )
    """Format, and its options."""

    def __post_init__(self) -> None:
        if not self.datasets:
            raise InvalidArgumentError("which datasets? Give at least one folder")


def reorder(args: list[str]) -> list[str]:
    """The arguments, with a format that stands first as `--to`."""
    if args and args[0] in EXPORTERS and not Path(args[0]).exists():
        return [*args[1:], "--to", args[0]]
    return args


def run(config: ExportConfig) -> None:
    """Write all episodes and say where they lie."""
    dataset = join_datasets([Dataset.open(dataset_folder(folder)) for folder in config.datasets])
    exporter = EXPORTERS.get(config.to.part)()
    path = exporter.export(dataset, config.out, config.to, make_progress())
    print(f"{path}: {len(dataset)} episodes, {dataset.total_steps} steps, for {config.to.part}")


VERB = Verb(ExportConfig, run, reorder=reorder)
