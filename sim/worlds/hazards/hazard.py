"""What a hazard is: something that moves by itself, whoever comes.

It is part of a world, so it knows no vehicle. It is asleep until somebody comes near (or awake from the first moment,
or asleep for good), and where it is then is a function of the time since it woke. Who has woken is told by
`forestpilot.sim.worlds.hazards.traffic`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.sim.worlds.tables import Boxes

if TYPE_CHECKING:
    from forestpilot.sim.worlds.roads.route import Route

ALWAYS = math.inf
NEVER = -math.inf
"""`Hazard.wake_m` of what moves from the first moment, and of what never does."""
ROAD = "road"
FOREST = "forest"
"""Where a kind of hazard may be: `Hazard.ground`."""
X, Y, YAW, LENGTH, WIDTH, BASE, TOP, KIND = range(len(Boxes._fields))
"""Columns of a table of boxes."""


class RoadSite(NamedTuple):
    """A place along a road where a hazard may be."""

    route: Route
    point: int
    """Index of the route's point where it is met."""
    width_m: float
    """Width of the road."""
    place_m: float
    """Way along the route to that point."""
    room_m: float
    """Way from there to the next hazard, or to the end of the route."""

    @property
    def heading_rad(self) -> float:
        """Direction of the road."""
        return float(self.route.heading_rad[self.point])

    @property
    def middle_m(self) -> tuple[float, float]:
        """The line's point there."""
        return float(self.route.x_m[self.point]), float(self.route.y_m[self.point])

    @property
    def normal(self) -> tuple[float, float]:
        """Unit vector to the left of the road."""
        return -math.sin(self.heading_rad), math.cos(self.heading_rad)


@dataclass(frozen=True, eq=False)
class Hazard(ABC):
    """Something that moves; made from a world's seed, frozen, and the same for every vehicle."""

    ground: ClassVar[str]
    """`ROAD` or `FOREST`: what `draw` is given the site of."""
    least_room_m: ClassVar[float] = 0.0
    """Along a road, the way that it needs to the next hazard, in metres."""

    place_m: float
    """Way along the course at which it is met, in metres."""
    wake_m: float
    """It wakes when a vehicle's way along the course is this much short of `place_m`; `ALWAYS` or `NEVER`."""
    solids: np.ndarray
    """(k, 8) float64, the columns of `Boxes`: its parts in its own directions, x ahead, y left."""
    colors: np.ndarray
    """(k, 3) float32 colours of its parts, 0 to 255."""

    def __post_init__(self) -> None:
        for values in (self.solids, self.colors):
            values.setflags(write=False)

    @classmethod
    @abstractmethod
    def draw(cls, site: Any, rng: np.random.Generator) -> Hazard:
        """One at a site of its ground: a `RoadSite` on a road, a
        `forestpilot.sim.worlds.hazards.free_lines.ForestSite` in a forest."""

    @abstractmethod
    def poses(self, times_s: np.ndarray) -> np.ndarray:
        """(T, 3) float64 x, y in metres and yaw in radians, at times (T,) since it woke; asleep it is where it is at
        time 0."""

    @property
    def longest_s(self) -> float:
        """For how long it may hold up who waits for it, in seconds."""
        return 0.0

    def boxes(self, times_s: np.ndarray) -> np.ndarray:
        """(T, k, 8) float64, the columns of `Boxes`: its parts at times (T,) since it woke."""
        x, y, yaw = self.poses(times_s).T[:, :, None]
        cosine = np.cos(yaw)
        sine = np.sin(yaw)
        rows = np.empty((len(times_s), *self.solids.shape))
        rows[:] = self.solids
        ahead = self.solids[:, X]
        left = self.solids[:, Y]
        rows[:, :, X] = x + ahead * cosine - left * sine
        rows[:, :, Y] = y + ahead * sine + left * cosine
        rows[:, :, YAW] += yaw
        return rows
