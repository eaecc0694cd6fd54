"""Which states are worth a label? Five ways to spend the same number of labels on a drone that learns to fly.

All arms begin with the same demonstrations, and then get the same number of labels in every round:

    plain         the learner flies, every state is labelled (DAgger: Ross et al. 2011)
    beta          the same, but the expert flies a share 0.5^i of the steps of round i
    expert        the expert takes over when its costs say so, a stand-in for a human; only what it flew is labelled
                  (HG-DAgger: Kelly et al. 2019)
    uncertainty   the learner flies, states at which an ensemble disagrees are labelled (active DAgger)
    budget        the expert takes over where the ensemble disagrees most; only what it flew is labelled
                  (the idea of ThriftyDAgger: Hoque et al. 2021)

In the last two the ensemble is of three policies, so three times the gradient steps; the first of them flies. A label
weighs the same wherever it stands. What a label costs differs: a whole flight under the expert's eyes, or a few seconds
at the sticks. So the study also counts the states visited, the steps that the expert flew, the changes of pilot, and
the crashes.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.data_collection.rollouts.gates import GateLimits
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.studies.common import (
    LEAST_TO_LARGEST,
    Cell,
    CellStore,
    Panel,
    Point,
    StudyConfig,
    StudyResult,
    stack,
    training_seeds,
)
from forestpilot.launch.studies.statistics import Interval, mean_interval, t_interval
from forestpilot.policies.algorithms.dagger.loop import DaggerConfig, RoundResult, round_folder, run_dagger
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.training.train_config import TrainConfig

ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "beta": {"beta": "exponential", "beta_decay": 0.5},
    "expert": {"gate": "expert"},
    "uncertainty": {"gate": "uncertainty"},
    "budget": {"gate": "budget"},
}
"""Arm to settings of DAgger."""
FIGURES = ("visited", "intervention_steps", "takeovers", "mean_takeover_s", "context_switches", "crashes")
"""What is kept of `RoundResult` for every cell."""


@dataclass(frozen=True)
class Config(StudyConfig):
    """Success by number of labels: every state labelled, or those at which somebody takes over, or is unsure."""

    out: str = "runs/study-gates"
    """Run folder; the same command goes on where it was interrupted."""
    rounds: int = 4
    """Rounds after the first, which every arm begins with: cloning of the expert."""
    demonstrations: int = 20
    """Flights of the expert in round 0."""
    labels: int = 800
    """Labels in each later round."""
    episodes: int = 120
    """Flights over which the arm `budget` means to spend a round's labels; every arm flies on until they are spent."""
    most_episodes: int = 160
    """Flights after which a round ends even if its labels are not spent."""
    density: float = 0.04
    """Trees per square metre."""
    speed: float = 5.0
    """Speed set point in m/s."""
    test_worlds: int = 60
    """Test forests that every policy flies through."""
    first_steps: int = 800
    """Gradient steps in round 0; later rounds have train.steps."""
    limits: GateLimits = GateLimits()
    """When the gates open and close."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=400, tensorboard=False))
    """How each round is trained; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            min(self.rounds, self.demonstrations, self.labels, self.episodes, self.most_episodes) < 1
            or self.test_worlds < 2
        ):
            raise ValueError(
                "rounds, demonstrations, labels, episodes and most_episodes must be at least 1, test_worlds 2"
            )
        training_seeds(self, self.demonstrations + self.rounds * self.most_episodes)

    def dagger(self, folder: Path, arm: str, seed: int) -> DaggerConfig:
        """The run of one arm and seed: demonstrations, labels and gradient steps are the same in every arm."""
        steps = self.train.steps
        return DaggerConfig(
            out=str(folder), seed=seed, first_world=self.first_world(seed), rounds=self.rounds,
            expert_episodes=self.demonstrations, episodes=self.episodes, label_budget=self.labels * self.rounds,
            most_episodes=self.most_episodes, first_steps=self.first_steps, steps=steps, last_steps=steps,
            validation_episodes=1, validate_from=self.rounds, limits=self.limits, train=self.train,
            mix=ScenarioMix(densities=(self.density,), speeds=(self.speed, self.speed)), workers=self.workers, **ARMS[arm],
        )  # fmt: skip


QUICK = dataclasses.replace(
    Config(), out="runs/study-gates-quick", seeds=2, rounds=1, demonstrations=2, labels=60, episodes=2, most_episodes=8,
    test_worlds=4, first_steps=40, train=TrainConfig(steps=20, batch_windows=8, tensorboard=False),
)  # fmt: skip


def run_study(config: Config, progress: Progress, pool: RolloutPool) -> StudyResult:
    """Run what is left of the study.

    Raises:
        ForestPilotError: the run folder belongs to another config.
    """
    folder = config.claim()
    store = CellStore(folder)
    plan = [(arm, seed) for seed in range(config.seeds) for arm in ARMS]
    cells: list[Cell] = []
    with progress.stage("gates", total=len(plan)) as stage:
        for arm, seed in plan:
            cells += _run_arm(config, folder, store, arm, seed, progress, pool)
            stage.advance(arm=arm, seed=seed)
    return summarise(config, cells)


def _run_arm(
    config: Config, folder: Path, store: CellStore, arm: str, seed: int, progress: Progress, pool: RolloutPool
) -> list[Cell]:
    """All rounds of one arm and seed; the policy of each flies through the test forests."""
    rounds = range(config.rounds + 1)
    done = [store.load(arm, number, seed) for number in rounds]
    cells = [cell for cell in done if cell is not None]
    if len(cells) == len(rounds):
        return cells
    run = folder / "runs" / f"{arm}-seed-{seed}"
    results = run_dagger(config.dagger(run, arm, seed), progress, pool)
    return [stored or _fly(config, run, store, arm, seed, r, progress, pool) for stored, r in zip(done, results)]


def _fly(
    config: Config, run: Path, store: CellStore, arm: str, seed: int, result: RoundResult, progress: Progress,
    pool: RolloutPool,
) -> Cell:  # fmt: skip
    out = run / "evaluations" / f"round-{result.round:02d}"
    evaluation = EvaluateConfig(
        policy=(f"{arm}={round_folder(run, result.round)}",), out=str(out), episodes=config.test_worlds,
        speed=config.speed, density=config.density, workers=config.workers,
    )  # fmt: skip
    evaluate(evaluation, progress, pool)
    with (out / "outcomes.csv").open(newline="", encoding="utf-8") as file:
        rows = [{"seed": int(row["seed"]), "success": int(row["success"])} for row in csv.DictReader(file)]
    figures = {name: float(getattr(result, name)) for name in FIGURES}
    cell = Cell(arm, result.round, seed, rows, result.labels, figures)
    store.save(cell)
    return cell


PANELS: tuple[tuple[str, str], ...] = (
    ("success", "success on test forests, %"),
    ("labels", "labels so far"),
    ("visited", "states visited, thousands"),
    ("intervention_steps", "steps flown by the expert"),
    ("context_switches", "changes of pilot"),
    ("crashes", "crashes while training"),
)
"""Figure and what its axis says, in the order of the diagrams."""


def summarise(config: Config, cells: list[Cell]) -> StudyResult:
    """Success of each arm and round, and what it cost; the differences after the last round."""
    panels = tuple(
        Panel(name, label, [
            Point(arm, float(number), len(group), config.test_worlds, _measure(name, group))
            for arm in ARMS
            for number in range(config.rounds + 1)
            if (group := [cell for cell in cells if (cell.arm, cell.x) == (arm, number)])
        ], bars="95 % interval" if name == "success" else LEAST_TO_LARGEST)
        for name, label in PANELS
    )  # fmt: skip
    last = [cell for cell in cells if cell.x == config.rounds]
    differences = [text for arm in ARMS if arm != "plain" and (text := _compare(last, arm))]
    return StudyResult(
        title=f"{config.labels} labels a round after {config.demonstrations} demonstrations, {config.speed:g} m/s",
        x_label="DAgger round",
        log_x=False,
        panels=panels,
        notes=(
            "95 % intervals of success: bootstrap over training seeds and test forests, drawn apart (2,000 resamples); "
            "with few seeds they are too narrow. Counts: mean of the training seeds, from the least to the largest; "
            "flights are flown eight at a time and counted whole",
            *_short_of_labels(config, last),
            *differences,
        ),
    )


def _measure(name: str, group: Sequence[Cell]) -> Interval:
    if name == "success":
        return mean_interval(100 * stack(group, "success"))
    count: Callable[[Cell], float] = (
        (lambda cell: float(cell.labels)) if name == "labels" else (lambda cell: cell.figures[name])
    )
    values = np.array([count(cell) for cell in group]) / (1000 if name == "visited" else 1)
    return Interval(float(values.mean()), float(values.min()), float(values.max()))


def _short_of_labels(config: Config, last: Sequence[Cell]) -> list[str]:
    """A sentence on the runs that did not come to all their labels; none if all did."""
    first = {cell.seed: cell.labels for cell in last if cell.arm == "plain"}
    short = [
        f"{c.arm} (seed {c.seed}: {first[c.seed] - c.labels} fewer)" for c in last if c.labels < first.get(c.seed, 0)
    ]
    if not short:
        return []
    return [f"fewer labels than plain within {config.most_episodes} flights a round: {', '.join(short)}"]


def _compare(last: Sequence[Cell], arm: str) -> str | None:
    """A sentence on the difference in success to plain DAgger after the last round; None for a single seed."""
    success = {(cell.arm, cell.seed): 100 * cell.column("success").mean() for cell in last}
    seeds = sorted(seed for name, seed in success if name == arm and ("plain", seed) in success)
    if len(seeds) < 2:
        return None
    mean, low, high = t_interval([success[arm, seed] - success["plain", seed] for seed in seeds])
    return (
        f"{arm} against plain: {mean:+.1f} points of success ({low:+.1f} to {high:+.1f}; paired t interval over "
        f"{len(seeds)} training seeds on these forests), after the last round"
    )
