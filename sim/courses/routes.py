"""The course along a route over three junctions: whoever takes another way there has left it."""

from __future__ import annotations

from typing import Any

import numpy as np

from forestpilot.sim.courses.road import COMMAND_GOALS, RoadCourse
from forestpilot.sim.goals import BEARING, COMMAND_MIRROR, GOAL_MIRRORS, ORDER, ORDER_ROWS, PLACE, WAY, tell_way
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.roads.road import LEFT
from forestpilot.sim.worlds.roads.routes import ROUTES


class RouteCourse(RoadCourse):
    """Drive a road to its end and turn at its three junctions as the route says, which nothing in the world does.

    A car on another way is off its road: by the rule of interventions it is put back, or the drive is over.

    Args:
        route: the turns, for example `left-right-straight`.
        shown: the route that a demonstration follows, where goals are demonstrated; the same by default. Another one is
            a wrong demonstration.
        goal_kind: one of `forestpilot.sim.goals.ROAD_KINDS`; empty for the command at each junction.
        road: arguments of `RoadCourse` by name.

    Raises:
        ValueError: there is no such route.
    """

    name = "routes"

    def __init__(self, route: str = ROUTES.all[0], shown: str = "", goal_kind: str = "", **road: Any) -> None:
        super().__init__(**{**road, "route": route, "closed_share": 0.0})
        self.goal_kind = goal_kind or BEARING
        self.shown = shown or route
        """Name of the route that is demonstrated."""
        ROUTES.parse(self.shown)
        self.goal_mirror = GOAL_MIRRORS[self.goal_kind]
        if self.goal_kind == ORDER:
            self.goal_mirror = (*GOAL_MIRRORS[WAY], *(COMMAND_MIRROR * ORDER_ROWS))
        self._told = COMMAND_GOALS[np.array(ROUTES.parse(route)) + LEFT].reshape(-1)

    def goal(self, vehicle: Vehicle) -> np.ndarray:
        """The command here, or the way that is left; of kind `order` with the commands at all junctions."""
        if self.goal_kind == BEARING:
            return super().goal(vehicle)
        told = tell_way(self.distance_left_m(vehicle), self.config.length_m)
        return np.concatenate([told, self._told]) if self.goal_kind == ORDER else told

    def info(self, vehicle: Vehicle) -> dict[str, Any]:
        """Where goals are told otherwise than by commands also `place`: x and y in metres, heading in radians."""
        if self.goal_kind == BEARING:
            return super().info(vehicle)
        x, y = vehicle.base_position()[:2].tolist()
        return {**super().info(vehicle), PLACE: np.array([x, y, vehicle.yaw_rad], np.float32)}

    def demonstrated_with(self) -> dict[str, Any]:
        """The route that is shown, told by nothing but the way that is left, without hazards; nobody is put back."""
        told = {"route": self.shown, "shown": "", "goal_kind": WAY}
        return {**told, "interventions": "none", "hazards": 0, "hazard_kinds": ()}
