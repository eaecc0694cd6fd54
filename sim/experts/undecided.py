"""The undecided demonstrator: where one may pass left or right, both are right answers, and it gives either.

What regression makes of that is the mean of both: the trunk. See Bishop 1994, Mixture Density Networks (report
NCRG/94/004 of the Neural Computing Research Group, Aston), section 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.flight import FlightExpert, PlannerConfig
from forestpilot.sim.experts.habits import HabitConfig, habit_rng, rows_of
from forestpilot.sim.experts.passing import LEFT, RIGHT, THREADING, Passing, Threading
from forestpilot.sim.ranges import SHARE, Range
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.world import World


@dataclass(frozen=True)
class UndecidedConfig(HabitConfig):
    """Passes each trunk in its way on a side that is drawn for that trunk and episode; a gap of each row likewise."""

    part: ClassVar[str] = "undecided"

    left_share: Annotated[float, SHARE] = 0.5
    """Share of trunks that are passed with the trunk on the right, so on their left."""
    keep_m: Annotated[float, Range(0.1, 2)] = 0.35
    """Distance that it means to keep from a trunk, in metres from the body."""
    ahead_m: Annotated[float, Range(2, 40)] = 10.0
    """From this distance on a trunk is in its way, in metres."""


class UndecidedExpert(FlightExpert):
    """Answers as the flight expert would if it were to fly past the next trunk on the side that was drawn.

    Costs are those of its own choice: what leads to the other side is dearer.

    Args:
        vehicle: a quadrotor, begun.
        course: any course with a goal to fly to, begun.
        rig: where the cameras stand.
        config: how it draws.
    """

    Config: ClassVar[type[ExpertConfig]] = UndecidedConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: UndecidedConfig = UndecidedConfig()) -> None:
        super().__init__(vehicle, course, rig)
        world = course.world
        rows = rows_of(world)
        rng = habit_rng(config, course)
        sides = np.where(rng.random(len(world.trees)) < config.left_share, LEFT, RIGHT)
        self._will: Any = Passing(world, sides, config.keep_m, config.ahead_m)
        if rows:
            self._will = Threading(world, rows, [rng.integers(len(row.gaps_y_m)) for row in rows])

    def planning(self, world: World) -> PlannerConfig:
        """A shorter horizon among rows."""
        return THREADING if rows_of(world) else PlannerConfig()

    def goals_m(self, motions: np.ndarray) -> np.ndarray | None:
        """(S, 2) float64: where it wants to fly to from each state (S, 8)."""
        return np.array([self._will.aim(x, y) for x, y in motions[:, :2].tolist()])
