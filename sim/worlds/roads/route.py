"""The line to drive along a road, and how far one sees along it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.layout import Layout

SIGHT_CAP_M = 60.0


class Route(NamedTuple):
    """The reference line from start to goal, one row per point, `POINT_SPACING_M` apart.

    It is the middle of the road, except where an obstacle stands on the road: there it leads through the middle of
    the gap. A closed route starts over after its last point.
    """

    x_m: np.ndarray
    """(n,) float64."""
    y_m: np.ndarray
    """(n,) float64."""
    heading_rad: np.ndarray
    """(n,) float64, unwrapped, so that differences of neighbours are small."""
    curvature_per_m: np.ndarray
    """(n,) float64, left positive."""
    left_m: np.ndarray
    """(n,) float64 distance from the line to the road's left edge."""
    right_m: np.ndarray
    """(n,) float64 distance from the line to the road's right edge."""
    sight_m: np.ndarray
    """(n,) float64 how far along the road one sees from here, past the trees in the bends' inside."""
    command: np.ndarray
    """(n,) int8, `FOLLOW`, or how to take the junction from 25 m before it until it is left."""
    closed: bool
    """Whether the last point joins the first: one lap is the route."""

    @property
    def length_m(self) -> float:
        """Length of the drive in metres."""
        return POINT_SPACING_M * (len(self.x_m) - (not self.closed))


def make_route(layout: Layout, length_m: float, width_m: float, shoulder_m: float, shift_m: np.ndarray) -> Route:
    """The line to drive of a layout.

    Args:
        layout: the road's lines.
        length_m: length of the drive; a circuit's is its lap.
        width_m: width of the road.
        shoulder_m: gap between the road's edge and the trees.
        shift_m: (n,) lateral shift of the line to drive against each point of the road's middle, left positive.
    """
    points = len(layout.line.x_m) if layout.closed else round(length_m / POINT_SPACING_M) + 1
    x, y, heading, curvature, shift, command = _resample(layout, shift_m, points)
    left, right = 0.5 * width_m - shift, 0.5 * width_m + shift
    sight = _sight(x, y, heading, left + shoulder_m, right + shoulder_m, layout.closed)
    route = Route(x, y, heading, curvature, left, right, sight, command, layout.closed)
    for values in route[:-1]:
        values.setflags(write=False)
    return route


def _resample(layout: Layout, shift_m: np.ndarray, points: int) -> tuple[np.ndarray, ...]:
    """x, y, heading, curvature, shift and command of the shifted line from the start on, evenly spaced."""
    line, from_start = layout.line, slice(layout.start, layout.start + points)
    if not shift_m.any():
        plain = (line.x_m, line.y_m, line.heading_rad, line.curvature_per_m, shift_m, layout.command)
        return tuple(values[from_start].copy() for values in plain)
    x = line.x_m - shift_m * np.sin(line.heading_rad)
    y = line.y_m + shift_m * np.cos(line.heading_rad)
    aside = np.gradient(shift_m, POINT_SPACING_M)
    heading = line.heading_rad + np.arctan2(aside, 1 - line.curvature_per_m * shift_m)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    curvature = np.gradient(heading, along)
    at = along[layout.start] + POINT_SPACING_M * np.arange(points)
    fields = [np.interp(at, along, values) for values in (x, y, heading, curvature, shift_m)]
    nearest = np.clip(np.round(np.interp(at, along, np.arange(len(along)))), 0, len(along) - 1).astype(int)
    return (*fields, layout.command[nearest])


@njit(cache=True)
def _sight(
    x: np.ndarray, y: np.ndarray, heading: np.ndarray, left: np.ndarray, right: np.ndarray, closed: bool
) -> np.ndarray:
    """(n,) metres along the line to the first point that a straight look from each point reaches only through an edge.

    The look is a funnel whose two rims close in on the corridor's edges as it goes along (left, right: distances of
    the edges from the line).
    """
    n, reach = x.size, int(SIGHT_CAP_M / POINT_SPACING_M)
    edges = np.empty((n, 4))
    for i in range(n):
        normal_x, normal_y = -np.sin(heading[i]), np.cos(heading[i])
        edges[i, 0], edges[i, 1] = x[i] + left[i] * normal_x, y[i] + left[i] * normal_y
        edges[i, 2], edges[i, 3] = x[i] - right[i] * normal_x, y[i] - right[i] * normal_y
    sight = np.full(n, SIGHT_CAP_M)
    for i in range(n):
        left_x, left_y = edges[i, 0] - x[i], edges[i, 1] - y[i]
        right_x, right_y = edges[i, 2] - x[i], edges[i, 3] - y[i]
        for step in range(1, reach):
            j = (i + step) % n
            if i + step >= n and not closed:
                break
            to_x, to_y = x[j] - x[i], y[j] - y[i]
            if left_x * to_y - left_y * to_x > 0 or right_x * to_y - right_y * to_x < 0:
                sight[i] = POINT_SPACING_M * step
                break
            to_x, to_y = edges[j, 0] - x[i], edges[j, 1] - y[i]
            if left_x * to_y - left_y * to_x < 0:
                left_x, left_y = to_x, to_y
            to_x, to_y = edges[j, 2] - x[i], edges[j, 3] - y[i]
            if right_x * to_y - right_y * to_x > 0:
                right_x, right_y = to_x, to_y
    return sight
