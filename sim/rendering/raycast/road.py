"""Roads and trails prepared for the ray-caster: which segment of a middle line is near, found through a grid.

The middle lines are cut into chords of about a metre. A grid of one-metre cells lists the chords that may be the
nearest to some point of the cell, so a pixel looks at a handful of them and knows its exact place across and along the
road. Edges and markings are therefore sharp at any distance, and no map of the ground has to hold them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.rendering.raycast.intersect import EXACT, HALF, KERNEL, NOWHERE, ZERO, Floats, Ids, Lanes, Scalar
from forestpilot.sim.rendering.raycast.lanes import LANES, fused, gather, spread, store, to_ints, where
from forestpilot.sim.worlds.world import Ribbon

F = np.float32

CELL_M = 1.0
"""Side of a grid cell in metres."""
POINTS_PER_CHORD = 2
"""Points of a ribbon are 0.5 m apart; a chord of a metre with its sagitta is true to a millimetre in tight bends."""
REACH_M = 2.5
"""How far beyond its edge a ribbon still changes the ground: verge and shoulder."""
SAME_LINE_M = 0.03
"""Where two ribbons lie within this distance of one another and run the same way, only the first is kept."""
JUNCTION_MARGIN_M = 0.3
"""Markings stop where another ribbon's edge comes this near."""

X, Y, AHEAD_X, AHEAD_Y, LENGTH, ALONG, BULGE, HALF_WIDTH, MARKED, RIBBON = range(10)
"""Columns of a chord: where it starts (m), its unit direction, its length, arc length at its start (m), half the line's
curvature (1/m, left positive), half the ribbon's width (m), 1 if it bears markings, and the ribbon it belongs to."""


class Road(NamedTuple):
    """All ribbons of a world as chords, and the grid that finds them."""

    chords: Floats
    """(n, 10), see the column names above."""
    origin: Floats
    """(2,) corner of the grid in metres."""
    first: Ids
    """(rows, columns + 1): cell (j, i) lists `members[first[j, i]:first[j, i + 1]]`."""
    members: Ids
    """Indices of chords, cell after cell."""


class Place(NamedTuple):
    """Where a point of the ground lies on the nearest ribbon, or where eight points do."""

    edge: Scalar
    """Distance beyond the edge in metres, negative on the road."""
    aside: Scalar
    """Distance from the middle line in metres, left positive."""
    along: Scalar
    """Arc length in metres."""
    chord: Any
    """Index of the nearest chord, or -1 far from every ribbon."""


@helper(**KERNEL)
def place_on_chord(chords: Floats, k: int, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """Distance from the middle line (left positive) and distance along chord k of the point (x, y), in metres."""
    chord = chords[k]
    east = x - chord[X]
    north = y - chord[Y]
    along = east * chord[AHEAD_X] + north * chord[AHEAD_Y]
    aside = north * chord[AHEAD_X] - east * chord[AHEAD_Y]
    beyond = along - min(max(along, ZERO), chord[LENGTH])
    if beyond == ZERO:
        # The line bulges out of its chord, to the right where it bends to the left.
        return aside + chord[BULGE] * along * (chord[LENGTH] - along), along
    distance = math.sqrt(aside * aside + beyond * beyond)
    return (distance if aside >= ZERO else -distance), along - beyond


@helper(**EXACT)
def _places_on_chord(chord: Floats, x: Lanes, y: Lanes) -> tuple[Lanes, Lanes]:
    """The same of eight points, each rounding as it comes out there."""
    east = x - chord[X]
    north = y - chord[Y]
    along = fused(north, chord[AHEAD_Y], east * chord[AHEAD_X])
    aside = fused(north, chord[AHEAD_X], -(east * chord[AHEAD_Y]))
    clamped = min(max(along, ZERO), chord[LENGTH])
    beyond = along - clamped
    distance = math.sqrt(fused(beyond, beyond, aside * aside))
    distance = where(aside >= ZERO, distance, -distance)
    bulging = fused((chord[LENGTH] - along) * along, chord[BULGE], aside)
    return where(beyond == ZERO, bulging, distance), clamped


@helper(**EXACT)
def cells_near(road: Road, x: Lanes, y: Lanes, wanted: Lanes) -> tuple[Lanes, Lanes]:
    """Where in `Road.members` the chords near the wanted points stand: the first, and one behind the last."""
    u = x - road.origin[X]
    v = y - road.origin[Y]
    rows, columns = road.first.shape
    inside = wanted & (u >= ZERO) & (v >= ZERO) & (u < F(columns - 1)) & (v < F(rows))
    cell = where(inside, to_ints(v) * columns + to_ints(u), 0)
    first = gather(road.first, cell)
    return first, where(inside, gather(road.first, cell + 1), first)


@helper(**EXACT)
def places_on_road(road: Road, marks: Ids, first: Lanes, last: Lanes, x: Lanes, y: Lanes) -> Place:
    """The places of the points (x, y) on the nearest ribbons; where ribbons overlap, on the one whose edge is farther.

    Args:
        road: the ribbons.
        marks: (2, 8) overwritten.
        first: as from `cells_near`, with `last`. Neighbouring points mostly share a cell, and with it each chord.
        last: as from `cells_near`.
        x: in metres, with `y`.
        y: in metres.
    """
    store(marks[0], 0, first)
    store(marks[1], 0, last)
    edge = spread(NOWHERE)
    aside = spread(ZERO)
    along = spread(ZERO)
    nearest = spread(np.int32(-1))
    for lane in range(LANES):
        begin = marks[0, lane]
        end = marks[1, lane]
        if begin == end or (lane > 0 and marks[0, lane - 1] == begin and marks[1, lane - 1] == end):
            continue
        here = (first == begin) & (last == end)
        for member in range(begin, end):
            k = road.members[member]
            this_aside, this_along = _places_on_chord(road.chords[k], x, y)
            this_edge = abs(this_aside) - road.chords[k, HALF_WIDTH]
            nearer = here & (this_edge < edge)
            edge = where(nearer, this_edge, edge)
            aside = where(nearer, this_aside, aside)
            along = where(nearer, road.chords[k, ALONG] + this_along, along)
            nearest = where(nearer, k, nearest)
    return Place(edge, aside, along, nearest)


@helper(**KERNEL)
def _middle_distance(chords: Floats, i: int, j: int) -> Scalar:
    """Distance of chord i's middle from the line of chord j, in metres."""
    ahead = HALF * chords[i, LENGTH]
    x = chords[i, X] + ahead * chords[i, AHEAD_X]
    y = chords[i, Y] + ahead * chords[i, AHEAD_Y]
    return abs(place_on_chord(chords, j, x, y)[0])


@kernel(**KERNEL)
def _mark_repeats(chords: Floats, repeated: NDArray[np.bool_]) -> None:
    """Mark the chords that run along a chord of an earlier ribbon."""
    for i in range(chords.shape[0]):
        for j in range(i):
            if (chords[j, RIBBON] == chords[i, RIBBON]) | repeated[j]:
                continue
            if abs(chords[i, X] - chords[j, X]) + abs(chords[i, Y] - chords[j, Y]) > F(4):
                continue
            turn = chords[i, AHEAD_X] * chords[j, AHEAD_Y] - chords[i, AHEAD_Y] * chords[j, AHEAD_X]
            if (_middle_distance(chords, i, j) < F(SAME_LINE_M)) & (abs(turn) < F(0.2)):
                repeated[i] = True
                break


@kernel(**KERNEL)
def _unmark_junctions(chords: Floats) -> None:
    """Clear the markings of chords over which another ribbon leads."""
    for i in range(chords.shape[0]):
        for j in range(chords.shape[0]):
            if chords[j, RIBBON] == chords[i, RIBBON]:
                continue
            reach = chords[i, HALF_WIDTH] + chords[j, HALF_WIDTH] + F(JUNCTION_MARGIN_M)
            if abs(chords[i, X] - chords[j, X]) + abs(chords[i, Y] - chords[j, Y]) > F(2) * reach + F(4):
                continue
            if _middle_distance(chords, i, j) < reach:
                chords[i, MARKED] = ZERO
                break


@kernel(**KERNEL)
def _visit_cells(
    chords: Floats, origin: Floats, nearest: Floats, count: Ids, first: Ids, members: Ids, stage: int
) -> None:
    """Go over the cells near every chord: stage 0 finds each cell's least distance from an edge, stage 1 counts the
    chords that may be nearest to some point of the cell, stage 2 writes them down."""
    rows, columns = nearest.shape
    cell = F(CELL_M)
    half_diagonal = F(0.7072 * CELL_M)
    for k in range(chords.shape[0]):
        reach = chords[k, HALF_WIDTH] + F(REACH_M) + half_diagonal + HALF * chords[k, LENGTH]
        x = chords[k, X] + HALF * chords[k, LENGTH] * chords[k, AHEAD_X] - origin[X]
        y = chords[k, Y] + HALF * chords[k, LENGTH] * chords[k, AHEAD_Y] - origin[Y]
        for j in range(max(0, int((y - reach) / cell)), min(rows, int((y + reach) / cell) + 1)):
            for i in range(max(0, int((x - reach) / cell)), min(columns, int((x + reach) / cell) + 1)):
                middle_x = origin[X] + (F(i) + HALF) * cell
                middle_y = origin[Y] + (F(j) + HALF) * cell
                edge = abs(place_on_chord(chords, k, middle_x, middle_y)[0]) - chords[k, HALF_WIDTH]
                if stage == 0:
                    nearest[j, i] = min(nearest[j, i], edge)
                elif edge <= min(nearest[j, i] + F(2) * half_diagonal, F(REACH_M) + half_diagonal):
                    if stage == 2:
                        members[first[j, i] + count[j, i]] = k
                    count[j, i] += 1


def _chords_of(ribbon: Ribbon, number: int, marked: bool) -> Floats:
    """The chords (n, 10) of one ribbon."""
    points = np.asarray(ribbon.points_m, np.float64)
    corners = points[::POINTS_PER_CHORD]
    if ribbon.closed:
        corners = np.concatenate([corners, points[:1]])
    elif (len(points) - 1) % POINTS_PER_CHORD:
        corners = np.concatenate([corners, points[-1:]])
    steps = np.diff(corners, axis=0)
    length = np.hypot(steps[:, 0], steps[:, 1])
    corners = corners[:-1][length > 1e-6]
    steps = steps[length > 1e-6]
    length = length[length > 1e-6]
    heading = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    curvature = np.gradient(heading) / length if len(heading) > 1 else np.zeros(len(heading))
    chords = np.zeros((len(steps), 10), F)
    chords[:, X : Y + 1] = corners
    chords[:, AHEAD_X : AHEAD_Y + 1] = steps / length[:, None]
    chords[:, LENGTH] = length
    chords[:, ALONG] = np.cumsum(length) - length
    chords[:, BULGE] = 0.5 * curvature
    chords[:, HALF_WIDTH] = ribbon.half_width_m
    chords[:, MARKED] = marked
    chords[:, RIBBON] = number
    return chords


def make_road(ribbons: Sequence[Ribbon], markings: bool) -> Road:
    """Prepare ribbons for the kernels.

    Args:
        ribbons: the middle lines, any number.
        markings: whether lines are painted on them, except where ribbons meet.
    """
    if not ribbons:
        return Road(np.zeros((0, 10), F), np.zeros(2, F), np.zeros((0, 1), np.int32), np.zeros(0, np.int32))
    chords = np.concatenate([_chords_of(ribbon, number, markings) for number, ribbon in enumerate(ribbons)])
    if len(ribbons) > 1:
        repeated = np.zeros(len(chords), bool)
        _mark_repeats(chords, repeated)
        chords = chords[~repeated]
        _unmark_junctions(chords)
    margin = chords[:, HALF_WIDTH].max() + REACH_M + 2 * CELL_M
    origin = (chords[:, :2].min(axis=0) - margin).astype(F)
    columns, rows = np.ceil((chords[:, :2].max(axis=0) + margin - origin) / CELL_M).astype(int)
    nearest = np.full((rows, columns), NOWHERE, F)
    count = np.zeros((rows, columns), np.int32)
    first = np.zeros((rows, columns + 1), np.int32)
    members = np.zeros(0, np.int32)
    _visit_cells(chords, origin, nearest, count, first, members, 0)
    _visit_cells(chords, origin, nearest, count, first, members, 1)
    ends = np.cumsum(count.ravel(), dtype=np.int32).reshape(rows, columns)
    first[:, 1:] = ends
    first[1:, 0] = ends[:-1, -1]
    members = np.zeros(int(ends[-1, -1]), np.int32)
    count[:] = 0
    _visit_cells(chords, origin, nearest, count, first, members, 2)
    return Road(chords, origin, first, members)
