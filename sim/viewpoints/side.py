"""A camera that goes along beside the vehicle and looks at it from there."""

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
class SideConfig(ThirdPersonConfig):
    """From beside the vehicle, going along."""

    part: ClassVar[str] = "side"
    right: bool = False
    """Go along on its right instead of its left."""
    settle_s: Annotated[float, Range(0, 60, above=True)] = 0.35
    """Time constant of its turns in seconds."""


class SideView(Viewpoint):
    """As far beside the vehicle as its chase camera stands behind it; nearer where a trunk is in between."""

    Config = SideConfig

    def __init__(self, config: SideConfig) -> None:
        super().__init__(config)
        self._settle_s = config.settle_s
        self._aside_rad = -math.pi / 2 if config.right else math.pi / 2

    def begin(self, world: World, vehicle: VehiclePose, period_s: float) -> None:
        """Stand beside the vehicle."""
        self._trees = world.trees
        self._yaw_rad = heading_rad(vehicle)
        self._distance_m = near_look(vehicle.look).chase_distance_m
        self._gain = 1 - math.exp(-period_s / self._settle_s)

    def pose(self, vehicle: VehiclePose) -> tuple[FloatArray, FloatArray]:
        """See `Viewpoint.pose`."""
        look = near_look(vehicle.look)
        position_m = np.asarray(vehicle.position, np.float64)
        self._yaw_rad += self._gain * math.remainder(heading_rad(vehicle) - self._yaw_rad, 2 * math.pi)
        direction_rad = self._yaw_rad + self._aside_rad
        free_m = free_distance_m(self._trees, position_m, direction_rad, look.chase_distance_m, look.chase_nearest_m)
        # In front of a trunk at once, back slowly.
        self._distance_m = min(free_m, self._distance_m + self._gain * (free_m - self._distance_m))
        aside = np.array([math.cos(direction_rad), math.sin(direction_rad), 0.0])
        up = np.array([0.0, 0.0, 0.5 * look.chase_height_m])
        return look_at(position_m + self._distance_m * aside + up, position_m)
