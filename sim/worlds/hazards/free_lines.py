"""Free lines between the trees of a forest, across the way, for what goes to and fro there."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.worlds.hazards import HAZARDS
from forestpilot.sim.worlds.hazards.hazard import FOREST, Hazard
from forestpilot.sim.worlds.hazards.placing import kinds_on
from forestpilot.sim.worlds.tables import Bounds, Trees

ROOM_M = 0.55
"""No trunk's surface is nearer to a free line than this: room for who goes there, and some to spare."""
FIRST_M = 8.0
LAST_M = 4.0
"""The middle of a line is not nearer to the start, or to the goal, than this, in metres along the way."""
ASIDE_M = 3.5
"""The middle of a line is not further beside the straight way than this."""
REACH_M = (2.0, 5.0)
"""How far a line goes to either side of its middle, where there is room."""
SHORTEST_M = 3.0
MOST_ALONG_RAD = 0.25 * math.pi
"""A line is turned by this much at most from straight across the way."""
APART_M = 1.5
"""Two lines are nowhere nearer to one another than this."""
STEP_M = 0.1
TRIES = 60
"""Lines that are drawn for each hazard."""


class ForestSite(NamedTuple):
    """A place in a forest where a hazard may be."""

    ends_m: np.ndarray
    """(2, 2) ends of a line that is free of trunks, in metres."""


def place_in_forest(count: int, trees: np.ndarray, bounds_m: Bounds, flight_m: float, seed: int) -> tuple[Hazard, ...]:
    """Draw the hazards of a forest, each on a stretch of its own of the way along x.

    Args:
        count: how many; where trees stand so close that there is no free line, there are fewer.
        trees: (n, 7) as in `World.trees`.
        bounds_m: the forest's rectangle.
        flight_m: distance from the origin, where flights start, to the goal.
        seed: the world's.
    """
    if not count:
        return ()
    rng = rng_for(seed, SeedStream.HAZARDS)
    kinds = kinds_on(FOREST)
    stretch_m = max(flight_m - LAST_M - FIRST_M, 0.0) / count
    lines: list[np.ndarray] = []
    hazards = []
    for number in range(count):
        kind = str(rng.choice(kinds))
        first_m = FIRST_M + number * stretch_m
        for _ in range(TRIES):
            line = _draw_line(first_m, first_m + stretch_m, trees, bounds_m, rng)
            if _is_long_and_apart(line, lines):
                lines.append(line)
                hazards.append(HAZARDS.get(kind).draw(ForestSite(line[[0, -1]]), rng))
                break
    return tuple(hazards)


def _draw_line(
    first_m: float, last_m: float, trees: np.ndarray, bounds_m: Bounds, rng: np.random.Generator
) -> np.ndarray:
    """(n, 2) points of a line across the way whose middle lies between two x: as far to either side as drawn, as the
    trunks leave room, and as the forest reaches; none where its middle is not free."""
    aside_m = min(ASIDE_M, 0.5 * (bounds_m.y_max - bounds_m.y_min))
    middle = rng.uniform((first_m, -aside_m), (last_m, aside_m))
    angle = rng.choice([-1.0, 1.0]) * 0.5 * math.pi + rng.uniform(-MOST_ALONG_RAD, MOST_ALONG_RAD)
    behind, ahead = (rng.uniform(*REACH_M, 2) / STEP_M).astype(int)
    points = middle + STEP_M * np.arange(-behind, ahead + 1)[:, None] * (math.cos(angle), math.sin(angle))
    columns = Trees.of(trees.astype(np.float64))
    gaps = np.hypot(points[:, :1] - columns.x_m, points[:, 1:] - columns.y_m) - columns.radius_m
    x, y = points.T
    blocked = (gaps < ROOM_M).any(axis=1)
    blocked |= (x < bounds_m.x_min + ROOM_M) | (x > bounds_m.x_max - ROOM_M)
    blocked |= (y < bounds_m.y_min + ROOM_M) | (y > bounds_m.y_max - ROOM_M)
    before = blocked[:behind].nonzero()[0]
    after = blocked[behind:].nonzero()[0]
    start = before[-1] + 1 if len(before) else 0
    stop = behind + after[0] if len(after) else len(points)
    return np.asarray(points[start:stop])


def _is_long_and_apart(line: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a line (n, 2) is long enough, and far enough from these others."""
    if STEP_M * (len(line) - 1) < SHORTEST_M:
        return False
    return all(np.hypot(*(line[:, None] - other).transpose(2, 0, 1)).min() >= APART_M for other in others)
