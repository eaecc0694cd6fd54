"""Winding forest roads from one seed, as plain arrays: centre line, junctions, obstacles and the trees beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.worlds.world import World

POINT_SPACING_M = 0.5
"""Distance between two points of a route."""
FOLLOW, LEFT, STRAIGHT, RIGHT = 0, 1, 2, 3
"""Route commands: follow the road; at the junction ahead turn left, go straight on, turn right."""
COMMAND_NAMES = ("follow", "left", "straight", "right")
SURFACE_GRIP = {"asphalt": 0.95, "gravel": 0.65, "dirt": 0.75}
"""Friction coefficient of tyres on each surface."""


class Route(NamedTuple):
    """The reference line from start to goal, one row per point, `POINT_SPACING_M` apart.

    It is the middle of the road, except where an obstacle stands on the road: there it leads through the middle of
    the gap. A closed route starts over after its last point.
    """

    x_m: np.ndarray
    """(n,) float64."""
    y_m: np.ndarray
    """(n,) float64."""
    heading_rad: np.ndarray
    """(n,) float64, unwrapped, so that differences of neighbours are small."""
    curvature_per_m: np.ndarray
    """(n,) float64, left positive."""
    left_m: np.ndarray
    """(n,) float64 distance from the line to the road's left edge."""
    right_m: np.ndarray
    """(n,) float64 distance from the line to the road's right edge."""
    sight_m: np.ndarray
    """(n,) float64 how far along the road one sees from here, past the trees in the bends' inside."""
    command: np.ndarray
    """(n,) int8, `FOLLOW`, or how to take the junction from 25 m before it until it is left."""
    closed: bool
    """Whether the last point joins the first: one lap is the route."""

    @property
    def length_m(self) -> float:
        """Length of the drive in metres."""
        return POINT_SPACING_M * (len(self.x_m) - (not self.closed))


@dataclass(frozen=True, eq=False)
class RoadWorld(World):
    """A road through a forest."""

    route: Route
    """The line to drive."""
    grip: float
    """Friction coefficient of the surface."""
    width_m: float
    """Width of the road in metres."""
