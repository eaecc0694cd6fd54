"""The vehicle in the picture: its parts drawn over a finished image, and its shadow on the ground."""

import math

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.looks import BALL, BLOCK
from forestpilot.sim.rendering.protocol import GROUND_ID, VEHICLE_ID
from forestpilot.sim.rendering.raycast.columns import RIGHT, UP, X, Y, Z
from forestpilot.sim.rendering.raycast.intersect import (
    HALF,
    KERNEL,
    NEAR,
    NOWHERE,
    ONE,
    ZERO,
    Box,
    Bytes,
    Floats,
    Scalar,
    Triple,
    Upright,
    View,
    row_direction,
    screen_box,
)
from forestpilot.sim.rendering.raycast.scene import Scene
from forestpilot.sim.rendering.raycast.vehicle_parts import Parts

F = np.float32


@helper(**KERNEL)
def _apply(matrix: Floats, x: Scalar, y: Scalar, z: Scalar) -> Triple:
    """A matrix (3, 3) times a vector."""
    return (
        matrix[X, X] * x + matrix[X, Y] * y + matrix[X, Z] * z,
        matrix[Y, X] * x + matrix[Y, Y] * y + matrix[Y, Z] * z,
        matrix[Z, X] * x + matrix[Z, Y] * y + matrix[Z, Z] * z,
    )


@helper(**KERNEL)
def _ball_hit(ray: Triple, middle: Triple) -> tuple[Scalar, Triple]:
    """Depth at which a ray meets the unit ball from outside, or -1, and the normal there."""
    a = ray[X] * ray[X] + ray[Y] * ray[Y] + ray[Z] * ray[Z]
    closest = (ray[X] * middle[X] + ray[Y] * middle[Y] + ray[Z] * middle[Z]) / a
    # Distance from the ball's middle at the closest point: thin discs seen from afar need it without cancellation.
    miss_x = closest * ray[X] - middle[X]
    miss_y = closest * ray[Y] - middle[Y]
    miss_z = closest * ray[Z] - middle[Z]
    root = ONE - (miss_x * miss_x + miss_y * miss_y + miss_z * miss_z)
    if root <= ZERO:
        return -ONE, (ZERO, ZERO, ZERO)
    back = math.sqrt(root / a)
    return closest - back, (miss_x - back * ray[X], miss_y - back * ray[Y], miss_z - back * ray[Z])


@helper(**KERNEL)
def _slab(ray: Scalar, middle: Scalar) -> tuple[Scalar, Scalar]:
    """Depths at which a ray enters and leaves the slab of half thickness 1."""
    inverse = ONE / (ray if abs(ray) > F(1e-7) else F(1e-7))
    one = (middle - ONE) * inverse
    two = (middle + ONE) * inverse
    return min(one, two), max(one, two)


@helper(**KERNEL)
def _block_hit(ray: Triple, middle: Triple) -> tuple[Scalar, Triple]:
    """Depth at which a ray meets the cube from -1 to 1 from outside, or -1, and the normal there."""
    enter_x, leave_x = _slab(ray[X], middle[X])
    enter_y, leave_y = _slab(ray[Y], middle[Y])
    enter_z, leave_z = _slab(ray[Z], middle[Z])
    t = max(max(enter_x, enter_y), enter_z)
    if t >= min(min(leave_x, leave_y), leave_z):
        return -ONE, (ZERO, ZERO, ZERO)
    if t == enter_x:
        return t, ((-ONE if ray[X] > ZERO else ONE), ZERO, ZERO)
    if t == enter_y:
        return t, (ZERO, (-ONE if ray[Y] > ZERO else ONE), ZERO)
    return t, (ZERO, ZERO, (-ONE if ray[Z] > ZERO else ONE))


@helper(**KERNEL)
def _drum_hit(ray: Triple, middle: Triple) -> tuple[Scalar, Triple]:
    """Depth at which a ray meets the unit drum around the y axis from outside, or -1, and the normal there."""
    enter, leave = _slab(ray[Y], middle[Y])
    a = ray[X] * ray[X] + ray[Z] * ray[Z] + F(1e-12)
    closest = (ray[X] * middle[X] + ray[Z] * middle[Z]) / a
    miss_x = closest * ray[X] - middle[X]
    miss_z = closest * ray[Z] - middle[Z]
    root = ONE - (miss_x * miss_x + miss_z * miss_z)
    back = math.sqrt(max(root, ZERO) / a)
    t = max(enter, closest - back)
    if (root <= ZERO) | (t >= min(leave, closest + back)):
        return -ONE, (ZERO, ZERO, ZERO)
    if t == enter:
        return t, (ZERO, (-ONE if ray[Y] > ZERO else ONE), ZERO)
    return t, (miss_x - back * ray[X], ZERO, miss_z - back * ray[Z])


@helper(**KERNEL)
def part_hit(shape: int, ray: Triple, middle: Triple) -> tuple[Scalar, Triple]:
    """Depth at which a ray from 0 meets a unit shape around `middle` from outside, or -1, and the normal there."""
    if shape == BALL:
        return _ball_hit(ray, middle)
    if shape == BLOCK:
        return _block_hit(ray, middle)
    return _drum_hit(ray, middle)


@helper(**KERNEL)
def _part_light(scene: Scene, matrix: Floats, normal: Triple) -> Scalar:
    """Brightness where a part was hit, given the normal on its unit shape."""
    x = matrix[X, X] * normal[X] + matrix[Y, X] * normal[Y] + matrix[Z, X] * normal[Z]
    y = matrix[X, Y] * normal[X] + matrix[Y, Y] * normal[Y] + matrix[Z, Y] * normal[Z]
    z = matrix[X, Z] * normal[X] + matrix[Y, Z] * normal[Y] + matrix[Z, Z] * normal[Z]
    length = math.sqrt(x * x + y * y + z * z)
    facing = x * scene.sun[X] + y * scene.sun[Y] + z * scene.sun[Z]
    return F(0.62) + F(0.13) * z / length + F(0.4) * max(facing / length, ZERO)


@helper(**KERNEL)
def _corner_box(view: View, center: Triple, matrix: Floats) -> Box:
    """Rectangle that holds a part: that of the corners of the box around it, or the whole image when near the eye."""
    height, width = view.depth.shape
    left = NOWHERE
    right = -NOWHERE
    top = NOWHERE
    bottom = -NOWHERE
    for corner in range(8):
        a = ONE if corner & 1 else -ONE
        b = ONE if corner & 2 else -ONE
        c = ONE if corner & 4 else -ONE
        reach = _apply(matrix, a, b, c)
        x, y, z = _apply(view.axes, center[X] + reach[X], center[Y] + reach[Y], center[Z] + reach[Z])
        if z < F(0.1):
            return Box(0, height - 1, 0, width - 1)
        left = min(left, x / z)
        right = max(right, x / z)
        top = min(top, -y / z)
        bottom = max(bottom, -y / z)
    middle_u = HALF * np.float32(width)
    middle_v = HALF * np.float32(height)
    return Box(
        int(max(ZERO, middle_v + view.focal_px * top)),
        int(min(np.float32(height - 1), middle_v + view.focal_px * bottom)),
        int(max(ZERO, middle_u + view.focal_px * left)),
        int(min(np.float32(width - 1), middle_u + view.focal_px * right)),
    )


@helper(**KERNEL)
def _draw_part(scene: Scene, view: View, center: Triple, parts: Parts, index: int, rgb: Bytes) -> None:
    """Blend one part, its centre relative to the eye, over the image where it is nearer than what was there; four rays
    per pixel."""
    matrix = parts.to_unit[index]
    shape = parts.shapes[index]
    color = parts.colors[index]
    opacity = parts.opacities[index]
    box = _corner_box(view, center, parts.from_unit[index])
    middle = _apply(matrix, center[X], center[Y], center[Z])
    quarter = F(0.25) / view.focal_px
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        for u in range(box.first_column, box.last_column + 1):
            cover = ZERO
            light = ZERO
            nearest = view.depth[row, u]
            for sub in range(4):
                upward = quarter if sub < 2 else -quarter
                across = view.slopes[u] + (quarter if sub & 1 else -quarter)
                x = middle_x + across * view.axes[RIGHT, X] + upward * view.axes[UP, X]
                y = middle_y + across * view.axes[RIGHT, Y] + upward * view.axes[UP, Y]
                z = middle_z + across * view.axes[RIGHT, Z] + upward * view.axes[UP, Z]
                t, normal = part_hit(shape, _apply(matrix, x, y, z), middle)
                if (t > NEAR) & (t < view.depth[row, u]):
                    cover += F(0.25)
                    light += F(0.25) * _part_light(scene, matrix, normal)
                    nearest = min(nearest, t)
            if cover == ZERO:
                continue
            for channel in range(3):
                under = F(rgb[row, u, channel])
                over = min(color[channel] * light / cover, F(255))
                rgb[row, u, channel] = np.uint8(under + opacity * cover * (over - under))
            if cover >= HALF:
                view.depth[row, u] = nearest
                view.ids[row, u] = VEHICLE_ID


@helper(**KERNEL)
def _darken_ground(view: View, eye: Floats, x: Scalar, y: Scalar, parts: Parts, strength: Scalar, rgb: Bytes) -> None:
    """Darken the ground under a rectangle with a fading rim around (x, y) metres; see `sim.looks.Shadow`."""
    x -= eye[X]
    y -= eye[Y]
    ahead = parts.ahead
    shadow = parts.shadow
    half_length = shadow.half_length_m
    half_width = shadow.half_width_m
    rim = shadow.rim_m
    reach = math.sqrt(half_length * half_length + half_width * half_width) + rim
    box = screen_box(view, Upright(x, y, -eye[Z], -eye[Z]), reach, reach)
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, _ = row_direction(view, row)
        for u in range(box.first_column, box.last_column + 1):
            if view.ids[row, u] != GROUND_ID:
                continue
            t = view.depth[row, u]
            slope = view.slopes[u]
            east = t * (middle_x + slope * view.axes[RIGHT, X]) - x
            north = t * (middle_y + slope * view.axes[RIGHT, Y]) - y
            along = max(abs(east * ahead[0] + north * ahead[1]) - half_length, ZERO)
            aside = max(abs(north * ahead[0] - east * ahead[1]) - half_width, ZERO)
            fade = min(max(F(1.4) - F(1.4) * math.sqrt(along * along + aside * aside) / rim, ZERO), ONE)
            for channel in range(3):
                rgb[row, u, channel] = np.uint8(F(rgb[row, u, channel]) * (ONE - strength * fade))


@helper(**KERNEL)
def draw_vehicle(scene: Scene, view: View, eye: Floats, parts: Parts, rgb: Bytes) -> None:
    """Draw the vehicle and its shadow over one finished image; parts as from `vehicle_parts.place_parts`."""
    shadow = parts.shadow
    origin = parts.origin
    centers = parts.centers
    away = (origin[Z] + shadow.height_m) / scene.sun[Z]
    x = origin[X] - away * scene.sun[X]
    y = origin[Y] - away * scene.sun[Y]
    _darken_ground(view, eye, x, y, parts, shadow.sun_share * scene.sun_strength, rgb)
    if shadow.sky_share > ZERO:
        _darken_ground(view, eye, origin[X], origin[Y], parts, shadow.sky_share, rgb)
    for index in range(centers.shape[0]):
        x = centers[index, X] - eye[X]
        y = centers[index, Y] - eye[Y]
        z = centers[index, Z] - eye[Z]
        _draw_part(scene, view, (x, y, z), parts, index, rgb)
