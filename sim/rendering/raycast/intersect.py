"""Where rays meet ground, cylinders, spheres, cones, boxes and logs: one kernel per shape.

Every kernel goes over the rows of one screen rectangle, without a branch inside the row so that LLVM vectorises it,
and keeps the nearest hit: depth along the camera's forward axis and the id of what was hit. Directions are scaled so
that their forward component is 1, hence the ray parameter is that depth. All coordinates are relative to the eye, in
metres; everything is float32. Slow NumPy twins stand in tests/sim/test_raycast.py.
"""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.protocol import FAR_M, GROUND_ID, NEAR_M, SKY_ID
from forestpilot.sim.rendering.raycast.columns import COSINE, FORWARD, HALF_LENGTH, HALF_WIDTH, RIGHT, SINE, UP, X, Y, Z

# No "nnan" and "ninf": rays parallel to a plane divide by zero, and the comparisons after that must hold.
# The kernels allocate nothing, so Numba's reference counting is off: counting each array that is passed on, pixel by
# pixel, and not inlining made them nine times slower (2.7 against 0.3 ms for three 64x48 images).
KERNEL: dict[str, Any] = {
    "fastmath": {"contract", "reassoc", "arcp", "nsz", "afn"},
    "forceinline": True,
    "_nrt": False,
    "nogil": True,
    "error_model": "numpy",
}

Scalar: TypeAlias = Any
"""A float32 inside a kernel; Numba checks it, the type checker cannot."""
Triple: TypeAlias = tuple[Scalar, Scalar, Scalar]
Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]
Ids: TypeAlias = NDArray[np.int32]

NEAR = np.float32(NEAR_M)
FAR = np.float32(FAR_M)
ZERO = np.float32(0)
HALF = np.float32(0.5)
ONE = np.float32(1)
NOWHERE = np.float32(1e9)
LANES = 8
"""Boxes are widened to whole vectors of so many columns: a vector costs less than the few odd pixels of a trunk."""
HORIZON = np.float32(-1e-4)
GROUND = np.int32(GROUND_ID)
SKY = np.int32(SKY_ID)


class View(NamedTuple):
    """One camera's image planes and rays."""

    depth: Floats
    """(H, W) metres along the forward axis, written."""
    ids: Ids
    """(H, W) segmentation ids, written."""
    slopes: Floats
    """(W,) rightward slope of each column's rays."""
    axes: Floats
    """(3, 3) rows right, up, forward."""
    focal_px: np.float32
    """Focal length in pixels."""


class Upright(NamedTuple):
    """Where something upright stands: its axis and the heights of its ends, relative to the eye, in metres."""

    x: Scalar
    y: Scalar
    low: Scalar
    high: Scalar


class Box(NamedTuple):
    """Inclusive screen rectangle in pixels; empty where a first exceeds a last."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


@helper(**KERNEL)
def row_direction(view: View, row: int) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """Upward slope of a row and the direction (x, y, z) of its ray in the middle column."""
    slope = (HALF * np.float32(view.depth.shape[0]) - np.float32(row) - HALF) / view.focal_px
    return (
        slope,
        view.axes[FORWARD, X] + slope * view.axes[UP, X],
        view.axes[FORWARD, Y] + slope * view.axes[UP, Y],
        view.axes[FORWARD, Z] + slope * view.axes[UP, Z],
    )


@helper(**KERNEL)
def ground_rows(view: View, eye_height: Scalar) -> None:
    """Fill the image with the ground plane, and with sky where no ground is within the far plane."""
    right_z = view.axes[RIGHT, Z]
    for row in range(view.depth.shape[0]):
        _, _, _, middle_z = row_direction(view, row)
        depth = view.depth[row]
        ids = view.ids[row]
        for u in range(depth.shape[0]):
            z = middle_z + view.slopes[u] * right_z
            t = -eye_height / z
            hit = (z < HORIZON) & (t < FAR)
            depth[u] = t if hit else FAR
            ids[u] = GROUND if hit else SKY


@helper(**KERNEL)
def cylinder_rows(view: View, box: Box, place: Upright, radius: Scalar, ident: int) -> None:
    """Side of a vertical cylinder."""
    x, y, low, high = place
    right_x = view.axes[RIGHT, X]
    right_y = view.axes[RIGHT, Y]
    right_z = view.axes[RIGHT, Z]
    outside = x * x + y * y - radius * radius
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        columns = slice(box.first_column, box.last_column + 1)
        depth = view.depth[row, columns]
        ids = view.ids[row, columns]
        slopes = view.slopes[columns]
        for u in range(depth.shape[0]):
            dx = middle_x + slopes[u] * right_x
            dy = middle_y + slopes[u] * right_y
            dz = middle_z + slopes[u] * right_z
            a = dx * dx + dy * dy
            b = dx * x + dy * y
            across = dx * y - dy * x  # b * b - a * outside, without its cancellation (Lagrange's identity)
            root = a * radius * radius - across * across
            t = outside / (b + math.sqrt(max(root, ZERO)))
            z = t * dz
            hit = (root > ZERO) & (t > NEAR) & (t < depth[u]) & (z >= low) & (z <= high)
            depth[u] = t if hit else depth[u]
            ids[u] = ident if hit else ids[u]


@helper(**KERNEL)
def sphere_rows(view: View, box: Box, x: Scalar, y: Scalar, z: Scalar, radius: Scalar, ident: int) -> None:
    """Sphere around (x, y, z)."""
    right_x = view.axes[RIGHT, X]
    right_y = view.axes[RIGHT, Y]
    right_z = view.axes[RIGHT, Z]
    outside = x * x + y * y + z * z - radius * radius
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        columns = slice(box.first_column, box.last_column + 1)
        depth = view.depth[row, columns]
        ids = view.ids[row, columns]
        slopes = view.slopes[columns]
        for u in range(depth.shape[0]):
            dx = middle_x + slopes[u] * right_x
            dy = middle_y + slopes[u] * right_y
            dz = middle_z + slopes[u] * right_z
            a = dx * dx + dy * dy + dz * dz
            b = dx * x + dy * y + dz * z
            root = b * b - a * outside
            t = outside / (b + math.sqrt(max(root, ZERO)))
            hit = (root > ZERO) & (t > NEAR) & (t < depth[u])
            depth[u] = t if hit else depth[u]
            ids[u] = ident if hit else ids[u]


@helper(**KERNEL)
def cone_rows(view: View, box: Box, place: Upright, radius: Scalar, ident: int) -> None:
    """Upright cone: base disc at its lower end, apex at its upper end, both above the eye's height."""
    x, y, low, high = place
    right_x = view.axes[RIGHT, X]
    right_y = view.axes[RIGHT, Y]
    right_z = view.axes[RIGHT, Z]
    slope2 = (radius / (high - low)) ** 2
    outside = x * x + y * y - slope2 * high * high
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        columns = slice(box.first_column, box.last_column + 1)
        depth = view.depth[row, columns]
        ids = view.ids[row, columns]
        slopes = view.slopes[columns]
        for u in range(depth.shape[0]):
            dx = middle_x + slopes[u] * right_x
            dy = middle_y + slopes[u] * right_y
            dz = middle_z + slopes[u] * right_z
            a = dx * dx + dy * dy - slope2 * dz * dz
            b = dx * x + dy * y - slope2 * dz * high
            root = b * b - a * outside
            spread = math.sqrt(max(root, ZERO))
            one = (b - spread) / a
            two = (b + spread) / a
            first = min(one, two)
            second = max(one, two)
            z1 = first * dz
            z2 = second * dz
            on_first = (root > ZERO) & (first > NEAR) & (z1 >= low) & (z1 <= high)
            on_second = (root > ZERO) & (second > NEAR) & (z2 >= low) & (z2 <= high)
            t = second if on_second else NOWHERE
            t = first if on_first else t
            base = low / dz
            base_x = base * dx - x
            base_y = base * dy - y
            on_base = (base > NEAR) & (base < t) & (base_x * base_x + base_y * base_y < radius * radius)
            t = base if on_base else t
            hit = t < depth[u]
            depth[u] = t if hit else depth[u]
            ids[u] = ident if hit else ids[u]


@helper(**KERNEL)
def _slab(start: Scalar, step: Scalar, half: Scalar) -> tuple[Scalar, Scalar]:
    """Depths at which a ray from 0 along `step` enters and leaves the slab from start - half to start + half."""
    one = (start - half) / step
    two = (start + half) / step
    return min(one, two), max(one, two)


@helper(**KERNEL)
def box_rows(view: View, box: Box, place: Upright, solid: Floats, ident: int) -> None:
    """Upright box; `solid` is a row of `Scene.boxes`."""
    x, y, low, high = place
    cosine = solid[COSINE]
    sine = solid[SINE]
    half_length = solid[HALF_LENGTH]
    half_width = solid[HALF_WIDTH]
    middle = x * cosine + y * sine
    aside = y * cosine - x * sine
    rise = HALF * (low + high)
    tall = HALF * (high - low)
    right_x = view.axes[RIGHT, X]
    right_y = view.axes[RIGHT, Y]
    right_z = view.axes[RIGHT, Z]
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        columns = slice(box.first_column, box.last_column + 1)
        depth = view.depth[row, columns]
        ids = view.ids[row, columns]
        slopes = view.slopes[columns]
        for u in range(depth.shape[0]):
            dx = middle_x + slopes[u] * right_x
            dy = middle_y + slopes[u] * right_y
            dz = middle_z + slopes[u] * right_z
            enter_a, leave_a = _slab(middle, dx * cosine + dy * sine, half_length)
            enter_b, leave_b = _slab(aside, dy * cosine - dx * sine, half_width)
            enter_z, leave_z = _slab(rise, dz, tall)
            t = max(max(enter_a, enter_b), enter_z)
            hit = (t < min(min(leave_a, leave_b), leave_z)) & (t > NEAR) & (t < depth[u])
            depth[u] = t if hit else depth[u]
            ids[u] = ident if hit else ids[u]


@helper(**KERNEL)
def log_rows(view: View, box: Box, place: Upright, solid: Floats, ident: int) -> None:
    """Lying cylinder that fits into an upright box; `solid` as in `box_rows`."""
    x, y, low, high = place
    cosine = solid[COSINE]
    sine = solid[SINE]
    half_length = solid[HALF_LENGTH]
    half_width = solid[HALF_WIDTH]
    tall = HALF * (high - low)
    middle = x * cosine + y * sine
    aside = (y * cosine - x * sine) / half_width
    rise = HALF * (low + high) / tall
    right_x = view.axes[RIGHT, X]
    right_y = view.axes[RIGHT, Y]
    right_z = view.axes[RIGHT, Z]
    for row in range(box.first_row, box.last_row + 1):
        _, middle_x, middle_y, middle_z = row_direction(view, row)
        columns = slice(box.first_column, box.last_column + 1)
        depth = view.depth[row, columns]
        ids = view.ids[row, columns]
        slopes = view.slopes[columns]
        for u in range(depth.shape[0]):
            dx = middle_x + slopes[u] * right_x
            dy = middle_y + slopes[u] * right_y
            side = (dy * cosine - dx * sine) / half_width
            up = (middle_z + slopes[u] * right_z) / tall
            a = side * side + up * up
            b = side * aside + up * rise
            across = side * rise - up * aside  # b * b - a * outside, without its cancellation (Lagrange's identity)
            root = a - across * across
            spread = math.sqrt(max(root, ZERO))
            first = (b - spread) / a
            last = (b + spread) / a
            enter, leave = _slab(middle, dx * cosine + dy * sine, half_length)
            t = max(first, enter)
            hit = (root > ZERO) & (t < min(last, leave)) & (t > NEAR) & (t < depth[u])
            depth[u] = t if hit else depth[u]
            ids[u] = ident if hit else ids[u]


@helper(**KERNEL)
def _span(
    center: Scalar, depth_low: Scalar, depth_high: Scalar, radius: Scalar, focal: Scalar
) -> tuple[Scalar, Scalar]:
    """Extent on screen, in pixels from the middle, of a ball's box from depth_low to depth_high."""
    least = center - radius
    most = center + radius
    least = focal * least / (depth_low if least < ZERO else depth_high)
    most = focal * most / (depth_low if most > ZERO else depth_high)
    return least, most


@helper(**KERNEL)
def screen_box(view: View, place: Upright, radius_low: Scalar, radius_high: Scalar) -> Box:
    """Rectangle that holds the hull of two balls, around the lower and the upper end; empty when out of sight."""
    x, y, low, high = place
    height, width = view.depth.shape
    left = NOWHERE
    right = -NOWHERE
    top = NOWHERE
    bottom = -NOWHERE
    crosses_eye_plane = False
    in_front = False
    for end in range(2):
        z = low if end == 0 else high
        radius = radius_low if end == 0 else radius_high
        forward = x * view.axes[FORWARD, X] + y * view.axes[FORWARD, Y] + z * view.axes[FORWARD, Z]
        nearest = forward - radius
        farthest = forward + radius
        in_front |= (farthest > NEAR) & (nearest < FAR)
        if nearest < np.float32(0.1):
            crosses_eye_plane = True
            continue
        rightward = x * view.axes[RIGHT, X] + y * view.axes[RIGHT, Y] + z * view.axes[RIGHT, Z]
        upward = x * view.axes[UP, X] + y * view.axes[UP, Y] + z * view.axes[UP, Z]
        least, most = _span(rightward, nearest, farthest, radius, view.focal_px)
        left = min(left, least)
        right = max(right, most)
        least, most = _span(-upward, nearest, farthest, radius, view.focal_px)
        top = min(top, least)
        bottom = max(bottom, most)
    if not in_front:
        return Box(0, -1, 0, -1)
    if crosses_eye_plane:
        return Box(0, height - 1, 0, width - 1)
    middle_u = HALF * np.float32(width)
    middle_v = HALF * np.float32(height)
    return Box(
        int(max(ZERO, middle_v + top)),
        int(min(np.float32(height - 1), middle_v + bottom)),
        int(max(ZERO, middle_u + left)) & ~(LANES - 1),
        min(width - 1, int(min(np.float32(width - 1), middle_u + right)) | (LANES - 1)),
    )
