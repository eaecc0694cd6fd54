"""The tables that training leaves behind: rounds of DAgger, metrics, results of studies; columns are read by name."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestpilot.launch.reading.json_files import read_config, read_json
from forestpilot.policies.algorithms.rounds import round_folder


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
    """What `forestpilot dagger` left in a folder."""

    folder: Path
    """The folder."""
    rounds: Table
    """rounds.csv; without rows where no round was finished."""
    planned: int | None
    """Number of the last round that was asked for; None where nobody knows."""
    chosen: int | None
    """Round whose policy was kept; None where none was yet."""
    task: str
    """drone or drive."""
    validation: list[Mapping[str, Any]]
    """Rows of the validation episodes of the chosen round, as in outcomes.csv."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""


def read_dagger(folder: Path) -> DaggerRun:
    """The rounds of a DAgger run, as far as they can be read."""
    rounds, notes = read_table(folder / "rounds.csv", ("round", "labels"))
    run, wrong = read_config(folder)
    # A demo keeps its drone's rounds in its own folder, and their config in its own.
    config = run.config.get("dagger", {}) if run.verb == "demo" else run.config
    policy, wrong_policy = read_json(folder / "policy.json")
    notes += [text for text in (wrong, wrong_policy) if text]
    planned = config.get("rounds")
    planned = planned if isinstance(planned, int) else None
    numbers = [int(row["round"]) for row in rounds.rows]
    notes += _gaps(folder, numbers, planned)
    chosen = _chosen(policy)
    if chosen is None and rounds.rows:
        notes.append(f"{folder}: no policy was chosen yet; policy.json is missing or does not say which round it is.")
    validation, wrong = _validation(folder, chosen)
    notes += [wrong] if wrong else []
    return DaggerRun(folder, rounds, planned, chosen, str(config.get("task", "drone")), validation, notes)


def _gaps(folder: Path, numbers: Sequence[int], planned: int | None) -> list[str]:
    """Sentences on rounds that are not in rounds.csv."""
    notes = []
    last = planned if planned is not None else max(numbers, default=-1)
    if missing := sorted(set(range(max(numbers, default=-1))) - set(numbers)):
        notes.append(f"{folder}: rounds.csv lacks round {', '.join(map(str, missing))}.")
    if not numbers:
        notes.append(f"{folder}: no round of DAgger is finished; the same command goes on.")
    elif max(numbers) < last:
        notes.append(
            f"{folder}: rounds 0 to {max(numbers)} of {last} are there; the same command goes on with the rest."
        )
    return notes


def _chosen(policy: Mapping[str, Any]) -> int | None:
    try:
        return int(policy["extra"]["chosen"]["round"])
    except (KeyError, TypeError, ValueError):
        return None


def _validation(folder: Path, chosen: int | None) -> tuple[list[Mapping[str, Any]], str]:
    if chosen is None:
        return [], ""
    stored, wrong = read_json(round_folder(folder, chosen) / "validation.json")
    rows = stored.get("rows")
    return ([row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []), wrong


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
    def curves(self) -> dict[str, list[float]]:
        """Name of a figure to its value in each row."""
        return {name: self.metrics.numbers(name) for name in self.metrics.columns if name not in ("round", "step")}

    @property
    def total_steps(self) -> list[float]:
        """Gradient steps of all rounds up to each row."""
        before, last_round, last_step, totals = 0.0, None, 0.0, []
        for round_number, step in zip(self.metrics.numbers("round"), self.metrics.numbers("step"), strict=True):
            if round_number != last_round and last_round is not None:
                before += last_step
            last_round, last_step = round_number, step
            totals.append(before + step)
        return totals

    @property
    def round_ends(self) -> list[float]:
        """Total steps at which a round ended and another began."""
        rounds, totals = self.metrics.numbers("round"), self.total_steps
        return [totals[i] for i in range(len(rounds) - 1) if rounds[i + 1] != rounds[i]]


def read_training(folder: Path) -> TrainingRun:
    """The metrics of a training, as far as they can be read."""
    metrics, notes = read_table(folder / "metrics.csv", ("round", "step"))
    if not metrics.rows:
        notes.append(f"{folder}: metrics.csv holds no row yet.")
    return TrainingRun(folder, metrics, notes)


@dataclass
class StudyRun:
    """results.csv of a study."""

    folder: Path
    """The folder."""
    results: Table
    """One row for each figure, arm and x."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""


def read_study(folder: Path) -> StudyRun:
    """The results of a study, as far as they can be read."""
    if not (folder / "results.csv").is_file():
        cells = len(list((folder / "cells").glob("*.json")))
        note = f"{folder}: the study is not finished ({cells} of its cells are); the same command goes on."
        return StudyRun(folder, Table(folder / "results.csv", [], []), [note])
    results, notes = read_table(folder / "results.csv", ("x", "mean", "low", "high"))
    if "figure" not in results.columns or "arm" not in results.columns:
        notes.append(f"{folder}: results.csv has no column `figure` or `arm`, so it cannot be drawn.")
        results = Table(results.path, results.columns, [])
    return StudyRun(folder, results, notes)


def read_table(path: Path, numeric: Sequence[str]) -> tuple[Table, list[str]]:
    """A CSV file as far as it can be read, and sentences on what cannot.

    Args:
        path: the file.
        numeric: columns in which every row must have a number.
    """
    if not path.is_file():
        return Table(path, [], []), []
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, csv.Error) as error:
        return Table(path, [], []), [f"{path} cannot be read ({error})."]
    if missing := [name for name in numeric if name not in columns]:
        return Table(path, columns, []), [f"{path} has no column {', '.join(missing)}; it is left out."]
    whole = [row for row in rows if None not in row and None not in row.values()]
    whole = [row for row in whole if all(math.isfinite(number(row[name])) for name in numeric)]
    lost = len(rows) - len(whole)
    verb = "is" if lost == 1 else "are"
    notes = [f"{path}: {lost} of {len(rows)} rows {verb} left out, because they are not whole."] if lost else []
    return Table(path, columns, whole), notes


def number(text: Any) -> float:
    """A value of a table; NaN where it is no number."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
