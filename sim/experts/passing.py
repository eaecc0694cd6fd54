"""Where to aim at, for whoever has a will of his own about sides: beside the next trunk in the way, or at a gap.

The planner flies to whatever it is aimed at, as safely as ever: a side that cannot be had any more is not insisted on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from forestpilot.sim.experts.flight import PlannerConfig
from forestpilot.sim.vehicles.quadrotor import BODY_RADIUS_M
from forestpilot.sim.worlds.rows import TrunkRow
from forestpilot.sim.worlds.tables import Trees
from forestpilot.sim.worlds.world import World

THREADING = PlannerConfig(horizon_m=9.0)
"""Among rows, rollouts end before the row after the next, of which the gap is chosen later."""
LEFT = 1.0
RIGHT = -1.0
ROOM_M = BODY_RADIUS_M + 0.2
"""Clearance that a way beside a trunk must have to be one, in metres."""
ALONG_M = np.array([-0.7, 0.0, 0.7])
"""Where beside a trunk that is looked at, in metres along the flight."""
PASSED_M = 0.4
"""A trunk is passed, for whom it stands in the way, when its axis is no further ahead than this, in metres."""
LARGEST_SINE = 0.8
"""No aim is further aside than the angle of this sine."""
STRAIGHT_M = 1.5
"""This close to a row one flies straight through the gap, in metres."""


class Passing:
    """Aims beside trunks, each on its side.

    Args:
        world: the forest.
        sides: (n,) side on which each trunk is to be passed, `LEFT` or `RIGHT`; where there is room on the other side
            only, that one is taken, and where there is none on either, nobody insists.
        keep_m: distance to keep from the trunk, in metres from the body.
        ahead_m: how far ahead a trunk counts, in metres.
    """

    def __init__(self, world: World, sides: np.ndarray, keep_m: float, ahead_m: float) -> None:
        self._goal_x, self._goal_y = world.goal_m[:2].tolist()
        trees = Trees.of(world.trees)
        self._x = trees.x_m.astype(np.float64)
        self._y = trees.y_m.astype(np.float64)
        self._reach = trees.radius_m + (BODY_RADIUS_M + keep_m)
        self._ahead_m = ahead_m
        self._sides = np.where(self._has_room(world, sides), sides, np.where(self._has_room(world, -sides), -sides, 0))

    def _has_room(self, world: World, sides: np.ndarray) -> np.ndarray:
        """(n,) bool: whether one can pass the trunks on these sides, flying from the start to the goal."""
        forward = world.goal_m[:2] - world.start_m[:2]
        forward = forward / np.hypot(*forward)
        aside = np.array([-forward[1], forward[0]])
        beside = np.stack([self._x, self._y], axis=1) + (sides * self._reach)[:, None] * aside
        places = beside[:, None] + ALONG_M[:, None] * forward
        inside = np.all((places > world.bounds_m[::2]) & (places < world.bounds_m[1::2]), axis=(1, 2))
        grid = world.clearance
        columns, rows = np.moveaxis((places - (grid.x_min, grid.y_min)) / grid.cell_m, -1, 0).round().astype(int)
        height, width = grid.distance_m.shape
        clearance = grid.distance_m[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return np.asarray(inside & (clearance.min(axis=1) >= ROOM_M))

    def aim(self, x: float, y: float) -> tuple[float, float]:
        """Where to aim at from a place, in metres: beside the next trunk in the way to the goal, or at the goal."""
        goal_x = self._goal_x - x
        goal_y = self._goal_y - y
        left_m = math.hypot(goal_x, goal_y)
        if left_m == 0.0:
            return self._goal_x, self._goal_y
        cosine = goal_x / left_m
        sine = goal_y / left_m
        dx = self._x - x
        dy = self._y - y
        along = cosine * dx + sine * dy
        aside = cosine * dy - sine * dx
        in_way = (np.abs(aside) < self._reach) & (along > PASSED_M) & (along < min(self._ahead_m, left_m))
        in_way &= self._sides != 0
        candidates = in_way.nonzero()[0]
        if not len(candidates):
            return self._goal_x, self._goal_y
        tree = candidates[along[candidates].argmin()]
        distance = math.hypot(dx[tree], dy[tree])
        bearing = math.atan2(dy[tree], dx[tree])
        bearing += self._sides[tree] * math.asin(min(self._reach[tree] / distance, LARGEST_SINE))
        return x + self._ahead_m * math.cos(bearing), y + self._ahead_m * math.sin(bearing)


class Threading:
    """Aims at a gap in each row of trunks.

    Args:
        world: the forest.
        rows: its rows, in the order in which they are met.
        gaps: for each row, the number of its gap, counted from the right (the least y).
    """

    def __init__(self, world: World, rows: tuple[TrunkRow, ...], gaps: Any) -> None:
        self._goal = tuple(world.goal_m[:2].tolist())
        self._rows = [(row.x_m, row.gaps_y_m[gap]) for row, gap in zip(rows, gaps, strict=True)]

    def next_row(self, x: float) -> int:
        """Number of the row whose gap is aimed at from so far ahead, in metres; that of the last row behind all."""
        number = sum(x >= row_x + BODY_RADIUS_M for row_x, _ in self._rows)
        return min(number, len(self._rows) - 1)

    def aim(self, x: float, y: float) -> tuple[float, float]:
        """Where to aim at from a place, in metres: through the gap in the next row, or at the goal."""
        for row_x, gap_y in self._rows:
            if x < row_x - STRAIGHT_M:
                return row_x, gap_y
            if x < row_x + BODY_RADIUS_M:
                return row_x + 2 * STRAIGHT_M, gap_y
        return self._goal
