"""Distance to the nearest trunk or box, on a grid: what lets a planner roll out thousands of paths in a millisecond."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.worlds.tables import BOX, NO_BOXES, TREE, Bounds, records

CELL_M = 0.1
REACH_M = 2.0


class ClearanceMap(NamedTuple):
    """Distance from the surface of the nearest trunk or box on a regular grid over the world."""

    x_min: float
    """x of the first grid line in metres."""
    y_min: float
    """y of the first grid line in metres."""
    cell_m: float
    """Spacing of the grid in metres."""
    distance_m: np.ndarray
    """(rows along y, columns along x) float32 metres, negative inside, cut off at `REACH_M`."""


def build_clearance_map(
    trees: np.ndarray,
    bounds_m: Bounds | tuple[float, float, float, float],
    boxes: np.ndarray = NO_BOXES,
    cell_m: float = CELL_M,
) -> ClearanceMap:
    """The clearance map of (n, 7) trees and (b, 8) boxes within these bounds (x_min, x_max, y_min, y_max)."""
    bounds_m = Bounds(*bounds_m)
    rows = math.ceil((bounds_m.y_max - bounds_m.y_min) / cell_m) + 1
    columns = math.ceil((bounds_m.x_max - bounds_m.x_min) / cell_m) + 1
    grid = ClearanceMap(bounds_m.x_min, bounds_m.y_min, cell_m, np.full((rows, columns), REACH_M, np.float32))
    _stamp_trees(grid, records(trees, TREE))
    _stamp_boxes(grid, records(boxes, BOX))
    return grid


@helper()
def _cells_within(middle: float, reach: float, cell: float, count: int) -> range:
    """Indices of the grid lines of an axis that lie within reach of a place on it."""
    first = max(0, int((middle - reach) / cell))
    last = min(count - 1, int((middle + reach) / cell) + 1)
    return range(first, last + 1)


@kernel()
def _stamp_trees(grid: ClearanceMap, trees: np.ndarray) -> None:
    """Lower every grid point within reach of a trunk to its distance from that trunk's surface."""
    rows, columns = grid.distance_m.shape
    cell = grid.cell_m
    for tree in trees:
        x = tree.x_m - grid.x_min
        y = tree.y_m - grid.y_min
        reach = tree.radius_m + REACH_M
        for j in _cells_within(y, reach, cell, rows):
            dy = j * cell - y
            for i in _cells_within(x, reach, cell, columns):
                dx = i * cell - x
                d = math.sqrt(dx * dx + dy * dy) - tree.radius_m
                grid.distance_m[j, i] = min(grid.distance_m[j, i], d)


@kernel()
def _stamp_boxes(grid: ClearanceMap, boxes: np.ndarray) -> None:
    """Lower every grid point within reach of a box to its distance from the box's outline on the ground."""
    rows, columns = grid.distance_m.shape
    cell = grid.cell_m
    for box in boxes:
        x = box.x_m - grid.x_min
        y = box.y_m - grid.y_min
        half_length = np.float64(box.length_m) / 2
        half_width = np.float64(box.width_m) / 2
        cosine = math.cos(np.float64(box.yaw_rad))
        sine = math.sin(np.float64(box.yaw_rad))
        reach = math.sqrt(half_length * half_length + half_width * half_width) + REACH_M
        for j in _cells_within(y, reach, cell, rows):
            dy = j * cell - y
            for i in _cells_within(x, reach, cell, columns):
                dx = i * cell - x
                along = abs(cosine * dx + sine * dy) - half_length
                aside = abs(cosine * dy - sine * dx) - half_width
                outside = math.sqrt(max(along, 0.0) ** 2 + max(aside, 0.0) ** 2)
                d = outside + min(max(along, aside), 0.0)
                grid.distance_m[j, i] = min(grid.distance_m[j, i], d)


@kernel(inline="always")
def sample_clearance(distance: np.ndarray, u: float, v: float) -> float:
    """Bilinear clearance at grid coordinates u (columns) and v (rows); outside the grid the full reach."""
    rows, columns = distance.shape
    i = math.floor(u)
    j = math.floor(v)
    if i < 0 or j < 0 or i >= columns - 1 or j >= rows - 1:
        return REACH_M
    a = u - i
    b = v - j
    low = distance[j, i] + a * (distance[j, i + 1] - distance[j, i])
    high = distance[j + 1, i] + a * (distance[j + 1, i + 1] - distance[j + 1, i])
    return low + b * (high - low)


class Grid(NamedTuple):
    """A clearance map for kernels that look it up at many places side by side."""

    x_min: float
    y_min: float
    inverse_cell: float
    """Cells per metre."""
    rows: int
    columns: int
    distances: np.ndarray
    """(rows * columns,) float32."""


@helper(forceinline=True)
def grid_of(distance: np.ndarray, x_min: float, y_min: float, cell: float) -> Grid:
    """The grid of a clearance map."""
    rows, columns = distance.shape
    return Grid(x_min, y_min, 1.0 / cell, rows, columns, distance.reshape(-1))


@helper(forceinline=True, fastmath=True)
def find_cell(grid, x, y):  # type: ignore[no-untyped-def]
    """Number of the cell that (x, y) is in, or -1 outside the grid, and how far right and up in it, in cells: all three
    floats, so that many are found with one instruction."""
    u = (x - grid.x_min) * grid.inverse_cell
    v = (y - grid.y_min) * grid.inverse_cell
    column = np.floor(u)
    row = np.floor(v)
    inside = (column >= 0.0) & (row >= 0.0) & (column < grid.columns - 1.0) & (row < grid.rows - 1.0)
    number = row * float(grid.columns) + column if inside else -1.0
    return number, u - column, v - row


@helper(forceinline=True, fastmath=True)
def clearance_in_cell(grid, number, right, up):  # type: ignore[no-untyped-def]
    """`sample_clearance` at a place that `find_cell` has found."""
    cell = int(number)
    if cell < 0:
        return REACH_M
    above = cell + grid.columns
    distances = grid.distances
    low = distances[cell] + right * (distances[cell + 1] - distances[cell])
    high = distances[above] + right * (distances[above + 1] - distances[above])
    return low + up * (high - low)


def has_free_path(
    clearance: ClearanceMap, start_m: np.ndarray, goal_m: np.ndarray, goal_radius_m: float, radius_m: float
) -> bool:
    """Tell if a disc of `radius_m` can go from the start to within `goal_radius_m` of the goal without leaving the
    map."""
    origin = np.array([clearance.x_min, clearance.y_min])
    start = (np.asarray(start_m)[:2] - origin) / clearance.cell_m
    goal = (np.asarray(goal_m)[:2] - origin) / clearance.cell_m
    free = (clearance.distance_m > radius_m).astype(np.uint8)
    return bool(_flood(free, start[0], start[1], goal[0], goal[1], goal_radius_m / clearance.cell_m))


@kernel()
def _flood(free: np.ndarray, start_u: float, start_v: float, goal_u: float, goal_v: float, reach: float) -> bool:
    """Flood fill from the start over free cells; marks what it visits in `free`."""
    rows, columns = free.shape
    stack = np.empty((rows * columns, 2), np.int32)
    size = _push(free, stack, 0, int(start_v + 0.5), int(start_u + 0.5))
    while size > 0:
        size -= 1
        j = stack[size, 0]
        i = stack[size, 1]
        if (i - goal_u) ** 2 + (j - goal_v) ** 2 <= reach * reach:
            return True
        # The cell towards the goal is pushed last, so that open forests are crossed without filling them.
        size = _push(free, stack, size, j + 1, i)
        size = _push(free, stack, size, j - 1, i)
        size = _push(free, stack, size, j, i - 1)
        size = _push(free, stack, size, j, i + 1)
    return False


@helper()
def _push(free: np.ndarray, stack: np.ndarray, size: int, j: int, i: int) -> int:
    """Mark a cell and push it onto the stack, if it is a free one of the map; returns the stack's size."""
    rows, columns = free.shape
    if not (0 <= j < rows and 0 <= i < columns and free[j, i] == 1):
        return size
    free[j, i] = 0
    stack[size, 0] = j
    stack[size, 1] = i
    return size + 1


@kernel()
def path_clearance(path: np.ndarray, trees: np.ndarray) -> float:
    """Least distance in metres from the points (n, >= 2) of a path to the surface of any trunk of (m, 7) trees."""
    least = 1e9
    for k in range(trees.shape[0]):
        x = trees[k, 0]
        y = trees[k, 1]
        radius = trees[k, 2]
        for i in range(path.shape[0]):
            dx = path[i, 0] - x
            dy = path[i, 1] - y
            least = min(least, math.sqrt(dx * dx + dy * dy) - radius)
    return least
