"""What there is to report on in a folder: evaluations, DAgger runs, trainings, studies and models of the world, nested
ones included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forestpilot.data_collection.episodes.migration import episodes_folder
from forestpilot.launch.reading.evaluations import Evaluation, read_evaluation
from forestpilot.launch.reading.json_files import read_config
from forestpilot.launch.reading.tables import DaggerRun, StudyRun, TrainingRun, read_dagger, read_study, read_training
from forestpilot.launch.reading.worlds import HORIZON_FILE, WorldRun, read_world

MAX_DEPTH = 3
"""How deep below a RUN runs are looked for; a demo keeps its drive's evaluation two folders down."""
NOT_RUNS = {"episodes", "trips", "dataset", "rounds", "checkpoints", "tensorboard", "videos", "cells", "expert"}
"""Folders of runs that hold no runs, or those that they are held against."""


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
    worlds: list[WorldRun] = field(default_factory=list)
    """Models of the world."""
    folders: list[Path] = field(default_factory=list)
    """Folders that hold any of these."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""

    @property
    def says_something(self) -> bool:
        """True where there is a figure to report."""
        found: list[Evaluation | DaggerRun | TrainingRun | StudyRun | WorldRun] = [*self.evaluations, *self.daggers]
        found += [*self.trainings, *self.studies, *self.worlds]
        return any(run.says_something for run in found)


def read_runs(folders: Sequence[Path]) -> Runs:
    """Everything in these folders that a report can tell about; what cannot be read becomes a note."""
    runs = Runs()
    known: set[Path] = set()
    for given in folders:
        if not given.exists():
            runs.notes.append(f"{given} is no folder; there is nothing of that name.")
            continue
        if not given.is_dir():
            runs.notes.append(f"{given} is no folder.")
            continue
        found = list(filter(_is_run, _folders(given, MAX_DEPTH)))
        if not found:
            runs.notes.append(
                f"{given} holds no run: no outcomes.csv (evaluate), rounds.csv (dagger), metrics.csv (train), "
                "results.csv (study) or horizon.csv (imagine)."
            )
        for folder in found:
            if folder.resolve() not in known:
                known.add(folder.resolve())
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
    return (folder / "outcomes.csv").is_file() or any(episodes_folder(folder).glob("*.npz"))


def _is_dagger(folder: Path) -> bool:
    return (folder / "rounds.csv").is_file() or _verb(folder) == "dagger"


def _is_world(folder: Path) -> bool:
    return (folder / HORIZON_FILE).is_file()


def _is_training(folder: Path) -> bool:
    return (folder / "metrics.csv").is_file()


def _verb(folder: Path) -> str:
    """The first word of what made a folder; a damaged config says nothing."""
    run, _ = read_config(folder)
    return run.verb.partition(" ")[0]


def _is_run(folder: Path) -> bool:
    kinds = (_is_training, _is_study, _is_evaluation, _is_dagger, _is_world)
    return any(is_one(folder) for is_one in kinds)


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
    if _is_training(folder):
        training = read_training(folder)
        runs.trainings.append(training)
        runs.notes += training.notes
    if _is_world(folder):
        world = read_world(folder)
        runs.worlds.append(world)
        runs.notes += world.notes
    if _is_evaluation(folder):
        evaluation = read_evaluation(folder)
        runs.evaluations.append(evaluation)
        runs.notes += evaluation.notes
