"""The tables that training leaves behind: rounds of DAgger, metrics, results of studies; columns are read by name."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.migration import migrate_columns
from forestpilot.data_collection.episodes.seals import DamagedFileError, read_sealed
from forestpilot.launch.reading.json_files import read_config, read_json
from forestpilot.launch.reading.old_studies import old_study_result
from forestpilot.launch.reading.study_results import StudyResult, read_study_results
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import DEFAULT_TASK


@dataclass
class Table:
    """A CSV file, its rows as text."""

    path: Path
    """The file."""
    columns: list[str]
    """Names, in order."""
    rows: list[dict[str, str]]
    """Those rows that have a value or nothing in each column."""

    def numbers(self, column: str) -> list[float]:
        """A column, with NaN where there is no number."""
        return [number(row.get(column)) for row in self.rows]


@dataclass
class DaggerRun:
    """Rounds that `forestpilot dagger`, or another algorithm that learns in rounds, left in a folder."""

    folder: Path
    """The folder."""
    rounds: Table
    """rounds.csv; without rows where no round was finished."""
    chosen: int | None
    """Round whose policy was kept; None where none was yet."""
    task: str
    """Name of the task."""
    validation: list[Mapping[str, Any]]
    """Rows of the validation episodes of the chosen round, as in outcomes.csv."""
    trained_by: str = "DAgger"
    """What learned, as its policy says."""
    stopped: str = ""
    """Why the rounds ended before the last one that was planned; empty where they did not."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""

    @property
    def says_something(self) -> bool:
        """True where a round is finished."""
        return bool(self.rounds.rows)

    @property
    def learns_by_steps(self) -> bool:
        """True where nobody labels what is visited after round 0: it is rewarded, and counted in steps."""
        visited = self.rounds.numbers("visited") if "visited" in self.rounds.columns else []
        return max(visited, default=0) > 0 and len(set(self.rounds.numbers("labels"))) == 1


def read_dagger(folder: Path) -> DaggerRun:
    """The rounds of a DAgger run, as far as they can be read."""
    rounds, notes = read_table(folder / "rounds.csv", ("round", "labels"))
    run, wrong_config = read_config(folder)
    config = run.config
    if run.verb == "demo":  # it keeps its drone's rounds in its own folder, and their config in its own
        config = config.get("dagger", {})
    policy, wrong_policy = read_json(folder / "policy.json")
    notes += filter(None, (wrong_config, wrong_policy))
    stopped = _stopped(policy)
    planned = None if stopped else config.get("rounds")
    notes += _gaps(folder, [int(row["round"]) for row in rounds.rows], planned)
    chosen = _chosen(policy)
    if chosen is None and rounds.rows:
        notes.append(f"{folder}: no policy was chosen yet; policy.json is missing or does not say which round it is.")
    validation, wrong_validation = _validation(folder, chosen)
    notes += filter(None, [wrong_validation])
    task = str(config.get("task", DEFAULT_TASK))
    return DaggerRun(folder, rounds, chosen, task, validation, _trained_by(policy, run.verb), stopped, notes)


def _gaps(folder: Path, numbers: Sequence[int], planned: object) -> list[str]:
    """Sentences on rounds that are not in rounds.csv; `planned` is the number of the last one, if it is a number."""
    if not numbers:
        return [f"{folder}: no round of DAgger is finished; the same command goes on."]
    notes = []
    last = max(numbers)
    if missing := sorted(set(range(last)) - set(numbers)):
        notes.append(f"{folder}: rounds.csv lacks round {', '.join(map(str, missing))}.")
    if isinstance(planned, int) and last < planned:
        notes.append(f"{folder}: rounds 0 to {last} of {planned} are there; the same command goes on with the rest.")
    return notes


def _chosen(policy: Mapping[str, Any]) -> int | None:
    try:
        return int(policy["extra"]["chosen"]["round"])
    except (KeyError, TypeError, ValueError):
        return None


def _trained_by(policy: Mapping[str, Any], verb: str) -> str:
    """What learned: as the finished run says, or else by the verb that made the folder."""
    usual = verb if verb not in ("", "dagger", "demo") else "DAgger"
    extra = policy.get("extra")
    return str(extra.get("trained_by", usual)) if isinstance(extra, Mapping) else usual


def _stopped(policy: Mapping[str, Any]) -> str:
    """Why the rounds ended early, as the finished run says."""
    extra = policy.get("extra")
    if not isinstance(extra, Mapping):
        return ""
    return str(extra.get("stopped", ""))


def _validation(folder: Path, chosen: int | None) -> tuple[list[Mapping[str, Any]], str]:
    if chosen is None:
        return [], ""
    stored, wrong = read_json(round_folder(folder, chosen) / "validation.json")
    rows = stored.get("rows")
    if not isinstance(rows, list):
        return [], wrong
    return [row for row in rows if isinstance(row, dict)], wrong


@dataclass
class TrainingRun:
    """metrics.csv of a training."""

    folder: Path
    """The folder."""
    metrics: Table
    """One row for every few gradient steps."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""

    @property
    def says_something(self) -> bool:
        """True where something was measured."""
        return bool(self.metrics.rows)

    @property
    def curves(self) -> dict[str, list[float]]:
        """Name of a figure to its value in each row."""
        curves = {}
        for name in self.metrics.columns:
            if name not in ("round", "step"):
                curves[name] = self.metrics.numbers(name)
        return curves

    @property
    def total_steps(self) -> list[float]:
        """Steps of all rounds up to each row."""
        totals: list[float] = []
        before = 0.0
        last_step = 0.0
        last_round: float | None = None
        for number_of_round, step in zip(self.metrics.numbers("round"), self.metrics.numbers("step"), strict=True):
            if last_round not in (None, number_of_round):
                before += last_step
            last_round = number_of_round
            last_step = step
            totals.append(before + step)
        return totals

    @property
    def counts_gradient_steps(self) -> bool:
        """True where a step is one of the gradient; else it is one in the environment."""
        return "training_success" not in self.metrics.columns

    @property
    def round_ends(self) -> list[float]:
        """Total steps at which a round ended and another began."""
        ends = []
        for total, (this_round, next_round) in zip(self.total_steps, pairwise(self.metrics.numbers("round"))):
            if next_round != this_round:
                ends.append(total)
        return ends


def read_training(folder: Path) -> TrainingRun:
    """The metrics of a training, as far as they can be read."""
    metrics, notes = read_table(folder / "metrics.csv", ("round", "step"))
    if not metrics.rows:
        notes.append(f"{folder}: metrics.csv holds no row yet.")
    return TrainingRun(folder, metrics, notes)


@dataclass
class StudyRun:
    """Results that a study left in a folder."""

    folder: Path
    """The folder."""
    result: StudyResult | None
    """What came out; None where it is not finished, or cannot be read."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""

    @property
    def says_something(self) -> bool:
        """True where the study is finished."""
        return self.result is not None


def read_study(folder: Path) -> StudyRun:
    """The results of a study, as far as they can be read: of this version, or the table of version 0.1."""
    if not (folder / "results.csv").is_file():
        cells = len(list((folder / "cells").glob("*.json")))
        note = f"{folder}: the study is not finished ({cells} of its cells are); the same command goes on."
        return StudyRun(folder, None, [note])
    try:
        return StudyRun(folder, read_study_results(folder))
    except FileNotFoundError:
        return _read_old_study(folder)
    except (OSError, ForestPilotError) as error:
        run = _read_old_study(folder)
        return dataclasses.replace(run, notes=[f"{error}.", *run.notes])


def _read_old_study(folder: Path) -> StudyRun:
    """The table of a study without results.json."""
    results, notes = read_table(folder / "results.csv", ("x", "mean", "low", "high"))
    if "figure" not in results.columns or "arm" not in results.columns:
        notes.append(f"{folder}: results.csv has no column `figure` or `arm`, so it cannot be drawn.")
        return StudyRun(folder, None, notes)
    return StudyRun(folder, old_study_result(results.rows), notes)


def read_table(path: Path, numeric: Sequence[str]) -> tuple[Table, list[str]]:
    """A CSV file as far as it can be read, and sentences on what cannot.

    Args:
        path: the file.
        numeric: columns in which every row must have a number.
    """
    if not path.is_file():
        return Table(path, [], []), []
    try:
        content = read_sealed(path).decode(errors="replace")
        reader = csv.DictReader(io.StringIO(content, newline=""))
        columns = migrate_columns(reader.fieldnames or ())
        reader.fieldnames = columns
        rows = list(reader)
    except DamagedFileError as error:
        return Table(path, [], []), [f"{error}."]
    except (OSError, csv.Error) as error:
        return Table(path, [], []), [f"{path} cannot be read ({error})."]
    if missing := [name for name in numeric if name not in columns]:
        return Table(path, columns, []), [f"{path} has no column {', '.join(missing)}; it is left out."]
    whole = [row for row in rows if _is_whole(row, numeric)]
    notes = []
    if lost := len(rows) - len(whole):
        verb = "is" if lost == 1 else "are"
        notes.append(f"{path}: {lost} of {len(rows)} rows {verb} left out, because they are not whole.")
    return Table(path, columns, whole), notes


def _is_whole(row: Mapping[str | None, Any], numeric: Sequence[str]) -> bool:
    """True where a row has a value in each column and no more, and numbers where there must be some."""
    if None in row or None in row.values():
        return False
    return all(math.isfinite(number(row[name])) for name in numeric)


def number(text: Any) -> float:
    """A value of a table; NaN where it is no number."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
