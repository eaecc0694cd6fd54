"""How often does the learner fall off the road, and how fast does DAgger mend that (Ross et al. 2011, figure 3)?

Four runs of the same loop (aggregate, train, drive), which differ in who drives while states are collected:

    expert      the expert, in every round: behavioural cloning with more and more data
    indicator   the learner alone after round 0 (beta = 1, 0, 0, ...)
    0.5^i       the expert at a share 0.5^i of the steps of round i
    0.9^i       likewise, but the expert stays for longer

The expert labels every state in all of them. A car that leaves the road is put back, in training and in the test, so
that every arm collects about as many states in a round; the x axis is what was really collected. The measure: falls off
the road per kilometre of the test roads.

12 runs of 10 rounds: about 45 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.launch.reading.study_results import Panel, Point, StudyResult
from forestpilot.launch.studies.cells import Cell, cells_at, group_by_arm_and_x, make_points, mean_labels
from forestpilot.launch.studies.roads import (
    QUICK_SIZES,
    RATE_NOTE,
    compare_pairs,
    drive_test_roads,
    interventions_per_km,
    study_training,
)
from forestpilot.launch.studies.rounds import (
    EXPERT_DRIVES,
    LEARNER_DRIVES,
    RoadRoundsConfig,
    RoadRoundsStudy,
    RoundsArm,
)
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.sim.ranges import EPISODES, Range

CLONING = RoundsArm("expert", "the expert drives in every round: cloning with more and more data", EXPERT_DRIVES)
SCHEDULES = (
    RoundsArm("indicator", "the learner drives alone after round 0", LEARNER_DRIVES),
    RoundsArm("0.5^i", "the expert drives 0.5^i of round i", {"beta": "exponential", "beta_decay": 0.5}),
    RoundsArm("0.9^i", "the expert drives 0.9^i of round i", {"beta": "exponential", "beta_decay": 0.9}),
)


@dataclass(frozen=True)
class Config(RoadRoundsConfig):
    """Falls off the road per km by number of labels: cloning with more data against DAgger."""

    out: str = not_the_result("runs/study-dagger-road")
    """Run folder; the same command goes on where it was interrupted."""
    rounds: Annotated[int, Range(1, 10_000)] = 9
    """Rounds after the first, which every arm begins with: cloning of the expert."""
    drives: Annotated[int, EPISODES] = 8
    """Drives recorded in each round."""


class DaggerRoad(RoadRoundsStudy[Config]):
    """Schedules of who drives while states are collected, by number of labels."""

    name = "dagger-road"
    question = "How often does the learner fall off the road, and how fast does DAgger mend that?"
    minutes = 45
    full = Config()
    quick = Config(
        out="runs/study-dagger-road-quick",
        test_length=100.0,
        **QUICK_SIZES,
        rounds=1,
        drives=2,
        train=study_training(40),
    )

    def arms(self) -> Sequence[RoundsArm]:
        """Cloning, and three schedules of DAgger."""
        return (CLONING, *SCHEDULES)

    def xs(self) -> Sequence[float]:
        """Numbers of the rounds."""
        return range(self.config.rounds + 1)

    def run_cell(self, arm: RoundsArm, x: float, seed: int, bench: Bench) -> Cell:
        """Run the loop (once for an arm and seed), and drive the policy of one round over the test roads."""
        number = int(x)
        labels = self.rounds(arm, seed, bench)[number].labels
        run = self.run_folder(arm, seed, bench)
        out = run / "evaluations" / f"round-{number:02d}"
        evaluation = self.config.evaluation(round_folder(run, number), arm.name, out, "road")
        return Cell(arm.name, number, seed, drive_test_roads(evaluation, bench), labels)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Falls per km of each arm and round, and the differences after the last round."""
        config = self.config
        pairs = [(CLONING.name, arm.name) for arm in SCHEDULES]
        differences = compare_pairs(cells_at(cells, config.rounds), pairs, ", after the last round")
        return StudyResult(
            title=f"DAgger on {config.roads} roads at {config.speed:g} m/s",
            x_label="labelled states",
            log_x=False,
            panels=(
                Panel(
                    "falls_per_km",
                    "falls off the road per km",
                    _points_by_labels(cells),
                    "How often the car left the road.",
                ),
            ),
            notes=(RATE_NOTE, *differences),
        )


def _points_by_labels(cells: Sequence[Cell]) -> list[Point]:
    """Falls per km, each placed at the mean number of labels of its seeds."""
    points = []
    for point, group in zip(make_points(cells, interventions_per_km), group_by_arm_and_x(cells)):
        points.append(dataclasses.replace(point, x=round(mean_labels(group))))
    return points
