"""A deer: it stands beside the road and looks across. Some cross when a vehicle comes, and some stop half-way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.hazards.hazard import NEVER, ROAD, Hazard, RoadSite, value_at
from forestpilot.sim.worlds.tables import DEER, Boxes

STAYS_SHARE = 0.3
"""Share of the deer that stay where they are."""
STOPS_SHARE = 0.5
"""Share of those that cross which stop on the road."""
WAKE_M = (22.0, 32.0)
"""A vehicle is this near when it steps onto the road."""
ASIDE_M = 1.6
"""Its middle waits this far beside the road's edge, so that its head is beside the road too."""
AWAY_M = 7.0
"""It comes to rest this far beyond the other edge."""
WALK_MPS = (1.4, 3.0)
RUN_MPS = (3.0, 6.0)

BODY = (
    Boxes(0.0, 0.0, 0.0, 1.5, 0.5, 0.75, 1.35, DEER),
    Boxes(0.85, 0.0, 0.0, 0.35, 0.3, 1.15, 1.75, DEER),
    Boxes(1.05, 0.0, 0.0, 0.5, 0.26, 1.6, 1.9, DEER),
    Boxes(0.55, 0.0, 0.0, 0.16, 0.4, 0.0, 0.75, DEER),
    Boxes(-0.55, 0.0, 0.0, 0.16, 0.4, 0.0, 0.75, DEER),
    Boxes(-0.77, 0.0, 0.0, 0.06, 0.3, 0.95, 1.3, DEER),
)
"""Body, neck, head, fore and hind legs, and the pale patch behind."""


@dataclass(frozen=True, eq=False)
class Deer(Hazard):
    """A deer beside the road, which may cross it along a straight line."""

    ground: ClassVar[str] = ROAD

    start_m: np.ndarray
    """(2,) where it stands, in metres."""
    heading_rad: float
    """Where it looks, and goes."""
    times_s: np.ndarray
    """(n,) times since it woke, ascending, in seconds."""
    ways_m: np.ndarray
    """(n,) how far it has come by then, in metres."""

    @classmethod
    def draw(cls, site: RoadSite, rng: np.random.Generator) -> Deer:
        """A deer at a place of a road."""
        side = float(rng.choice([-1.0, 1.0]))
        stays = bool(rng.random() < STAYS_SHARE)
        stops = bool(rng.random() < STOPS_SHARE)
        wake_m = float(rng.uniform(*WAKE_M))
        walk_mps = float(rng.uniform(*WALK_MPS))
        run_mps = float(rng.uniform(*RUN_MPS))
        stop_at = float(rng.uniform(0.3, 0.7))
        stop_s = float(rng.uniform(1.0, 3.5)) if stops else 0.0
        before_m = 0.5 * site.width_m + ASIDE_M
        first_m = before_m + (stop_at - 0.5) * site.width_m
        last_m = before_m + 0.5 * site.width_m + AWAY_M
        first_s = first_m / walk_mps
        times_s = np.array([0.0, first_s, first_s + stop_s, first_s + stop_s + (last_m - first_m) / run_mps])
        coat = np.array([120.0, 82.0, 50.0]) * rng.uniform(0.8, 1.25)
        colors = np.tile(coat, (len(BODY), 1)).astype(np.float32)
        colors[-1] = 226, 214, 190
        return cls(
            place_m=site.place_m,
            wake_m=NEVER if stays else wake_m,
            solids=np.array(BODY, np.float64),
            colors=colors,
            start_m=np.add(site.middle_m, np.multiply(side * before_m, site.normal)),
            heading_rad=site.heading_rad - side * 0.5 * math.pi,
            times_s=times_s,
            ways_m=np.array([0.0, first_m, first_m, last_m]),
        )

    @property
    def rests_s(self) -> float:
        """At the end of its way."""
        return float(self.times_s[-1])

    @property
    def longest_s(self) -> float:
        """Until it is far off the road."""
        return float(self.times_s[-1])

    def poses(self, times_s: np.ndarray) -> np.ndarray:
        """(T, 3) along its line."""
        poses = np.empty((len(times_s), 3))
        poses_ahead(times_s, self.times_s, self.ways_m, self.start_m, self.heading_rad, poses)
        return poses


@kernel()
def poses_ahead(times, knots_s, ways_m, start_m, heading_rad, poses):  # type: ignore[no-untyped-def]
    """Write x, y and yaw (T, 3) at times (T,) on a straight way, whose knots (n,) tell the way by then."""
    cosine = math.cos(heading_rad)
    sine = math.sin(heading_rad)
    for t in range(len(times)):
        way = value_at(times[t], knots_s, ways_m)
        poses[t, 0] = start_m[0] + way * cosine
        poses[t, 1] = start_m[1] + way * sine
        poses[t, 2] = heading_rad
