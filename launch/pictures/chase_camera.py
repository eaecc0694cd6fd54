"""A calm camera behind a vehicle, for films and for whoever steers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.replay import heading_rad
from forestpilot.launch.pictures.colors import Image
from forestpilot.sim.cameras import MAX_SIZE_PX, MIN_SIZE_PX, Camera, chase_pose
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.rendering.protocol import VehiclePose
from forestpilot.sim.worlds.world import World

CHASE_FOV_DEG = 75.0
"""Horizontal field of view in degrees."""
MARGIN_M = 0.25
"""How far the camera keeps from trunks, in metres."""


class ChaseCamera:
    """A camera behind the vehicle that turns slowly and keeps clear of trunks."""

    def __init__(
        self,
        world: World,
        size: tuple[int, int],
        fps: float,
        look: VehicleLook,
        settle_s: float = 0.35,
        fov_deg: float = CHASE_FOV_DEG,
    ) -> None:
        """Stand behind a vehicle.

        Args:
            world: what to draw.
            size: width and height in pixels.
            fps: pictures per second.
            look: the vehicle's; it says where to stand.
            settle_s: time constant of the camera's turns in seconds.
            fov_deg: horizontal field of view in degrees.
        """
        width, height = np.clip(size, MIN_SIZE_PX, MAX_SIZE_PX).tolist()
        # The ray-caster draws any size fast; which renderer the policy acted on shows in its three views.
        self._renderer = make_renderer("raycast", Camera(width, height, fov_deg), 1)
        self._renderer.set_world(world)
        self._trees = world.trees
        self._period_s = 1 / fps
        self._settle_s = settle_s
        self._yaw: float | None = None
        self._full_m = look.chase_distance_m
        self._height_m = look.chase_height_m
        self._nearest_m = look.chase_nearest_m
        self._distance_m = self._full_m

    def draw(
        self, vehicle: VehiclePose, elapsed_s: float | None = None, moving: NDArray[np.float32] | None = None
    ) -> Image:
        """The next frame, (height, width, 3) uint8.

        Args:
            vehicle: where it is.
            elapsed_s: time since the last frame where it varies.
            moving: (m, 8) where what moves by itself is, the columns of `Boxes`; None where nothing does.
        """
        eye, axes = self.follow(vehicle, elapsed_s)
        if moving is not None:
            self._renderer.move(moving)
        image: Image = self._renderer.render(eye[None], axes[None], vehicle).rgb[0]
        return image

    def follow(
        self, vehicle: VehiclePose, elapsed_s: float | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Move on as for the next frame, and draw nothing; returns eye (3,) and axes (3, 3)."""
        if elapsed_s is None:
            elapsed_s = self._period_s
        gain = 1 - math.exp(-elapsed_s / self._settle_s)
        position_m = np.asarray(vehicle.position, np.float64)
        heading = heading_rad(np.asarray(vehicle.rotation, np.float64))
        if self._yaw is None:
            self._yaw = heading
        self._yaw += gain * math.remainder(heading - self._yaw, 2 * math.pi)
        free = free_distance_m(self._trees, position_m, self._yaw + math.pi, self._full_m, self._nearest_m)
        # Duck in front of a trunk at once, drift back slowly.
        self._distance_m = min(free, self._distance_m + gain * (free - self._distance_m))
        height = self._height_m * (0.5 + 0.5 * self._distance_m / self._full_m)
        return chase_pose(position_m, self._yaw, self._distance_m, height)


def free_distance_m(
    trees: NDArray[np.float32],
    position_m: NDArray[np.float64],
    direction_rad: float,
    limit_m: float,
    nearest_m: float = 0.8,
) -> float:
    """Free distance from a position until one comes within `MARGIN_M` of a trunk: `nearest_m` to `limit_m`."""
    dx = math.cos(direction_rad)
    dy = math.sin(direction_rad)
    _, _, radius, *_ = trees.T
    relative = trees[:, :2] - np.asarray(position_m)[:2]
    along = relative @ (dx, dy)
    across = np.abs(relative @ (-dy, dx))
    reach = radius + MARGIN_M
    ahead = (along > 0) & (across < reach)
    if not ahead.any():
        return limit_m
    entry = along[ahead] - np.sqrt(reach[ahead] ** 2 - across[ahead] ** 2)
    return float(np.clip(entry.min(), nearest_m, limit_m))
