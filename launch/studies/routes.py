"""Can a policy drive a route that it has been shown once, and was never trained for?

A task is a route over three junctions, from each of which three ways lead on that look alike: left, straight or right.
Where the junctions lie and how the road winds is drawn for each world, so that nothing but the route tells the way: 27
tasks. Policies learn from the same drives along trained routes, by the same number of gradient steps:

    named     is told the commands at all three junctions, and attends to the one that comes next
    shown     sees one demonstration, 12 moments of a drive along the same route in another world: pictures, and the
              demonstrator's speed, yaw rate, steering angle and action
    pictures  sees the pictures of that demonstration alone
    maml      takes one gradient step on it, pictures, states and actions
    untold    is told nothing but how much of the way is left, as all are

and drive test roads by routes of which none was driven in training (9 of 27), and by the trained ones. The former are
new as a whole only: each turn, and any two of them, were trained at their junctions. A car that leaves the road of its
route, on another way or anywhere else, is put back on it, which counts: a success is a route driven as it was told.

Theory: one-shot imitation (Duan et al. 2017) trains the policy on many tasks, so that a new one is a demonstration
away; model-agnostic meta-learning (Finn et al. 2017) trains for what a gradient step on it comes to. Whoever cannot
tell the route has a chance of 1 in 27, and takes two of three junctions wrongly.

The measures: success on test roads with held-out routes, with trained ones, and with another held-out route told or
shown on the same seeds, which then counts; interventions on a route, of which a driver who never errs and cannot tell
the way needs two.

15 policies: about 15 minutes on two cores, reckoned from the CPU time of its first cells.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Interval, Panel, StudyResult
from forestpilot.launch.studies.cells import Cell, cells_at, make_points, stack
from forestpilot.launch.studies.demonstrations import demonstrate
from forestpilot.launch.studies.roads import TASK, drive_test_roads
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval
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
from forestpilot.policies.networks.heads.options import RegressionConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import RANDOM
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATION, ORDER, WAY
from forestpilot.sim.outcomes import succeeded
from forestpilot.sim.ranges import SPEEDS_MPS, Range
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.worlds.orders import HELD_OUT, TRAINING
from forestpilot.sim.worlds.roads.routes import ROUTES, SHORTEST_ROUTE_M

STATE_INPUTS = ("forward_mps", "speed_set_point_mps")
"""What policies read of the state: who sees where the wheels point learns to keep them there."""


@dataclass(frozen=True)
class RoutesArm(Arm):
    """What a policy is told of the route."""

    goal_kind: str
    """How it is told."""
    reader: GoalEncoderConfig
    """Who reads that."""


ARMS = (
    RoutesArm("named", "told the commands at all three junctions", ORDER, OrderGoalConfig()),
    RoutesArm(
        "shown",
        "shown one drive in another world: pictures and motion",
        DEMONSTRATION,
        DemonstrationGoalConfig(motion=True),
    ),
    RoutesArm("pictures", "shown the pictures of that drive alone", DEMONSTRATION, DemonstrationGoalConfig()),
    RoutesArm("maml", "one gradient step on that drive", DEMONSTRATION, AdaptedGoalConfig()),
    RoutesArm("untold", "told nothing of the route", WAY, ToldGoalConfig()),
)


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(
        encoder=FilmConfig(), memory=NoMemoryConfig(), window=2, head=RegressionConfig(), state_inputs=STATE_INPUTS
    )
    return TrainConfig(policy=policy, steps=steps, batch_windows=64, learning_rate=2e-3, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Routes over three junctions: told, shown, adapted to, or guessed."""

    out: str = not_the_result("runs/study-routes")
    """Run folder; the same command goes on where it was interrupted."""
    drives: Annotated[tuple[int, ...], Range(1, 10_000)] = (120,)
    """Numbers of demonstrated drives, each in a world of its own, that are compared, ascending."""
    roads: str = "easy"
    """Preset of the roads: where bends are as tight as corners, one moment of a drive says little."""
    length: Annotated[float, Range(SHORTEST_ROUTE_M, 3000)] = SHORTEST_ROUTE_M
    """Length of a route in metres."""
    speed: Annotated[float, SPEEDS_MPS] = 8.0
    """Speed set point in m/s."""
    control_hz: Annotated[int, Range(1, 240)] = 5
    """Actions per second; must divide 240. Many roads teach more than many pictures of each."""
    test_roads: Annotated[int, Range(2, 1_000_000)] = 12
    """Test roads that every policy drives by held-out routes, by trained ones, and by another held-out one."""
    train: TrainConfig = field(default_factory=lambda: _training(1000))
    """How each policy is trained; data, out, seed and policy.goal-encoder are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "drives", tuple(self.drives))
        if not self.drives or sorted(set(self.drives)) != list(self.drives):
            raise InvalidArgumentError(f"drives are {self.drives}; give numbers of demonstrated drives, ascending")
        self.mix(ARMS[0]).complete(TASKS.get(TASK))
        self.require_training_worlds(self.drives[-1])

    def options(self, goal_kind: str, routes: str, shown: str = "") -> DriveOptions:
        """Roads with these routes, told so; whoever leaves the route is put back on it."""
        return DriveOptions(
            length=self.length, interventions="road", routes=(routes,), goal_kind=goal_kind, shown=shown
        )

    def mix(self, arm: RoutesArm) -> ScenarioMix:
        """The drives along training routes."""
        # What is told in data of the way stands in that of demonstrations too, so that both are one.
        kind = ORDER if arm.goal_kind == ORDER else DEMONSTRATION
        options = dataclasses.replace(self.options(kind, TRAINING), side_cameras=RANDOM, interventions="none")
        speeds = (self.speed, self.speed)
        return ScenarioMix(presets=(self.roads,), speeds=speeds, options=options, control_hz=self.control_hz)

    def training(self, arm: RoutesArm) -> TrainConfig:
        """How an arm is trained."""
        return dataclasses.replace(
            self.train, policy=dataclasses.replace(self.train.policy, goal_encoder=arm.reader), side_labels="asked"
        )


class Routes(Study[Config, RoutesArm]):
    """Routes that were shown once."""

    name = "routes"
    question = "Can a policy drive a route that it has been shown once, and was never trained for?"
    minutes = 15
    full = Config()
    quick = Config(
        out="runs/study-routes-quick",
        seeds=2,
        drives=(2,),
        test_roads=2,
        train=dataclasses.replace(_training(6), batch_windows=8),
    )

    def arms(self) -> Sequence[RoutesArm]:
        """What a policy is told of the route."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of demonstrated drives."""
        return self.config.drives

    def run_cell(self, arm: RoutesArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed, number of drives and way to tell routes), train, drive."""
        config = self.config
        mix = config.mix(arm)
        kind = mix.options.goal_kind if isinstance(mix.options, DriveOptions) else ""
        first = config.first_world(seed)
        worlds = range(first, first + int(x))
        data = demonstrate(f"seed-{seed}-drives-{x:g}-{kind}", TASK, mix, worlds, config.workers, bench)
        policy = bench.folder / "policies" / f"{arm.name}-{x:g}-seed-{seed}"
        training = dataclasses.replace(config.training(arm), data=(str(data.folder),), out=str(policy), seed=seed)
        bench.clone(training)
        rows = self._drive(policy, "held-out", config.options("", HELD_OUT), bench)
        trained = self._drive(policy, "trained", config.options("", TRAINING), bench)
        for row, other in zip(rows, trained, strict=True):
            row["success trained"] = other["success"]
        other_way = dataclasses.replace(config.options("", HELD_OUT), routes=(*ROUTES.held_out[1:], ROUTES.held_out[0]))
        for row, other in zip(rows, self._drive(policy, "other", other_way, bench), strict=True):
            row["success both"] = row["success"] * other["success"]
        return Cell(arm.name, x, seed, rows, data.total_steps)

    def _drive(self, policy: Path, name: str, options: DriveOptions, bench: Bench) -> list[dict[str, Any]]:
        """A row for each test road that a policy drives, by a route that follows from its seed."""
        config = self.config
        evaluation = EvaluateConfig(
            policy=(f"policy={policy}",),
            out=str(policy / name),
            task=TASK,
            episodes=config.test_roads,
            speed=config.speed,
            preset=config.roads,
            options=options,
            workers=config.workers,
        )
        rows = drive_test_roads(evaluation, bench)
        for row in rows:
            row["success"] = int(succeeded(row["outcome"], int(row["interventions"])))
        return rows

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success with new routes, with trained ones, and as another demonstration says; interventions on a route."""
        config = self.config
        chance = 100 / len(ROUTES.all)
        return StudyResult(
            title=f"Routes over three junctions of {config.length:g} m, {config.speed:g} m/s, cloning only",
            x_label="demonstrated drives",
            log_x=False,
            panels=(
                Panel(
                    "success_held_out",
                    "success on held-out routes, %",
                    make_points(cells, lambda group: _success(group, "success")),
                    "Share of the test roads that were driven by routes that nobody was trained with, without an "
                    f"intervention. Chance is {chance:.1f} %: one way of three at each of three junctions.",
                ),
                Panel(
                    "success_trained",
                    "success on trained routes, %",
                    make_points(cells, lambda group: _success(group, "success trained")),
                    "Share of the test roads that were driven so by the routes of training.",
                ),
                Panel(
                    "success_both",
                    "two routes followed, %",
                    make_points(cells, lambda group: _success(group, "success both")),
                    "Share of the seeds of which a held-out route was driven, and another one when that was told or "
                    "demonstrated instead.",
                ),
                Panel(
                    "interventions",
                    "interventions on a held-out route",
                    make_points(cells, lambda group: mean_interval(stack(group, "interventions"))),
                    "How often the car was put back on its route. Who errs nowhere and cannot tell the way needs 2.",
                ),
            ),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="roads") + "; differences are paired by seed and road",
                f"chance on a route: {chance:.1f} % (1 of {len(ROUTES.all)})",
                *_differences(cells, config.drives[-1]),
            ),
        )


def _success(cells: Sequence[Cell], name: str) -> Interval:
    """Share of the test roads with a success, in percent, by cells that differ in their training seed only."""
    return mean_interval(100 * stack(cells, name))


def _differences(cells: Sequence[Cell], x: float) -> list[str]:
    """What those who are not told the name lose of the success of who is, with most drives."""
    by_arm: dict[str, list[Cell]] = {}
    for cell in cells_at(cells, x):
        by_arm.setdefault(cell.arm, []).append(cell)
    named = stack(by_arm["named"], "success")
    sentences = []
    for arm in by_arm:
        if arm != "named":
            loss = difference_words(mean_interval(100 * (stack(by_arm[arm], "success") - named)))
            share = 100 * np.mean(stack(by_arm[arm], "success")) / max(float(np.mean(named)), 1e-9)
            sentences.append(
                f"{arm} against named, {x:g} drives, held-out routes: {loss} points, {share:.0f} % of its success"
            )
    return sentences
