"""The forest beside a road: trees as close as the shoulder allows, so that no one sees through the inside of a bend."""

from __future__ import annotations

import math

import numpy as np

from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.worlds.growth import draw_grown_trees
from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.road_config import RoadConfig
from forestpilot.sim.worlds.tables import BOX, CONE, Trees, records
from forestpilot.sim.worlds.world import Ribbon

BAND_M = 14.0
BACKGROUND_M = 25.0
"""How far the dense forest reaches from the road's edge, and the thin one behind it."""
BACKGROUND_SHARE = 0.2
"""Density behind the band against that in it."""
SPACING_M = 1.1
"""Least distance between the axes of two trees."""
SPRUCE_SHARE_FRONT = 0.55
SPRUCE_SHARE_BEHIND = 0.3
"""Shares of young spruces, whose branches reach down to the eye of a driver: they block the view, not only trunks. They
stand where the light is, in the first rows beside the road."""
FRONT_M = 5.0
"""Depth of the first rows."""
TRUNK_RADII_M = (0.14, 0.18, 0.22, 0.26, 0.30, 0.35)
SPRUCE_RADII_M = (0.10, 0.12)
_STRIDE = 8
CANDIDATE = np.dtype([("x_m", np.float64), ("y_m", np.float64), ("aside_m", np.float64), ("ribbon", np.float64)])
"""A place where a tree may stand: its distance from the middle line of the ribbon, by number, that it stands beside."""


def plant_trees(
    config: RoadConfig, ribbons: tuple[Ribbon, ...], shoulder_m: float, boxes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(n, 7) float32 trees as in `World.trees` beside every ribbon, none nearer to any than the shoulder.

    Candidates are drawn by their distance along and beside a ribbon, so they stand closer together in the inside of
    bends, where the view must be blocked.
    """
    drawn = []
    for number, ribbon in enumerate(ribbons):
        drawn.append(_draw_candidates(config.density_per_m2, ribbon, number, shoulder_m, rng))
    candidates = rng.permutation(np.concatenate(drawn))
    places = np.stack([candidates["x_m"], candidates["y_m"]], axis=1)
    in_front = candidates["aside_m"] < ribbons[0].half_width_m + shoulder_m + FRONT_M
    table = _grow(places, np.where(in_front, SPRUCE_SHARE_FRONT, SPRUCE_SHARE_BEHIND), rng)
    trees = Trees.of(table)
    # A spruce's lowest branches are its widest part, and they hang no higher than a car's bonnet.
    low = trees.height_m < 2.0
    room = np.where(low, trees.crown_radius_m + 0.5 * shoulder_m, trees.radius_m.astype(float) + shoulder_m)
    keep = np.ones(len(table), np.bool_)
    for number, ribbon in enumerate(ribbons):
        # Where two roads are near, each has the trees on its own side only: the forest is nowhere twice as dense.
        aside = np.where(candidates["ribbon"] == number, 0.0, candidates["aside_m"])
        needed = np.maximum(room + ribbon.half_width_m, aside)
        _drop_near(keep, places, ribbon.points_m.astype(np.float64), needed)
    _drop_on_boxes(keep, places, room, records(boxes, BOX))
    _drop_crowded(keep, places)
    table = table[keep]
    table.setflags(write=False)
    return table


def _draw_candidates(
    density: float, ribbon: Ribbon, number: int, shoulder_m: float, rng: np.random.Generator
) -> np.ndarray:
    """(n,) records of the dtype `CANDIDATE`: places on both sides of a ribbon, and around its ends."""
    points = ribbon.points_m.astype(np.float64)
    if not ribbon.closed:
        points = _prolonged(points, np.arange(POINT_SPACING_M, BACKGROUND_M, POINT_SPACING_M)[:, None])
    length = POINT_SPACING_M * len(points)
    near = rng.poisson(2 * length * BAND_M * density)
    far = rng.poisson(2 * length * (BACKGROUND_M - BAND_M) * density * BACKGROUND_SHARE)
    # Denser towards the road: the first rows are what blocks the view.
    aside = np.concatenate([BAND_M * rng.random(near) ** 1.7, rng.uniform(BAND_M, BACKGROUND_M, far)])
    aside = (aside + ribbon.half_width_m + shoulder_m) * rng.choice([-1.0, 1.0], near + far)
    at = rng.integers(len(points) - 1, size=near + far)
    tangent = np.diff(points, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    along = rng.uniform(0, POINT_SPACING_M, (near + far, 1)) * tangent[at]
    places = points[at] + along + aside[:, None] * np.stack([-tangent[at, 1], tangent[at, 0]], axis=1)
    candidates = np.empty(near + far, CANDIDATE)
    candidates["x_m"] = places[:, 0]
    candidates["y_m"] = places[:, 1]
    candidates["aside_m"] = np.abs(aside)
    candidates["ribbon"] = number
    return candidates


def _prolonged(points: np.ndarray, beyond_m: np.ndarray) -> np.ndarray:
    """A line (n, 2) that goes straight on at both ends, with points at these distances (k, 1) beyond them."""
    first = points[0] - points[1]
    first = first / np.hypot(*first)
    last = points[-1] - points[-2]
    last = last / np.hypot(*last)
    return np.concatenate([points[0] + beyond_m[::-1] * first, points, points[-1] + beyond_m * last])


def _grow(places: np.ndarray, spruce_share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 7) float32 trees, or young spruces with the chance (n,) given, at (n, 2) places.

    Trunks come in few radii, so that colliders can be shared.
    """
    table = draw_grown_trees(places, rng.choice(TRUNK_RADII_M, len(places)), rng)
    young = np.flatnonzero(rng.random(len(places)) < spruce_share)
    count = len(young)
    spruces = Trees(
        x_m=places[young, 0],
        y_m=places[young, 1],
        radius_m=rng.choice(SPRUCE_RADII_M, count),
        height_m=rng.uniform(0.7, 0.9, count),
        crown_radius_m=rng.uniform(0.7, 1.3, count),
        crown_height_m=rng.uniform(1.6, 4.0, count),
        kind=np.full(count, CONE),
    )
    table[young] = np.stack(spruces, axis=1)
    return table


@kernel()
def _drop_near(keep: np.ndarray, places: np.ndarray, line: np.ndarray, room: np.ndarray) -> None:
    """Unmark the places (n, 2) nearer to the points of a line (m, 2) than the room (n,) that each needs."""
    for k in range(places.shape[0]):
        if keep[k]:
            keep[k] = not _is_near(places[k], line, room[k])


@helper()
def _is_near(place: np.ndarray, line: np.ndarray, room: float) -> bool:
    """Tell if a place lies within so much room of a line's points; looks closely only where every eighth is near."""
    slack = 0.5 * _STRIDE * POINT_SPACING_M + 0.1
    coarse = (room + slack) ** 2
    exact = (room + 0.01) ** 2
    count = line.shape[0]
    for i in range(0, count + _STRIDE, _STRIDE):
        middle = min(i, count - 1)
        if _distance2(place, line[middle]) > coarse:
            continue
        for j in range(max(0, middle - _STRIDE), min(count, middle + _STRIDE + 1)):
            if _distance2(place, line[j]) < exact:
                return True
    return False


@helper(inline="always")
def _distance2(a: np.ndarray, b: np.ndarray) -> float:
    """Squared distance of two places (2,)."""
    dx = a[0] - b[0]
    dy = a[1] - b[1]
    return dx * dx + dy * dy


@kernel()
def _drop_on_boxes(keep: np.ndarray, places: np.ndarray, room: np.ndarray, boxes: np.ndarray) -> None:
    """Unmark the places nearer to the outline of a box than the room that each needs."""
    for box in boxes:
        cosine = math.cos(np.float64(box.yaw_rad))
        sine = math.sin(np.float64(box.yaw_rad))
        half_length = 0.5 * np.float64(box.length_m)
        half_width = 0.5 * np.float64(box.width_m)
        for k in range(places.shape[0]):
            dx = places[k, 0] - box.x_m
            dy = places[k, 1] - box.y_m
            along = max(abs(cosine * dx + sine * dy) - half_length, 0.0)
            aside = max(abs(cosine * dy - sine * dx) - half_width, 0.0)
            if along * along + aside * aside < room[k] * room[k]:
                keep[k] = False


@kernel()
def _drop_crowded(keep: np.ndarray, places: np.ndarray) -> None:
    """Unmark every place within `SPACING_M` of an earlier one that is kept; a hash grid keeps it linear."""
    if places.shape[0] == 0:
        return
    # Written out: to compile array methods takes longer than everything else here.
    low_x = high_x = places[0, 0]
    low_y = high_y = places[0, 1]
    for k in range(places.shape[0]):
        low_x = min(low_x, places[k, 0])
        low_y = min(low_y, places[k, 1])
        high_x = max(high_x, places[k, 0])
        high_y = max(high_y, places[k, 1])
    columns = int((high_x - low_x) / SPACING_M) + 3
    rows = int((high_y - low_y) / SPACING_M) + 3
    first = np.full((rows, columns), -1, np.int32)
    following = np.full(places.shape[0], -1, np.int32)
    for k in range(places.shape[0]):
        if not keep[k]:
            continue
        i = int((places[k, 0] - low_x) / SPACING_M) + 1
        j = int((places[k, 1] - low_y) / SPACING_M) + 1
        for b in range(j - 1, j + 2):
            for a in range(i - 1, i + 2):
                other = first[b, a]
                while other >= 0:
                    if _distance2(places[k], places[other]) < SPACING_M * SPACING_M:
                        keep[k] = False
                    other = following[other]
        if keep[k]:
            following[k] = first[j, i]
            first[j, i] = k
