"""A calm camera behind a vehicle, for films and for whoever steers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.colors import Image
from forestpilot.sim.cameras import MAX_SIZE_PX, MIN_SIZE_PX, Camera
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.rendering.protocol import VehiclePose
from forestpilot.sim.viewpoints.chase import Follower
from forestpilot.sim.worlds.world import World

CHASE_FOV_DEG = 75.0
"""Horizontal field of view in degrees."""


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
        self._follower = Follower(world, look, settle_s)
        self._period_s = 1 / fps

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
        return self._follower.follow(vehicle, elapsed_s)
