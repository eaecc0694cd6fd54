"""What stands on the road: fallen logs, parked cars and narrowings, and the line that leads through their gaps."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.layout import Layout
from forestpilot.sim.worlds.roads.road_config import RoadConfig
from forestpilot.sim.worlds.world import BARRIER, CAR_BODY, CAR_CABIN, LOG, NO_BOXES

GAP_M = 2.7
"""At least this much of the road's width stays free."""
FIRST_OBSTACLE_M = 40.0
SHIFT_CURVATURE_SHARE = 0.4
"""Share of the bound on curvature that driving around an obstacle may take; the bends of the road take less than the
rest."""
SHORTEST_SHIFT_M = 12.0
CAR_ROOM_M = 3.0
"""The line keeps to the middle of the gap this far before and behind the obstacle, a car's length about."""


class Obstacle(NamedTuple):
    """One obstacle in the road's own coordinates: along the middle line from its point, and to the left of it."""

    boxes: tuple[tuple[float, ...], ...]
    """Each: aside, yaw against the road, length, width, base, top (metres, radians), kind."""
    half_length_m: float
    """Half its extent along the road."""
    gap_middle_m: float
    """Where the middle of the gap is, left positive."""


def place_obstacles(
    config: RoadConfig, layout: Layout, width_m: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the obstacles on a road.

    Returns:
        (n,) lateral shift in metres, left positive, of the line to drive against each point of the layout's line; and
        the (b, 8) float32 boxes as in `World.boxes`.
    """
    shift = np.zeros(len(layout.line.x_m))
    if config.obstacle_gap_m is None:
        return shift, NO_BOXES
    rows: list[tuple[float, ...]] = []
    free_from, at = 0.0, FIRST_OBSTACLE_M + rng.uniform(0.0, 0.5) * config.obstacle_gap_m
    while True:
        obstacle = _KINDS[rng.integers(len(_KINDS))](width_m, rng)
        reach = obstacle.half_length_m + CAR_ROOM_M
        way_over = _shift_length(obstacle.gap_middle_m, config.max_curvature_per_m)
        at = max(at, free_from + way_over + reach, FIRST_OBSTACLE_M + obstacle.half_length_m)
        if at + reach + way_over > config.length_m:
            break
        index = layout.start + round(at / POINT_SPACING_M)
        rows += [_on_the_ground(layout, index, box) for box in obstacle.boxes]
        shift += obstacle.gap_middle_m * _plateau(len(shift), index, reach, way_over)
        free_from = at + reach + way_over
        at += config.obstacle_gap_m * rng.uniform(0.6, 1.4)
    boxes = np.array(rows, np.float32).reshape(-1, 8)
    boxes.setflags(write=False)
    return shift, boxes


def _shift_length(shift_m: float, max_curvature_per_m: float) -> float:
    """Metres along the road for a shift whose curvature, at most 2 pi shift / length^2, stays within its share."""
    return max(SHORTEST_SHIFT_M, math.sqrt(2 * math.pi * abs(shift_m) / (SHIFT_CURVATURE_SHARE * max_curvature_per_m)))


def _plateau(points: int, middle: int, reach_m: float, way_over_m: float) -> np.ndarray:
    """(n,) 1 within reach of the middle, 0 beyond the way over; between them the slope is a raised cosine."""
    distance = POINT_SPACING_M * np.abs(np.arange(points) - middle)
    t = np.clip((distance - reach_m) / way_over_m, 0.0, 1.0)
    return 1 - t + np.sin(2 * np.pi * t) / (2 * np.pi)


def _on_the_ground(layout: Layout, index: int, box: tuple[float, ...]) -> tuple[float, ...]:
    """The row of `World.boxes` of a box beside a point of the road's line."""
    aside, yaw, *rest = box
    heading = float(layout.line.heading_rad[index])
    x = float(layout.line.x_m[index]) - aside * math.sin(heading)
    y = float(layout.line.y_m[index]) + aside * math.cos(heading)
    return (x, y, math.remainder(heading + yaw, 2 * math.pi), *rest)


def _log(width_m: float, rng: np.random.Generator) -> Obstacle:
    """A trunk that fell across the road from one side, its foot beyond the road's edge."""
    side, gap = rng.choice([-1.0, 1.0]), rng.uniform(GAP_M + 0.1, min(3.4, width_m - 1.2))
    skew, thick = rng.uniform(-0.3, 0.3), rng.uniform(0.4, 0.7)
    length = (width_m - gap + rng.uniform(1.0, 3.0)) / math.cos(skew)
    inner = gap - 0.5 * width_m
    aside = inner + 0.5 * (length * math.cos(skew) + thick * abs(math.sin(skew)))
    box = (side * aside, 0.5 * math.pi + skew, length, thick, 0.0, thick, float(LOG))
    half_length = 0.5 * (length * abs(math.sin(skew)) + thick)
    return Obstacle((box,), half_length, side * 0.5 * (gap - width_m))


def _parked_car(width_m: float, rng: np.random.Generator) -> Obstacle:
    """A car parked along one edge, more or less on the road."""
    side, gap = rng.choice([-1.0, 1.0]), rng.uniform(GAP_M + 0.1, width_m - 1.6)
    skew, length, wide = rng.uniform(-0.05, 0.05), rng.uniform(3.9, 4.5), rng.uniform(1.65, 1.8)
    inner = gap - 0.5 * width_m
    aside = side * (inner + 0.5 * (wide * math.cos(skew) + length * abs(math.sin(skew))))
    body = (aside, skew, length, wide, 0.22, 0.85, float(CAR_BODY))
    cabin = (aside, skew, 0.52 * length, wide - 0.16, 0.85, 1.45, float(CAR_CABIN))
    return Obstacle((body, cabin), 0.5 * length, side * 0.5 * (gap - width_m))


def _narrowing(width_m: float, rng: np.random.Generator) -> Obstacle:
    """Barriers from both edges that leave a gap somewhere between them."""
    gap, share = rng.uniform(2.8, 3.2), rng.uniform(0.2, 0.8)
    closed = {1.0: share * (width_m - gap), -1.0: (1 - share) * (width_m - gap)}
    boxes = tuple(
        (side * 0.5 * (width_m - wide), 0.5 * math.pi, wide, 0.3, 0.0, 0.9, float(BARRIER))
        for side, wide in closed.items()
    )
    return Obstacle(boxes, 0.15, 0.5 * (closed[-1.0] - closed[1.0]))


_KINDS = (_log, _parked_car, _narrowing)
