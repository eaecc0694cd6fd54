"""Do small mistakes add up to large ones (Ross & Bagnell 2010; Ross et al. 2011, theorem 2.1 and 3.2)?

A policy that errs with probability epsilon where the expert goes may cost up to epsilon T^2 over T steps, because one
mistake leads to places nobody has shown it; DAgger's bound grows like T. Two policies learn from equally many labels
with equally many gradient steps, one from the expert's drives (cloning), one from its own (DAgger), and drive test
roads without anyone putting them back. The cost of a step is the distance from the line in metres, at most 1, and 1 in
every step after the car has left the road or hit something. J(T) is the sum over the first T steps.

The slope of log J over log T is shown beside 2 and 1. The bounds say nothing of a cost that has saturated: where all
cars have left the road, every J(T) grows like T. So the share of cars that were off the line at the end stands beside
the slope.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.data_collection.rollouts.replay import load_stored_episode, replay_episode
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, result_path
from forestpilot.launch.studies.common import (
    Cell,
    CellStore,
    Panel,
    Point,
    StudyResult,
    drive_test_roads,
    stack,
    study_training,
)
from forestpilot.launch.studies.dagger_road import RoundsConfig
from forestpilot.launch.studies.statistics import log_slope, mean_interval, statistic_interval
from forestpilot.policies.algorithms.dagger.loop import round_folder, run_dagger
from forestpilot.sim.cameras import MIN_SIZE_PX

ARMS = {"cloning": "expert", "DAgger": "indicator"}
"""Arm to the arm of `dagger_road` that makes its policy."""
LARGEST_COST_M = 1.0
"""Distance from the line beyond which a step costs 1."""


@dataclass(frozen=True)
class Config(RoundsConfig):
    """Cost over the first T steps, T growing: cloning against DAgger with as many labels."""

    out: str = "runs/study-compounding-error"
    """Run folder; the same command goes on where it was interrupted."""
    test_length: float = 600.0
    """Length of each test road in metres."""
    test_roads: int = 40
    """Test roads that every policy drives."""
    horizon: int = 500
    """Largest number of steps T; a road's end must not be reached before it."""
    shortest: int = 50
    """Smallest T: before it, the car is still picking up speed, and its distance from the line grows whoever drives."""
    horizons: int = 10
    """Number of T from the smallest to the largest, evenly spaced on a logarithmic axis."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.shortest < self.horizon or self.horizons < 2:
            raise ValueError(
                f"horizons is {self.horizons} from {self.shortest} to {self.horizon} steps; give at least 2, ascending"
            )
        reach_m = self.speed * self.horizon / ScenarioMix.control_hz
        if reach_m >= self.test_length:
            raise ValueError(
                f"a car gets {reach_m:g} m far in a horizon of {self.horizon} steps, but test_length is "
                f"{self.test_length:g} m; give a smaller horizon or a larger test_length"
            )

    def steps(self) -> NDArray[np.int64]:
        """The T, ascending."""
        return np.unique(np.geomspace(self.shortest, self.horizon, self.horizons).round().astype(np.int64))


QUICK = Config(
    out="runs/study-compounding-error-quick",
    seeds=2,
    length=100.0,
    test_length=150.0,
    test_roads=4,
    rounds=1,
    drives=2,
    shortest=10,
    horizon=60,
    horizons=6,
    train=study_training(40),
)
"""Shows in a minute that everything works; its figures mean nothing."""


def run_study(config: Config, progress: Progress, pool: RolloutPool) -> StudyResult:
    """Run the cells that are not on disk yet; returns what came out of all of them.

    Raises:
        ForestPilotError: the run folder belongs to another config.
    """
    folder = config.claim()
    store = CellStore(folder)
    plan = [(arm, seed) for seed in range(config.seeds) for arm in ARMS]
    cells: list[Cell] = []
    with progress.stage("compounding-error", total=len(plan)) as stage:
        for arm, seed in plan:
            cell = store.load(arm, config.rounds, seed)
            if cell is None:
                cell = _run_cell(config, folder, arm, seed, progress, pool)
                store.save(cell)
            cells.append(cell)
            stage.advance(arm=arm, seed=seed)
    return summarise(config, cells)


def _run_cell(config: Config, folder: Path, arm: str, seed: int, progress: Progress, pool: RolloutPool) -> Cell:
    """Train, drive the test roads, and replay the drives for what each step cost."""
    run = folder / "runs" / f"{arm}-seed-{seed}"
    results = run_dagger(config.dagger(run, ARMS[arm], seed), progress, pool)
    out = run / "evaluation"
    rows = drive_test_roads(config, round_folder(run, config.rounds), arm, out, "none", progress, pool)
    with progress.stage("cost of each step", total=len(rows)) as stage:
        for row in rows:
            costs = costs_of_episode(result_path(out / "episodes", arm, row["seed"]), config.horizon)
            row["costs"] = [round(float(cost), 4) for cost in costs]
            stage.advance()
    return Cell(arm, config.rounds, seed, rows, results[-1].labels)


def costs_of_episode(path: Path, horizon: int) -> NDArray[np.float64]:
    """The cost of each of the first `horizon` steps of a stored drive, (horizon,) from 0 to 1.

    Args:
        path: the stored drive.
        horizon: number of steps.

    Raises:
        ReplayDivergedError: the simulation does not repeat the drive.
        ValueError: the drive reached the road's end before the horizon.
    """
    episode = load_stored_episode(path)
    # Nobody looks at the pictures, and the states do not depend on them.
    small = dict(zip(("width", "height"), MIN_SIZE_PX, strict=True))
    episode = dataclasses.replace(episode, env_kwargs={**episode.env_kwargs, **small})
    infos = [step.info for step in itertools.islice(replay_episode(episode), 1, horizon + 1)]
    return step_costs(infos, horizon)


def step_costs(infos: list[dict[str, Any]], horizon: int) -> NDArray[np.float64]:
    """The cost of each of the first `horizon` steps, given the environment's info after every step of a drive."""
    costs = np.ones(horizon)
    for step, info in enumerate(infos[:horizon]):
        if info["off_road"] or info["outcome"] in ("collision", "out_of_bounds"):
            return costs
        costs[step] = min(1.0, abs(info["lateral_offset_m"]) / LARGEST_COST_M)
    if len(infos) < horizon:
        raise ValueError(
            f"a drive ended as {infos[-1]['outcome']} after {len(infos)} steps, before the horizon of {horizon}; "
            "give a smaller horizon or a larger test_length"
        )
    return costs


def summarise(config: Config, cells: list[Cell]) -> StudyResult:
    """J(T) of both arms and the slope of its logarithm."""
    steps = config.steps()
    points, notes = [], []
    for arm in ARMS:
        group = [cell for cell in cells if cell.arm == arm]
        sums = np.cumsum(stack(group, "costs"), axis=2)[..., steps - 1]
        for i, upto in enumerate(steps):
            points.append(Point(arm, float(upto), len(group), config.test_roads, mean_interval(sums[..., i])))
        slope = statistic_interval(sums, lambda means: log_slope(steps.astype(float), means))
        left = 100 * float((stack(group, "costs")[..., -1] >= 1.0).mean())
        labels = sum(cell.labels for cell in group) / len(group)
        notes.append(
            f"{arm}: J grows like T^{slope.mean:.2f} ({slope.low:.2f} to {slope.high:.2f}); {labels:.0f} labels; "
            f"{left:.0f} % of the drives were off the line by a metre or over at the end"
        )
    return StudyResult(
        title=f"Cost of the first T steps, {config.roads} roads at {config.speed:g} m/s, nobody intervenes",
        x_label="steps T",
        log_x=True,
        panels=(Panel("cost", "J(T), sum of the costs", points, log_y=True, guides=(2.0, 1.0)),),
        notes=("95 % intervals: bootstrap over training seeds and test roads, drawn apart (2,000 resamples)", *notes),
    )
