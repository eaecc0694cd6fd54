"""A camera that looks at the vehicle of an environment: pictures from a viewpoint, at the size of observations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.cameras import Camera
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.viewpoints import VIEWPOINTS
from forestpilot.sim.viewpoints.viewpoint import ThirdPersonConfig


class ThirdCamera:
    """Draws what a viewpoint sees of an episode that has just begun, the vehicle in it.

    Args:
        env: the environment, after `reset`.
        config: the viewpoint.
    """

    def __init__(self, env: VehicleEnv, config: ThirdPersonConfig) -> None:
        spec = env.task_spec
        self._env = env
        self._viewpoint = VIEWPOINTS.get(config.part)(config)
        camera = Camera(spec.image_width, spec.image_height, config.fov_deg)
        self._renderer = make_renderer(spec.renderer, camera, 1)
        self._renderer.set_world(env.world)
        self._viewpoint.begin(env.world, env.drawn_vehicle(), 1 / spec.control_hz)

    def draw(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 what it sees now; call it once at every step, for it moves on with the vehicle."""
        vehicle = self._env.drawn_vehicle()
        eye, axes = self._viewpoint.pose(vehicle)
        if self._env.course.traffic:
            self._renderer.move(self._env.course.traffic.boxes())
        return self._renderer.render(eye[None], axes[None], vehicle).rgb[0]

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()
