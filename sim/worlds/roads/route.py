"""The line to drive along a road, and how far one sees along it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M, CentreLine
from forestpilot.sim.worlds.roads.layout import FOLLOW, Layout

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
    def junctions(self) -> int:
        """Number of junctions on the way."""
        ahead = self.command != FOLLOW
        return int(ahead[0]) + int(np.count_nonzero(ahead[1:] & ~ahead[:-1]))

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
    points = round(length_m / POINT_SPACING_M) + 1
    if layout.closed:
        points = len(layout.line.x_m)
    line, shift, command = _resample(layout, shift_m, points)
    left = 0.5 * width_m - shift
    right = 0.5 * width_m + shift
    sight = _sight(_corridor(line, left + shoulder_m, right + shoulder_m), layout.closed)
    route = Route(*line, left, right, sight, command, layout.closed)
    for values in route:
        if isinstance(values, np.ndarray):
            values.setflags(write=False)
    return route


def _resample(layout: Layout, shift_m: np.ndarray, points: int) -> tuple[CentreLine, np.ndarray, np.ndarray]:
    """The shifted line from the start on, evenly spaced, with its shift (n,) and the command (n,) at each point."""
    line = layout.line
    if not shift_m.any():
        drive = slice(layout.start, layout.start + points)
        plain = CentreLine(*(values[drive].copy() for values in line))
        return plain, shift_m[drive].copy(), layout.command[drive].copy()
    x = line.x_m - shift_m * np.sin(line.heading_rad)
    y = line.y_m + shift_m * np.cos(line.heading_rad)
    aside = np.gradient(shift_m, POINT_SPACING_M)
    heading = line.heading_rad + np.arctan2(aside, 1 - line.curvature_per_m * shift_m)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    curvature = np.gradient(heading, along)
    at = along[layout.start] + POINT_SPACING_M * np.arange(points)
    shifted = CentreLine(*(np.interp(at, along, values) for values in (x, y, heading, curvature)))
    nearest = np.clip(np.round(np.interp(at, along, np.arange(len(along)))), 0, len(along) - 1).astype(int)
    return shifted, np.interp(at, along, shift_m), layout.command[nearest]


class _Corridor(NamedTuple):
    """A line and the edges that hide what lies behind them, each array (n,) float64 in metres."""

    x: np.ndarray
    y: np.ndarray
    left_x: np.ndarray
    left_y: np.ndarray
    right_x: np.ndarray
    right_y: np.ndarray


@kernel()
def _corridor(line: CentreLine, left_m: np.ndarray, right_m: np.ndarray) -> _Corridor:
    """The corridor whose edges are that far from a line."""
    n = line.x_m.size
    corridor = _Corridor(line.x_m, line.y_m, np.empty(n), np.empty(n), np.empty(n), np.empty(n))
    # Written out: to compile array expressions takes longer than everything else here.
    for i in range(n):
        normal_x = -math.sin(line.heading_rad[i])
        normal_y = math.cos(line.heading_rad[i])
        corridor.left_x[i] = line.x_m[i] + left_m[i] * normal_x
        corridor.left_y[i] = line.y_m[i] + left_m[i] * normal_y
        corridor.right_x[i] = line.x_m[i] - right_m[i] * normal_x
        corridor.right_y[i] = line.y_m[i] - right_m[i] * normal_y
    return corridor


@kernel()
def _sight(corridor: _Corridor, closed: bool) -> np.ndarray:
    """(n,) metres along the line to the first point that a straight look from each point reaches only through an
    edge."""
    n = corridor.x.size
    reach = int(SIGHT_CAP_M / POINT_SPACING_M)
    sight = np.full(n, SIGHT_CAP_M)
    for i in range(n):
        last = reach if closed else min(reach, n - i)
        sight[i] = _look_along(corridor, i, last)
    return sight


@helper()
def _look_along(corridor: _Corridor, i: int, last: int) -> float:
    """Metres along the line that one sees from its point i, looking at fewer than `last` points.

    The look is a funnel whose two rims close in on the corridor's edges as it goes along.
    """
    x = corridor.x[i]
    y = corridor.y[i]
    left_x = corridor.left_x[i] - x
    left_y = corridor.left_y[i] - y
    right_x = corridor.right_x[i] - x
    right_y = corridor.right_y[i] - y
    for step in range(1, last):
        j = (i + step) % corridor.x.size
        to_x = corridor.x[j] - x
        to_y = corridor.y[j] - y
        if left_x * to_y - left_y * to_x > 0 or right_x * to_y - right_y * to_x < 0:
            return POINT_SPACING_M * step
        to_x = corridor.left_x[j] - x
        to_y = corridor.left_y[j] - y
        if left_x * to_y - left_y * to_x < 0:
            left_x = to_x
            left_y = to_y
        to_x = corridor.right_x[j] - x
        to_y = corridor.right_y[j] - y
        if right_x * to_y - right_y * to_x > 0:
            right_x = to_x
            right_y = to_y
    return SIGHT_CAP_M
