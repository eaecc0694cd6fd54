"""A road's line as one array for kernels, and where on it a place is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M, Route


class RoutePoint(NamedTuple):
    """A point of a line; kernels read the same fields from a row of `RouteTable.rows`."""

    x_m: float
    y_m: float
    cos_heading: float
    sin_heading: float
    curvature_per_m: float
    """Left positive."""
    left_m: float
    """Distance to the road's left edge."""
    right_m: float
    """Distance to the road's right edge."""
    speed_mps: float
    """Speed to drive here."""

    @property
    def heading_rad(self) -> float:
        """Direction of the line."""
        return math.atan2(self.sin_heading, self.cos_heading)


ROW = np.dtype([(name, np.float64) for name in RoutePoint._fields])
"""A row as NumPy and Numba know it: `rows[i].x_m` in a kernel, `rows["x_m"]` outside."""


class RouteTable:
    """A route as one array for kernels, and where on it a place is.

    Args:
        route: the line.
        speeds_mps: (n,) speed at each point.
    """

    spacing_m = POINT_SPACING_M
    """Distance between two points in metres."""

    def __init__(self, route: Route, speeds_mps: np.ndarray) -> None:
        self.route = route
        self.rows = np.empty(len(route.x_m), ROW)
        """(n,) records of the dtype `ROW`."""
        columns = {
            "x_m": route.x_m,
            "y_m": route.y_m,
            "cos_heading": np.cos(route.heading_rad),
            "sin_heading": np.sin(route.heading_rad),
            "curvature_per_m": route.curvature_per_m,
            "left_m": route.left_m,
            "right_m": route.right_m,
            "speed_mps": speeds_mps,
        }
        for name, values in columns.items():
            self.rows[name] = values

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
        return math.remainder(yaw_rad - self.point(index).heading_rad, 2 * math.pi)

    def point(self, index: int) -> RoutePoint:
        """The point of an index: around a circuit, or held at the ends."""
        return RoutePoint(*self.rows[wrap_index(index, len(self.rows), self.route.closed)].item())


@kernel(inline="always")
def wrap_index(index, count, closed):  # type: ignore[no-untyped-def]
    """Index of a row: around a circuit, or held at the ends."""
    return index % count if closed else max(0, min(count - 1, index))


@helper(forceinline=True)
def way_along(row, x, y, may_go_on, may_go_back):  # type: ignore[no-untyped-def]
    """Which way along the line the point nearest to (x, y) is from this one: 1 onwards, -1 back, 0 here."""
    along = (x - row.x_m) * row.cos_heading + (y - row.y_m) * row.sin_heading
    if along > 0.5 * POINT_SPACING_M and may_go_on:
        return 1
    if along < -0.5 * POINT_SPACING_M and may_go_back:
        return -1
    return 0


@helper(forceinline=True)
def to_and_fro(way, left):  # type: ignore[no-untyped-def]
    """Where the search ends that has found its place (way 0), or goes to and fro for as many tries as are left.

    Outside of a bend a place may be beyond the middle between two points as seen from either.
    """
    return way * (left % 2)


@kernel()
def locate(rows, closed, x, y, index):  # type: ignore[no-untyped-def]
    """See `RouteTable.locate`; beyond the ends the line goes straight on."""
    count = rows.shape[0]
    before = 0
    for tried in range(count):
        row = rows[wrap_index(index, count, closed)]
        way = way_along(row, x, y, closed or index < count - 1, closed or index > 0)
        if way == 0 or way == -before:
            index += to_and_fro(way, count - tried)
            break
        index += way
        before = way
    row = rows[wrap_index(index, count, closed)]
    dx = x - row.x_m
    dy = y - row.y_m
    along = dx * row.cos_heading + dy * row.sin_heading
    return index, along, dy * row.cos_heading - dx * row.sin_heading
