"""A task: a vehicle, a course and an expert put together, and all that commands, windows and reports say of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import BEARING
from forestpilot.sim.looks import NO_DASHBOARD
from forestpilot.sim.tasks.keys import KeyShaping
from forestpilot.sim.worlds.orders import SEPARATOR, Orders

PRETRAINED = Path(__file__).parent.parent.parent / "policies" / "pretrained"
"""Folder of the weights that come with ForestPilot, one folder a task."""


@dataclass(frozen=True)
class TaskOptions(ABC):
    """A task's own scenario fields; each task has a frozen subclass with a docstring under each field.

    A field that holds several values is drawn from anew for every episode.
    """

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Arguments of the environment, plain JSON values, as this scenario draws them."""

    @property
    def counts_interventions(self) -> bool:
        """True where episodes go on after a mistake, which is counted."""
        return False

    def with_goals_told(self, goal_kind: str) -> TaskOptions:
        """These options with goals told as a policy was taught to read them, one of `forestpilot.sim.goals.GOAL_KINDS`.

        Raises:
            ValueError: they tell goals otherwise.
        """
        if goal_kind != BEARING:
            raise InvalidArgumentError(f"the policy reads goals of kind {goal_kind}, which this task does not tell")
        return self

    def with_dashboard(self, dashboard: str) -> TaskOptions:
        """These options with the dashboard that was in the pictures which a policy learned from, where there was one.

        Raises:
            ValueError: they have another one.
        """
        if dashboard != NO_DASHBOARD:
            raise InvalidArgumentError(f"the policy reads the dashboard {dashboard}, which this task does not have")
        return self

    def for_validation(self) -> TaskOptions:
        """These options, judged as the task is judged in evaluations."""
        return self

    def for_evaluation(self) -> TaskOptions:
        """These options as evaluations have them: judged so, and without what only training is for."""
        return self.for_validation()


@dataclass(frozen=True)
class NoOptions(TaskOptions):
    """The options of a task that has none."""

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """No arguments; nothing is drawn."""
        return {}


@dataclass(frozen=True)
class TaskWords:
    """The task in words, for whoever reads a table, a report or a window."""

    vehicle: str = "vehicle"
    """What moves."""
    episode: str = "episode"
    """One run through a world."""
    episodes: str = "episodes"
    """Several of them."""
    world: str = "world"
    """Where it happens."""
    worlds: str = "worlds"
    """Several of them."""
    verb: str = "drive"
    """What one does."""
    third: str = "drives"
    """What a policy does."""
    past: str = "drove"
    """What it did."""
    participle: str = "driven"
    """What was done."""
    aim: str = "to the goal"
    """Where to."""
    success: str = "reached the goal in"
    """Before a number of worlds: what a success is."""
    turn: str = "turn"
    """What the first element of an action is."""
    go: tuple[str, str, str] = ("stop", "half", "full")
    """What the second element means at its lower end, middle and upper end."""
    go_meaning: str = "Speed from 0 to the set point."
    """The second element in a sentence."""
    clearance: str = "Least distance from the body to an obstacle; zero or below is a collision."
    """What the least clearance of an episode is, in a sentence."""
    expert: str = ""
    """What to know of the expert when its actions are compared with others', in a sentence."""
    side_rule: str = "the same course"
    """What the geometric rule answers at a side camera's pose."""


@dataclass(frozen=True)
class Task:
    """Something that can be learned, registered in `forestpilot.sim.tasks.TASKS`."""

    name: str
    """Name in commands and files."""
    summary: str
    """What it is, in a line."""
    env_id: str
    """Id for `gymnasium.make`, module included: `forestpilot:ForestPilot/Drone-v0`."""
    presets: tuple[str, ...]
    """Presets of its worlds, the ordinary one first."""
    speed_mps: float
    """Ordinary speed set point in m/s."""
    max_speed_mps: float
    """Largest speed set point in m/s."""
    Options: type[TaskOptions] = NoOptions
    """Its own scenario fields."""
    evaluation_options: TaskOptions = field(default_factory=NoOptions)
    """The options that evaluations start from."""
    baselines: Mapping[str, str] = field(default_factory=dict)
    """Pilots that `--policy` takes by name, each `package.module:factory`."""
    pretrained: Path | None = None
    """Folder of the weights that come with it, `--policy pretrained`."""
    keys: KeyShaping = KeyShaping()
    """How held keys become actions."""
    head_for_actions: str = "mixture"
    """Head that learns it from actions alone: a human gives no costs."""
    orders: Orders | None = None
    """The family of tasks of which its worlds can ask for one by name; the environment's argument is called as it
    calls an order."""
    put_back: bool = False
    """Whether a vehicle can be put back on its way, which counts as an intervention."""
    map_share: float = 0.2
    """Share of a window's width that the map takes."""
    words: TaskWords = TaskWords()
    """The task in words."""

    @property
    def bare_env_id(self) -> str:
        """Id without the module, as episodes are filed under."""
        _, _, bare = self.env_id.rpartition(":")
        return bare

    def shown_order(self, env_kwargs: Mapping[str, Any]) -> tuple[int, ...]:
        """Numbers of the choices of the order that an environment with these arguments demonstrates; none where it has
        no order."""
        if self.orders is None:
            return ()
        name = env_kwargs.get("shown") or env_kwargs.get(self.orders.order) or ""
        return self.orders.parse(name) if SEPARATOR in name else ()

    def describe(self, env_kwargs: Mapping[str, Any]) -> str:
        """A scenario's worlds in a few words, from the arguments of its environment."""
        parts = [f"{env_kwargs.get('preset') or self.words.world}"]
        if env_kwargs.get("speed") is not None:
            parts.append(f"{env_kwargs['speed']:.3g} m/s")
        return ", ".join(parts)

    def sentence(self, env_kwargs: Mapping[str, Any]) -> str:
        """What is to be done, as one would tell somebody, for policies that are told their task in words."""
        words = self.words
        speed_mps = env_kwargs.get("speed") or self.speed_mps
        return f"{words.verb} {words.aim} at {speed_mps:.3g} m/s"


def task_options(start: str = "Options") -> dict[str, str]:
    """Metadata of a config field that holds a task's options, which task the config's `task` says.

    Args:
        start: attribute of the task that they start from: `Options`, as scenarios are drawn for training, or
            `evaluation_options`.
    """
    return {"task_options": start}
