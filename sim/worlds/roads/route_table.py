"""A road's line as one array for kernels, and where on it a place is."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from forestpilot.sim.worlds.roads.road import POINT_SPACING_M, Route


class RouteTable:
    """A route as one array for kernels, and where on it a place is.

    Args:
        route: the line.
        speeds_mps: (n,) speed at each point.
    """

    def __init__(self, route: Route, speeds_mps: np.ndarray) -> None:
        self.route = route
        self.rows = np.column_stack(
            [
                route.x_m, route.y_m, np.cos(route.heading_rad), np.sin(route.heading_rad), route.curvature_per_m,
                route.left_m, route.right_m, speeds_mps,
            ]
        )  # fmt: skip

    spacing_m = POINT_SPACING_M
    """Distance between two points in metres."""

    def locate(self, x: float, y: float, index: int) -> tuple[int, float, float]:
        """Where (x, y) is, searched along the line from a point near it.

        Returns:
            Index of the nearest point (on a circuit it grows lap after lap), distance beyond it along the line, and
            offset from the line, left positive; metres.
        """
        return locate(self.rows, self.route.closed, x, y, index)

    def nearest(self, x: float, y: float) -> int:
        """Index of the point nearest to (x, y), wherever it is."""
        return int(np.argmin((self.route.x_m - x) ** 2 + (self.route.y_m - y) ** 2))

    def distance_m(self, index: int, along_m: float) -> float:
        """Distance along the line from its start to a place, as `locate` tells it, in metres."""
        return index * POINT_SPACING_M + along_m

    def heading_error_rad(self, index: int, yaw_rad: float) -> float:
        """Angle from the line's heading to another, left positive, in radians."""
        row = self.row(index)
        return math.remainder(yaw_rad - math.atan2(row[3], row[2]), 2 * math.pi)

    def row(self, index: int) -> np.ndarray:
        """(8,) x, y, cosine and sine of the heading, curvature, left, right, speed at a point."""
        return self.rows[wrap_index(index, len(self.rows), self.route.closed)]


@njit(cache=True, inline="always")
def wrap_index(index, count, closed):  # type: ignore[no-untyped-def]
    """Index of a row: around a circuit, or held at the ends."""
    return index % count if closed else max(0, min(count - 1, index))


@njit(cache=True)
def locate(rows, closed, x, y, index):  # type: ignore[no-untyped-def]
    """See `RouteTable.locate`; beyond the ends the line goes straight on."""
    count = rows.shape[0]
    for _ in range(count):
        row = rows[wrap_index(index, count, closed)]
        along = (x - row[0]) * row[2] + (y - row[1]) * row[3]
        if along > 0.5 * POINT_SPACING_M and (closed or index < count - 1):
            index += 1
        elif along < -0.5 * POINT_SPACING_M and (closed or index > 0):
            index -= 1
        else:
            break
    row = rows[wrap_index(index, count, closed)]
    dx, dy = x - row[0], y - row[1]
    return index, dx * row[2] + dy * row[3], dy * row[2] - dx * row[3]
