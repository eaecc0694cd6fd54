"""`forestpilot export`: write datasets, or a policy, as other projects' tools read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro.conf

from forestpilot.data_collection.episodes.dataset import Dataset, join_datasets
from forestpilot.data_collection.export import EXPORTERS, ExporterConfig
from forestpilot.launch.reading.datasets import dataset_folder
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.entrants import PRETRAINED
from forestpilot.policies.export import POLICY_EXPORTERS, PolicyExporterConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import name_of, part_of
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS


@dataclass(frozen=True)
class ExportConfig:
    """Write datasets in the format of another project, for example `forestpilot export lerobot datasets/flights --out
    exports/flights`; what is there already is left as it is. `forestpilot export onnx RUN --out FILE.onnx` writes a
    policy: `forestpilot export onnx --help`."""

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


@dataclass(frozen=True)
class ExportPolicyConfig:
    """Write a policy for another runtime, for example `forestpilot export onnx runs/dagger --out policy.onnx`; what is
    there already is left as it is."""

    policy: Annotated[str, tyro.conf.Positional]
    """Folder of a run or checkpoint, or pretrained; the format stands before it."""
    out: Path
    """File to write; must not be there yet."""
    task: str = field(default=DEFAULT_TASK, metadata=name_of("forestpilot.sim.tasks:TASKS"))
    """Whose pretrained weights are meant."""
    to: PolicyExporterConfig = field(
        default_factory=lambda: POLICY_EXPORTERS.get(POLICY_EXPORTERS.names()[0]).Config(),
        metadata=part_of("forestpilot.policies.export:POLICY_EXPORTERS"),
    )
    """Format, and its options."""

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies.

        Raises:
            InvalidArgumentError: no weights come with the task.
        """
        if self.policy != PRETRAINED:
            return Path(self.policy)
        pretrained = TASKS.get(self.task).pretrained
        if pretrained is None:
            raise InvalidArgumentError(f"no weights come with the task {self.task}; name a folder")
        return pretrained


def reorder(args: list[str]) -> list[str]:
    """The arguments, with a format that stands first as `--to`."""
    if args and args[0] in EXPORTERS and not Path(args[0]).exists():
        return [*args[1:], "--to", args[0]]
    return args


def forms() -> Mapping[str, type[Any]]:
    """The formats of policies."""
    return dict.fromkeys(POLICY_EXPORTERS, ExportPolicyConfig)


def run(config: ExportConfig | ExportPolicyConfig) -> None:
    """Write what is asked for and say where it lies."""
    if isinstance(config, ExportPolicyConfig):
        exporter = POLICY_EXPORTERS.get(config.to.part)()
        notes = exporter.export(config.folder, config.out, config.to, make_progress())
        print(f"{config.out}: the policy in {config.folder}, for {config.to.part}")
        print("\n".join(notes))
        return
    dataset = join_datasets([Dataset.open(dataset_folder(folder)) for folder in config.datasets])
    path = EXPORTERS.get(config.to.part)().export(dataset, config.out, config.to, make_progress())
    print(f"{path}: {len(dataset)} episodes, {dataset.total_steps} steps, for {config.to.part}")


VERB = Verb(ExportConfig, run, reorder=reorder, forms=forms)
