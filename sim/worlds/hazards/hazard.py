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

from forestpilot.sim.kernels import helper, kernel

if TYPE_CHECKING:
    from forestpilot.sim.worlds.roads.route import Route

ALWAYS = math.inf
NEVER = -math.inf
"""`Hazard.wake_m` of what moves from the first moment, and of what never does."""
ROAD = "road"
FOREST = "forest"
"""Where a kind of hazard may be: `Hazard.ground`."""
X, Y, YAW, LENGTH, WIDTH, BASE, TOP, KIND = range(8)
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
    most_mps: ClassVar[float] = 20.0
    """No part of it is ever faster, in m/s: from further away nobody is run into within a moment."""
    least_room_m: ClassVar[float] = 0.0
    """Along a road, the way that it needs to the next hazard, in metres."""

    place_m: float
    """Way along the course at which it is met, in metres."""
    wake_m: float
    """It wakes when a vehicle's way along the course is this much short of `place_m`; `ALWAYS` or `NEVER`."""
    solids: np.ndarray
    """(k, 8) float64, the columns of `Boxes`: its parts in its own directions, x ahead, y left. What lies within
    another part, seen from above, does so wherever it goes."""
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
    def rests_s(self) -> float:
        """Time since it woke from which on it stays where it is; infinite for what never rests."""
        return math.inf

    @property
    def longest_s(self) -> float:
        """For how long it may hold up who waits for it, in seconds."""
        return 0.0

    def boxes(self, times_s: np.ndarray) -> np.ndarray:
        """(T, k, 8) float64, the columns of `Boxes`: its parts at times (T,) since it woke."""
        rows = np.empty((len(times_s), *self.solids.shape))
        place_solids(self.solids, self.poses(times_s), rows)
        return rows


@helper()
def value_at(time, times, values):  # type: ignore[no-untyped-def]
    """The value at a time between knots (n,), whose times ascend; held at both ends."""
    last = len(times) - 1
    if time <= times[0]:
        return values[0]
    if time >= times[last]:
        return values[last]
    after = np.searchsorted(times, time, side="right")
    share = (time - times[after - 1]) / (times[after] - times[after - 1])
    return values[after - 1] + share * (values[after] - values[after - 1])


@kernel()
def place_solids(solids, poses, rows):  # type: ignore[no-untyped-def]
    """Write solids (k, 8), which tell where they are in their own directions, as they are at poses (T, 3) of x, y and
    yaw into rows (T, k, 8)."""
    for t in range(poses.shape[0]):
        cosine = math.cos(poses[t, YAW])
        sine = math.sin(poses[t, YAW])
        for k in range(solids.shape[0]):
            for column in range(solids.shape[1]):
                rows[t, k, column] = solids[k, column]
            rows[t, k, X] = poses[t, X] + solids[k, X] * cosine - solids[k, Y] * sine
            rows[t, k, Y] = poses[t, Y] + solids[k, X] * sine + solids[k, Y] * cosine
            rows[t, k, YAW] = solids[k, YAW] + poses[t, YAW]
