"""Do small mistakes add up to large ones (Ross & Bagnell 2010; Ross et al. 2011, theorem 2.1 and 3.2)?

A policy that errs with probability epsilon where the expert goes may cost up to epsilon T^2 over T steps, because one
mistake leads to places nobody has shown it; DAgger's bound grows like T. Two policies learn from equally many labels
with equally many gradient steps, and drive test roads without anyone putting them back:

    cloning   learns from the expert's drives
    DAgger    learns from its own

The measure: the cost of a step is the distance from the line in metres, at most 1, and 1 in every step after the car
has left the road or hit something. J(T) is the sum over the first T steps.

The slope of log J over log T is shown beside 2 and 1. The bounds say nothing of a cost that has saturated: where all
cars have left the road, every J(T) grows like T. So the share of cars that were off the line at the end stands beside
the slope.

6 runs of 6 rounds: about 15 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.migration import episodes_folder
from forestpilot.data_collection.rollouts.replay import load_stored_episode, replay_episode
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Panel, Point, StudyResult
from forestpilot.launch.studies.cells import Cell, mean_labels, stack
from forestpilot.launch.studies.roads import QUICK_SIZES, drive_test_roads, study_training
from forestpilot.launch.studies.rounds import (
    EXPERT_DRIVES,
    LEARNER_DRIVES,
    RoadRoundsConfig,
    RoadRoundsStudy,
    RoundsArm,
)
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, log_slope, mean_interval, statistic_interval
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.sim.cameras import MIN_SIZE_PX
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.outcomes import CRASHES
from forestpilot.sim.ranges import Range

ARMS = (
    RoundsArm("cloning", "learns from the expert's drives", EXPERT_DRIVES),
    RoundsArm("DAgger", "learns from its own drives, labelled by the expert", LEARNER_DRIVES),
)
LARGEST_COST_M = 1.0
"""Distance from the line beyond which a step costs 1."""
COST_DECIMALS = 4


@dataclass(frozen=True)
class Config(RoadRoundsConfig):
    """Cost over the first T steps, T growing: cloning against DAgger with as many labels."""

    out: str = not_the_result("runs/study-compounding-error")
    """Run folder; the same command goes on where it was interrupted."""
    test_length: Annotated[float, Range(40, 3000)] = 600.0
    """Length of each test road in metres."""
    test_roads: Annotated[int, Range(2, 1_000_000)] = 40
    """Test roads that every policy drives."""
    horizon: Annotated[int, Range(2, 100_000)] = 500
    """Largest number of steps T; a road's end must not be reached before it."""
    shortest: Annotated[int, Range(1, 100_000)] = 50
    """Smallest T: before it, the car is still picking up speed, and its distance from the line grows whoever drives."""
    horizons: Annotated[int, Range(2, 1000)] = 10
    """Number of T from the smallest to the largest, evenly spaced on a logarithmic axis."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortest >= self.horizon:
            raise InvalidArgumentError(
                f"shortest is {self.shortest} and horizon {self.horizon} steps; shortest must be below horizon"
            )
        reach_m = self.speed * self.horizon / ScenarioMix.control_hz
        if reach_m >= self.test_length:
            raise InvalidArgumentError(
                f"a car gets {reach_m:g} m far in a horizon of {self.horizon} steps, but test_length is "
                f"{self.test_length:g} m; give a smaller horizon or a larger test_length"
            )

    def steps(self) -> NDArray[np.int64]:
        """The T, ascending."""
        return np.unique(np.geomspace(self.shortest, self.horizon, self.horizons).round().astype(np.int64))


class CompoundingError(RoadRoundsStudy[Config]):
    """Growth of the cost with the number of steps."""

    name = "compounding-error"
    question = "Do small mistakes add up to large ones, and does DAgger keep them from it?"
    minutes = 15
    full = Config()
    quick = Config(
        out="runs/study-compounding-error-quick",
        test_length=150.0,
        **QUICK_SIZES,
        rounds=1,
        drives=2,
        shortest=10,
        horizon=60,
        horizons=6,
        train=study_training(40),
    )

    def arms(self) -> Sequence[RoundsArm]:
        """Cloning and DAgger."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """The last round: its policy is what is compared."""
        return (self.config.rounds,)

    def run_cell(self, arm: RoundsArm, x: float, seed: int, bench: Bench) -> Cell:
        """Train, drive the test roads, and replay the drives for what each step cost."""
        number = int(x)
        labels = self.rounds(arm, seed, bench)[number].labels
        run = self.run_folder(arm, seed, bench)
        out = run / "evaluation"
        evaluation = self.config.evaluation(round_folder(run, number), arm.name, out, "none")
        rows = drive_test_roads(evaluation, bench)
        with bench.progress.stage("cost of each step", total=len(rows)) as stage:
            for row in rows:
                costs = costs_of_episode(result_path(episodes_folder(out), arm.name, row["seed"]), self.config.horizon)
                row["costs"] = [round(cost, COST_DECIMALS) for cost in costs.tolist()]
                stage.advance()
        return Cell(arm.name, number, seed, rows, labels)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """J(T) of both arms and the slope of its logarithm."""
        config = self.config
        points: list[Point] = []
        notes = []
        for arm in ARMS:
            group = [cell for cell in cells if cell.arm == arm.name]
            points += self._points(group)
            notes.append(self._slope(group))
        cost = Panel(
            "cost",
            "J(T), sum of the costs",
            points,
            "A step costs its distance from the line, 1 m at most.",
            log_y=True,
            guides=(2.0, 1.0),
        )
        return StudyResult(
            title=f"Cost of the first T steps, {config.roads} roads at {config.speed:g} m/s, nobody intervenes",
            x_label="steps T",
            log_x=True,
            panels=(cost,),
            notes=(BOOTSTRAP_NOTE.format(worlds="roads"), *notes),
        )

    def _sums(self, group: Sequence[Cell]) -> NDArray[np.float64]:
        """J(T) of one arm's drives, (seeds, roads, T)."""
        return np.cumsum(stack(group, "costs"), axis=2)[..., self.config.steps() - 1]

    def _points(self, group: Sequence[Cell]) -> list[Point]:
        sums = self._sums(group)
        points = []
        for i, upto in enumerate(self.config.steps()):
            value = mean_interval(sums[..., i])
            points.append(Point(group[0].arm, float(upto), len(group), self.config.test_roads, value))
        return points

    def _slope(self, group: Sequence[Cell]) -> str:
        """A sentence on how fast the cost grows, and on how many cars had left the line."""
        steps = self.config.steps().astype(float)
        slope = statistic_interval(self._sums(group), lambda means: log_slope(steps, means))
        left = 100 * float((stack(group, "costs")[..., -1] >= 1.0).mean())
        return (
            f"{group[0].arm}: J grows like T^{slope.mean:.2f} ({slope.low:.2f} to {slope.high:.2f}); "
            f"{mean_labels(group):.0f} labels; {left:.0f} % of the drives were off the line by a metre or over at the "
            "end"
        )


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
    width, height = MIN_SIZE_PX
    episode = dataclasses.replace(episode, env_kwargs={**episode.env_kwargs, "width": width, "height": height})
    infos = [step.info for step in itertools.islice(replay_episode(episode), 1, horizon + 1)]
    return step_costs(infos, horizon)


def step_costs(infos: list[dict[str, Any]], horizon: int) -> NDArray[np.float64]:
    """The cost of each of the first `horizon` steps, given the environment's info after every step of a drive."""
    costs = np.ones(horizon)
    for step, info in enumerate(infos[:horizon]):
        if info["off_road"] or info["outcome"] in CRASHES:
            return costs
        costs[step] = min(1.0, abs(info["lateral_offset_m"]) / LARGEST_COST_M)
    if len(infos) < horizon:
        raise ValueError(
            f"a drive ended as {infos[-1]['outcome']} after {len(infos)} steps, before the horizon of {horizon}; "
            "give a smaller horizon or a larger test_length"
        )
    return costs
