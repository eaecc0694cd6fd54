"""Speeds along a road: what bends, grip and sight allow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M, Route

GRAVITY_MPS2 = 9.81


@dataclass(frozen=True)
class SpeedConfig:
    """Shares of the grip that a careful driver uses."""

    lateral_share: float = 0.32
    """Share of the grip that bends may use."""
    braking_share: float = 0.3
    """Share of the grip used to slow down before bends, and to stop within the sight."""
    reaction_s: float = 0.3
    """Time between seeing and braking, in seconds."""


def speed_profile(route: Route, grip: float, set_point_mps: float, config: SpeedConfig = SpeedConfig()) -> np.ndarray:
    """(n,) speed in m/s at each point of a route: what its bend and the sight allow, braking in time.

    The bend: v**2 * curvature stays below a share of the grip. The sight: reaction and braking distance fit into it.
    """
    bend = np.sqrt(config.lateral_share * grip * GRAVITY_MPS2 / np.maximum(np.abs(route.curvature_per_m), 1e-6))
    braking = config.braking_share * grip * GRAVITY_MPS2
    reach = braking * config.reaction_s
    sight = np.sqrt(reach**2 + 2 * braking * route.sight_m) - reach
    allowed = np.minimum(np.minimum(bend, sight), set_point_mps)
    return _brake_in_time(allowed, braking, route.closed)


@kernel()
def _brake_in_time(allowed: np.ndarray, braking: float, closed: bool) -> np.ndarray:
    """Lower the speeds so that no point needs more than this deceleration to be reached; twice around a circuit."""
    speed = allowed.copy()
    count = len(speed)
    for k in range(2 * count - 2 if closed else count - 2, -1, -1):
        i = k % count
        following = (k + 1) % count
        speed[i] = min(speed[i], math.sqrt(speed[following] ** 2 + 2 * braking * POINT_SPACING_M))
    return speed
