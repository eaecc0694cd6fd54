"""`forestpilot export`: write datasets, or a policy, as other projects' tools read them."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro.conf

from forestpilot.data_collection.episodes.dataset import Dataset, join_datasets
from forestpilot.data_collection.episodes.plain import to_plain
from forestpilot.data_collection.episodes.remote import COPIES, Room, fetched, is_address
from forestpilot.data_collection.export import EXPORTERS, ExporterConfig
from forestpilot.data_collection.export.card import CardFacts, spdx
from forestpilot.launch.config.parts import as_flag
from forestpilot.launch.reading.datasets import dataset_folder
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.entrants import PRETRAINED
from forestpilot.policies.export import POLICY_EXPORTERS, PolicyExporterConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import name_of, part_of
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS


@dataclass(frozen=True)
class ExportConfig:
    """Write datasets in the format of another project, for example `forestpilot export lerobot datasets/flights --out
    exports/flights`; what is there already is left as it is. `forestpilot export onnx RUN --out FILE.onnx` writes a
    policy: `forestpilot export onnx --help`."""

    datasets: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Folders of datasets of one task, or of runs that hold one; or addresses of datasets (s3://..., whatever fsspec
    reads). The format may stand before them."""
    out: Path
    """File or folder to write, as the format has it; must not be there yet."""
    to: ExporterConfig = field(
        default_factory=lambda: EXPORTERS.get(EXPORTERS.names()[0]).Config(),
        metadata=part_of("forestpilot.data_collection.export:EXPORTERS"),
    )
    """Format, and its options."""
    licence: str = ""
    """Licence for the card beside it, as an SPDX expression such as CC-BY-4.0; by default it says that none is
    stated."""
    remote_gb: Annotated[float, Range(0, 1_000_000, above=True)] = 20.0
    """Bound of the copies, beside the export, of datasets that are named by an address, GB; they go when it is
    made."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "datasets", tuple(map(str, self.datasets)))
        if not self.datasets:
            raise InvalidArgumentError("which datasets? Give at least one folder")
        _require_licence(self.licence)


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
    licence: str = ""
    """Licence for the card beside it, as an SPDX expression such as MIT; by default it says that none is stated."""

    def __post_init__(self) -> None:
        _require_licence(self.licence)

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
        _export_policy(config)
    else:
        _export_datasets(config)


def _export_policy(config: ExportPolicyConfig) -> None:
    exporter = POLICY_EXPORTERS.get(config.to.part)()
    facts = CardFacts(config.licence, _command([config.policy], config))
    notes = exporter.export(config.folder, config.out, config.to, make_progress(), facts)
    print(f"{config.out}: the policy in {config.folder}, for {config.to.part}")
    print("\n".join(notes))


def _export_datasets(config: ExportConfig) -> None:
    exporter = EXPORTERS.get(config.to.part)()
    if any(map(is_address, config.datasets)) and exporter.needs_the_dataset(config.to):
        raise InvalidArgumentError("such an export links to the dataset, which is at an address; give --to.copy")
    progress = make_progress()
    copies = config.out.with_name(f".{config.out.name}.{COPIES}")  # beside it, so that it can go on where it was
    folders = fetched(config.datasets, Room(copies, int(config.remote_gb * 1e9)), progress)
    dataset = join_datasets([Dataset.open(dataset_folder(Path(folder))) for folder in folders])
    facts = CardFacts(config.licence, _command(list(config.datasets), config))
    path = exporter.export(dataset, config.out, config.to, progress, facts)
    shutil.rmtree(copies, ignore_errors=True)
    print(f"{path}: {len(dataset)} episodes, {dataset.total_steps} steps, for {config.to.part}")


def _require_licence(licence: str) -> None:
    if licence:
        try:
            spdx(licence)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"--{error}") from error


def _command(what: list[str], config: ExportConfig | ExportPolicyConfig) -> str:
    """The command that makes the same again."""
    words = ["forestpilot", "export", config.to.part, *what, "--out", str(config.out)]
    plain = to_plain(config.to)
    born = to_plain(type(config.to)())
    for name, value in plain.items():
        if value != born[name]:
            words += [as_flag(f"to.{name}"), *([] if value is True else [str(value)])]
    if config.licence:
        words += ["--licence", config.licence]
    return shlex.join(words)


VERB = Verb(ExportConfig, run, reorder=reorder, forms=forms)
