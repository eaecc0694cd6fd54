"""Distance to the nearest trunk, on a grid: what lets a planner roll out thousands of paths in a millisecond."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

CELL_M = 0.1
REACH_M = 2.0


class ClearanceMap(NamedTuple):
    """Distance from the surface of the nearest trunk on a regular grid over the flight area."""

    x_min: float
    """x of the first grid line in metres."""
    y_min: float
    """y of the first grid line in metres."""
    cell_m: float
    """Spacing of the grid in metres."""
    distance_m: np.ndarray
    """(rows along y, columns along x) float32 metres, negative inside a trunk, cut off at `REACH_M`."""


def build_clearance_map(trees: np.ndarray, bounds_m: tuple[float, float, float, float]) -> ClearanceMap:
    """The clearance map of (n, 7) trees over the bounds (x_min, x_max, y_min, y_max)."""
    x_min, x_max, y_min, y_max = bounds_m
    shape = (math.ceil((y_max - y_min) / CELL_M) + 1, math.ceil((x_max - x_min) / CELL_M) + 1)
    distance = np.full(shape, REACH_M, np.float32)
    _stamp_trees(distance, np.ascontiguousarray(trees[:, :3]), x_min, y_min)
    return ClearanceMap(x_min, y_min, CELL_M, distance)


@njit(cache=True)
def _stamp_trees(distance: np.ndarray, trees: np.ndarray, x_min: float, y_min: float) -> None:
    """Lower every grid point within reach of a trunk to its distance from that trunk's surface."""
    rows, columns = distance.shape
    for k in range(trees.shape[0]):
        x, y, radius = trees[k, 0] - x_min, trees[k, 1] - y_min, trees[k, 2]
        reach = radius + REACH_M
        j0, j1 = max(0, int((y - reach) / CELL_M)), min(rows - 1, int((y + reach) / CELL_M) + 1)
        i0, i1 = max(0, int((x - reach) / CELL_M)), min(columns - 1, int((x + reach) / CELL_M) + 1)
        for j in range(j0, j1 + 1):
            dy = j * CELL_M - y
            for i in range(i0, i1 + 1):
                dx = i * CELL_M - x
                d = math.sqrt(dx * dx + dy * dy) - radius
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
