"""What stands on the road: fallen logs, parked cars and narrowings, and the line that leads through their gaps."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.layout import Layout
from forestpilot.sim.worlds.roads.road_config import RoadConfig
from forestpilot.sim.worlds.tables import BARRIER, CAR_BODY, CAR_CABIN, LOG, NO_BOXES, Boxes

GAP_M = 2.7
"""At least this much of the road's width stays free."""
FIRST_OBSTACLE_M = 40.0
SHIFT_CURVATURE_SHARE = 0.4
"""Share of the bound on curvature that driving around an obstacle may take; the bends of the road take less than the
rest."""
SHORTEST_SHIFT_M = 12.0
CAR_ROOM_M = 3.0
"""The line keeps to the middle of the gap this far before and behind the obstacle, a car's length about."""


class Solid(NamedTuple):
    """A box in the road's own directions, to the left of a point of its middle line; metres and radians."""

    aside_m: float
    yaw_rad: float
    """Against the road."""
    length_m: float
    width_m: float
    base_m: float
    top_m: float
    kind: int


class Obstacle(NamedTuple):
    """One obstacle: what stands there, and the gap that it leaves."""

    solids: tuple[Solid, ...]
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
    rows: list[Boxes] = []
    free_from = 0.0
    at = FIRST_OBSTACLE_M + rng.uniform(0.0, 0.5) * config.obstacle_gap_m
    while True:
        obstacle = _KINDS[rng.integers(len(_KINDS))](width_m, rng)
        reach = obstacle.half_length_m + CAR_ROOM_M
        way_over = _shift_length(obstacle.gap_middle_m, config.max_curvature_per_m)
        at = max(at, free_from + way_over + reach, FIRST_OBSTACLE_M + obstacle.half_length_m)
        if at + reach + way_over > config.length_m:
            break
        index = layout.start + round(at / POINT_SPACING_M)
        for solid in obstacle.solids:
            rows.append(_on_the_ground(layout, index, solid))
        shift += obstacle.gap_middle_m * _plateau(len(shift), index, reach, way_over)
        free_from = at + reach + way_over
        at += config.obstacle_gap_m * rng.uniform(0.6, 1.4)
    boxes = np.array(rows, np.float32).reshape(-1, len(Boxes._fields))
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


def _on_the_ground(layout: Layout, index: int, solid: Solid) -> Boxes:
    """The row of `World.boxes` of a solid beside a point of the road's line."""
    heading = float(layout.line.heading_rad[index])
    return Boxes(
        x_m=float(layout.line.x_m[index]) - solid.aside_m * math.sin(heading),
        y_m=float(layout.line.y_m[index]) + solid.aside_m * math.cos(heading),
        yaw_rad=math.remainder(heading + solid.yaw_rad, 2 * math.pi),
        length_m=solid.length_m,
        width_m=solid.width_m,
        base_m=solid.base_m,
        top_m=solid.top_m,
        kind=solid.kind,
    )


def _draw_log(width_m: float, rng: np.random.Generator) -> Obstacle:
    """A trunk that fell across the road from one side, its foot beyond the road's edge."""
    side = rng.choice([-1.0, 1.0])
    gap = rng.uniform(GAP_M + 0.1, min(3.4, width_m - 1.2))
    skew = rng.uniform(-0.3, 0.3)
    thick = rng.uniform(0.4, 0.7)
    length = (width_m - gap + rng.uniform(1.0, 3.0)) / math.cos(skew)
    inner = gap - 0.5 * width_m
    aside = inner + 0.5 * (length * math.cos(skew) + thick * abs(math.sin(skew)))
    log = Solid(side * aside, 0.5 * math.pi + skew, length, thick, 0.0, thick, LOG)
    half_length = 0.5 * (length * abs(math.sin(skew)) + thick)
    return Obstacle((log,), half_length, side * 0.5 * (gap - width_m))


def _draw_parked_car(width_m: float, rng: np.random.Generator) -> Obstacle:
    """A car parked along one edge, more or less on the road."""
    side = rng.choice([-1.0, 1.0])
    gap = rng.uniform(GAP_M + 0.1, width_m - 1.6)
    skew = rng.uniform(-0.05, 0.05)
    length = rng.uniform(3.9, 4.5)
    wide = rng.uniform(1.65, 1.8)
    inner = gap - 0.5 * width_m
    aside = side * (inner + 0.5 * (wide * math.cos(skew) + length * abs(math.sin(skew))))
    body = Solid(aside, skew, length, wide, 0.22, 0.85, CAR_BODY)
    cabin = Solid(aside, skew, 0.52 * length, wide - 0.16, 0.85, 1.45, CAR_CABIN)
    return Obstacle((body, cabin), 0.5 * length, side * 0.5 * (gap - width_m))


def _draw_narrowing(width_m: float, rng: np.random.Generator) -> Obstacle:
    """Barriers from both edges that leave a gap somewhere between them."""
    gap = rng.uniform(2.8, 3.2)
    share = rng.uniform(0.2, 0.8)
    left = share * (width_m - gap)
    right = (1 - share) * (width_m - gap)
    barriers = (
        Solid(0.5 * (width_m - left), 0.5 * math.pi, left, 0.3, 0.0, 0.9, BARRIER),
        Solid(-0.5 * (width_m - right), 0.5 * math.pi, right, 0.3, 0.0, 0.9, BARRIER),
    )
    return Obstacle(barriers, 0.15, 0.5 * (right - left))


_KINDS = (_draw_log, _draw_parked_car, _draw_narrowing)
