"""The quadrotor in the picture: ellipsoids drawn over a finished image, and its shadow on the ground."""

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from sim.rendering.intersect import KERNEL, NEAR, ONE, ZERO, row_direction, screen_box
from sim.rendering.protocol import GROUND_ID, VEHICLE_ID

F = np.float32

ARM_M = 0.17
"""Distance of a rotor's axis from the middle of the body; with its rotors the vehicle is about half a metre across."""
ROTOR_RADIUS_M = 0.11
SHADOW_RADIUS_M = F(0.3)
FRONT, BACK = (235, 120, 40), (70, 74, 82)
"""Colours of the front and the rear rotors, so that a viewer sees where it is going."""


def _parts() -> NDArray[np.float32]:
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
        rotors.append((x, y, 0.038, ROTOR_RADIUS_M, ROTOR_RADIUS_M, 0.004, 0, 214, 218, 224, 0.45))
    return np.array(hub + arms + motors + rotors, F)


PARTS = _parts()


def place_parts(position: ArrayLike, rotation: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The parts in the world.

    Args:
        position: (3,) of the vehicle in metres.
        rotation: (3, 3) body to world.

    Returns:
        Centres (n, 3) in metres, and matrices (n, 3, 3) that take a world vector to one in which the part is the unit
        ball; both float32.
    """
    to_world = np.asarray(rotation, np.float64)
    centers = np.asarray(position, np.float64) + PARTS[:, :3] @ to_world.T
    cosines, sines = np.cos(PARTS[:, 6]), np.sin(PARTS[:, 6])
    turns = np.zeros((len(PARTS), 3, 3))
    turns[:, 0, 0], turns[:, 0, 1], turns[:, 1, 0], turns[:, 1, 1], turns[:, 2, 2] = cosines, sines, -sines, cosines, 1
    to_ball = (turns / PARTS[:, 3:6, None]) @ to_world.T
    return centers.astype(F), to_ball.astype(F)


@njit(**KERNEL)
def _ball_hit(matrix, center, x, y, z):
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
        return -ONE, ZERO, ZERO, ZERO
    back = math.sqrt(root / a)
    t = closest - back
    return t, miss_x - back * ray_x, miss_y - back * ray_y, miss_z - back * ray_z


@njit(**KERNEL)
def _draw_part(scene, view, box, center, matrix, part, rgb):
    """Blend one ellipsoid over the image where it is nearer than what was there."""
    right_x, right_y, right_z = view.axes[0, 0], view.axes[0, 1], view.axes[0, 2]
    opacity = part[10]
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        for u in range(box.first_column, box.last_column + 1):
            slope = view.slopes[u]
            x, y, z = middle_x + slope * right_x, middle_y + slope * right_y, middle_z + slope * right_z
            t, ball_x, ball_y, ball_z = _ball_hit(matrix, center, x, y, z)
            if t <= NEAR or t >= view.depth[row, u]:
                continue
            normal_x = matrix[0, 0] * ball_x + matrix[1, 0] * ball_y + matrix[2, 0] * ball_z
            normal_y = matrix[0, 1] * ball_x + matrix[1, 1] * ball_y + matrix[2, 1] * ball_z
            normal_z = matrix[0, 2] * ball_x + matrix[1, 2] * ball_y + matrix[2, 2] * ball_z
            length = math.sqrt(normal_x * normal_x + normal_y * normal_y + normal_z * normal_z)
            facing = normal_x * scene.sun[0] + normal_y * scene.sun[1] + normal_z * scene.sun[2]
            light = F(0.62) + F(0.13) * normal_z / length + F(0.4) * max(facing / length, ZERO)
            for channel in range(3):
                under = F(rgb[row, u, channel])
                rgb[row, u, channel] = np.uint8(under + opacity * (min(part[7 + channel] * light, F(255)) - under))
            view.depth[row, u] = t
            view.ids[row, u] = VEHICLE_ID


@njit(**KERNEL)
def _draw_shadow(scene, view, eye, center, rgb):
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
def draw_vehicle(scene, view, eye, centers, matrices, parts, rgb):
    """Draw the vehicle and its shadow over one finished image; see `place_parts` for centres and matrices."""
    _draw_shadow(scene, view, eye, centers[0], rgb)
    for index in range(parts.shape[0]):
        x, y, z = centers[index, 0] - eye[0], centers[index, 1] - eye[1], centers[index, 2] - eye[2]
        part = parts[index]
        radius = max(part[3], max(part[4], part[5]))
        box = screen_box(view, x, y, z, z, radius, radius)
        _draw_part(scene, view, box, (x, y, z), matrices[index], part, rgb)
