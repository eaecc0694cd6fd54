"""Trials as they are told to people and files: one row for each, the best of them as a config."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.plain import DataclassInstance
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.seals import write_sealed
from forestpilot.launch.tuning.search import text_of
from forestpilot.policies.algorithms.validation import Validation

TABLE_FILE = "trials.csv"
BEST_FILE = "best.yaml"
COMPLETE = "complete"
PRUNED = "pruned"
REFUSED = "refused"
RUNNING = "running"


@dataclass(frozen=True)
class TrialRow:
    """A trial: one row of trials.csv."""

    number: int
    """Number of the trial, from 0 on."""
    state: str
    """complete; pruned, ended early; refused, where its settings do not go together; or running."""
    value: float | None
    """What it came to, see `value_of`; None where it came to nothing."""
    reports: Mapping[int, float] = field(default_factory=dict)
    """What it had come to at each point at which it was looked at."""
    drawn: Mapping[str, Any] = field(default_factory=dict)
    """Values that were drawn, by dotted name of the field."""
    reason: str = ""
    """Why it was refused or ended early."""


def value_of(seen: Validation) -> float:
    """What a trial is judged by: the share of the validation worlds that its policy completed, less the number of
    interventions, where these are counted. So fewer interventions are better, and of equals more successes, as in the
    choice of the best round.
    """
    assert seen.success is not None
    return seen.success - seen.interventions


def best_of(rows: Sequence[TrialRow]) -> TrialRow | None:
    """The best trial that came to its end; of equals the first. None where none did."""
    complete = [row for row in rows if row.state == COMPLETE and row.value is not None]
    return max(complete, key=lambda row: (row.value, -row.number), default=None)


def told_value(value: float | None) -> str:
    """A value in words: `85 %`, or on roads with interventions `60 %, 3 interventions`."""
    if value is None:
        return "-"
    interventions = max(0, -int(value // 1)) if value < 0 else 0
    share = f"{100 * (value + interventions):.0f} %"
    return f"{share}, {interventions} interventions" if interventions else share


def told_drawn(drawn: Mapping[str, Any]) -> str:
    """Values in a line, each field by the last part of its name: `learning_rate 0.0012, memory tcn`."""
    return ", ".join(f"{name} {short(value)}" for name, value in zip(short_names(list(drawn)), drawn.values()))


def short(value: Any) -> str:
    """A value with four digits at most."""
    return f"{value:.4g}" if isinstance(value, float) else text_of(value)


def short_names(paths: Sequence[str]) -> list[str]:
    """The last part of each dotted name, or as many as tell them apart."""
    names = []
    for path in paths:
        parts = path.split(".")
        length = 1
        while sum(other.split(".")[-length:] == parts[-length:] for other in paths) > 1 and length < len(parts):
            length += 1
        names.append(".".join(parts[-length:]))
    return names


def write_trials(folder: Path, rows: Sequence[TrialRow], fields: Sequence[str], progress: Progress) -> None:
    """Write trials.csv; what does not fit a trial stays empty.

    Args:
        folder: of the search.
        rows: all trials.
        fields: dotted names of all fields that are searched.
        progress: is told where one that was there had been damaged.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "value", "reports", *fields, "reason"])
    for row in rows:
        value = "" if row.value is None else repr(row.value)
        reports = " ".join(f"{step}:{seen!r}" for step, seen in sorted(row.reports.items()))
        drawn = [text_of(row.drawn[name]) if name in row.drawn else "" for name in fields]
        writer.writerow([row.number, row.state, value, reports, *drawn, row.reason])
    aside = write_sealed(folder / TABLE_FILE, text.getvalue().encode())
    if aside is not None:
        progress.note(f"warning: {TABLE_FILE} was cut or altered; it is now {aside}, and written anew")


def write_best(folder: Path, verb: str, best: TrialRow, trials: int, settings: DataclassInstance) -> Path:
    """Write the settings of the best trial as YAML that `--config` of its verb takes.

    Args:
        folder: of the search.
        verb: that takes them.
        best: the trial.
        trials: how many came to their end.
        settings: its settings; folders and numbers of processes are left out.
    """
    path = folder / BEST_FILE
    head = (
        f"# Trial {best.number}, the best of {trials} that came to their end: {told_value(best.value)} of the "
        f"validation worlds.\n# forestpilot {verb} --config {path} --out runs/{verb}\n"
    )
    values = yaml.safe_dump(result_values(settings), sort_keys=False, allow_unicode=True)
    write_new_file(path, [(head + values).encode()])
    return path
