"""How much do the side cameras help, and does it matter how their pictures are labelled?

Five policies learn from the same drives of the expert, with the same number of gradient steps:

    center      the center camera's pictures only
    constant    side cameras at a fixed place; their steering is the center's plus a constant (Bojarski et al. 2016 in
                its simplest reading)
    geometric   side cameras at a random shift and turn; their steering leads back to the line within two seconds
    asked       the same pictures; the expert is asked what it would do there
    any-speed   as asked, and at a random speed, which no picture shows but the state does

Each then drives test roads from pictures that are rendered where the car really is, and is put back on its line
whenever it is more than a metre off: PilotNet's measure, autonomy, with a true simulation in place of shifted
recordings.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from forestpilot.data_collection.rollouts.pool import CollectConfig, RolloutPool, collect
from forestpilot.data_collection.rollouts.progress import Progress
from forestpilot.data_collection.windows.side_labels import SideLabels
from forestpilot.launch.studies.common import (
    BOOTSTRAP_NOTE,
    TASK,
    Cell,
    CellStore,
    Panel,
    Point,
    RoadStudyConfig,
    StudyResult,
    autonomy,
    compare_arms,
    drive_test_roads,
    interventions_per_km,
    study_training,
    training_seeds,
)
from forestpilot.launch.studies.shifted_views import ShiftedViews, shifted_views
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.training.train_config import TrainConfig

SIDE_LABELS: dict[str, SideLabels] = {
    "center": "none",
    "constant": "constant",
    "geometric": "geometric",
    "asked": "asked",
    "any-speed": "asked",
}
"""Arm to `TrainConfig.side_labels`."""
SIDE_CAMERAS = {
    "center": "random",
    "constant": "fixed",
    "geometric": "random",
    "asked": "random",
    "any-speed": "random-speed",
}
"""Arm to where the side cameras stood in its demonstrations, and at `any-speed` the expert was asked about other speeds
there too. The drives are the same: the expert does not look."""


@dataclass(frozen=True)
class Config(RoadStudyConfig):
    """Side cameras: none, labelled with a constant, by geometry, or by asking the expert, also about other speeds."""

    out: str = "runs/study-three-cameras"
    """Run folder; the same command goes on where it was interrupted."""
    demonstrations: tuple[int, ...] = (4, 16, 64)
    """Numbers of demonstrated drives, ascending; each number includes the drives of the one before."""
    train: TrainConfig = field(default_factory=lambda: study_training(1500))
    """How each policy is trained; data, out, seed and side_labels are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "demonstrations", tuple(self.demonstrations))
        if not self.demonstrations or min(self.demonstrations) < 1:
            raise ValueError(f"demonstrations is {self.demonstrations}; give at least one positive number")
        if list(self.demonstrations) != sorted(set(self.demonstrations)):
            raise ValueError(f"demonstrations is {self.demonstrations}; give each number once, ascending")
        if self.train.policy.cameras != "center":
            raise ValueError(f"train.policy.cameras is {self.train.policy.cameras}; the arms differ with center only")
        for side_labels in SIDE_LABELS.values():
            dataclasses.replace(self.train, side_labels=side_labels)
        training_seeds(self, self.demonstrations[-1])


QUICK = Config(
    out="runs/study-three-cameras-quick", seeds=2, length=100.0, test_length=100.0, test_roads=4, demonstrations=(1, 3),
    train=study_training(60),
)  # fmt: skip
"""Shows in a minute that everything works; its figures mean nothing."""


def run_study(config: Config, progress: Progress, pool: RolloutPool) -> StudyResult:
    """Run the cells that are not on disk yet; returns what came out of all of them.

    Raises:
        ForestPilotError: the run folder belongs to another config.
    """
    folder = config.claim()
    store = CellStore(folder)
    plan = [
        (arm, count, seed) for seed in range(config.seeds) for count in config.demonstrations for arm in SIDE_LABELS
    ]
    cells: list[Cell] = []
    with progress.stage("three-cameras", total=len(plan)) as stage:
        for arm, count, seed in plan:
            cell = store.load(arm, count, seed)
            if cell is None:
                cell = _run_cell(config, folder, arm, count, seed, progress, pool)
                store.save(cell)
            cells.append(cell)
            stage.advance(arm=arm, demonstrations=count, seed=seed)
    return summarise(config, cells)


def _run_cell(
    config: Config, folder: Path, arm: str, count: int, seed: int, progress: Progress, pool: RolloutPool
) -> Cell:
    """Demonstrate (once for each seed), train, drive."""
    data, labels = _demonstrations(config, folder, SIDE_CAMERAS[arm], count, seed, progress, pool)
    own = folder / "policies" / f"{arm}-{count}-seed-{seed}"
    clone(
        dataclasses.replace(config.train, data=data, out=str(own), seed=seed, side_labels=SIDE_LABELS[arm]),
        progress,
    )
    rows = drive_test_roads(config, own, arm, own / "evaluation", "line", progress, pool)
    return Cell(arm, count, seed, rows, labels)


def _demonstrations(
    config: Config, folder: Path, side_cameras: str, count: int, seed: int, progress: Progress, pool: RolloutPool
) -> tuple[tuple[str, ...], int]:
    """The datasets that make up the first `count` drives of a seed, recorded if need be, and their labelled states.

    The drives are recorded in parts, one for each number of demonstrations, so that a smaller number is a prefix of a
    larger one.
    """
    parts: list[str] = []
    labels = done = 0
    for upto in (n for n in config.demonstrations if n <= count):
        part = folder / "demonstrations" / f"seed-{seed}-{side_cameras}-from-{done}"
        collecting = CollectConfig(
            out=str(part), task=TASK, episodes=upto - done, seed=config.first_world(seed) + done,
            workers=config.workers, mix=config.mix(side_cameras),
        )  # fmt: skip
        labels += collect(collecting, progress, pool).total_steps
        parts.append(str(part))
        done = upto
    return tuple(parts), labels


def summarise(config: Config, cells: list[Cell]) -> StudyResult:
    """Autonomy and interventions per km of each arm and number of demonstrations, and the differences at the last."""
    groups = {
        (arm, count): [cell for cell in cells if (cell.arm, cell.x) == (arm, count)]
        for arm in SIDE_LABELS
        for count in config.demonstrations
    }

    def points(figure: str) -> list[Point]:
        measure = autonomy if figure == "autonomy" else interventions_per_km
        return [Point(a, x, len(group), config.test_roads, measure(group)) for (a, x), group in groups.items()]

    last = config.demonstrations[-1]
    final = [cell for cell in cells if cell.x == last]
    pairs = [("center", arm) for arm in SIDE_LABELS if arm != "center"] + [
        ("constant", "asked"),
        ("geometric", "asked"),
        ("asked", "any-speed"),
    ]
    differences = [f"{text}, {last} demonstrations" for pair in pairs if (text := compare_arms(final, *pair))]
    return StudyResult(
        title=f"Side cameras, {config.roads} roads at {config.speed:g} m/s",
        x_label="demonstrated drives",
        log_x=True,
        panels=(
            Panel("autonomy", "autonomy, %", points("autonomy")),
            Panel("interventions_per_km", "interventions per km", points("interventions_per_km")),
        ),
        notes=(BOOTSTRAP_NOTE, *differences),
    )


def look(config: Config) -> ShiftedViews:
    """Views from shifted cameras on roads like the study's: rendered, and warped from the center camera's picture."""
    return shifted_views(config.roads, config.test_length)
