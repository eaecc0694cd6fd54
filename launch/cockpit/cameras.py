"""The cameras of a cockpit: the rig's three, larger and sharper than a policy's, and one from behind."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forestpilot.launch.cockpit.gauges import CockpitLayout, Rect
from forestpilot.launch.pictures.chase_camera import ChaseCamera
from forestpilot.launch.pictures.colors import Image
from forestpilot.sim.cameras import CENTER, MAX_SIZE_PX, MIN_SIZE_PX, Camera
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.rendering import make_renderer

SHARPNESS = (1.0, 0.75, 0.5, 0.35)
"""Shares of full size that the views are drawn at and stretched from, for machines that would not keep up."""
BUSY_SHARE = 0.65
"""Share of the control period beyond which drawing a picture takes too long."""
PATIENCE = 5
"""Pictures in a row that must take too long before the views get coarser: a single one may have been disturbed."""
CONFIDENCE = 40
"""Pictures in a row that must leave time for sharper views before they are tried again."""


class Views(NamedTuple):
    """Pictures of the cameras, each (h, w, 3) uint8."""

    left: Image
    center: Image
    right: Image
    chase: Image


class Sharpness:
    """Size that the views are drawn at: as large as shown, or less while that takes too long."""

    def __init__(self) -> None:
        self._level = 0
        self._too_slow = 0
        self._fast_enough = 0

    @property
    def share(self) -> float:
        """Share of full size."""
        return SHARPNESS[self._level]

    def note(self, seconds: float, control_hz: int) -> bool:
        """A picture took so long; returns whether views have another size from now on."""
        busy = seconds * control_hz / BUSY_SHARE
        finer = SHARPNESS[max(0, self._level - 1)] / self.share
        self._too_slow += 1
        if busy <= 1.0:
            self._too_slow = 0
        self._fast_enough += 1
        if busy * finer**2 >= 1.0:
            self._fast_enough = 0
        if self._too_slow >= PATIENCE and self._level < len(SHARPNESS) - 1:
            self._level += 1
        elif self._fast_enough >= CONFIDENCE and self._level > 0:
            self._level -= 1
        else:
            return False
        self._too_slow = 0
        self._fast_enough = 0
        return True


class CockpitCameras:
    """Draws the four views of one episode.

    Args:
        env: the environment, reset; whatever draws its own pictures, these are drawn by the ray-caster, which is fast.
        layout: how large the views are shown.
        share: share of that size to draw them at.
    """

    def __init__(self, env: VehicleEnv, layout: CockpitLayout, share: float) -> None:
        spec = env.task_spec
        self._env = env
        side, center, _ = (Camera(*_size(area, share), spec.horizontal_fov_deg) for area in layout.views)
        self._center = make_renderer("raycast", center, 1)
        self._sides = make_renderer("raycast", side, 2)
        self._center.set_world(env.world)
        self._sides.set_world(env.world)
        self._chase = ChaseCamera(env.world, _size(layout.chase, share), spec.control_hz, env.drawn_vehicle().look)

    def draw(self) -> Views:
        """The views now; cameras that jump about for the sake of training stand in their usual places here."""
        eyes, axes = self._env.rig.poses(*self._env.pose())
        moving = None
        if traffic := self._env.course.traffic:
            moving = traffic.boxes()
            self._sides.move(moving)
            self._center.move(moving)
        left, right = self._sides.render(eyes[::2], axes[::2]).rgb
        center = self._center.render(eyes[CENTER : CENTER + 1], axes[CENTER : CENTER + 1]).rgb[0]
        return Views(left, center, right, self._chase.draw(self._env.drawn_vehicle(), moving=moving))


def _size(area: Rect, share: float) -> tuple[int, int]:
    """Width and height of a view in pixels, as far as a camera allows."""
    width, height = np.clip((round(share * area.width), round(share * area.height)), MIN_SIZE_PX, MAX_SIZE_PX)
    return int(width), int(height)
