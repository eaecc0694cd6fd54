"""Matrices that PyBullet asks for, made from ForestPilot's cameras and rotations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.cameras import Camera
from forestpilot.sim.rendering.protocol import FAR_M, NEAR_M


def projection_of(camera: Camera, corner: bool) -> list[float]:
    """OpenGL projection matrix of a camera, column after column.

    Args:
        camera: size and field of view.
        corner: shift the picture by half a pixel, because TinyRenderer asks at pixels' corners, not at their centres.
    """
    depth = NEAR_M - FAR_M
    shift_x = 1 / camera.width if corner else 0.0
    shift_y = 1 / camera.height if corner else 0.0
    matrix = np.array(
        [
            [2 * camera.focal_px / camera.width, 0.0, shift_x, 0.0],
            [0.0, 2 * camera.focal_px / camera.height, shift_y, 0.0],
            [0.0, 0.0, (FAR_M + NEAR_M) / depth, 2 * FAR_M * NEAR_M / depth],
            [0.0, 0.0, -1.0, 0.0],
        ]
    )
    return matrix.T.ravel().tolist()


def view_of(eye: NDArray[np.float32], axes: NDArray[np.float32]) -> list[float]:
    """OpenGL view matrix of a pose, column after column."""
    rotation = axes * np.array([[1.0], [1.0], [-1.0]])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, -1] = -rotation @ eye
    return matrix.T.ravel().tolist()


def quaternion_of(rotation: NDArray[np.float64]) -> list[float]:
    """Unit quaternion (x, y, z, w) of a rotation matrix (3, 3).

    Source: Bar-Itzhack 2000, "New method for extracting the quaternion from a rotation matrix": the eigenvector of the
    largest eigenvalue, which holds at every attitude.
    """
    r = np.asarray(rotation, np.float64)
    twice_skew = r - r.T
    (_, minus_z, y), (_, _, minus_x), _ = twice_skew
    k = np.zeros((4, 4))
    k[:3, :3] = r + r.T - np.eye(3) * np.trace(r)
    k[:3, -1] = k[-1, :3] = [-minus_x, y, -minus_z]
    k[-1, -1] = np.trace(r)
    return np.linalg.eigh(k)[1][:, -1].tolist()
