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
from forestpilot.sim.rendering.raycast.columns import (
    BASE,
    COSINE,
    FORWARD,
    HALF_LENGTH,
    HALF_WIDTH,
    RIGHT,
    SINE,
    TOP,
    UP,
    X,
    Y,
    Z,
)
from forestpilot.sim.rendering.raycast.lanes import LANES, fused, load, store, where

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

EXACT: dict[str, Any] = {**KERNEL, "fastmath": False}
"""Where every rounding is written down, so that a picture does not depend on how a compiler arranges the sums."""

Lanes: TypeAlias = Any
"""Eight float32, or a mask of eight, inside a kernel; see `lanes`."""
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
GROUND_Z = 3
"""Row of `Sheet.rays` for the ground: z again, multiplied in the order that gives depth the last bit it always had."""
STRETCH = 4
"""Row of `Sheet.rays` for the square of the length of each row's ray in the middle column."""
SCRATCH_ROWS = 7
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


class Sheet(NamedTuple):
    """What the rays of one camera meet, column after column: eight pixels that lie one below the other are read at
    once, since trunks are tall and narrow. R is the number of rows, rounded up to whole lanes."""

    depth: Floats
    """(W, R) metres along the forward axis."""
    ids: Ids
    """(W, R) segmentation ids."""
    rays: Floats
    """(5, R) direction (x, y, z) of each row's ray in the middle column, `GROUND_Z` and `STRETCH`."""
    colors: Ids
    """(W, R) red + 256 green + 65536 blue."""
    scratch: Floats
    """(SCRATCH_ROWS, 8) numbers of eight pixels that are worked out one by one."""
    marks: Ids
    """(2, 8) which of them are, and what else is to be known of them in whole numbers."""
    samples: Floats
    """(6, 8) colours of eight pixels of one column and of the next, where four are averaged."""


def empty_sheet(width: int, height: int) -> Sheet:
    """A sheet for pictures of this size in pixels."""
    rows = -(-height // LANES) * LANES
    return Sheet(
        depth=np.empty((width, rows), np.float32),
        ids=np.empty((width, rows), np.int32),
        rays=np.empty((STRETCH + 1, rows), np.float32),
        colors=np.empty((width, rows), np.int32),
        scratch=np.empty((SCRATCH_ROWS, LANES), np.float32),
        marks=np.empty((2, LANES), np.int32),
        samples=np.empty((6, LANES), np.float32),
    )


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


@helper(**EXACT)
def aim_rows(view: View, sheet: Sheet) -> None:
    """Write the direction of every row's ray in the middle column; the last lanes may hold rows below the picture."""
    inverse_focal = ONE / view.focal_px
    middle = HALF * np.float32(view.depth.shape[0]) - HALF
    for row in range(sheet.rays.shape[1]):
        slope = (middle - np.float32(row)) * inverse_focal
        for axis in range(3):
            sheet.rays[axis, row] = fused(slope, view.axes[UP, axis], view.axes[FORWARD, axis])
        sheet.rays[STRETCH, row] = fused(slope, slope, ONE)
        upward = (middle - np.float32(row)) * view.axes[UP, Z]
        sheet.rays[GROUND_Z, row] = fused(upward, inverse_focal, view.axes[FORWARD, Z])


@helper(**EXACT)
def direction(slope: Scalar, right: Scalar, rays: Floats, row: int) -> Lanes:
    """A component of the rays of eight rows in the column of this slope, given that of the camera's right direction and
    those of the rays in the middle column."""
    return fused(slope, right, load(rays, row))


@helper(**EXACT)
def _keep(depths: Floats, ids: Ids, row: int, hit: Lanes, t: Lanes, ident: int) -> None:
    """Write depth and id into a column where the hit is the nearest so far."""
    depth = load(depths, row)
    nearer = hit & (t < depth)
    store(depths, row, where(nearer, t, depth))
    store(ids, row, where(nearer, ident, load(ids, row)))


@helper(**EXACT)
def trace_ground(view: View, sheet: Sheet, eye_height: Scalar) -> None:
    """Fill the image with the ground plane, and with sky where no ground is within the far plane."""
    for u in range(sheet.depth.shape[0]):
        for row in range(0, sheet.depth.shape[1], LANES):
            z = direction(view.slopes[u], view.axes[RIGHT, Z], sheet.rays[GROUND_Z], row)
            t = -eye_height / z
            hit = (z < HORIZON) & (t < FAR)
            store(sheet.depth[u], row, where(hit, t, FAR))
            store(sheet.ids[u], row, where(hit, GROUND, SKY))


@helper(**EXACT)
def trace_cylinder(view: View, sheet: Sheet, box: Box, place: Upright, radius: Scalar, ident: int) -> None:
    """Side of a vertical cylinder."""
    x, y, low, high = place
    radius2 = radius * radius
    outside = fused(y, y, x * x) - radius2
    for u in range(box.first_column, box.last_column + 1):
        slope = view.slopes[u]
        depths = sheet.depth[u]
        ids = sheet.ids[u]
        for row in range(box.first_row & -LANES, box.last_row + 1, LANES):
            dx = direction(slope, view.axes[RIGHT, X], sheet.rays[X], row)
            dy = direction(slope, view.axes[RIGHT, Y], sheet.rays[Y], row)
            dz = direction(slope, view.axes[RIGHT, Z], sheet.rays[Z], row)
            a = fused(dx, dx, dy * dy)
            across = fused(dx, y, -(dy * x))  # b * b - a * outside, without its cancellation (Lagrange's identity)
            root = fused(a, radius2, -(across * across))
            t = outside / fused(dx, x, fused(dy, y, math.sqrt(max(root, ZERO))))
            z = t * dz
            hit = (root > ZERO) & (t > NEAR) & (z >= low) & (z <= high)
            _keep(depths, ids, row, hit, t, ident)


@helper(**EXACT)
def trace_sphere(view: View, sheet: Sheet, box: Box, center: Triple, radius: Scalar, ident: int) -> None:
    """Sphere around a centre (x, y, z)."""
    x, y, z = center
    outside = fused(z, z, fused(y, y, x * x)) - radius * radius
    for u in range(box.first_column, box.last_column + 1):
        slope = view.slopes[u]
        depths = sheet.depth[u]
        ids = sheet.ids[u]
        for row in range(box.first_row & -LANES, box.last_row + 1, LANES):
            dx = direction(slope, view.axes[RIGHT, X], sheet.rays[X], row)
            dy = direction(slope, view.axes[RIGHT, Y], sheet.rays[Y], row)
            dz = direction(slope, view.axes[RIGHT, Z], sheet.rays[Z], row)
            a = fused(dz, dz, fused(dx, dx, dy * dy))
            b = fused(dz, z, fused(dx, x, dy * y))
            root = fused(b, b, -(a * outside))
            t = outside / (b + math.sqrt(max(root, ZERO)))
            _keep(depths, ids, row, (root > ZERO) & (t > NEAR), t, ident)


@helper(**EXACT)
def trace_cone(view: View, sheet: Sheet, box: Box, place: Upright, spread: tuple[Scalar, Scalar], ident: int) -> None:
    """Upright cone: base disc at its lower end, apex at its upper end; `spread` is its radius and height."""
    x, y, low, high = place
    radius, tall = spread
    slope2 = (radius / tall) * (radius / tall)
    outside = fused(-(high * high), slope2, fused(y, y, x * x))
    sinking = slope2 * -high
    radius2 = radius * radius
    for u in range(box.first_column, box.last_column + 1):
        slope = view.slopes[u]
        depths = sheet.depth[u]
        ids = sheet.ids[u]
        for row in range(box.first_row & -LANES, box.last_row + 1, LANES):
            dx = direction(slope, view.axes[RIGHT, X], sheet.rays[X], row)
            dy = direction(slope, view.axes[RIGHT, Y], sheet.rays[Y], row)
            dz = direction(slope, view.axes[RIGHT, Z], sheet.rays[Z], row)
            a = fused(-slope2, dz * dz, fused(dx, dx, dy * dy))
            b = fused(dx, x, fused(dy, y, dz * sinking))
            root = fused(b, b, -(a * outside))
            half = math.sqrt(max(root, ZERO))
            inverse = ONE / a
            one = (b - half) * inverse
            two = (b + half) * inverse
            first = min(one, two)
            second = max(one, two)
            z1 = first * dz
            z2 = second * dz
            on_first = (root > ZERO) & (first > NEAR) & (z1 >= low) & (z1 <= high)
            on_second = (root > ZERO) & (second > NEAR) & (z2 >= low) & (z2 <= high)
            t = where(on_first, first, where(on_second, second, NOWHERE))
            base = low / dz
            base_x = fused(base, dx, -x)
            base_y = fused(base, dy, -y)
            on_base = (base > NEAR) & (base < t) & (fused(base_x, base_x, base_y * base_y) < radius2)
            t = where(on_base, base, t)
            _keep(depths, ids, row, t < NOWHERE, t, ident)


@helper(**EXACT)
def _slab(enter: Scalar, leave: Scalar, step: Lanes) -> tuple[Lanes, Lanes]:
    """Depths at which rays from 0 along `step` enter and leave the slab between two planes."""
    inverse = ONE / step
    one = enter * inverse
    two = leave * inverse
    return min(one, two), max(one, two)


@helper(**EXACT)
def trace_box(view: View, sheet: Sheet, box: Box, place: Upright, solid: Floats, ident: int) -> None:
    """Upright box; `solid` is a row of `Scene.boxes`."""
    x, y, low, high = place
    cosine = solid[COSINE]
    sine = solid[SINE]
    middle = fused(sine, y, cosine * x)
    aside = fused(cosine, y, -(sine * x))
    rise = HALF * (low + high)
    tall = HALF * (solid[TOP] - solid[BASE])
    for u in range(box.first_column, box.last_column + 1):
        slope = view.slopes[u]
        depths = sheet.depth[u]
        ids = sheet.ids[u]
        for row in range(box.first_row & -LANES, box.last_row + 1, LANES):
            dx = direction(slope, view.axes[RIGHT, X], sheet.rays[X], row)
            dy = direction(slope, view.axes[RIGHT, Y], sheet.rays[Y], row)
            dz = direction(slope, view.axes[RIGHT, Z], sheet.rays[Z], row)
            along = fused(dx, cosine, dy * sine)
            across = fused(dy, cosine, -(dx * sine))
            enter_a, leave_a = _slab(middle - solid[HALF_LENGTH], middle + solid[HALF_LENGTH], along)
            enter_b, leave_b = _slab(aside - solid[HALF_WIDTH], aside + solid[HALF_WIDTH], across)
            enter_z, leave_z = _slab(rise - tall, rise + tall, dz)
            t = max(max(enter_a, enter_b), enter_z)
            hit = (t < min(min(leave_a, leave_b), leave_z)) & (t > NEAR)
            _keep(depths, ids, row, hit, t, ident)


@helper(**EXACT)
def trace_log(view: View, sheet: Sheet, box: Box, place: Upright, solid: Floats, ident: int) -> None:
    """Lying cylinder that fits into an upright box; `solid` as in `trace_box`."""
    x, y, low, high = place
    cosine = solid[COSINE]
    sine = solid[SINE]
    tall = HALF * (solid[TOP] - solid[BASE])
    middle = fused(sine, y, cosine * x)
    aside = fused(cosine, y, -(sine * x)) / solid[HALF_WIDTH]
    rise = HALF * (low + high) / tall
    inverse_width = ONE / solid[HALF_WIDTH]
    inverse_tall = ONE / tall
    for u in range(box.first_column, box.last_column + 1):
        slope = view.slopes[u]
        depths = sheet.depth[u]
        ids = sheet.ids[u]
        for row in range(box.first_row & -LANES, box.last_row + 1, LANES):
            dx = direction(slope, view.axes[RIGHT, X], sheet.rays[X], row)
            dy = direction(slope, view.axes[RIGHT, Y], sheet.rays[Y], row)
            side = fused(dy, cosine, -(dx * sine)) * inverse_width
            up = direction(slope, view.axes[RIGHT, Z], sheet.rays[Z], row) * inverse_tall
            a = fused(side, side, up * up)
            b = fused(side, aside, up * rise)
            across = fused(side, rise, -(up * aside))  # b * b - a * outside, without its cancellation
            root = fused(-across, across, a)
            half = math.sqrt(max(root, ZERO))
            inverse = ONE / a
            along = fused(dx, cosine, dy * sine)
            enter, leave = _slab(middle - solid[HALF_LENGTH], middle + solid[HALF_LENGTH], along)
            t = max((b - half) * inverse, enter)
            hit = (root > ZERO) & (t < min((b + half) * inverse, leave)) & (t > NEAR)
            _keep(depths, ids, row, hit, t, ident)


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
        int(max(ZERO, middle_u + left)),
        int(min(np.float32(width - 1), middle_u + right)),
    )
