"""Strips of depths: how far it is to the nearest thing in each direction around the horizon.

The three cameras together see wider than one. A strip has a column for each of some directions from the heading; rays
a little beside, above and below the horizon are pooled to the nearest, so that no thin trunk falls between two columns.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.rendering.protocol import NEAR_M

COLUMNS = 48
"""Directions of a strip, from the left to the right."""
FAR_M = 15.0
"""Nothing farther away than this is told apart."""
SIDE_RAYS = (-0.35, 0.0, 0.35)
"""Rays of a column beside its middle, in columns."""
ELEVATIONS_RAD = (-0.05, 0.0, 0.08)
"""Rays of a column above the horizon."""


class StripReader:
    """Reads strips from the depths that the cameras see.

    Args:
        spec: cameras, and where roll and pitch stand in the state.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self._height = spec.image_height
        self._width = spec.image_width
        self._focal_px = 0.5 * spec.image_width / math.tan(math.radians(spec.horizontal_fov_deg) / 2)
        self._yaws = np.array([spec.side_yaw_rad, 0.0, -spec.side_yaw_rad])
        named = ("roll_rad", "pitch_rad")
        self._tilt = [spec.index(name) for name in named] if set(named) <= set(spec.state_names) else []
        self.bearings_rad = bearings_of(spec)
        """(COLUMNS,) direction of each column from the heading, left positive and first."""
        apart = float(self.bearings_rad[0] - self.bearings_rad[1])
        bearing, aside, elevation = np.meshgrid(self.bearings_rad, SIDE_RAYS, ELEVATIONS_RAD, indexing="ij")
        bearing = bearing + apart * aside
        level = np.stack(
            [np.cos(bearing) * np.cos(elevation), np.sin(bearing) * np.cos(elevation), np.sin(elevation)], axis=-1
        )
        self._rays = level.reshape(-1, 3)

    def __call__(self, depth: NDArray[np.float32], state: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read strips.

        Args:
            depth: (T, 3, H, W) metres along the forward axis of the left, center and right camera.
            state: (T, S).

        Returns:
            (T, COLUMNS) float32, metres along each direction, at most `FAR_M`.
        """
        rays = self._rays_of_body(state)
        cosines = np.cos(self._yaws)
        sines = np.sin(self._yaws)
        forward = rays[:, :, None, 0] * cosines + rays[:, :, None, 1] * sines
        right = rays[:, :, None, 0] * sines - rays[:, :, None, 1] * cosines
        camera = forward.argmax(-1)  # the one in whose middle a ray is
        along = np.maximum(np.take_along_axis(forward, camera[..., None], -1)[..., 0], 1e-3)
        beside = np.take_along_axis(right, camera[..., None], -1)[..., 0]
        column = np.floor(self._width / 2 + self._focal_px * beside / along).astype(int).clip(0, self._width - 1)
        row = np.floor(self._height / 2 - self._focal_px * rays[..., 2] / along).astype(int).clip(0, self._height - 1)
        seen_m = depth[np.arange(len(depth))[:, None], camera, row, column] / along
        nearest_m = seen_m.reshape(len(depth), COLUMNS, -1).min(-1)
        return nearest_m.clip(NEAR_M, FAR_M).astype(np.float32)

    def _rays_of_body(self, state: NDArray[np.float32]) -> NDArray[np.float64]:
        """(T, R, 3) the level rays as the tilted body has them."""
        rotation = np.broadcast_to(np.eye(3), (len(state), 3, 3)).copy()
        if self._tilt:
            roll, pitch = state[:, self._tilt].astype(np.float64).T
            rotation[:, 0] = np.stack([np.cos(pitch), np.sin(pitch) * np.sin(roll), np.sin(pitch) * np.cos(roll)], -1)
            rotation[:, 1] = np.stack([np.zeros_like(roll), np.cos(roll), -np.sin(roll)], -1)
            rotation[:, 2] = np.stack([-np.sin(pitch), np.cos(pitch) * np.sin(roll), np.cos(pitch) * np.cos(roll)], -1)
        rays: NDArray[np.float64] = self._rays @ rotation
        return rays


def bearings_of(spec: TaskSpec) -> NDArray[np.float64]:
    """(COLUMNS,) direction of each column of a strip from the heading in radians, left positive and first."""
    widest = math.radians(spec.horizontal_fov_deg) / 2 + abs(spec.side_yaw_rad)
    return widest * (1 - 2 * (np.arange(COLUMNS) + 0.5) / COLUMNS)
