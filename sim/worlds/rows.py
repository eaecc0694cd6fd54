"""Rows of trunks across the way, with gaps to fly through: worlds with several right answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from forestpilot.sim.worlds.tables import Bounds

FIRST_ROW_M = 10.0
ROW_SPACING_M = 11.0
ROW_JITTER_M = 1.0
"""A row stands this far before or behind its place at most."""
GAP_M = 1.8
"""Width of a gap between trunks, in metres."""
GAP_SPACING_M = 3.0
"""Distance of the middles of two gaps side by side, in metres."""
ASIDE_M = GAP_SPACING_M / 2
"""The middle of a row's gaps lies this far beside the straight way at most, in metres, where nobody says otherwise."""
RADIUS_M = 0.17
"""Radius of a row's trunks in metres."""
CHINK_M = 0.3
"""Largest distance between two trunks of a row that are no gap, in metres; nobody fits through."""
TRUNK_JITTER_M = 0.1
CLEAR_M = 2.5
"""Beside the gaps, and before and behind each row, no other tree stands this close, in metres."""


class Row(Protocol):
    """What all rows across the way have in common."""

    @property
    def x_m(self) -> float:
        """Where it stands, in metres."""

    @property
    def gaps_y_m(self) -> tuple[float, ...]:
        """Middles of its gaps, from the right (the least y) to the left."""


class TrunkRow(NamedTuple):
    """A row of trunks across the forest."""

    x_m: float
    """Where it stands, in metres."""
    gaps_y_m: tuple[float, ...]
    """Middles of its gaps, from the right (the least y) to the left."""


def draw_rows(gaps: int, aside_m: float, flight_m: float, rng: np.random.Generator) -> tuple[TrunkRow, ...]:
    """Rows with so many gaps each, between the start and a goal that is `flight_m` metres ahead.

    The middle of each lies up to `aside_m` metres beside the straight way.
    """
    rows: list[TrunkRow] = []
    places = np.arange(FIRST_ROW_M, flight_m - 0.5 * ROW_SPACING_M, ROW_SPACING_M)
    for place in places.tolist():
        x_m = place + rng.uniform(-ROW_JITTER_M, ROW_JITTER_M)
        middle = 2 * aside_m * rng.uniform(-0.5, 0.5)
        gap_middles = middle + GAP_SPACING_M * (np.arange(gaps) - 0.5 * (gaps - 1))
        rows.append(TrunkRow(float(x_m), tuple(gap_middles.tolist())))
    return tuple(rows)


def trunks_of_rows(rows: Sequence[Row], bounds: Bounds, rng: np.random.Generator) -> np.ndarray:
    """(n, 2) places of the trunks of these rows, which reach from one side of the forest to the other."""
    places: list[tuple[float, float]] = []
    for row in rows:
        edges = [bounds.y_min]
        for middle in row.gaps_y_m:
            edges += [middle - GAP_M / 2, middle + GAP_M / 2]
        edges.append(bounds.y_max)
        for low, high in zip(edges[::2], edges[1::2]):
            places += [(row.x_m, y) for y in fill(low, high)]
    centers = np.array(places)
    centers[:, 0] += rng.uniform(-TRUNK_JITTER_M, TRUNK_JITTER_M, len(centers))
    return centers


def fill(low: float, high: float) -> list[float]:
    """Places of trunks side by side from one edge to another, none further from the next than a chink."""
    count = max(2, math.ceil((high - low + CHINK_M) / (2 * RADIUS_M + CHINK_M)))
    places: list[float] = np.linspace(low + RADIUS_M, high - RADIUS_M, count).tolist()
    return places


def stands_clear(centers: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
    """(n,) bool: whether trees at these places (n, 2) stand clear of the rows and of the way from gap to gap."""
    edge = max(max(abs(row.gaps_y_m[0]), abs(row.gaps_y_m[-1])) for row in rows)
    clear = np.abs(centers[:, 1]) >= edge + CLEAR_M
    for row in rows:
        clear &= np.abs(centers[:, 0] - row.x_m) >= CLEAR_M
    return np.asarray(clear)
