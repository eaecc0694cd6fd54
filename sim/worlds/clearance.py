"""Distance to the nearest trunk or box, on a grid: what lets a planner roll out thousands of paths in a millisecond."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

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
    bounds_m: tuple[float, float, float, float],
    boxes: np.ndarray | None = None,
    cell_m: float = CELL_M,
) -> ClearanceMap:
    """The clearance map of (n, 7) trees and (b, 8) boxes over the bounds (x_min, x_max, y_min, y_max)."""
    x_min, x_max, y_min, y_max = bounds_m
    shape = (math.ceil((y_max - y_min) / cell_m) + 1, math.ceil((x_max - x_min) / cell_m) + 1)
    distance = np.full(shape, REACH_M, np.float32)
    _stamp_trees(distance, np.ascontiguousarray(trees[:, :3]), x_min, y_min, cell_m)
    if boxes is not None:
        _stamp_boxes(distance, np.ascontiguousarray(boxes[:, :5]).astype(np.float64), x_min, y_min, cell_m)
    return ClearanceMap(x_min, y_min, cell_m, distance)


@njit(cache=True)
def _stamp_trees(distance: np.ndarray, trees: np.ndarray, x_min: float, y_min: float, cell: float) -> None:
    """Lower every grid point within reach of a trunk to its distance from that trunk's surface."""
    rows, columns = distance.shape
    for k in range(trees.shape[0]):
        x, y, radius = trees[k, 0] - x_min, trees[k, 1] - y_min, trees[k, 2]
        reach = radius + REACH_M
        j0, j1 = max(0, int((y - reach) / cell)), min(rows - 1, int((y + reach) / cell) + 1)
        i0, i1 = max(0, int((x - reach) / cell)), min(columns - 1, int((x + reach) / cell) + 1)
        for j in range(j0, j1 + 1):
            dy = j * cell - y
            for i in range(i0, i1 + 1):
                dx = i * cell - x
                d = math.sqrt(dx * dx + dy * dy) - radius
                if d < distance[j, i]:
                    distance[j, i] = d


@njit(cache=True)
def _stamp_boxes(distance: np.ndarray, boxes: np.ndarray, x_min: float, y_min: float, cell: float) -> None:
    """Lower every grid point within reach of a box to its distance from the box's outline on the ground.

    Args:
        distance: (rows, columns) grid that is changed.
        boxes: (b, 5) x, y of the middle, yaw, length along it, width.
        x_min: x of the first column in metres.
        y_min: y of the first row in metres.
        cell: spacing of the grid in metres.
    """
    rows, columns = distance.shape
    for k in range(boxes.shape[0]):
        x, y, half_length, half_width = boxes[k, 0] - x_min, boxes[k, 1] - y_min, boxes[k, 3] / 2, boxes[k, 4] / 2
        cos, sin = math.cos(boxes[k, 2]), math.sin(boxes[k, 2])
        reach = math.sqrt(half_length * half_length + half_width * half_width) + REACH_M
        for j in range(max(0, int((y - reach) / cell)), min(rows - 1, int((y + reach) / cell) + 1) + 1):
            for i in range(max(0, int((x - reach) / cell)), min(columns - 1, int((x + reach) / cell) + 1) + 1):
                dx, dy = i * cell - x, j * cell - y
                along, aside = abs(cos * dx + sin * dy) - half_length, abs(cos * dy - sin * dx) - half_width
                outside = math.sqrt(max(along, 0.0) ** 2 + max(aside, 0.0) ** 2)
                d = outside + min(max(along, aside), 0.0)
                if d < distance[j, i]:
                    distance[j, i] = d


@njit(cache=True, inline="always")
def sample_clearance(distance: np.ndarray, u: float, v: float) -> float:
    """Bilinear clearance at grid coordinates u (columns) and v (rows); outside the grid the full reach."""
    rows, columns = distance.shape
    i, j = math.floor(u), math.floor(v)
    if i < 0 or j < 0 or i >= columns - 1 or j >= rows - 1:
        return REACH_M
    a, b = u - i, v - j
    low = distance[j, i] + a * (distance[j, i + 1] - distance[j, i])
    high = distance[j + 1, i] + a * (distance[j + 1, i + 1] - distance[j + 1, i])
    return low + b * (high - low)


def has_free_path(
    clearance: ClearanceMap, start_m: np.ndarray, goal_m: np.ndarray, goal_radius_m: float, radius_m: float
) -> bool:
    """Whether a disc of `radius_m` can go from the start to within `goal_radius_m` of the goal without leaving the
    map."""
    origin = np.array([clearance.x_min, clearance.y_min])
    start = (np.asarray(start_m)[:2] - origin) / clearance.cell_m
    goal = (np.asarray(goal_m)[:2] - origin) / clearance.cell_m
    free = (clearance.distance_m > radius_m).astype(np.uint8)
    return bool(_flood(free, start[0], start[1], goal[0], goal[1], goal_radius_m / clearance.cell_m))


@njit(cache=True)
def _flood(free: np.ndarray, start_u: float, start_v: float, goal_u: float, goal_v: float, reach: float) -> bool:
    """Flood fill from the start over free cells; marks what it visits in `free`."""
    rows, columns = free.shape
    stack = np.empty((rows * columns, 2), np.int32)
    stack[0, 0], stack[0, 1] = int(start_v + 0.5), int(start_u + 0.5)
    size = 1
    if free[stack[0, 0], stack[0, 1]] == 0:
        return False
    free[stack[0, 0], stack[0, 1]] = 0
    while size > 0:
        size -= 1
        j, i = stack[size, 0], stack[size, 1]
        if (i - goal_u) ** 2 + (j - goal_v) ** 2 <= reach * reach:
            return True
        # The cell towards the goal is pushed last, so that open forests are crossed without filling them.
        for step in range(4):
            dj, di = (1, 0) if step == 0 else (-1, 0) if step == 1 else (0, -1) if step == 2 else (0, 1)
            jj, ii = j + dj, i + di
            if 0 <= jj < rows and 0 <= ii < columns and free[jj, ii] == 1:
                free[jj, ii] = 0
                stack[size, 0], stack[size, 1] = jj, ii
                size += 1
    return False


@njit(cache=True)
def path_clearance(path: np.ndarray, trees: np.ndarray) -> float:
    """Least distance in metres from the points (n, >= 2) of a path to the surface of any trunk of (m, 7) trees."""
    least = 1e9
    for k in range(trees.shape[0]):
        x, y, radius = trees[k, 0], trees[k, 1], trees[k, 2]
        for i in range(path.shape[0]):
            dx, dy = path[i, 0] - x, path[i, 1] - y
            least = min(least, math.sqrt(dx * dx + dy * dy) - radius)
    return least
