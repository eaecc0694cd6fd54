"""How much do the side cameras help, and does it matter how their pictures are labelled?

Five policies learn from the same drives of the expert, with the same number of gradient steps:

    center      the center camera's pictures only
    constant    side cameras at a fixed place; their steering is the center's plus a constant (Bojarski et al. 2016 in
                its simplest reading)
    geometric   side cameras at a random shift and turn; their steering leads back to the line within two seconds
    asked       the same pictures; the expert is asked what it would do there
    any-speed   as asked, and at a random speed, which no picture shows but the state does

The measure: each then drives test roads from pictures that are rendered where the car really is, and is put back on its
line whenever it is more than a metre off: PilotNet's measure, autonomy, with a true simulation in place of shifted
recordings.

45 policies: about 35 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.windows.side_labels import SideLabels
from forestpilot.launch.reading.study_results import Panel, StudyResult
from forestpilot.launch.studies.cells import Cell, cells_at, make_points
from forestpilot.launch.studies.demonstrations import demonstrate_first
from forestpilot.launch.studies.roads import (
    QUICK_SIZES,
    RATE_NOTE,
    TASK,
    RoadStudyConfig,
    autonomy,
    compare_pairs,
    drive_test_roads,
    interventions_per_km,
    study_training,
)
from forestpilot.launch.studies.study import Arm, Bench, Study
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES


@dataclass(frozen=True)
class CamerasArm(Arm):
    """A way to use the side cameras."""

    side_labels: SideLabels
    """`TrainConfig.side_labels`."""
    side_cameras: str
    """Where the side cameras stood in its demonstrations, and at `random-speed` the expert was asked about other speeds
    there too. The drives are the same: the expert does not look."""


ARMS = (
    CamerasArm("center", "the center camera only", "none", "random"),
    CamerasArm("constant", "side cameras in a fixed place, labelled with a constant", "constant", "fixed"),
    CamerasArm("geometric", "side cameras anywhere, labelled by geometry", "geometric", "random"),
    CamerasArm("asked", "side cameras anywhere, the expert is asked", "asked", "random"),
    CamerasArm("any-speed", "side cameras anywhere, the expert is asked at any speed", "asked", "random-speed"),
)
PAIRS = (
    ("center", "constant"),
    ("center", "geometric"),
    ("center", "asked"),
    ("center", "any-speed"),
    ("constant", "asked"),
    ("geometric", "asked"),
    ("asked", "any-speed"),
)
"""Arms whose difference is told."""


@dataclass(frozen=True)
class Config(RoadStudyConfig):
    """Side cameras: none, labelled with a constant, by geometry, or by asking the expert, also about other speeds."""

    out: str = not_the_result("runs/study-three-cameras")
    """Run folder; the same command goes on where it was interrupted."""
    demonstrations: Annotated[tuple[int, ...], EPISODES] = (4, 16, 64)
    """Numbers of demonstrated drives, ascending; each number includes the drives of the one before."""
    train: TrainConfig = field(default_factory=lambda: study_training(1500))
    """How each policy is trained; data, out, seed and side_labels are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "demonstrations", tuple(self.demonstrations))
        if not self.demonstrations:
            raise InvalidArgumentError(f"demonstrations is {self.demonstrations}; give at least one positive number")
        if list(self.demonstrations) != sorted(set(self.demonstrations)):
            raise InvalidArgumentError(f"demonstrations is {self.demonstrations}; give each number once, ascending")
        if self.train.policy.cameras != "center":
            raise InvalidArgumentError(
                f"train.policy.cameras is {self.train.policy.cameras}; the arms differ with center only"
            )
        for arm in ARMS:
            dataclasses.replace(self.train, side_labels=arm.side_labels)
        self.require_training_worlds(self.demonstrations[-1])


class ThreeCameras(Study[Config, CamerasArm]):
    """Ways to use the side cameras, by number of demonstrations."""

    name = "three-cameras"
    task = TASK
    question = "How much do the side cameras help, and does it matter how their pictures are labelled?"
    minutes = 35
    full = Config()
    quick = Config(
        out="runs/study-three-cameras-quick",
        test_length=100.0,
        **QUICK_SIZES,
        demonstrations=(1, 3),
        train=study_training(60),
    )

    def arms(self) -> Sequence[CamerasArm]:
        """The ways to use the side cameras."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of demonstrated drives."""
        return self.config.demonstrations

    def run_cell(self, arm: CamerasArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed), train, drive."""
        count = int(x)
        data = self._demonstrations(arm, count, seed, bench)
        folders = tuple(str(dataset.folder) for dataset in data)
        policy = bench.folder / "policies" / f"{arm.name}-{count}-seed-{seed}"
        training = dataclasses.replace(
            self.config.train, data=folders, out=str(policy), seed=seed, side_labels=arm.side_labels
        )
        bench.clone(training)
        evaluation = self.config.evaluation(policy, arm.name, policy / "evaluation", "line")
        labels = sum(dataset.total_steps for dataset in data)
        return Cell(arm.name, count, seed, drive_test_roads(evaluation, bench), labels)

    def _demonstrations(self, arm: CamerasArm, count: int, seed: int, bench: Bench) -> list[Dataset]:
        """The datasets that make up the first `count` drives of a seed."""
        config = self.config
        name = f"seed-{seed}-{arm.side_cameras}"
        first = config.first_world(seed)
        worlds = range(first, first + count)
        mix = config.mix(arm.side_cameras)
        return demonstrate_first(name, TASK, mix, worlds, config.demonstrations, config.workers, bench)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Autonomy and interventions per km of each arm and number of demonstrations; the differences at the last."""
        config = self.config
        last = config.demonstrations[-1]
        differences = compare_pairs(cells_at(cells, last), PAIRS, f", {last} demonstrations")
        return StudyResult(
            title=f"Side cameras, {config.roads} roads at {config.speed:g} m/s",
            x_label="demonstrated drives",
            log_x=True,
            panels=(
                Panel(
                    "autonomy",
                    "autonomy, %",
                    make_points(cells, autonomy),
                    "PilotNet's: 1 − 6 s × interventions / time.",
                ),
                Panel(
                    "interventions_per_km",
                    "interventions per km",
                    make_points(cells, interventions_per_km),
                    "How often the car was put back.",
                ),
            ),
            notes=(RATE_NOTE, *differences),
        )

    def draw(self, result: StudyResult, folder: Path) -> list[Path]:
        """The figure, and views from shifted cameras: rendered, and warped from the center camera's picture."""
        from forestpilot.launch.studies.plots import plot_shifted_views
        from forestpilot.launch.studies.shifted_views import shifted_views

        views = shifted_views(self.config.roads, self.config.test_length)
        return [*super().draw(result, folder), plot_shifted_views(views, folder / "shifted_views.png")]
