"""A walker: someone who goes to and fro between the trees with a crate on the head, as high as a drone flies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.hazards.free_lines import ForestSite
from forestpilot.sim.worlds.hazards.hazard import ALWAYS, FOREST, Hazard
from forestpilot.sim.worlds.tables import WALKER, Boxes

SPEED_MPS = (1.0, 3.0)

BODY = (
    Boxes(0.0, 0.0, 0.0, 0.24, 0.36, 0.0, 0.82, WALKER),
    Boxes(0.0, 0.0, 0.0, 0.28, 0.48, 0.82, 1.42, WALKER),
    Boxes(0.0, 0.0, 0.0, 0.22, 0.2, 1.42, 1.66, WALKER),
    Boxes(0.0, 0.0, 0.0, 0.56, 0.56, 1.66, 2.3, WALKER),
)
"""Legs, jacket, head and the crate: nothing reaches further out than the crate, which is at a drone's altitude."""
TROUSERS = (52.0, 56.0, 74.0)
FACE = (202.0, 152.0, 124.0)
CRATE = (228.0, 178.0, 62.0)
JACKETS = ((206.0, 52.0, 40.0), (232.0, 148.0, 28.0), (58.0, 104.0, 190.0), (222.0, 206.0, 60.0))


@dataclass(frozen=True, eq=False)
class Walker(Hazard):
    """Goes to and fro on a straight line at one speed, from the first moment."""

    ground: ClassVar[str] = FOREST
    most_mps: ClassVar[float] = SPEED_MPS[1]

    ends_m: np.ndarray
    """(2, 2) ends of the line, in metres."""
    speed_mps: float
    phase: float
    """Where on the way to and fro it begins: 0 to 1 there, 1 to 2 back."""

    @classmethod
    def draw(cls, site: ForestSite, rng: np.random.Generator) -> Walker:
        """A walker on a free line of a forest."""
        speed_mps = float(rng.uniform(*SPEED_MPS))
        phase = float(rng.uniform(0.0, 2.0))
        jacket = JACKETS[rng.integers(len(JACKETS))]
        return cls(
            place_m=0.0,
            wake_m=ALWAYS,
            solids=np.array(BODY, np.float64),
            colors=np.array([TROUSERS, jacket, FACE, CRATE], np.float32),
            ends_m=site.ends_m,
            speed_mps=speed_mps,
            phase=phase,
        )

    def poses(self, times_s: np.ndarray) -> np.ndarray:
        """(T, 3) on its line, looking where it goes."""
        poses = np.empty((len(times_s), 3))
        walk(self.ends_m, self.speed_mps, self.phase, times_s, poses)
        return poses


@kernel()
def walk(ends, speed, phase, times, poses):  # type: ignore[no-untyped-def]
    """Write x, y and yaw (T, 3) at times (T,) of who goes to and fro between two ends (2, 2) at a speed."""
    x, y = ends[0]
    way_x = ends[1, 0] - x
    way_y = ends[1, 1] - y
    there = math.atan2(way_y, way_x)
    ways_per_s = speed / math.hypot(way_x, way_y)
    for t in range(len(times)):
        gone = (phase + times[t] * ways_per_s) % 2.0
        share = 1.0 - abs(1.0 - gone)
        poses[t, 0] = x + share * way_x
        poses[t, 1] = y + share * way_y
        poses[t, 2] = there if gone < 1.0 else there + math.pi
