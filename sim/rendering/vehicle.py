"""The quadrotor in the picture: ellipsoids drawn over a finished image, and its shadow on the ground."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from sim.rendering.intersect import (
    KERNEL,
    NEAR,
    ONE,
    ZERO,
    Box,
    Bytes,
    Floats,
    Scalar,
    Triple,
    View,
    row_direction,
    screen_box,
)
from sim.rendering.protocol import GROUND_ID, VEHICLE_ID
from sim.rendering.scene import Scene

F = np.float32

ARM_M = 0.17
"""Distance of a rotor's axis from the middle of the body; with its rotors the vehicle is about half a metre across."""
ROTOR_RADIUS_M = 0.11
SHADOW_RADIUS_M = F(0.3)
FRONT, BACK = (235, 120, 40), (70, 74, 82)
"""Colours of the front and the rear rotors, so that a viewer sees where it is going."""


def _parts() -> Floats:
    """The quadrotor's ellipsoids, (n, 11) float32: centre x, y, z and half-axes along the part's own x, y, z in metres,
    yaw of the part in radians, red, green, blue, opacity; body frame, opaque parts first."""
    hub = [
        (0.00, 0, 0.000, 0.105, 0.055, 0.030, 0, 44, 48, 56, 1),
        (0.01, 0, 0.026, 0.070, 0.038, 0.020, 0, 226, 228, 230, 1),
        (0.10, 0, 0.004, 0.020, 0.020, 0.018, 0, 24, 26, 30, 1),
    ]
    arms, motors, rotors = [], [], []
    for corner, color in zip((0.25, -0.25, 0.75, -0.75), (FRONT, FRONT, BACK, BACK), strict=True):
        yaw = corner * math.pi
        x, y = ARM_M * math.cos(yaw), ARM_M * math.sin(yaw)
        arms.append((x * 0.55, y * 0.55, 0.0, ARM_M * 0.55, 0.013, 0.011, yaw, 60, 64, 72, 1))
        motors.append((x, y, 0.012, 0.022, 0.022, 0.024, 0, *color, 1))
        rotors.append((x, y, 0.038, ROTOR_RADIUS_M, ROTOR_RADIUS_M, 0.004, 0, *(F(0.5) * np.array(color) + 110), 0.55))
    return np.array(hub + arms + motors + rotors, F)


PARTS = _parts()


class Parts(NamedTuple):
    """The vehicle's ellipsoids in the world."""

    centers: Floats
    """(n, 3) in metres."""
    to_ball: Floats
    """(n, 3, 3) matrices that take a world vector to one in which the part is the unit ball."""
    table: Floats
    """(n, 11), see PARTS."""


def place_parts(position: ArrayLike, rotation: ArrayLike) -> Parts:
    """The parts in the world.

    Args:
        position: (3,) of the vehicle in metres.
        rotation: (3, 3) body to world.
    """
    to_world = np.asarray(rotation, np.float64)
    centers = np.asarray(position, np.float64) + PARTS[:, :3] @ to_world.T
    cosines, sines = np.cos(PARTS[:, 6]), np.sin(PARTS[:, 6])
    turns = np.zeros((len(PARTS), 3, 3))
    turns[:, 0, 0], turns[:, 0, 1], turns[:, 1, 0], turns[:, 1, 1], turns[:, 2, 2] = cosines, sines, -sines, cosines, 1
    to_ball = (turns / PARTS[:, 3:6, None]) @ to_world.T
    return Parts(centers.astype(F), to_ball.astype(F), PARTS)


@njit(**KERNEL)
def _ball_hit(matrix: Floats, center: Triple, x: Scalar, y: Scalar, z: Scalar) -> tuple[Scalar, Triple]:
    """Depth at which the ray (x, y, z) meets an ellipsoid from outside, or -1, and the hit as a unit ball's normal."""
    ray_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z
    ray_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z
    ray_z = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z
    mid_x = matrix[0, 0] * center[0] + matrix[0, 1] * center[1] + matrix[0, 2] * center[2]
    mid_y = matrix[1, 0] * center[0] + matrix[1, 1] * center[1] + matrix[1, 2] * center[2]
    mid_z = matrix[2, 0] * center[0] + matrix[2, 1] * center[1] + matrix[2, 2] * center[2]
    a = ray_x * ray_x + ray_y * ray_y + ray_z * ray_z
    closest = (ray_x * mid_x + ray_y * mid_y + ray_z * mid_z) / a
    # Distance from the ball's middle at the closest point: thin discs seen from afar need it without cancellation.
    miss_x, miss_y, miss_z = closest * ray_x - mid_x, closest * ray_y - mid_y, closest * ray_z - mid_z
    root = ONE - (miss_x * miss_x + miss_y * miss_y + miss_z * miss_z)
    if root <= ZERO:
        return -ONE, (ZERO, ZERO, ZERO)
    back = math.sqrt(root / a)
    t = closest - back
    return t, (miss_x - back * ray_x, miss_y - back * ray_y, miss_z - back * ray_z)


@njit(**KERNEL)
def _part_light(scene: Scene, matrix: Floats, ball: Triple) -> Scalar:
    """Brightness where an ellipsoid was hit, given the hit on its unit ball."""
    x = matrix[0, 0] * ball[0] + matrix[1, 0] * ball[1] + matrix[2, 0] * ball[2]
    y = matrix[0, 1] * ball[0] + matrix[1, 1] * ball[1] + matrix[2, 1] * ball[2]
    z = matrix[0, 2] * ball[0] + matrix[1, 2] * ball[1] + matrix[2, 2] * ball[2]
    length = math.sqrt(x * x + y * y + z * z)
    facing = x * scene.sun[0] + y * scene.sun[1] + z * scene.sun[2]
    return F(0.62) + F(0.13) * z / length + F(0.4) * max(facing / length, ZERO)


@njit(**KERNEL)
def _draw_part(scene: Scene, view: View, box: Box, center: Triple, matrix: Floats, part: Floats, rgb: Bytes) -> None:
    """Blend one ellipsoid over the image where it is nearer than what was there; four rays per pixel."""
    quarter = F(0.25) / view.focal_px
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        for u in range(box.first_column, box.last_column + 1):
            cover, light, nearest = ZERO, ZERO, view.depth[row, u]
            for sub in range(4):
                upward = quarter if sub < 2 else -quarter
                across = view.slopes[u] + (quarter if sub & 1 else -quarter)
                x = middle_x + across * view.axes[0, 0] + upward * view.axes[1, 0]
                y = middle_y + across * view.axes[0, 1] + upward * view.axes[1, 1]
                z = middle_z + across * view.axes[0, 2] + upward * view.axes[1, 2]
                t, ball = _ball_hit(matrix, center, x, y, z)
                if (t > NEAR) & (t < view.depth[row, u]):
                    cover += F(0.25)
                    light += F(0.25) * _part_light(scene, matrix, ball)
                    nearest = min(nearest, t)
            if cover == ZERO:
                continue
            for channel in range(3):
                under = F(rgb[row, u, channel])
                over = min(part[7 + channel] * light / cover, F(255))
                rgb[row, u, channel] = np.uint8(under + part[10] * cover * (over - under))
            if cover >= F(0.5):
                view.depth[row, u] = nearest
                view.ids[row, u] = VEHICLE_ID


@njit(**KERNEL)
def _draw_shadow(scene: Scene, view: View, eye: Floats, center: Floats, rgb: Bytes) -> None:
    """Darken the ground where the vehicle takes the sun."""
    away = center[2] / scene.sun[2]
    shadow_x, shadow_y = center[0] - away * scene.sun[0] - eye[0], center[1] - away * scene.sun[1] - eye[1]
    box = screen_box(view, shadow_x, shadow_y, -eye[2], -eye[2], SHADOW_RADIUS_M, SHADOW_RADIUS_M)
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, _ = row_direction(view, row)
        for u in range(box.first_column, box.last_column + 1):
            if view.ids[row, u] != GROUND_ID:
                continue
            t, slope = view.depth[row, u], view.slopes[u]
            x = t * (middle_x + slope * view.axes[0, 0]) - shadow_x
            y = t * (middle_y + slope * view.axes[0, 1]) - shadow_y
            fade = min(max(F(1.4) - F(1.4) * math.sqrt(x * x + y * y) / SHADOW_RADIUS_M, ZERO), ONE)
            light = ONE - F(0.75) * scene.sun_strength * fade
            for channel in range(3):
                rgb[row, u, channel] = np.uint8(F(rgb[row, u, channel]) * light)


@njit(**KERNEL)
def draw_vehicle(scene: Scene, view: View, eye: Floats, parts: Parts, rgb: Bytes) -> None:
    """Draw the vehicle and its shadow over one finished image; parts as from `place_parts`."""
    centers = parts.centers
    _draw_shadow(scene, view, eye, centers[0], rgb)
    for index in range(centers.shape[0]):
        x, y, z = centers[index, 0] - eye[0], centers[index, 1] - eye[1], centers[index, 2] - eye[2]
        part = parts.table[index]
        radius = max(part[3], max(part[4], part[5]))
        box = screen_box(view, x, y, z, z, radius, radius)
        _draw_part(scene, view, box, (x, y, z), parts.to_ball[index], part, rgb)
