"""Does whoever has many goals, or none, learn to reach any, when what was reached counts as what was wanted?

Ten policies learn from equally many labelled states, with the same number of gradient steps:

    one-goal-center         flights to the one goal, 40 m ahead, as the center camera alone shows them
    many-goals-center       flights to goals anywhere within 30 m, likewise
    one-goal                flights to the one goal
    many-goals              flights to goals anywhere within 30 m
    many-goals-hindsight    the same flights; what came after each state is its goal
    many-goals-picture      the same flights; goals are told as pictures
    play                    playful flights, and the forests' goals, which the demonstrator does not care about
    play-final              playful flights; where each flight ended is its goal
    play-hindsight          playful flights; what came after each state is its goal
    play-picture-hindsight  playful flights; the picture that was seen later is the goal

Theory: a flight shows how to get wherever it got (hindsight experience replay, Andrychowicz et al. 2017;
goal-conditioned supervised learning, Ghosh et al. 2021). So play, which has no goal, shows ways to all of them (Lynch
et al. 2019, Learning Latent Plans from Play): relabelled it should reach goals anywhere; with goals that it was not
bound for it should not. Demonstrations of many goals visit more states than as many labels of one, but know less of
each; what that comes to at the one goal is asked here. A picture does not say where its goal is: that must be
recognised.

All but two also learn from side cameras anywhere, at whose poses the demonstrator is asked. It tells what each turn
costs for its own purpose; in hindsight that purpose was to get where it got, at most 3 s later: who plays then thinks
of another place, and of goals that say nothing a policy learns nothing but to go on as it does. Policies have no
memory, and read of the state only speed and set point: who also reads the yaw rate sees what it is doing itself, and in
play a turn that began goes on.

The measures: success at the one goal and at goals anywhere within 30 m on the same test forests, and the share of the
places and headings of the flight area that the demonstrations have visited.

30 policies: about 30 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.hindsight import Relabel
from forestpilot.data_collection.windows.side_labels import SideLabels
from forestpilot.launch.reading.study_results import Interval, Panel, StudyResult
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, make_points, seed_range, stack
from forestpilot.launch.studies.demonstrations import demonstrate_labels
from forestpilot.launch.studies.forests import fly
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.goal_encoders.options import PictureGoalConfig, ToldGoalConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import RANDOM
from forestpilot.sim.experts.config import ExpertConfig, OwnConfig
from forestpilot.sim.experts.playful import PlayfulConfig
from forestpilot.sim.goals import AHEAD, ANYWHERE, IMAGE, PLACE, VECTOR
from forestpilot.sim.ranges import SPEEDS_MPS, Range
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.worlds.forest import ForestConfig

TASK = "drone"
STATE_INPUTS = ("forward_mps", "left_mps", "speed_set_point_mps")
"""What policies read of the state."""
CELL_M = 2.0
"""Side of the squares in which visited places are counted."""
HEADINGS = 8
"""Sectors in which headings are counted."""
LEAST_STEPS = 8
"""No flight to a goal is shorter than this."""


@dataclass(frozen=True)
class HindsightArm(Arm):
    """A kind of demonstrations, and what counts as their goal."""

    goals: str
    """Where the demonstrated flights' goals lie."""
    relabel: Relabel = "none"
    """`TrainConfig.relabel`."""
    plays: bool = False
    """Whether the demonstrator is playful, and has no goal."""
    goal_kind: str = VECTOR
    """How goals are told."""
    side_labels: SideLabels = "asked"
    """`TrainConfig.side_labels`."""

    @property
    def dataset(self) -> str:
        """Name of its demonstrations, which arms share."""
        return f"{'play' if self.plays else self.goals}-{self.goal_kind}"


ARMS = (
    HindsightArm("one-goal-center", "flights to the one goal, center camera only", AHEAD, side_labels="none"),
    HindsightArm("many-goals-center", "flights to goals anywhere, center camera only", ANYWHERE, side_labels="none"),
    HindsightArm("one-goal", "flights to the one goal, 40 m ahead", AHEAD),
    HindsightArm("many-goals", "flights to goals anywhere within 30 m", ANYWHERE),
    HindsightArm(
        "many-goals-hindsight", "the same flights; what came after each state is its goal", ANYWHERE, "future"
    ),
    HindsightArm("many-goals-picture", "the same flights; goals are told as pictures", ANYWHERE, goal_kind=IMAGE),
    HindsightArm("play", "playful flights, and goals that nobody cares about", ANYWHERE, plays=True),
    HindsightArm("play-final", "playful flights; where each flight ended is its goal", ANYWHERE, "final", plays=True),
    HindsightArm(
        "play-hindsight", "playful flights; what came after each state is its goal", ANYWHERE, "future", plays=True
    ),
    HindsightArm(
        "play-picture-hindsight",
        "playful flights; the picture that was seen later is the goal",
        ANYWHERE,
        "future",
        plays=True,
        goal_kind=IMAGE,
    ),
)
PAIRS = (
    ("one-goal-center", "many-goals-center"),
    ("one-goal", "many-goals"),
    ("many-goals", "many-goals-hindsight"),
    ("play", "play-hindsight"),
    ("play-final", "play-hindsight"),
    ("many-goals", "play-hindsight"),
    ("many-goals", "many-goals-picture"),
    ("play-hindsight", "play-picture-hindsight"),
)
"""Arms whose difference is told."""


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(memory=NoMemoryConfig(), window=1, state_inputs=STATE_INPUTS)
    return TrainConfig(policy=policy, steps=steps, batch_windows=96, learning_rate=2e-3, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Goals: one, many or none, as they were told or in hindsight, as vectors or pictures."""

    out: str = not_the_result("runs/study-hindsight")
    """Run folder; the same command goes on where it was interrupted."""
    labels: Annotated[int, Range(10, 1_000_000)] = 24_000
    """Labelled states that each policy learns from; the last flight makes them a few more."""
    within: Annotated[float, Range(9, 100)] = 30.0
    """Goals anywhere lie within this distance of the start, in metres."""
    relabel_within: Annotated[float, Range(0, 3600)] = 3.0
    """In hindsight a goal is what came at most so many seconds later; 0 for any time."""
    play: PlayfulConfig = PlayfulConfig()
    """How the playful demonstrator plays."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 80
    """Test forests in which every policy flies to the one goal, and to one anywhere."""
    train: TrainConfig = field(default_factory=lambda: _training(2000))
    """How each policy is trained; data, out, seed, relabel, relabel_within, side_labels and policy.goal-encoder are set
    by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mix(ARMS[0]).complete(TASKS.get(TASK))
        self.require_training_worlds(self.labels // LEAST_STEPS + 1)

    def options(self, goals: str, goal_kind: str) -> DroneOptions:
        """The forests, with goals there and told so."""
        return DroneOptions(density=(self.density,), goals=goals, goals_within=self.within, goal_kind=goal_kind)

    def mix(self, arm: HindsightArm) -> ScenarioMix:
        """The demonstrations of an arm."""
        expert: ExpertConfig = self.play if arm.plays else OwnConfig()
        options = dataclasses.replace(self.options(arm.goals, arm.goal_kind), side_cameras=RANDOM)
        return ScenarioMix(speeds=(self.speed, self.speed), options=options, expert=expert)

    def training(self, arm: HindsightArm) -> TrainConfig:
        """How an arm is trained."""
        reader = PictureGoalConfig() if arm.goal_kind == IMAGE else ToldGoalConfig()
        policy = dataclasses.replace(self.train.policy, goal_encoder=reader)
        within = self.relabel_within if arm.relabel == "future" else 0.0
        return dataclasses.replace(
            self.train, policy=policy, relabel=arm.relabel, relabel_within=within, side_labels=arm.side_labels
        )


class Hindsight(Study[Config, HindsightArm]):
    """Goals in hindsight, from flights to one goal, to many, and from play."""

    name = "hindsight"
    question = "Who learns to reach any goal: one who was shown one, many, or none, when what was reached is the goal?"
    minutes = 30
    full = Config()
    quick = Config(
        out="runs/study-hindsight-quick",
        seeds=2,
        labels=60,
        test_worlds=2,
        train=dataclasses.replace(_training(10), batch_windows=16),
    )

    def arms(self) -> Sequence[HindsightArm]:
        """Demonstrations and what counts as their goal."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of labelled states."""
        return (self.config.labels,)

    def run_cell(self, arm: HindsightArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed and kind), train, fly to the one goal and to goals anywhere."""
        config = self.config
        name = f"seed-{seed}-{arm.dataset}"
        first = config.first_world(seed)
        data = demonstrate_labels(name, TASK, config.mix(arm), first, int(x), config.workers, bench)
        policy = bench.folder / "policies" / f"{arm.name}-seed-{seed}"
        training = dataclasses.replace(config.training(arm), data=(str(data.folder),), out=str(policy), seed=seed)
        bench.clone(training)
        rows = fly(self._evaluation(policy, AHEAD, arm), bench)
        anywhere = fly(self._evaluation(policy, ANYWHERE, arm), bench)
        for row, other in zip(rows, anywhere, strict=True):
            row["success anywhere"] = other["success"]
        return Cell(arm.name, x, seed, rows, data.total_steps, {"coverage": coverage_percent(data)})

    def _evaluation(self, policy: Path, goals: str, arm: HindsightArm) -> EvaluateConfig:
        """Test forests that a policy flies through, to goals there."""
        config = self.config
        return EvaluateConfig(
            policy=(f"policy={policy}",),
            out=str(policy / f"goals-{goals}"),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=config.options(goals, arm.goal_kind),
            workers=config.workers,
        )

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success at the one goal and anywhere, what the demonstrations have visited, and the differences."""
        config = self.config
        anywhere = f"goals anywhere within {config.within:g} m"
        return StudyResult(
            title=f"Goals in hindsight, {config.labels:,} labels, 1 tree per {1 / config.density:g} m2, "
            f"{config.speed:g} m/s, cloning only",
            x_label="labelled states",
            log_x=False,
            panels=(
                Panel(
                    "success_one",
                    "success at the one goal, %",
                    make_points(cells, lambda group: _success(group, "success")),
                    "Share of the test forests in which the goal 40 m ahead was reached.",
                ),
                Panel(
                    "success_anywhere",
                    f"success at {anywhere}, %",
                    make_points(cells, lambda group: _success(group, "success anywhere")),
                    "Share of the test forests in which a goal that lay anywhere was reached.",
                ),
                Panel(
                    "coverage",
                    "places and headings visited, %",
                    make_points(cells, lambda group: seed_range(group, lambda cell: cell.figures["coverage"])),
                    f"Share of the flight area's squares of {CELL_M:g} m, times {HEADINGS} headings, in which the "
                    "demonstrations were at some time.",
                    bars=LEAST_TO_LARGEST,
                ),
            ),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests") + "; differences are paired by seed and forest",
                *_differences(cells, anywhere),
            ),
        )


def coverage_percent(data: Dataset) -> float:
    """Share of the places and headings of the flight area that the episodes of a dataset visited, in percent."""
    forest = ForestConfig()
    columns = math.ceil(forest.length_m / CELL_M)
    rows = math.ceil(forest.width_m / CELL_M)
    visited = np.zeros((columns, rows, HEADINGS), bool)
    for header in data.episodes:
        x, y, yaw_rad = load_episode(header.path, keys=(PLACE,)).observations[PLACE].astype(np.float64).T
        column = ((x + forest.margin_behind_m) / CELL_M).astype(int).clip(0, columns - 1)
        row = ((y + forest.width_m / 2) / CELL_M).astype(int).clip(0, rows - 1)
        sector = np.floor(yaw_rad / (2 * math.pi) * HEADINGS).astype(int) % HEADINGS
        visited[column, row, sector] = True
    return float(100 * visited.mean())


def _success(cells: Sequence[Cell], name: str) -> Interval:
    """Share of the test forests with a success, in percent, by cells that differ in their training seed only."""
    return mean_interval(100 * stack(cells, name))


def _differences(cells: Sequence[Cell], anywhere: str) -> list[str]:
    """Sentences on the differences in success between arms."""
    by_arm: dict[str, list[Cell]] = {}
    for cell in cells:
        by_arm.setdefault(cell.arm, []).append(cell)
    sentences = []
    for first, second in PAIRS:
        gains = []
        for name in ("success", "success anywhere"):
            gain = stack(by_arm[second], name) - stack(by_arm[first], name)
            gains.append(difference_words(mean_interval(100 * gain)))
        sentences.append(f"{second} against {first}: {gains[0]} points at the one goal, {gains[1]} at {anywhere}")
    return sentences
