"""Side cameras from picture to picture: fixed, or drawn anew so that many mistakes are seen once."""

from __future__ import annotations

import numpy as np

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import require_choice
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.vehicles.vehicle import Vehicle

FIXED = "fixed"
RANDOM = "random"
RANDOM_SPEED = "random-speed"
SIDE_CAMERAS = (FIXED, RANDOM, RANDOM_SPEED)
LARGEST_SHIFT_M = 1.2
LARGEST_YAW_RAD = 0.2
"""How far random side cameras stand and look aside."""
FASTEST_SHARE = 1.3
"""Largest speed, in speed set points, that the expert is asked about at a random side camera."""


class SideCameras:
    """Says where the three cameras stand at each step.

    Args:
        rig: where they usually stand.
        placement: `fixed`; `random`: shifted up to 1.2 m and turned up to 11 degrees, anew for every picture; or
            `random-speed`: besides, the expert is asked about another speed.
    """

    def __init__(self, rig: Rig, placement: str) -> None:
        require_choice("side_cameras", placement, SIDE_CAMERAS)
        self._placement = placement
        self._fixed = np.column_stack([rig.offsets, np.zeros(3, np.float32)])

    def begin(self, world_seed: int, set_point_mps: float) -> None:
        """A new episode; what is drawn follows from its world's seed."""
        self._rng = rng_for(world_seed, SeedStream.CAMERAS)
        self._fastest_mps = FASTEST_SHARE * set_point_mps

    def offsets(self, vehicle: Vehicle) -> np.ndarray:
        """(3, 3) float32: shift to the left in metres and yaw in radians of left, center and right camera, and the
        change of speed in m/s that the expert is asked about."""
        if self._placement == FIXED:
            return self._fixed.copy()
        shift_left, shift_right = self._rng.uniform(0, LARGEST_SHIFT_M, 2)
        yaw_left, yaw_right = LARGEST_YAW_RAD * self._rng.uniform(-1, 1, 2)
        faster_left = faster_right = 0.0
        if self._placement == RANDOM_SPEED:
            faster_left, faster_right = self._rng.uniform(0, self._fastest_mps, 2) - vehicle.forward_mps
        left = (shift_left, yaw_left, faster_left)
        right = (-shift_right, yaw_right, faster_right)
        return np.array([left, (0.0, 0.0, 0.0), right], np.float32)
