"""Courses of coloured gates: rows of trunks across the way, each gap between two posts of its colour.

Where the colours stand is drawn for each row of each world; which of them lead on is an order of colours, one for each
row, that no world tells. A family of tasks, of which somebody can be shown one: Duan et al. 2017, One-Shot Imitation
Learning (arXiv:1703.07326), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from forestpilot.sim.goals import ORDER_CHOICES, ORDER_ROWS
from forestpilot.sim.worlds.orders import Orders
from forestpilot.sim.worlds.rows import ROW_JITTER_M, TRUNK_JITTER_M, fill
from forestpilot.sim.worlds.tables import SPHERE, Bounds, Trees

COLOURS = ("red", "blue", "yellow")
"""Names of the colours of gates."""
PAINTS = np.array([(226, 24, 30), (30, 70, 232), (250, 214, 20)], np.float32)
"""The colours themselves, red, green and blue from 0 to 255."""

ROWS_M = (10.0, 21.0, 32.0)
"""Where rows stand, in metres from the start, give or take `ROW_JITTER_M`."""
GAP_M = 2.0
"""Width of a gap between its posts, in metres."""
POST_RADIUS_M = 0.32
POST_HEIGHT_M = 4.2
POST_GAP_M = 0.06
"""Between two posts of neighbouring gaps, in metres."""
SPACING_M = GAP_M + 4 * POST_RADIUS_M + POST_GAP_M
"""Distance of the middles of two gaps side by side, in metres."""
ASIDE_M = 0.8
"""The middle of a row's gaps lies this far beside the straight way at most, in metres."""


class ColouredRow(NamedTuple):
    """A row of trunks across the forest, each of whose gaps has a colour."""

    x_m: float
    """Where it stands, in metres."""
    gaps_y_m: tuple[float, ...]
    """Middles of its gaps, from the right (the least y) to the left."""
    colours: tuple[int, ...]
    """Of each gap's posts, as a number of `COLOURS`."""

    def colour_at(self, y_m: float) -> int:
        """Colour of the gap that is nearest to a y in metres."""
        nearest = min(range(len(self.gaps_y_m)), key=lambda gap: abs(self.gaps_y_m[gap] - y_m))
        return self.colours[nearest]

    def gap_of(self, colour: int) -> int:
        """Number of the gap with this colour."""
        return self.colours.index(colour)


class Posts(NamedTuple):
    """The trees of coloured rows."""

    trees: np.ndarray
    """(n, 7) float32 as in `World.trees`: bare trunks."""
    colours: np.ndarray
    """(n, 3) float32, of each."""


ORDERS = Orders(COLOURS, "order", "colour of gates", f"{ORDER_ROWS} colours, one for each row")
"""Orders of colours, one for each row."""
ALL_ORDERS = ORDERS.all
"""Names of all orders of colours."""
HELD_OUT_ORDERS = ORDERS.held_out
"""Those that nobody is trained with who is asked about new ones."""
TRAINING_ORDERS = ORDERS.training
"""The others."""
parse_order = ORDERS.parse
orders_named = ORDERS.named


def draw_coloured_rows(rng: np.random.Generator) -> tuple[ColouredRow, ...]:
    """Rows with a gap of each colour, in an order that is drawn for each row."""
    rows: list[ColouredRow] = []
    for place in ROWS_M:
        x_m = place + rng.uniform(-ROW_JITTER_M, ROW_JITTER_M)
        middle = rng.uniform(-ASIDE_M, ASIDE_M)
        gaps = middle + SPACING_M * (np.arange(ORDER_CHOICES) - 0.5 * (ORDER_CHOICES - 1))
        rows.append(ColouredRow(float(x_m), tuple(gaps.tolist()), tuple(rng.permutation(ORDER_CHOICES).tolist())))
    return tuple(rows)


def posts_of(rows: Sequence[ColouredRow]) -> Posts:
    """The coloured posts on both sides of each gap; none without rows."""
    if not rows:
        return Posts(np.zeros((0, len(Trees._fields)), np.float32), np.zeros((0, 3), np.float32))
    places: list[tuple[float, float]] = []
    colours: list[int] = []
    for row in rows:
        for middle, colour in zip(row.gaps_y_m, row.colours, strict=True):
            beside = GAP_M / 2 + POST_RADIUS_M
            places += [(row.x_m, middle - beside), (row.x_m, middle + beside)]
            colours += [colour, colour]
    x, y = np.array(places, np.float32).T
    same = np.ones_like(x)
    columns = Trees(
        x_m=x,
        y_m=y,
        radius_m=POST_RADIUS_M * same,
        height_m=POST_HEIGHT_M * same,
        crown_radius_m=POST_RADIUS_M * same,
        crown_height_m=2 * POST_RADIUS_M * same,
        kind=SPHERE * same,
    )
    return Posts(np.stack(columns, axis=1).astype(np.float32), PAINTS[colours])


def walls_of(rows: Sequence[ColouredRow], bounds: Bounds, rng: np.random.Generator) -> np.ndarray:
    """(n, 2) places of the trunks that close each row from its outer posts to the sides of the forest."""
    places: list[tuple[float, float]] = []
    half = GAP_M / 2 + 2 * POST_RADIUS_M + POST_GAP_M
    for row in rows:
        right = fill(bounds.y_min, row.gaps_y_m[0] - half)
        left = fill(row.gaps_y_m[-1] + half, bounds.y_max)
        places += [(row.x_m, y) for y in (*right, *left)]
    centers = np.array(places)
    centers[:, 0] += rng.uniform(-TRUNK_JITTER_M, TRUNK_JITTER_M, len(centers))
    return centers
