"""How much do the side cameras help in the forest, and does it matter where they stand and how they are labelled?

The lecture's drone has three cameras on its helmet. Ten policies without memory learn from the same flights of the
expert, by cloning only. Three of them learn the expert's costs, as the drone does by default:

    center          the center camera only
    fixed           side cameras on their rig, the expert is asked at their poses
    random          side cameras anywhere beside the drone, the expert is asked there

Seven learn actions by a mixture, which needs no costs, so that rules can label the side cameras:

    center-actions    the center camera only
    fixed-asked       side cameras on their rig, the expert is asked
    fixed-geometric   the same; the answer is the center camera's course
    fixed-constant    the same; what the left camera sees is answered by going right by 20 degrees, and the reverse
    random-asked      side cameras anywhere, the expert is asked
    random-geometric  the same; the answer is the center camera's course
    random-constant   the same; what the left camera sees is answered by going right by 20 degrees, and the reverse

Each policy is trained until validation is flat: afresh with twice the gradient steps, until that crosses no more
validation forests, or `doublings` times at most. The measure: success on test forests.

Only `center` and `random` are trained at every number of demonstrations, the others at one.

42 policies: about 30 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.side_labels import SideLabels
from forestpilot.launch.reading.study_results import Panel, StudyResult
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, cells_at, make_points, seed_range, stack
from forestpilot.launch.studies.demonstrations import demonstrate_first
from forestpilot.launch.studies.forests import fly, success_panel
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, mean_interval
from forestpilot.launch.studies.study import Arm, Bench, Place, Study, StudyConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.options import MixtureConfig, TurnCostsConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import FIXED, RANDOM
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, Range
from forestpilot.sim.tasks.drone import DroneOptions

TASK = "drone"


@dataclass(frozen=True)
class CamerasArm(Arm):
    """A way to use the side cameras."""

    side_cameras: str
    """Where the side cameras stood in its demonstrations. The flights are the same: the expert does not look."""
    side_labels: SideLabels
    """`TrainConfig.side_labels`."""
    head: HeadConfig = TurnCostsConfig()
    """What is learned: the expert's costs, or its actions."""
    everywhere: bool = False
    """Trained at every number of demonstrations, not only at the one that is compared."""


ACTIONS = MixtureConfig()
ARMS = (
    CamerasArm("center", "the center camera only", FIXED, "none", everywhere=True),
    CamerasArm("fixed", "side cameras on their rig, the expert is asked", FIXED, "asked"),
    CamerasArm("random", "side cameras anywhere, the expert is asked", RANDOM, "asked", everywhere=True),
    CamerasArm("center-actions", "the center camera only; actions", FIXED, "none", ACTIONS),
    CamerasArm("fixed-asked", "side cameras on their rig, the expert is asked; actions", FIXED, "asked", ACTIONS),
    CamerasArm("fixed-geometric", "side cameras on their rig, the same course; actions", FIXED, "geometric", ACTIONS),
    CamerasArm("fixed-constant", "side cameras on their rig, 20 degrees back; actions", FIXED, "constant", ACTIONS),
    CamerasArm("random-asked", "side cameras anywhere, the expert is asked; actions", RANDOM, "asked", ACTIONS),
    CamerasArm("random-geometric", "side cameras anywhere, the same course; actions", RANDOM, "geometric", ACTIONS),
    CamerasArm("random-constant", "side cameras anywhere, 20 degrees back; actions", RANDOM, "constant", ACTIONS),
)
PAIRS = (
    ("center", "fixed"),
    ("center", "random"),
    ("fixed", "random"),
    *(("center-actions", arm.name) for arm in ARMS[4:]),
)
"""Arms whose difference is told."""


@dataclass(frozen=True)
class Config(StudyConfig):
    """Side cameras of a drone: none, on their rig or anywhere, labelled by the expert, by geometry or by a constant."""

    out: str = not_the_result("runs/study-three-cameras-drone")
    """Run folder; the same command goes on where it was interrupted."""
    demonstrations: Annotated[tuple[int, ...], EPISODES] = (4, 60, 256)
    """Numbers of demonstrated flights, ascending; each number includes the flights of the one before."""
    compared: Annotated[int, EPISODES] = 60
    """The one of them at which all arms are trained and compared."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    doublings: Annotated[int, Range(0, 10)] = 2
    """How often train.steps are doubled at most."""
    validation_worlds: Annotated[int, Range(1, 1_000_000)] = 40
    """Validation forests that say whether twice the steps were worth it."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 60
    """Test forests that every policy flies through."""
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            policy=PolicyConfig(memory=NoMemoryConfig(), window=1),
            steps=1000,
            batch_windows=48,
            learning_rate=7e-4,
            tensorboard=False,
        )
    )
    """How each policy is trained at first; data, out, seed, side_labels and policy.head are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "demonstrations", tuple(self.demonstrations))
        if not self.demonstrations or list(self.demonstrations) != sorted(set(self.demonstrations)):
            raise InvalidArgumentError(f"demonstrations is {self.demonstrations}; give each number once, ascending")
        if self.compared not in self.demonstrations:
            raise InvalidArgumentError(f"compared is {self.compared}; give one of demonstrations {self.demonstrations}")
        if self.train.policy.cameras != "center":
            raise InvalidArgumentError(
                f"train.policy.cameras is {self.train.policy.cameras}; the arms differ with center only"
            )
        self.require_training_worlds(self.demonstrations[-1])

    def training(self, arm: CamerasArm) -> TrainConfig:
        """How an arm is trained at first."""
        policy = dataclasses.replace(self.train.policy, head=arm.head)
        return dataclasses.replace(self.train, policy=policy, side_labels=arm.side_labels)


class ThreeCamerasDrone(Study[Config, CamerasArm]):
    """Ways to use the side cameras of a drone, by number of demonstrations."""

    name = "three-cameras-drone"
    task = TASK
    question = "How much do the side cameras help in the forest, wherever they stand and however they are labelled?"
    minutes = 30
    full = Config()
    quick = Config(
        out="runs/study-three-cameras-drone-quick",
        seeds=2,
        demonstrations=(1, 2),
        compared=2,
        doublings=1,
        validation_worlds=2,
        test_worlds=2,
        train=dataclasses.replace(Config().train, steps=10, batch_windows=16),
    )

    def arms(self) -> Sequence[CamerasArm]:
        """The ways to use the side cameras."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of demonstrated flights."""
        return self.config.demonstrations

    def plan(self) -> list[Place[CamerasArm]]:
        """Every cell of the arms that are trained everywhere, one for each seed of the others."""
        return [place for place in super().plan() if place.arm.everywhere or place.x == self.config.compared]

    def run_cell(self, arm: CamerasArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed and placement), train until validation is flat, fly."""
        data = self._demonstrations(arm, int(x), seed, bench)
        folders = tuple(str(dataset.folder) for dataset in data)
        training = dataclasses.replace(self.config.training(arm), data=folders, seed=seed)
        policy, steps, validated = self._train_until_flat(training, f"{arm.name}-{x:g}-seed-{seed}", bench)
        rows = fly(self._evaluation(policy, "test", self.config.test_worlds), bench)
        labels = sum(dataset.total_steps for dataset in data)
        return Cell(arm.name, int(x), seed, rows, labels, {"steps": steps, "validated": validated})

    def _train_until_flat(self, training: TrainConfig, name: str, bench: Bench) -> tuple[Path, int, int]:
        """Train afresh with twice the steps until that crosses no more validation forests.

        Returns:
            Folder of the best policy, its gradient steps, and how many validation forests it crossed.
        """
        found: list[tuple[Path, int, int]] = []
        for doubling in range(self.config.doublings + 1):
            steps = training.steps * 2**doubling
            policy = bench.folder / "policies" / f"{name}-{steps}-steps"
            bench.clone(dataclasses.replace(training, steps=steps, out=str(policy)))
            rows = fly(self._evaluation(policy, "validation", self.config.validation_worlds), bench)
            found.append((policy, steps, sum(row["success"] for row in rows)))
            if doubling and found[-1][2] <= found[-2][2]:
                break
        return max(found, key=lambda each: each[2])

    def _evaluation(self, policy: Path, split: str, worlds: int) -> EvaluateConfig:
        """Forests to be flown through by a policy."""
        return EvaluateConfig(
            policy=(f"policy={policy}",),
            out=str(policy / split),
            task=TASK,
            split=split,
            episodes=worlds,
            speed=self.config.speed,
            options=DroneOptions(density=(self.config.density,)),
            workers=self.config.workers,
        )

    def _demonstrations(self, arm: CamerasArm, count: int, seed: int, bench: Bench) -> list[Dataset]:
        """The datasets that make up the first `count` flights of a seed."""
        config = self.config
        name = f"seed-{seed}-{arm.side_cameras}"
        first = config.first_world(seed)
        worlds = range(first, first + count)
        options = DroneOptions(density=(config.density,), side_cameras=arm.side_cameras)
        mix = ScenarioMix(speeds=(config.speed, config.speed), options=options)
        return demonstrate_first(name, TASK, mix, worlds, config.demonstrations, config.workers, bench)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success of each arm and number of demonstrations, and the steps it took; the differences where all stand."""
        config = self.config
        steps = Panel(
            "steps",
            "gradient steps until flat",
            make_points(cells, lambda group: seed_range(group, lambda cell: cell.figures["steps"])),
            "Steps after which twice as many crossed no more validation forests.",
            bars=LEAST_TO_LARGEST,
        )
        return StudyResult(
            title=f"Side cameras of a drone, 1 tree per {1 / config.density:g} m2, {config.speed:g} m/s, cloning only",
            x_label="demonstrated flights",
            log_x=True,
            panels=(success_panel(cells), steps),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests") + "; differences are paired by seed and forest",
                *self._still_rising(cells),
                *_differences(cells_at(cells, config.compared), config.compared),
            ),
        )

    def _still_rising(self, cells: Sequence[Cell]) -> list[str]:
        """A sentence on the policies that were best when they could not be given more steps; none if all were flat."""
        most = self.config.train.steps * 2**self.config.doublings
        rising = [f"{cell.arm} at {cell.x:g}" for cell in cells if cell.figures["steps"] == most]
        counts = [f"{name} ({rising.count(name)} of {self.config.seeds} seeds)" for name in dict.fromkeys(rising)]
        return [f"not flat after {most:,} steps, the most they were given: {', '.join(counts)}"] if counts else []


def _differences(cells: Sequence[Cell], count: int) -> list[str]:
    """Sentences on the differences in success between arms at one number of demonstrations."""
    by_arm: dict[str, list[Cell]] = {}
    for cell in cells:
        by_arm.setdefault(cell.arm, []).append(cell)
    sentences = []
    for first, second in PAIRS:
        gain = stack(by_arm[second], "success") - stack(by_arm[first], "success")
        mean, low, high = mean_interval(100 * np.asarray(gain))
        sentences.append(
            f"{second} against {first}: {mean:+.1f} points of success ({low:+.1f} to {high:+.1f}), "
            f"{count} demonstrations"
        )
    return sentences
