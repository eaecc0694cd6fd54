"""What there is to report on in a folder: evaluations, DAgger runs, trainings and studies, nested ones included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forestpilot.launch.reading.evaluations import Evaluation, read_evaluation
from forestpilot.launch.reading.json_files import read_config
from forestpilot.launch.reading.tables import DaggerRun, StudyRun, TrainingRun, read_dagger, read_study, read_training

MAX_DEPTH = 3
"""How deep below a RUN runs are looked for; a demo keeps its drive's evaluation two folders down."""
NOT_RUNS = {"episodes", "flights", "dataset", "rounds", "checkpoints", "tensorboard", "videos", "cells"}
"""Folders of runs that hold no runs."""


@dataclass
class Runs:
    """All that was found."""

    evaluations: list[Evaluation] = field(default_factory=list)
    """Evaluations, in the order found."""
    daggers: list[DaggerRun] = field(default_factory=list)
    """DAgger runs."""
    trainings: list[TrainingRun] = field(default_factory=list)
    """Trainings; those of DAgger runs too."""
    studies: list[StudyRun] = field(default_factory=list)
    """Studies."""
    folders: list[Path] = field(default_factory=list)
    """Folders that hold any of these."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""

    @property
    def says_something(self) -> bool:
        """Whether there is a figure to report."""
        tables = [run.rounds for run in self.daggers] + [run.metrics for run in self.trainings]
        tables += [run.results for run in self.studies]
        return any(evaluation.rows for evaluation in self.evaluations) or any(table.rows for table in tables)


def read_runs(folders: Sequence[Path]) -> Runs:
    """Everything in these folders that a report can tell about; what cannot be read becomes a note."""
    runs = Runs()
    for given in folders:
        if not given.is_dir():
            runs.notes.append(f"{given} is no folder" + ("." if given.exists() else "; there is nothing of that name."))
            continue
        found = [folder for folder in _folders(given, MAX_DEPTH) if _is_run(folder)]
        if not found:
            runs.notes.append(
                f"{given} holds no run: no outcomes.csv (evaluate), rounds.csv (dagger), metrics.csv (train) or "
                "results.csv (study)."
            )
        for folder in found:
            if folder.resolve() not in {known.resolve() for known in runs.folders}:
                _read_run(folder, runs)
    return runs


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """A folder and those below it that may hold runs; what is below a study is summed up in its results."""
    yield folder
    if depth == 0 or _is_study(folder):
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir() and child.name not in NOT_RUNS and not child.name.startswith("."):
            yield from _folders(child, depth - 1)


def _is_study(folder: Path) -> bool:
    return (folder / "results.csv").is_file() or _verb(folder) == "study"


def _is_evaluation(folder: Path) -> bool:
    return (folder / "outcomes.csv").is_file() or any((folder / "episodes").glob("*.npz"))


def _is_dagger(folder: Path) -> bool:
    return (folder / "rounds.csv").is_file() or _verb(folder) == "dagger"


def _verb(folder: Path) -> str:
    """The first word of what made a folder; a damaged config says nothing."""
    return read_config(folder)[0].verb.partition(" ")[0]


def _is_run(folder: Path) -> bool:
    is_training = (folder / "metrics.csv").is_file()
    return is_training or any(is_kind(folder) for is_kind in (_is_study, _is_evaluation, _is_dagger))


def _read_run(folder: Path, runs: Runs) -> None:
    """Read all that a folder is; a DAgger run is a training as well."""
    runs.folders.append(folder)
    if _is_study(folder):
        study = read_study(folder)
        runs.studies.append(study)
        runs.notes += study.notes
        return
    if _is_dagger(folder):
        dagger = read_dagger(folder)
        runs.daggers.append(dagger)
        runs.notes += dagger.notes
    if (folder / "metrics.csv").is_file():
        training = read_training(folder)
        runs.trainings.append(training)
        runs.notes += training.notes
    if _is_evaluation(folder):
        evaluation = read_evaluation(folder)
        runs.evaluations.append(evaluation)
        runs.notes += evaluation.notes
