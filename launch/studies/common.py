"""What the studies share: their worlds and training, cells that survive a kill, and what comes out of a study."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.studies.statistics import Interval, rate_interval, t_interval
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.scores import INTERVENTION_S
from forestpilot.policies.networks.visuomotor import PolicyConfig
from forestpilot.policies.training.run import Run
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.worlds.roads.road import PRESETS as ROADS

TASK = "drive"
WORLDS_PER_SEED = 10_000
"""Training worlds set aside for each training seed, so that no two seeds share a road."""


def study_training(steps: int) -> TrainConfig:
    """A small policy without memory that learns steering by regression from the center camera: quick to train, and
    prone to what the studies are about."""
    # Where the wheels point already is left out: who sees it learns to keep them there.
    policy = PolicyConfig(
        memory="none", head="regression", window=2, state_inputs=("forward_mps", "speed_set_point_mps")
    )
    return TrainConfig(policy=policy, steps=steps, batch_windows=64, side_labels="none", tensorboard=False)


@dataclass(frozen=True)
class StudyConfig:
    """What all studies have in common."""

    out: str = not_the_result("")
    """Run folder; the same command goes on where it was interrupted."""
    seeds: int = 3
    """Number of training seeds; each has demonstrations and first weights of its own."""
    train: TrainConfig = field(default_factory=lambda: study_training(1500))
    """How each policy is trained; data, out and seed are set by the study."""
    workers: int = not_the_result(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes, and of threads in training; by default one per core."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; at least 1 is needed")

    def first_world(self, seed: int) -> int:
        """First training world of a training seed."""
        return seed * WORLDS_PER_SEED

    def claim(self) -> Path:
        """The run folder, which from now on belongs to this config.

        Raises:
            ForestPilotError: the folder belongs to another config; the settings that differ are named.
        """
        return Run.claim(self.out, "study", self).folder


@dataclass(frozen=True)
class RoadStudyConfig(StudyConfig):
    """What studies of driving have in common."""

    roads: str = "winding"
    """Preset of the roads: winding, easy, junctions or obstacles."""
    speed: float = 8.0
    """Speed set point in m/s."""
    length: float = 200.0
    """Length of each training road in metres."""
    test_length: float = 200.0
    """Length of each test road in metres."""
    test_roads: int = 24
    """Test roads that every policy drives."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_roads < 2:
            raise ValueError(f"test_roads is {self.test_roads}; at least 2 are needed")
        self.mix().complete(TASK)
        for length_m in (self.length, self.test_length):
            dataclasses.replace(ROADS[self.roads], length_m=length_m)

    def mix(self, side_cameras: str = "fixed", interventions: str = "none") -> ScenarioMix:
        """The training roads."""
        return ScenarioMix(
            presets=(self.roads,), speeds=(self.speed, self.speed), length=self.length, side_cameras=side_cameras,
            interventions=interventions,
        )  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One policy of a study, driven over the test roads: what is on disk of it."""

    arm: str
    """Which of the things compared."""
    x: float
    """Where on the x axis, for example the number of demonstrations."""
    seed: int
    """Training seed."""
    rows: list[dict[str, Any]]
    """One row for each test road, in the same order in every cell."""
    labels: int = 0
    """Labelled states that the policy was trained on; 0 where nobody counted."""
    figures: dict[str, float] = field(default_factory=dict)
    """What else was counted while it was trained."""

    def column(self, name: str) -> NDArray[np.float64]:
        """One figure of every road; (roads,) or, for a series, (roads, n)."""
        return np.array([row[name] for row in self.rows], np.float64)


class CellStore:
    """The cells of a study as JSON files that are there whole or not at all.

    Args:
        folder: the study's run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cells"
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, arm: str, x: float, seed: int) -> Path:
        """Where a cell lies."""
        return self.folder / f"{arm}-{x:g}-seed-{seed}.json"

    def load(self, arm: str, x: float, seed: int) -> Cell | None:
        """A finished cell, or None.

        Raises:
            ForestPilotError: the file is damaged.
        """
        path = self.path(arm, x, seed)
        if not path.exists():
            return None
        try:
            return Cell(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ForestPilotError(f"{path} cannot be read ({error}); delete it and run the study again") from error

    def save(self, cell: Cell) -> None:
        """Store a finished cell."""
        write_new_file(self.path(cell.arm, cell.x, cell.seed), [json.dumps(vars(cell)).encode()])


@dataclass(frozen=True)
class Point:
    """A figure of one arm at one x, over all seeds and roads."""

    arm: str
    """Which of the things compared."""
    x: float
    """Where on the x axis."""
    seeds: int
    """Training seeds behind it."""
    worlds: int
    """Test worlds that each of their policies has driven or flown through."""
    value: Interval
    """The figure with its 95 % interval."""


@dataclass(frozen=True)
class Panel:
    """One diagram of a study's figure."""

    name: str
    """Name of the figure in results.csv."""
    label: str
    """What the y axis says, with its unit."""
    points: list[Point]
    """What is drawn, arm by arm in ascending x."""
    log_y: bool = False
    """Whether the y axis is logarithmic."""
    bars: str = "95 % interval"
    """What the ends of a figure are."""
    guides: tuple[float, ...] = ()
    """Slopes of thin lines to compare with, on logarithmic axes."""


@dataclass(frozen=True)
class StudyResult:
    """What came out of a study."""

    title: str
    """What was compared."""
    x_label: str
    """What the x axis says."""
    log_x: bool
    """Whether it is logarithmic."""
    panels: tuple[Panel, ...]
    """The diagrams; all have the same arms and x."""
    notes: tuple[str, ...]
    """Sentences to print below the table: how intervals were made, and differences between arms."""


LEAST_TO_LARGEST = "least to largest seed"
"""What the ends of a figure are that was counted in training: too few seeds for an interval."""
BOOTSTRAP_NOTE = (
    "95 % intervals: bootstrap over training seeds and test roads, drawn apart (2,000 resamples), or Poisson's where "
    "that is wider; with few seeds they are too narrow, the differences below are not"
)


def drive_test_roads(
    config: RoadStudyConfig,
    folder: Path,
    name: str,
    out: Path,
    interventions: str,
    progress: Progress,
    pool: RolloutPool,
) -> list[dict[str, Any]]:
    """Drive a policy over the test roads; one row per road.

    Args:
        config: the study.
        folder: the policy's checkpoint.
        name: what its episodes are filed under.
        out: folder of the evaluation.
        interventions: when the car is put back: `line`, `road` or `none`.
        progress: who watches.
        pool: who drives.
    """
    evaluation = EvaluateConfig(
        policy=(f"{name}={folder}",), out=str(out), task=TASK, episodes=config.test_roads, speed=config.speed,
        preset=config.roads, length=config.test_length, interventions=interventions, workers=config.workers,
    )  # fmt: skip
    evaluate(evaluation, progress, pool)
    with (out / "outcomes.csv").open(newline="", encoding="utf-8") as file:
        return [_road(row) for row in csv.DictReader(file)]


def _road(row: Mapping[str, str]) -> dict[str, Any]:
    figures = {name: float(row[name]) for name in ("distance_m", "time_s", "interventions")}
    return {"seed": int(row["seed"]), "outcome": row["outcome"], **figures}


def stack(cells: Sequence[Cell], name: str) -> NDArray[np.float64]:
    """A figure of cells that differ in their training seed only: (seeds, roads) or (seeds, roads, n)."""
    return np.stack([cell.column(name) for cell in cells])


def helped(cells: Sequence[Cell]) -> NDArray[np.float64]:
    """Interventions on every road, (seeds, roads); who ran out of time would have needed another."""
    late = np.array([[row["outcome"] == "timeout" for row in cell.rows] for cell in cells])
    return stack(cells, "interventions") + late


def interventions_per_km(cells: Sequence[Cell]) -> Interval:
    """Interventions per kilometre over cells that differ in their training seed only."""
    # A car that was put back again and again without ever moving has driven next to nothing, not nothing.
    return rate_interval(helped(cells), np.maximum(stack(cells, "distance_m"), 1.0) / 1000)


def autonomy(cells: Sequence[Cell]) -> Interval:
    """Share of the time, in percent, that needed no driver, at six seconds an intervention (Bojarski et al. 2016)."""
    rate = rate_interval(helped(cells), stack(cells, "time_s"))
    mean, low, high = (100 * max(0.0, 1 - INTERVENTION_S * value) for value in (rate.mean, rate.high, rate.low))
    return Interval(mean, low, high)


def compare_arms(cells: Sequence[Cell], first: str, second: str) -> str | None:
    """A sentence on the difference in interventions per km between two arms, seed by seed; None for a single seed.

    Both arms of a seed share demonstrations, first weights and test roads, so the differences are paired.

    Args:
        cells: of one x.
        first: what is compared with.
        second: what is compared.
    """
    rates = {(cell.arm, cell.seed): interventions_per_km([cell]).mean for cell in cells}
    seeds = sorted(seed for arm, seed in rates if arm == first and (second, seed) in rates)
    if len(seeds) < 2:
        return None
    mean, low, high = t_interval([rates[second, seed] - rates[first, seed] for seed in seeds])
    return (
        f"{second} against {first}: {mean:+.2f} interventions per km ({low:+.2f} to {high:+.2f}; paired t interval "
        f"over {len(seeds)} training seeds)"
    )


def write_results(folder: Path, result: StudyResult) -> Path:
    """Write results.csv: one row for each figure, arm and x."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["figure", "arm", "x", "seeds", "worlds", "mean", "low", "high", "bars"])
    for panel in result.panels:
        for p in panel.points:
            writer.writerow(
                [panel.name, p.arm, f"{p.x:g}", p.seeds, p.worlds, *(f"{v:.6g}" for v in p.value), panel.bars]
            )
    path = folder / "results.csv"
    write_new_file(path, [text.getvalue().encode()])
    return path


def training_seeds(config: StudyConfig, count: int) -> None:
    """Check that `count` training worlds fit into what is set aside for each seed.

    Raises:
        ValueError: they do not.
    """
    if count > WORLDS_PER_SEED:
        raise ValueError(f"{count} training roads for each seed; at most {WORLDS_PER_SEED} are set aside")
    seeds_of("train", count, config.first_world(config.seeds - 1))
