"""The task `drone`: fly a quadrotor through a dense forest to a goal 40 m away."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from forestpilot.sim.cameras import FIXED, SIDE_CAMERAS
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import (
    AHEAD,
    FOREST_KINDS,
    GOALS,
    GOALS_WITHIN_M,
    VECTOR,
    usual_kind,
)
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.tasks.keys import KeyShaping
from forestpilot.sim.tasks.task import PRETRAINED, Task, TaskOptions, TaskWords
from forestpilot.sim.worlds.coloured import ORDERS
from forestpilot.sim.worlds.rows import ASIDE_M
from forestpilot.sim.worlds.words import format_density

BASELINES = "forestpilot.policies.evaluation.baselines"


@dataclass(frozen=True)
class DroneOptions(TaskOptions):
    """Forests to fly through."""

    density: Annotated[tuple[float, ...], Range(0, 0.25)] = (0.04,)
    """Trees per square metre; each episode draws one. Published: 0.0204, 0.0278, 0.04."""
    gaps: Annotated[int, Range(0, 6)] = 0
    """Rows of trunks stand across the way, each with so many gaps, all of them right answers; 0 for a forest without
    rows."""
    gaps_aside: Annotated[float, Range(0, 5)] = ASIDE_M
    """The middle of a row's gaps lies this far beside the straight way at most, in metres. Far aside, who has flown
    through one row is not in front of the same gap of the next."""
    goals: str = AHEAD
    """Where the goal lies: straight `ahead`, 40 m away, or `anywhere` in the forest."""
    goals_within: Annotated[float, Range(9, 100)] = GOALS_WITHIN_M
    """Goals anywhere lie within this distance of the start, in metres."""
    goal_kind: str = ""
    """How the goal is told: by its direction (`bearing`), by direction and distance (`vector`), or as the picture that
    is seen there (`image`); behind coloured gates also by the vector and their `order`, or a `demonstration`. Empty for
    the bearing of a goal ahead, and the vector of one anywhere or behind gates. Data whose goals are vectors or
    pictures can be relabelled."""
    orders: tuple[str, ...] = ()
    """Three rows of coloured gates stand across the way, each with a red, a blue and a yellow one; each episode draws
    one of these orders of colours, for example red-blue-red, and only its gates lead on. `training` stands for 18
    orders, `held-out` for the 9 others, `all` for both. Empty for a forest without gates."""
    shown: str = ""
    """The order that is demonstrated, where that is not the episode's own: a wrong demonstration."""
    movers: Annotated[int, Range(0, 10)] = 0
    """So many walkers go to and fro across the way, each on a line between the trees, at 1 to 3 m/s; where trees stand
    too close for that, fewer."""
    side_cameras: str = FIXED
    """Side cameras `fixed` at 0.06 m and 20 degrees, or drawn anew for every picture (`random`: up to 1.5 m aside where
    there is room, up to 35 degrees to either side, and another speed along and across), also at any speed
    (`random-speed`), or gliding from place to place (`random-path`), for a memory."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "density", tuple(self.density))
        if not self.density:
            raise InvalidArgumentError("density needs at least one entry")
        require_ranges(self)
        if self.side_cameras not in SIDE_CAMERAS:
            raise InvalidArgumentError(f"side_cameras is {self.side_cameras!r}; allowed: {', '.join(SIDE_CAMERAS)}")
        if self.goals not in GOALS:
            raise InvalidArgumentError(f"goals is {self.goals!r}; allowed: {', '.join(GOALS)}")
        if self.goals != AHEAD and self.gaps:
            raise InvalidArgumentError(
                f"goals {self.goals} and gaps do not go together: rows of trunks stand across the way ahead"
            )
        if self.goal_kind and self.goal_kind not in FOREST_KINDS:
            raise InvalidArgumentError(f"goal_kind is {self.goal_kind!r}; allowed: {', '.join(FOREST_KINDS)}")
        object.__setattr__(self, "orders", tuple(self.orders))
        self._require_orders()

    def _require_orders(self) -> None:
        """Raise InvalidArgumentError where coloured gates do not go with the rest."""
        ORDERS.named(self.orders)
        missing = "there are no coloured gates; give options.orders, for example all"
        ORDERS.require_shown(bool(self.orders), self.shown, self.goal_kind, missing, "options.goal-kind")
        if self.orders and (self.gaps or self.goals != AHEAD):
            raise InvalidArgumentError(
                "orders go together neither with gaps nor with goals anywhere: rows of gates stand across the way ahead"
            )

    @property
    def usual_goal_kind(self) -> str:
        """How goals are told where `goal_kind` is empty."""
        return VECTOR if self.orders else usual_kind(self.goals)

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """`density`, in trees per square metre, and what is not as usual of rows, goals, movers and side cameras:
        flights of earlier versions say nothing of them."""
        drawn: dict[str, Any] = {"density": self.density[rng.integers(len(self.density))]}
        if self.gaps:
            drawn["gaps"] = self.gaps
            if self.gaps_aside != ASIDE_M:
                drawn["gaps_aside"] = self.gaps_aside
        if self.goals != AHEAD:
            drawn["goals"] = self.goals
            if self.goals_within != GOALS_WITHIN_M:
                drawn["goals_within"] = self.goals_within
        if self.goal_kind:
            drawn["goal_kind"] = self.goal_kind
        if self.orders:
            orders = ORDERS.named(self.orders)
            drawn["order"] = orders[rng.integers(len(orders))]
            if self.shown:
                drawn["shown"] = self.shown
        if self.movers:
            drawn["movers"] = self.movers
        if self.side_cameras != FIXED:
            drawn["side_cameras"] = self.side_cameras
        return drawn

    def with_goals_told(self, goal_kind: str) -> DroneOptions:
        """The same forests and goals, told in this way.

        Raises:
            ValueError: another way was asked for.
        """
        told = self.goal_kind or self.usual_goal_kind
        if self.goal_kind and told != goal_kind:
            raise InvalidArgumentError(
                f"goal_kind is {told}, but the policy was taught goals of kind {goal_kind}; leave options.goal-kind out"
            )
        return self if told == goal_kind else dataclasses.replace(self, goal_kind=goal_kind)

    def for_evaluation(self) -> DroneOptions:
        """The same forests, the side cameras where they usually stand: somebody looks at these pictures."""
        return dataclasses.replace(self, side_cameras=FIXED)


class DroneTask(Task):
    """The drone's task, which tells a forest by its density."""

    def describe(self, env_kwargs: Mapping[str, Any]) -> str:
        """For example `default forest, 1/25 trees/m2, 5 m/s`."""
        parts = [f"{env_kwargs.get('preset') or self.presets[0]} forest"]
        if env_kwargs.get("density") is not None:
            parts.append(f"{format_density(env_kwargs['density'])} trees/m2")
        if env_kwargs.get("gaps"):
            parts.append(f"rows with {env_kwargs['gaps']} gaps")
        if env_kwargs.get("order"):
            parts.append(f"gates {env_kwargs['order']}")
        if env_kwargs.get("shown"):
            parts.append(f"{env_kwargs['shown']} shown")
        if env_kwargs.get("goals"):
            within = f" within {env_kwargs['goals_within']:g} m" if "goals_within" in env_kwargs else ""
            parts.append(f"goals {env_kwargs['goals']}{within}")
        if env_kwargs.get("goal_kind"):
            parts.append(f"goals told as {env_kwargs['goal_kind']}")
        if env_kwargs.get("movers"):
            parts.append(f"{env_kwargs['movers']} mover{'s' * (env_kwargs['movers'] > 1)}")
        if env_kwargs.get("speed") is not None:
            parts.append(f"{env_kwargs['speed']:.3g} m/s")
        return ", ".join(parts)


DRONE = DroneTask(
    name="drone",
    summary="fly a quadrotor through a dense forest",
    env_id="forestpilot:ForestPilot/Drone-v0",
    presets=("default", "loquercio"),
    speed_mps=5.0,
    max_speed_mps=12.0,
    Options=DroneOptions,
    evaluation_options=DroneOptions(),
    baselines={
        "blind": f"{BASELINES}:BlindPilot",
        "reactive": f"{BASELINES}:ReactivePilot",
        "expert": "forestpilot.data_collection.rollouts.pilots:ExpertPilot",
    },
    pretrained=PRETRAINED / "drone",
    # A drone's turn is a change of heading, so that it may be quick.
    keys=KeyShaping(turn_per_s=2.5, turn_back_per_s=4.0, go_per_s=2.5, go_back_per_s=1.5),
    # Round a tree there are two ways.
    head_for_actions="mixture",
    orders=ORDERS,
    map_share=0.14,  # a forest is narrow
    words=TaskWords(
        vehicle="drone",
        episode="flight",
        episodes="flights",
        world="forest",
        worlds="forests",
        verb="fly",
        aim="to the goal through the forest",
        third="flies",
        past="flew",
        participle="flown",
        success="reached the goal in",
        turn="turn",
        go=("stop", "half", "full"),
        go_meaning="Speed from 0 to the set point.",
        clearance="Least distance from the body to a trunk during a flight; zero or below is a collision.",
        expert=(
            "The expert of the drone chooses between 21 turns and jumps from one to the next, so its turns change "
            "more than a smooth pilot's."
        ),
        side_rule="the same course",
    ),
)
