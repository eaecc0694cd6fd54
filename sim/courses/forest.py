"""The course through a forest: 40 m from one side to the other, or to a goal anywhere in it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from forestpilot.sim.courses.course import GoalCourse, require_choice
from forestpilot.sim.goals import (
    AHEAD,
    BEARING,
    FOREST_KINDS,
    GOAL_MIRRORS,
    GOALS_WITHIN_M,
    PLACE,
    tell_goal,
    usual_kind,
)
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.forest import PRESETS, ForestConfig, make_forest
from forestpilot.sim.worlds.free_goals import with_goal_at
from forestpilot.sim.worlds.rows import ASIDE_M
from forestpilot.sim.worlds.world import World

if TYPE_CHECKING:
    from typing_extensions import Self

CEILING_M = 3.0
"""A drone above this altitude has left the flight area: the lowest crown hangs above it."""


class ForestCourse(GoalCourse):
    """Get through a forest to the goal.

    Args:
        preset: `default` (trunks 0.24-0.70 m across) or `loquercio` (0.6 m), both 30 x 60 m.
        density: trees per square metre.
        trail: a winding trail without trees leads to the goal.
        domain_randomisation: draw colours, light, fog and textures per world.
        speed: speed set point, 1 m/s and up.
        max_speed_mps: largest one that is allowed.
        gaps: rows of trunks stand across the way, each with so many gaps; 0 for none.
        gaps_aside: the middle of a row's gaps lies up to so many metres beside the straight way.
        goals: the goal lies `ahead`, or `anywhere` in the forest.
        goals_within: goals anywhere lie within so many metres of the start.
        goal_kind: how the goal is told, one of `forestpilot.sim.goals.FOREST_KINDS`; empty for the bearing of goals
            ahead, and bearing and distance of others.
        movers: so many walkers go to and fro across the way.
    """

    name = "forest"
    ceiling_m = CEILING_M
    reset_options: ClassVar[tuple[str, ...]] = ("speed", "density", "goal")

    def __init__(
        self,
        preset: str = "default",
        density: float = 1 / 25,
        trail: bool = False,
        domain_randomisation: bool = True,
        speed: float = 5.0,
        max_speed_mps: float = 12.0,
        gaps: int = 0,
        gaps_aside: float = ASIDE_M,
        goals: str = AHEAD,
        goals_within: float = GOALS_WITHIN_M,
        goal_kind: str = "",
        movers: int = 0,
    ) -> None:
        require_choice("preset", preset, tuple(PRESETS))
        if goal_kind:
            require_choice("goal_kind", goal_kind, FOREST_KINDS)
        super().__init__(speed, max_speed_mps)
        self.config: ForestConfig = dataclasses.replace(
            PRESETS[preset],
            density_per_m2=density,
            trail=trail,
            domain_randomisation=domain_randomisation,
            gaps=gaps,
            gaps_aside_m=gaps_aside,
            goals=goals,
            goals_within_m=goals_within,
            movers=movers,
        )
        self.goal_kind = goal_kind or usual_kind(goals)
        self.goal_mirror = GOAL_MIRRORS[self.goal_kind]
        self._goal_at: Sequence[float] | None = None

    def with_options(self, options: dict[str, Any]) -> Self:
        """Another `speed` in m/s or `density` in trees per square metre; or a `goal` at (x, y) in metres."""
        changed = super().with_options(options)
        if "density" in options:
            changed.config = dataclasses.replace(self.config, density_per_m2=float(options["density"]))
        if "goal" in options:
            changed._goal_at = options["goal"]
        return changed

    def make_world(self, seed: int) -> World:
        """The forest of a seed."""
        world = make_forest(self.config, seed)
        return world if self._goal_at is None else with_goal_at(world, self._goal_at)

    def goal(self, vehicle: Vehicle) -> np.ndarray:
        """The goal as its kind tells it."""
        if self.goal_kind == BEARING:
            return super().goal(vehicle)
        dx, dy = (self.world.goal_m[:2] - vehicle.base_position()[:2]).tolist()
        cosine = math.cos(vehicle.yaw_rad)
        sine = math.sin(vehicle.yaw_rad)
        return tell_goal(self.goal_kind, cosine * dx + sine * dy, cosine * dy - sine * dx)

    def info(self, vehicle: Vehicle) -> dict[str, Any]:
        """Where goals are told with more than their bearing, `place`: x and y in metres, heading in radians."""
        if self.goal_kind == BEARING:
            return super().info(vehicle)
        x, y = vehicle.base_position()[:2].tolist()
        return {**super().info(vehicle), PLACE: np.array([x, y, vehicle.yaw_rad], np.float32)}

    def time_limit_s(self) -> float:
        """Twice the time of a straight way, and 5 s."""
        if self.config.goals == AHEAD and self._goal_at is None:
            return self._limit_s(self.config.flight_m)
        distance_m = float(np.hypot(*(self.world.goal_m - self.world.start_m)[:2]))
        return min(self._limit_s(distance_m), self.longest_s())

    def longest_s(self) -> float:
        """That of the farthest goal."""
        return self._limit_s(self.config.farthest_goal_m)

    def _limit_s(self, distance_m: float) -> float:
        return 2 * distance_m / self.speed_mps + 5.0
