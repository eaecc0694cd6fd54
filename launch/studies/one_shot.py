"""Can a policy do a task that it has been shown once, and was never trained for?

A task is an order of colours: three rows of gates stand across the way through a forest, a red, a blue and a yellow one
in each, and only one of each row leads on. Where the colours stand is drawn for each row of each forest, so that
nothing but the order tells the way: 27 tasks. Four policies learn from equally many labelled states of flights through
the courses of some orders, by the same number of gradient steps:

    named    is told the order, a one of three for the colour of each row, and attends to the row that comes next
    shown    sees one demonstration, 12 pictures of a flight of the same order through another forest, by attention;
             while it learns, what it finds there is to tell the name too
    maml     takes one gradient step on that demonstration, pictures, states and actions
    untold   is told nothing but direction and distance of the goal, as all are

The flights are the same whatever is told, and windows of a batch exchange their orders: the expert has said at each
state what it would do for each colour of the next row, so that one picture has several answers, and no forest is known
by the one order that it was flown by.

They fly through test forests, by orders of which none was flown in training (9 of 27), and by the trained ones. All of
the former are new as a whole only: each colour is trained in each row, so that who has learned to take what a row's
colour is from what is shown of that row, knows them all.

Theory: one-shot imitation (Duan et al. 2017) trains the policy on many tasks, so that a new one is a demonstration
away; attention lets each step ask the demonstration for its own part. Model-agnostic meta-learning (Finn et al. 2017)
trains for what a gradient step on the demonstration comes to. Whoever cannot tell the order has a chance of 1 in 27.

The measures: success on test forests with held-out orders, and with trained ones; and with another held-out order told
or shown in the same forests, which then counts: the share of the forests that are flown both ways, each as it was told.

24 policies: about 20 minutes on two cores, reckoned from the CPU time of a half of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.hindsight import EXCHANGED
from forestpilot.launch.reading.study_results import Interval, Panel, StudyResult
from forestpilot.launch.studies.cells import Cell, cells_at, make_points, stack
from forestpilot.launch.studies.demonstrations import demonstrate_labels
from forestpilot.launch.studies.forests import fly
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval, statistic_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.encoders.options import FilmConfig
from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.options import (
    AdaptedGoalConfig,
    DemonstrationGoalConfig,
    OrderGoalConfig,
    ToldGoalConfig,
)
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import RANDOM
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATION, ORDER, VECTOR
from forestpilot.sim.ranges import SPEEDS_MPS, Range
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.worlds.coloured import ALL_ORDERS, HELD_OUT_ORDERS, TRAINING_ORDERS

TASK = "drone"
STATE_INPUTS = ("forward_mps", "left_mps", "speed_set_point_mps")
"""What policies read of the state."""
LOUDNESS = 4.0
"""So loud a told order is learned from as soon as what is read of a demonstration; ones and zeros are quieter."""
LEAST_STEPS = 30
"""No flight along a whole course is shorter than this."""
OTHER = 1
"""In a test forest the order that stands so many places further in the list is shown as the other one."""
WANTED = 0.8
"""Share of the success of who is told the order's name that who was shown it is to reach."""


@dataclass(frozen=True)
class OneShotArm(Arm):
    """What a policy is told of the order."""

    goal_kind: str
    """How it is told."""
    reader: GoalEncoderConfig
    """Who reads that."""


ARMS = (
    OneShotArm("named", "told the order, colour by colour", ORDER, OrderGoalConfig(loudness=LOUDNESS)),
    OneShotArm("shown", "shown one demonstration in another forest", DEMONSTRATION, DemonstrationGoalConfig()),
    OneShotArm("maml", "one gradient step on that demonstration", DEMONSTRATION, AdaptedGoalConfig()),
    OneShotArm("untold", "told nothing of the order", VECTOR, ToldGoalConfig()),
)


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(encoder=FilmConfig(), memory=NoMemoryConfig(), window=4, state_inputs=STATE_INPUTS)
    return TrainConfig(policy=policy, steps=steps, batch_windows=48, learning_rate=2e-3, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Courses of coloured gates: told, shown, adapted to, or guessed."""

    out: str = not_the_result("runs/study-one-shot")
    """Run folder; the same command goes on where it was interrupted."""
    orders: Annotated[tuple[int, ...], Range(1, len(TRAINING_ORDERS))] = (3, 18)
    """Numbers of training tasks that are compared, ascending."""
    labels: Annotated[int, Range(10, 1_000_000)] = 16_000
    """Labelled states that each policy learns from; the last flight makes them a few more."""
    density: Annotated[float, Range(0, 0.25)] = 0.02
    """Trees per square metre, besides the rows."""
    speed: Annotated[float, SPEEDS_MPS] = 4.0
    """Speed set point in m/s."""
    control_hz: Annotated[int, Range(1, 240)] = 5
    """Actions per second; must divide 240. Many forests teach more than many pictures of each."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 40
    """Test forests that every policy flies through by held-out orders, by trained ones, and by another held-out one."""
    train: TrainConfig = field(default_factory=lambda: _training(800))
    """How each policy is trained; data, out, seed and policy.goal-encoder are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "orders", tuple(self.orders))
        if not self.orders or sorted(set(self.orders)) != list(self.orders):
            raise InvalidArgumentError(f"orders are {self.orders}; give numbers of training tasks, ascending")
        self.mix(ARMS[0], self.orders[0]).complete(TASKS.get(TASK))
        self.require_training_worlds(self.labels // LEAST_STEPS + 1)

    def options(self, goal_kind: str, orders: Sequence[str]) -> DroneOptions:
        """Courses of these orders, told so."""
        return DroneOptions(density=(self.density,), orders=tuple(orders), goal_kind=goal_kind)

    def mix(self, arm: OneShotArm, count: int) -> ScenarioMix:
        """The flights of the first training orders."""
        # What is told in data of vectors stands in that of demonstrations too, so that both are one.
        kind = ORDER if arm.goal_kind == ORDER else DEMONSTRATION
        options = dataclasses.replace(self.options(kind, TRAINING_ORDERS[:count]), side_cameras=RANDOM)
        return ScenarioMix(speeds=(self.speed, self.speed), options=options, control_hz=self.control_hz)

    def training(self, arm: OneShotArm) -> TrainConfig:
        """How an arm is trained."""
        return dataclasses.replace(
            self.train,
            policy=dataclasses.replace(self.train.policy, goal_encoder=arm.reader),
            side_labels="asked",
            relabel=EXCHANGED,
        )


class OneShot(Study[Config, OneShotArm]):
    """Tasks that were shown once."""

    name = "one-shot"
    question = "Can a policy do a task that it has been shown once, and was never trained for?"
    minutes = 20
    full = Config()
    quick = Config(
        out="runs/study-one-shot-quick",
        seeds=2,
        orders=(3,),
        labels=60,
        test_worlds=2,
        train=dataclasses.replace(_training(6), batch_windows=8),
    )

    def arms(self) -> Sequence[OneShotArm]:
        """What a policy is told of the order."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of training tasks."""
        return self.config.orders

    def run_cell(self, arm: OneShotArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed, number of orders and way to tell them), train, fly."""
        config = self.config
        mix = config.mix(arm, int(x))
        told = mix.options.goal_kind if isinstance(mix.options, DroneOptions) else ""
        name = f"seed-{seed}-orders-{x:g}-{told}"
        first = config.first_world(seed)
        data = demonstrate_labels(name, TASK, mix, first, config.labels, config.workers, bench)
        policy = bench.folder / "policies" / f"{arm.name}-{x:g}-seed-{seed}"
        training = dataclasses.replace(config.training(arm), data=(str(data.folder),), out=str(policy), seed=seed)
        bench.clone(training)
        rows = fly(self._evaluation(policy, "held-out", arm, HELD_OUT_ORDERS), bench)
        trained = fly(self._evaluation(policy, "trained", arm, TRAINING_ORDERS[: int(x)]), bench)
        for row, other in zip(rows, trained, strict=True):
            row["success trained"] = other["success"]
        others = (*HELD_OUT_ORDERS[OTHER:], *HELD_OUT_ORDERS[:OTHER])
        for row, other in zip(rows, fly(self._evaluation(policy, "other", arm, others), bench), strict=True):
            row["success both"] = row["success"] * other["success"]
        return Cell(arm.name, x, seed, rows, data.total_steps)

    def _evaluation(self, policy: Path, name: str, arm: OneShotArm, orders: Sequence[str]) -> EvaluateConfig:
        """Test forests that a policy flies through, each by one of these orders, which follows from its seed."""
        config = self.config
        kind = ORDER if arm.goal_kind == ORDER else DEMONSTRATION
        return EvaluateConfig(
            policy=(f"policy={policy}",),
            out=str(policy / name),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=config.options(kind, orders),
            workers=config.workers,
        )

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success with new orders, with trained ones, and as another demonstration says; the shares of `named`'s."""
        config = self.config
        chance = 100 / len(ALL_ORDERS)
        return StudyResult(
            title=f"One shot: courses of coloured gates, {config.labels:,} labels, {config.speed:g} m/s, cloning only",
            x_label="training tasks (orders of colours)",
            log_x=False,
            panels=(
                Panel(
                    "success_held_out",
                    "success on held-out orders, %",
                    make_points(cells, lambda group: _success(group, "success")),
                    f"Share of the test forests that were crossed by orders that nobody was trained with. Chance is "
                    f"{chance:.1f} %: one gate of three in each of three rows.",
                ),
                Panel(
                    "success_trained",
                    "success on trained orders, %",
                    make_points(cells, lambda group: _success(group, "success trained")),
                    "Share of the same test forests that were crossed by the orders of training.",
                ),
                Panel(
                    "success_both",
                    "two orders followed, %",
                    make_points(cells, lambda group: _success(group, "success both")),
                    "Share of the test forests that were crossed both ways: by a held-out order, and by another one "
                    "when that was told or demonstrated instead.",
                ),
            ),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests") + "; differences and shares are paired by seed and forest",
                f"chance on an order: {chance:.1f} % (1 of {len(ALL_ORDERS)})",
                *_shares(cells, config.orders[-1]),
            ),
        )


def _success(cells: Sequence[Cell], name: str) -> Interval:
    """Share of the test forests with a success, in percent, by cells that differ in their training seed only."""
    return mean_interval(100 * stack(cells, name))


def _shares(cells: Sequence[Cell], x: float) -> list[str]:
    """What those who were shown the order reach of the success of who is told its name, with most training tasks."""
    by_arm: dict[str, list[Cell]] = {}
    for cell in cells_at(cells, x):
        by_arm.setdefault(cell.arm, []).append(cell)
    named = stack(by_arm["named"], "success")
    sentences = []
    for arm in ("shown", "maml", "untold"):
        own = stack(by_arm[arm], "success")
        gain = difference_words(mean_interval(100 * (own - named)))
        share = statistic_interval(np.stack([own, named], axis=-1), _ratio)
        sentences.append(
            f"{arm} against named, {x:g} training tasks, held-out orders: {gain} points, {100 * share.mean:.0f} % of "
            f"its success ({100 * share.low:.0f} to {100 * share.high:.0f}; wanted of shown: {100 * WANTED:.0f})"
        )
    return sentences


def _ratio(means: np.ndarray) -> np.ndarray:
    """(R,) the first of two means (R, 2) over the second; 0 where that is 0."""
    ratio: np.ndarray = means[:, 0] / np.maximum(means[:, 1], 1e-9)
    return np.where(means[:, 1] > 0, ratio, 0.0)
