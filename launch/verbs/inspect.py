"""`forestpilot inspect`: look at datasets: what they cover, what they teach, and which episodes are bad."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro.conf

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.remote import Room, fetched, is_address
from forestpilot.launch.reading.datasets import dataset_folder
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.outcomes import told
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.scratch import scratch

if TYPE_CHECKING:
    from forestpilot.launch.inspection.page import Inspection


@dataclass(frozen=True)
class Config:
    """Look at datasets and write one page about them, which holds everything it shows and opens without a network."""

    datasets: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Folders of datasets, or of runs that hold one; or addresses of datasets (s3://..., whatever fsspec reads)."""
    out: Path | None = None
    """Where the page goes; by default inspect.html in the first dataset."""
    replays: Annotated[int, Range(0, 1_000_000)] = 8
    """Episodes that are simulated again to ask the expert what it would have done, where a human drove and it was not
    asked: they tell how late the human was."""
    human_delay: Annotated[float, Range(0, 2)] = 0.0
    """How late people drive, in seconds: shows the labels that training with the same --human-delay learns from."""

    remote_gb: Annotated[float, Range(0, 1_000_000, above=True)] = 20.0
    """Bound of the copies of datasets that are named by an address, GB; they go when the page is written."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "datasets", tuple(map(str, self.datasets)))
        if not self.datasets:
            raise InvalidArgumentError("give at least one dataset")
        if self.out is None and is_address(self.datasets[0]):
            raise InvalidArgumentError(f"{self.datasets[0]} is no folder that the page could lie in; give --out")


def run(config: Config) -> None:
    """Look, write the page, print a table."""
    progress = make_progress()
    with scratch("datasets") as copies:
        places = fetched(config.datasets, Room(copies, int(config.remote_gb * 1e9)), progress)
        _look(config, [dataset_folder(Path(place)) for place in places], progress)


def _look(config: Config, folders: Sequence[Path], progress: Progress) -> None:
    """See `run`; the datasets are at hand."""
    from forestpilot.launch.inspection.page import default_path, look_at, page_of
    from forestpilot.launch.inspection.survey import survey_dataset

    surveys = [survey_dataset(folder, progress, config.human_delay) for folder in folders]
    inspections = [look_at(survey, config.replays, progress) for survey in surveys]
    path = config.out or default_path(folders[0])
    command = shlex.join(["forestpilot", "inspect", *config.datasets])
    if config.human_delay:
        command += f" --human-delay {config.human_delay:g}"
    with written_by_one(path.parent, progress, only=path.name):
        write_new_file(path, [page_of(inspections, command).encode()])
    for inspection in inspections:
        print_inspection(inspection)
    print(f"page: {path}")


def print_inspection(inspection: Inspection) -> None:
    """A dataset in a few lines of text."""
    from forestpilot.launch.inspection.checks import by_kind, files_of
    from forestpilot.launch.inspection.measures import center_steering, drivers_of

    survey = inspection.survey
    steering = center_steering(survey)
    drivers = ", ".join(f"{name} {share:.0%}" for name, share in drivers_of(survey.records).items())
    ends = Counter(told(record.meta.outcome) for record in survey.records)
    rows = [
        ["", survey.name],
        ["episodes", str(len(survey.records))],
        ["steps, labels", f"{survey.num_steps}, {survey.num_labels}"],
        ["on disk", survey.disk],
        ["who drove", drivers],
        ["how it ended", ", ".join(f"{count} {outcome}" for outcome, count in ends.items())],
    ]
    if survey.lacks:
        rows.append(["lacks", ", ".join(survey.lacks)])
    if survey.num_labels:
        rows.append(["straight ahead", f"{steering.straight:.0%} of the labels"])
        rows.append(["at the limit of the turn", f"{steering.at_limit:.1%} of the labels"])
    if inspection.hand is not None and inspection.hand.compared:
        rows.append(["human against expert", str(inspection.hand.delay)])
    rows.append(["bad episodes", str(files_of(inspection.findings) or "none")])
    print_table(rows)
    for kind, group in by_kind(inspection.findings).items():
        first, *more = group
        print(f"{kind} ({len(group)}): {first.file}: {first.why}{', ...' * bool(more)}")


VERB = Verb(Config, run)
