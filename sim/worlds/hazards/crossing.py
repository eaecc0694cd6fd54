"""A level crossing: a barrier that stands upright beside the road, falls across it and rises again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.hazards.hazard import BASE, NEVER, ROAD, TOP, YAW, Hazard, RoadSite, X, Y, value_at
from forestpilot.sim.worlds.tables import BARRIER, Boxes

STAYS_SHARE = 0.3
"""Share of the barriers that stay open."""
WAKE_M = (24.0, 34.0)
"""A vehicle is this near when it begins to fall."""
MOVES_S = (1.2, 2.0)
"""Time that it takes to fall, and to rise."""
DOWN_S = (2.0, 6.0)
"""Time that it lies across the road."""
POST_ASIDE_M = 0.7
"""The post stands this far beside the road's edge."""
PIVOT_M = 1.0
"""Height of the arm when it is down."""
PARTS = 8
"""The arm is a row of boxes; boxes stand upright, so that a raised arm is a ladder of them."""
THICK_M = 0.2
TALL_M = 0.5
"""Width and height of the arm: it has a skirt, as those of crossings do, and is seen from afar."""
UP_RAD = 0.5 * math.pi


@dataclass(frozen=True, eq=False)
class Crossing(Hazard):
    """A barrier at one side of the road, whose arm reaches to the other."""

    ground: ClassVar[str] = ROAD

    post_m: np.ndarray
    """(2,) where the post stands, in metres."""
    across_rad: float
    """Direction of the arm when it is down."""
    times_s: np.ndarray
    """(4,) times since it woke at which it begins to fall, is down, begins to rise, is up."""

    @classmethod
    def draw(cls, site: RoadSite, rng: np.random.Generator) -> Crossing:
        """A crossing at a place of a road."""
        side = float(rng.choice([-1.0, 1.0]))
        stays = bool(rng.random() < STAYS_SHARE)
        wake_m = float(rng.uniform(*WAKE_M))
        falls_s, rises_s = rng.uniform(*MOVES_S, 2).tolist()
        down_s = float(rng.uniform(*DOWN_S))
        beside_m = 0.5 * site.width_m + POST_ASIDE_M
        reach_m = beside_m + 0.5 * site.width_m
        post = Boxes(0.0, 0.0, 0.0, 0.3, 0.3, 0.0, PIVOT_M + 0.4, BARRIER)
        part_m = reach_m / PARTS
        low_m = PIVOT_M - 0.5 * TALL_M
        arm = [
            Boxes((number + 0.5) * part_m, 0.0, 0.0, part_m, THICK_M, low_m, low_m + TALL_M, BARRIER)
            for number in range(PARTS)
        ]
        normal_x, normal_y = site.normal
        x, y = site.middle_m
        return cls(
            place_m=site.place_m,
            wake_m=NEVER if stays else wake_m,
            solids=np.array([post, *arm], np.float64),
            colors=np.full((1 + PARTS, 3), 232.0, np.float32),
            post_m=np.array([x + side * beside_m * normal_x, y + side * beside_m * normal_y]),
            across_rad=site.heading_rad - side * 0.5 * math.pi,
            times_s=np.cumsum([0.0, falls_s, down_s, rises_s]),
        )

    @property
    def rests_s(self) -> float:
        """When it is up again."""
        return float(self.times_s[-1])

    @property
    def longest_s(self) -> float:
        """Until it is up again."""
        return float(self.times_s[-1])

    def poses(self, times_s: np.ndarray) -> np.ndarray:
        """(T, 3) of the post, which stays."""
        poses = np.empty((len(times_s), 3))
        poses[:] = (*self.post_m, self.across_rad)
        return poses

    def boxes(self, times_s: np.ndarray) -> np.ndarray:
        """(T, k, 8) the post, and the arm as it is turned about it."""
        rows = super().boxes(times_s)
        raise_arm(rows, self.solids, times_s, self.times_s)
        return rows


@kernel()
def raise_arm(rows, solids, times, knots_s):  # type: ignore[no-untyped-def]
    """Turn the parts of an arm, all rows (T, 1 to k, 8) but the first, upwards about the post at times (T,)."""
    angles = np.array((UP_RAD, 0.0, 0.0, UP_RAD))
    for t in range(rows.shape[0]):
        post = rows[t, 0]
        turned = value_at(times[t], knots_s, angles)
        cosine = math.cos(turned)
        rise = math.sin(turned)
        for k in range(1, rows.shape[1]):
            reach = solids[k, X]
            rows[t, k, X] = post[X] + reach * cosine * math.cos(post[YAW])
            rows[t, k, Y] = post[Y] + reach * cosine * math.sin(post[YAW])
            # Turned about the vertical too, a part looks from the road as narrow as a part of a raised arm.
            rows[t, k, YAW] = post[YAW] + turned
            rows[t, k, BASE] = solids[k, BASE] + reach * rise
            rows[t, k, TOP] = solids[k, TOP] + reach * rise
