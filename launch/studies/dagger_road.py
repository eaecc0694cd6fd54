"""How often does the learner fall off the road, and how fast does DAgger mend that (Ross et al. 2011, figure 3)?

Four runs of the same loop (aggregate, train, drive), which differ in who drives while states are collected:

    expert      the expert, in every round: behavioural cloning with more and more data
    indicator   the learner alone after round 0 (beta = 1, 0, 0, ...)
    0.5^i       the expert at a share 0.5^i of the steps of round i
    0.9^i       likewise, but the expert stays for longer

The expert labels every state in all of them. A car that leaves the road is put back, in training and in the test, so
that every arm collects about as many states in a round; the x axis is what was really collected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.launch.studies.common import (
    BOOTSTRAP_NOTE,
    TASK,
    Cell,
    CellStore,
    Panel,
    Point,
    RoadStudyConfig,
    StudyResult,
    compare_arms,
    drive_test_roads,
    interventions_per_km,
    study_training,
    training_seeds,
)
from forestpilot.policies.algorithms.dagger.loop import DaggerConfig, RoundResult, round_folder, run_dagger
from forestpilot.policies.training.train_config import TrainConfig

BETAS: dict[str, dict[str, Any]] = {
    "expert": {"beta": "exponential", "beta_decay": 1.0},
    "indicator": {"beta": "indicator"},
    "0.5^i": {"beta": "exponential", "beta_decay": 0.5},
    "0.9^i": {"beta": "exponential", "beta_decay": 0.9},
}
"""Arm to DAgger's schedule of who drives."""


@dataclass(frozen=True)
class RoundsConfig(RoadStudyConfig):
    """What studies with rounds of DAgger have in common."""

    rounds: int = 5
    """Rounds after the first, which every arm begins with: cloning of the expert."""
    drives: int = 6
    """Drives recorded in each round."""
    train: TrainConfig = field(default_factory=lambda: study_training(400))
    """How each round is trained; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 1 or self.drives < 1:
            raise ValueError(f"rounds is {self.rounds} and drives is {self.drives}; both must be at least 1")
        training_seeds(self, (self.rounds + 1) * self.drives)

    def dagger(self, folder: Path, arm: str, seed: int) -> DaggerConfig:
        """The run of one arm and seed: the same network, worlds and gradient steps in every arm."""
        steps = self.train.steps
        return DaggerConfig(
            out=str(folder), task=TASK, seed=seed, first_world=self.first_world(seed), rounds=self.rounds,
            expert_episodes=self.drives, episodes=self.drives, first_steps=steps, steps=steps, last_steps=steps,
            validation_episodes=1, validate_from=self.rounds, mix=self.mix(interventions="road"), train=self.train,
            workers=self.workers, **BETAS[arm],
        )  # fmt: skip


@dataclass(frozen=True)
class Config(RoundsConfig):
    """Falls off the road per km by number of labels: cloning with more data against DAgger."""

    out: str = "runs/study-dagger-road"
    """Run folder; the same command goes on where it was interrupted."""
    rounds: int = 9
    """Rounds after the first, which every arm begins with: cloning of the expert."""
    drives: int = 8
    """Drives recorded in each round."""


QUICK = Config(
    out="runs/study-dagger-road-quick", seeds=2, length=100.0, test_length=100.0, test_roads=4, rounds=1, drives=2,
    train=study_training(40),
)  # fmt: skip
"""Shows in a minute that everything works; its figures mean nothing."""


def run_study(config: Config, progress: Progress, pool: RolloutPool) -> StudyResult:
    """Run the cells that are not on disk yet; returns what came out of all of them.

    Raises:
        ForestPilotError: the run folder belongs to another config.
    """
    folder = config.claim()
    store = CellStore(folder)
    plan = [(arm, seed) for seed in range(config.seeds) for arm in BETAS]
    cells: list[Cell] = []
    with progress.stage("dagger-road", total=len(plan)) as stage:
        for arm, seed in plan:
            cells += _run_arm(config, folder, store, arm, seed, progress, pool)
            stage.advance(arm=arm, seed=seed)
    return summarise(config, cells)


def _run_arm(
    config: Config, folder: Path, store: CellStore, arm: str, seed: int, progress: Progress, pool: RolloutPool
) -> list[Cell]:
    """All rounds of one arm and seed; the policy of each drives the test roads."""
    rounds = range(config.rounds + 1)
    done = [store.load(arm, number, seed) for number in rounds]
    cells = [cell for cell in done if cell is not None]
    if len(cells) == len(rounds):
        return cells
    run = folder / "runs" / f"{arm}-seed-{seed}"
    results = run_dagger(config.dagger(run, arm, seed), progress, pool)
    return [stored or _drive(config, run, store, arm, seed, r, progress, pool) for stored, r in zip(done, results)]


def _drive(
    config: Config,
    run: Path,
    store: CellStore,
    arm: str,
    seed: int,
    result: RoundResult,
    progress: Progress,
    pool: RolloutPool,
) -> Cell:
    out = run / "evaluations" / f"round-{result.round:02d}"
    rows = drive_test_roads(config, round_folder(run, result.round), arm, out, "road", progress, pool)
    cell = Cell(arm, result.round, seed, rows, result.labels)
    store.save(cell)
    return cell


def summarise(config: Config, cells: list[Cell]) -> StudyResult:
    """Falls per km of each arm and round, placed at the mean number of labels, and the differences after the last."""
    points = []
    for arm in BETAS:
        for number in range(config.rounds + 1):
            group = [cell for cell in cells if (cell.arm, cell.x) == (arm, number)]
            labels = sum(cell.labels for cell in group) / len(group)
            points.append(Point(arm, round(labels), len(group), config.test_roads, interventions_per_km(group)))
    final = [cell for cell in cells if cell.x == config.rounds]
    differences = [text for arm in BETAS if arm != "expert" and (text := compare_arms(final, "expert", arm))]
    return StudyResult(
        title=f"DAgger on {config.roads} roads at {config.speed:g} m/s",
        x_label="labelled states",
        log_x=False,
        panels=(Panel("falls_per_km", "falls off the road per km", points),),
        notes=(BOOTSTRAP_NOTE, *(f"{text}, after the last round" for text in differences)),
    )
