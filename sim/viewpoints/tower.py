"""A camera that stands still beside the way and sees part of it, as one on a mast or in a hand on the ground does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from forestpilot.sim.cameras import FloatArray, look_at
from forestpilot.sim.ranges import Range
from forestpilot.sim.viewpoints.viewpoint import (
    ThirdPersonConfig,
    Viewpoint,
    free_distance_m,
    heading_rad,
    near_look,
)

if TYPE_CHECKING:
    from forestpilot.sim.rendering.protocol import VehiclePose
    from forestpilot.sim.worlds.world import World


@dataclass(frozen=True)
class TowerConfig(ThirdPersonConfig):
    """From a place beside the way: stands still, and sees part of it."""

    part: ClassVar[str] = "tower"
    ahead: Annotated[float, Range(0, 1000)] = 3.0
    """How far before the start, along the heading there, the middle of what it sees lies, in distances that
    the `chase` viewpoint keeps."""
    aside: Annotated[float, Range(0, 1000, above=True)] = 2.0
    """How far beside that it stands, likewise; nearer where a trunk is in between, on the side with more room."""
    height: Annotated[float, Range(0, 1000)] = 1.6
    """How far above the vehicle's start it stands, in heights that the `chase` viewpoint has."""


class TowerView(Viewpoint):
    """See `TowerConfig`. It does not turn: what comes before and after, it does not see."""

    Config = TowerConfig

    def __init__(self, config: TowerConfig) -> None:
        super().__init__(config)
        self._config = config

    def begin(self, world: World, vehicle: VehiclePose, period_s: float) -> None:
        """Stand beside the way, and stay there."""
        config = self._config
        look = near_look(vehicle.look)
        yaw_rad = heading_rad(vehicle)
        start_m = np.asarray(vehicle.position, np.float64)
        seen_m = start_m + config.ahead * look.chase_distance_m * _along(yaw_rad)
        room_m = {}
        for side_rad in (yaw_rad + math.pi / 2, yaw_rad - math.pi / 2):
            wanted_m = config.aside * look.chase_distance_m
            room_m[side_rad] = free_distance_m(world.trees, seen_m, side_rad, wanted_m, look.chase_nearest_m)
        side_rad = max(room_m, key=lambda side: room_m[side])
        up = np.array([0.0, 0.0, config.height * look.chase_height_m])
        self._pose = look_at(seen_m + room_m[side_rad] * _along(side_rad) + up, seen_m)

    def pose(self, vehicle: VehiclePose) -> tuple[FloatArray, FloatArray]:
        """See `Viewpoint.pose`."""
        return self._pose


def _along(direction_rad: float) -> np.ndarray:
    """(3,) unit vector over the ground."""
    return np.array([math.cos(direction_rad), math.sin(direction_rad), 0.0])
