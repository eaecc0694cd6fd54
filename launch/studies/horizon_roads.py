"""The roads of the study `horizon`: small policies on roads of growing length, alone and put back.

A road on which nobody intervenes is a cliff: who leaves it loses all that is left of it. Put back on the line, whoever
errs loses little, however long the road is.

GAIL begins with the clone and has no label more: it drives on roads of its own, on which nobody puts it back, and is
rewarded for what passes for the demonstrations that were cloned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from forestpilot.launch.reading.study_results import Interval, Panel, Point, StudyResult
from forestpilot.launch.studies.cells import Cell, make_points, stack
from forestpilot.launch.studies.roads import TASK
from forestpilot.launch.studies.rounds import (
    EXPERT_DRIVES,
    LEARNER_DRIVES,
    RoadRoundsConfig,
    RoadRoundsStudy,
    RoundsArm,
)
from forestpilot.launch.studies.slopes import Slope, slope_of
from forestpilot.launch.studies.statistics import mean_interval, rate_interval
from forestpilot.launch.studies.study import Bench
from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.policies.reinforcement.adversaries import AdversaryConfig
from forestpilot.policies.reinforcement.adversaries.options import GAILConfig
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.ranges import ROUNDS, STEPS, Range

BY_LENGTH = "length of the road, m"
SHORTEST_ROAD_M = 40.0
"""No road can be shorter."""
PREFIX = "road-"
"""Begins the names of arms, for tables have arms of the same names."""


@dataclass(frozen=True)
class RoadArm(RoundsArm):
    """A learner on roads: rounds of DAgger, and what goes on from their last one without labels, if anything does."""

    adversary: AdversaryConfig | None = None
    """What it is then rewarded by."""


CLONING = RoadArm(PREFIX + "cloning", "on roads: learns from the expert's drives", EXPERT_DRIVES)
ARMS = (
    CLONING,
    RoadArm(PREFIX + "DAgger", "on roads: learns from its own drives, labelled by the expert", LEARNER_DRIVES),
    RoadArm(
        PREFIX + "GAIL", "on roads: the clone, rewarded for what passes for the expert's drives", adversary=GAILConfig()
    ),
)
LOST = "lost_m"
INTERVENTIONS = "interventions"
PLACES: Mapping[str, str] = {LOST: "road, alone", INTERVENTIONS: "road, put back"}
"""What roads are called among the worlds in which a slope was measured, by figure."""


@dataclass(frozen=True)
class RoadsConfig(RoadRoundsConfig):
    """Sizes of the roads."""

    test_length: Annotated[float, Range(40, 3000)] = 600.0
    """Length of the longest test roads in metres."""
    doublings: Annotated[int, Range(1, 10)] = 3
    """How often the length of the shortest test roads is doubled until they are the longest."""
    test_roads: Annotated[int, Range(2, 1_000_000)] = 48
    """Test roads of each length that every policy drives, once alone and once put back."""

    gail_rounds: Annotated[int, ROUNDS] = 3
    """Rounds of GAIL, which begins with the last clone."""
    gail_steps: Annotated[int, STEPS] = 8192
    """Steps in the environment of each of them."""
    ppo: PPOConfig = PPOConfig(warm_up=4, learning_rate=3e-4)
    """How GAIL learns from its reward."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_lengths[0] < SHORTEST_ROAD_M:
            raise InvalidArgumentError(
                f"test_length is {self.test_length:g} and doublings {self.doublings}, so the shortest test roads have "
                f"{self.test_lengths[0]:g} m; allowed: {SHORTEST_ROAD_M:g} m or more"
            )

    @property
    def test_lengths(self) -> tuple[float, ...]:
        """Lengths of the test roads in metres, ascending."""
        return tuple(self.test_length / 2**times for times in reversed(range(self.doublings + 1)))


class Roads(RoadRoundsStudy[RoadsConfig]):
    """Metres lost and interventions, by length."""

    def arms(self) -> Sequence[RoadArm]:
        """Cloning, DAgger and GAIL."""
        return ARMS

    def learner(self, arm: RoundsArm) -> str:
        """Name of an arm's learner."""
        return arm.name.removeprefix(PREFIX)

    def xs(self) -> Sequence[float]:
        """Lengths."""
        return self.config.test_lengths

    def run_cell(self, arm: RoundsArm, x: float, seed: int, bench: Bench) -> Cell:
        """Train (once for an arm and seed), and drive the roads of one length, alone and put back."""
        policy, labels = self._learn(arm, seed, bench)
        folder = self.run_folder(arm, seed, bench) / "evaluations"
        alone = self.config.evaluation(policy, arm.name, folder / f"{x:g}-m-alone", "none", x)
        put_back = self.config.evaluation(policy, arm.name, folder / f"{x:g}-m-put-back", "line", x)
        rows: list[dict[str, Any]] = []
        for first, second in zip(bench.evaluate(alone), bench.evaluate(put_back), strict=True):
            row = {"seed": int(first["seed"]), LOST: lost_m(first, x), INTERVENTIONS: interventions(second)}
            rows.append(row)
        return Cell(arm.name, x, seed, rows, labels)

    def _learn(self, arm: RoundsArm, seed: int, bench: Bench) -> tuple[Path, int]:
        """Where the policy of an arm's last round lies, trained where it is not yet, and how many labels it took."""
        config = self.config
        assert isinstance(arm, RoadArm)
        if arm.adversary is None:
            labels = self.rounds(arm, seed, bench)[-1].labels
            return round_folder(self.run_folder(arm, seed, bench), config.rounds), labels
        from forestpilot.policies.algorithms.adversarial.loop import Adversarial

        start, labels = self._learn(CLONING, seed, bench)
        if (arm.name, seed) not in self._trained:
            rewarded = Adversarial(self._adversarial(arm, seed, start, bench), bench.progress)
            self._trained[arm.name, seed] = rewarded.run(bench.pool, shard_pool=bench.shards)
        return round_folder(self.run_folder(arm, seed, bench), config.gail_rounds), labels

    def _adversarial(self, arm: RoadArm, seed: int, start: Path, bench: Bench) -> AdversarialConfig:
        """The run of GAIL from the clone in a folder, on other training roads than those that were demonstrated."""
        config = self.config
        assert arm.adversary is not None
        return AdversarialConfig(
            out=str(self.run_folder(arm, seed, bench)),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed) + (config.rounds + 1) * config.drives,
            start=str(start),
            demonstrations=(str(self.run_folder(CLONING, seed, bench) / "dataset"),),
            expert_episodes=0,
            adversary=arm.adversary,
            method=config.ppo,
            rounds=config.gail_rounds,
            steps=config.gail_steps,
            validation_episodes=1,
            validate_from=config.gail_rounds,
            mix=config.mix(),
            train=config.train,
            workers=config.workers,
        )

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """The diagrams alone."""
        return StudyResult("Roads", BY_LENGTH, True, self.panels(cells), ())

    def panels(self, cells: Sequence[Cell]) -> tuple[Panel, ...]:
        """What is lost alone, and how often the car is put back."""
        return (
            Panel(
                LOST,
                "road, alone: metres lost per road",
                _points(cells, lambda own: mean_interval(stack(own, LOST))),
                "Metres of a road that were not driven, where nobody intervenes.",
                log_y=True,
                x_label=BY_LENGTH,
            ),
            Panel(
                INTERVENTIONS,
                "road, put back: interventions per road",
                _points(cells, _per_road),
                "How often a car was put back that was more than 1 m off the line.",
                log_y=True,
                x_label=BY_LENGTH,
            ),
        )

    def slopes(self, cells: Sequence[Cell]) -> list[Slope]:
        """How both figures of each arm grow with the length."""
        slopes = []
        for figure, place in PLACES.items():
            for arm in self.arms():
                own = [cell for cell in cells if cell.arm == arm.name]
                slopes.append(slope_of(own, place, self.learner(arm), figure))
        return slopes


def lost_m(row: Mapping[str, str], length_m: float) -> float:
    """Metres of a road that were not driven, given its row of an outcomes.csv."""
    if row["outcome"] == Outcome.SUCCESS:
        return 0.0
    return max(0.0, length_m - float(row["progress_m"]))


def interventions(row: Mapping[str, str]) -> int:
    """Interventions on a road, given its row of an outcomes.csv; who ran out of time would have needed another."""
    return int(row["interventions"]) + (row["outcome"] == Outcome.TIMEOUT)


def _per_road(cells: Sequence[Cell]) -> Interval:
    counts = stack(cells, INTERVENTIONS)
    return rate_interval(counts, np.ones_like(counts))


def _points(cells: Sequence[Cell], measure: Callable[[Sequence[Cell]], Interval]) -> list[Point]:
    """Points of arms under the names that they have in tables."""
    return [replace(point, arm=point.arm.removeprefix(PREFIX)) for point in make_points(cells, measure)]
