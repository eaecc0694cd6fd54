"""A calm camera behind the vehicle, which turns slowly and keeps clear of trunks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from forestpilot.sim.cameras import FloatArray, chase_pose
from forestpilot.sim.looks import VehicleLook
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
class ChaseConfig(ThirdPersonConfig):
    """From behind and above the vehicle, going along."""

    part: ClassVar[str] = "chase"
    settle_s: Annotated[float, Range(0, 60, above=True)] = 0.35
    """Time constant of its turns in seconds."""


class Follower:
    """Where a camera behind a vehicle stands, from picture to picture.

    Args:
        world: what it keeps clear of.
        look: the vehicle's; it says where to stand.
        settle_s: time constant of the camera's turns in seconds.
    """

    def __init__(self, world: World, look: VehicleLook, settle_s: float) -> None:
        self._trees = world.trees
        self._settle_s = settle_s
        self._yaw: float | None = None
        self._full_m = look.chase_distance_m
        self._height_m = look.chase_height_m
        self._nearest_m = look.chase_nearest_m
        self._distance_m = self._full_m

    def follow(self, vehicle: VehiclePose, elapsed_s: float) -> tuple[FloatArray, FloatArray]:
        """Move on to where the vehicle is now; returns eye (3,) and axes (3, 3)."""
        gain = 1 - math.exp(-elapsed_s / self._settle_s)
        position_m = np.asarray(vehicle.position, np.float64)
        heading = heading_rad(vehicle)
        if self._yaw is None:
            self._yaw = heading
        self._yaw += gain * math.remainder(heading - self._yaw, 2 * math.pi)
        free = free_distance_m(self._trees, position_m, self._yaw + math.pi, self._full_m, self._nearest_m)
        # Duck in front of a trunk at once, drift back slowly.
        self._distance_m = min(free, self._distance_m + gain * (free - self._distance_m))
        height = self._height_m * (0.5 + 0.5 * self._distance_m / self._full_m)
        return chase_pose(position_m, self._yaw, self._distance_m, height)


class ChaseView(Viewpoint):
    """See `ChaseConfig`."""

    Config = ChaseConfig

    def __init__(self, config: ChaseConfig) -> None:
        super().__init__(config)
        self._settle_s = config.settle_s

    def begin(self, world: World, vehicle: VehiclePose, period_s: float) -> None:
        """Stand behind the vehicle."""
        self._follower = Follower(world, near_look(vehicle.look), self._settle_s)
        self._period_s = period_s

    def pose(self, vehicle: VehiclePose) -> tuple[FloatArray, FloatArray]:
        """See `Viewpoint.pose`."""
        return self._follower.follow(vehicle, self._period_s)
