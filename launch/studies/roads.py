"""Studies on roads: training roads, a small policy that learns to drive them, test roads and what counts on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Interval
from forestpilot.launch.studies.cells import Cell, stack
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, paired_difference, rate_interval
from forestpilot.launch.studies.study import Bench, StudyConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.evaluation.scores import INTERVENTION_S
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads.options import RegressionConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.ranges import SPEEDS_MPS, Range
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.worlds.roads.road import PRESETS as ROADS

TASK = "drive"
QUICK_SIZES: Mapping[str, Any] = {"seeds": 2, "length": 100.0, "test_roads": 4}
"""Sizes with which a study on roads takes a minute or two."""
LEAST_DISTANCE_M = 1.0
"""A car that was put back again and again without ever moving has driven next to nothing, not nothing."""
RATE_NOTE = (
    BOOTSTRAP_NOTE.format(worlds="roads")
    + ", or Poisson's where that is wider; with few seeds they are too narrow, the differences below are not"
)


def study_training(steps: int) -> TrainConfig:
    """Training of a small policy without memory that learns steering by regression from the center camera.

    It is quick to train, and prone to what the studies are about.
    """
    # Where the wheels point already is left out: who sees it learns to keep them there.
    policy = PolicyConfig(
        state_inputs=("forward_mps", "speed_set_point_mps"),
        memory=NoMemoryConfig(),
        window=2,
        head=RegressionConfig(),
    )
    return TrainConfig(policy=policy, steps=steps, batch_windows=64, side_labels="none", tensorboard=False)


@dataclass(frozen=True)
class RoadStudyConfig(StudyConfig):
    """Settings that studies of driving have in common."""

    roads: str = "winding"
    """Preset of the roads: winding, easy, junctions or obstacles."""
    speed: Annotated[float, SPEEDS_MPS] = 8.0
    """Speed set point in m/s."""
    length: Annotated[float, Range(40, 3000)] = 200.0
    """Length of each training road in metres."""
    test_length: Annotated[float, Range(40, 3000)] = 200.0
    """Length of each test road in metres."""
    test_roads: Annotated[int, Range(2, 1_000_000)] = 24
    """Test roads that every policy drives."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mix().complete(TASKS.get(TASK))
        for length_m in (self.length, self.test_length):
            dataclasses.replace(ROADS[self.roads], length_m=length_m)

    def mix(self, side_cameras: str = "fixed", interventions: str = "none") -> ScenarioMix:
        """The training roads."""
        return ScenarioMix(
            presets=(self.roads,),
            speeds=(self.speed, self.speed),
            options=DriveOptions(length=self.length, side_cameras=side_cameras, interventions=interventions),
        )

    def evaluation(
        self, policy: Path, name: str, out: Path, interventions: str, length_m: float | None = None
    ) -> EvaluateConfig:
        """The test roads, to be driven by a policy.

        Args:
            policy: folder of its checkpoint.
            name: what its drives are filed under.
            out: folder of the evaluation.
            interventions: when the car is put back: `line`, `road` or `none`.
            length_m: their length; by default `test_length`.
        """
        return EvaluateConfig(
            policy=(f"{name}={policy}",),
            out=str(out),
            task=TASK,
            episodes=self.test_roads,
            speed=self.speed,
            preset=self.roads,
            options=DriveOptions(length=length_m or self.test_length, interventions=interventions),
            workers=self.workers,
        )


def drive_test_roads(evaluation: EvaluateConfig, bench: Bench) -> list[dict[str, Any]]:
    """Drive a policy over the test roads; one row per road."""
    return [_road(row) for row in bench.evaluate(evaluation)]


def _road(row: Mapping[str, str]) -> dict[str, Any]:
    figures = {name: float(row[name]) for name in ("distance_m", "time_s", "interventions")}
    return {"seed": int(row["seed"]), "outcome": row["outcome"], **figures}


def count_interventions(cells: Sequence[Cell]) -> NDArray[np.float64]:
    """Interventions on every road, (seeds, roads); who ran out of time would have needed another."""
    counts = stack(cells, "interventions")
    for seed, cell in enumerate(cells):
        for road, row in enumerate(cell.rows):
            counts[seed, road] += row["outcome"] == Outcome.TIMEOUT
    return counts


def interventions_per_km(cells: Sequence[Cell]) -> Interval:
    """Interventions per kilometre over cells that differ in their training seed only."""
    distance_m = np.maximum(stack(cells, "distance_m"), LEAST_DISTANCE_M)
    return rate_interval(count_interventions(cells), distance_m / 1000)


def autonomy(cells: Sequence[Cell]) -> Interval:
    """Share of the time, in percent, that needed no driver, at six seconds an intervention (Bojarski et al. 2016)."""
    per_s = rate_interval(count_interventions(cells), stack(cells, "time_s"))
    return Interval(_autonomy(per_s.mean), _autonomy(per_s.high), _autonomy(per_s.low))


def _autonomy(interventions_per_s: float) -> float:
    return 100 * max(0.0, 1 - INTERVENTION_S * interventions_per_s)


def compare_pairs(cells: Sequence[Cell], pairs: Iterable[tuple[str, str]], ending: str = "") -> list[str]:
    """Sentences on the differences in interventions per km between arms; none for a single seed.

    Args:
        cells: of one x.
        pairs: arm that is compared with, and arm that is compared.
        ending: end of each sentence.
    """
    sentences = []
    for first, second in pairs:
        difference = compare_arms(cells, first, second)
        if difference is not None:
            sentences.append(difference + ending)
    return sentences


def compare_arms(cells: Sequence[Cell], first: str, second: str) -> str | None:
    """A sentence on the difference in interventions per km between two arms, seed by seed; None for a single seed.

    Args:
        cells: of one x.
        first: arm that is compared with.
        second: arm that is compared.
    """
    paired = paired_difference(cells, first, second, lambda cell: interventions_per_km([cell]).mean)
    if paired is None:
        return None
    (mean, low, high), seeds = paired
    return (
        f"{second} against {first}: {mean:+.2f} interventions per km ({low:+.2f} to {high:+.2f}; paired t interval "
        f"over {seeds} training seeds)"
    )
