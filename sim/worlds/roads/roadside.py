"""The forest beside a road: trees as close as the shoulder allows, so that no one sees through the inside of a bend."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.road_config import RoadConfig
from forestpilot.sim.worlds.world import Ribbon

BAND_M, BACKGROUND_M = 14.0, 25.0
"""How far the dense forest reaches from the road's edge, and the thin one behind it."""
BACKGROUND_SHARE = 0.2
"""Density behind the band against that in it."""
SPACING_M = 1.1
"""Least distance between the axes of two trees."""
SPRUCE_SHARE_FRONT, SPRUCE_SHARE_BEHIND = 0.55, 0.3
"""Shares of young spruces, whose branches reach down to the eye of a driver: they block the view, not only trunks. They
stand where the light is, in the first rows beside the road."""
FRONT_M = 5.0
"""Depth of the first rows."""
TRUNK_RADII_M = (0.14, 0.18, 0.22, 0.26, 0.30, 0.35)
SPRUCE_RADII_M = (0.10, 0.12)
_STRIDE = 8


def plant_trees(
    config: RoadConfig, ribbons: tuple[Ribbon, ...], shoulder_m: float, boxes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(n, 7) float32 trees as in `World.trees` beside every ribbon, none nearer to any than the shoulder.

    Candidates are drawn by their distance along and beside a ribbon, so they stand closer together in the inside of
    bends, where the view must be blocked.
    """
    drawn = [_candidates(config.density_per_m2, ribbon, shoulder_m, rng) for ribbon in ribbons]
    candidates = np.concatenate([np.insert(rows, 3, owner, axis=1) for owner, rows in enumerate(drawn)])
    candidates = rng.permutation(candidates)
    places = np.ascontiguousarray(candidates[:, :2])
    in_front = candidates[:, 2] < ribbons[0].half_width_m + shoulder_m + FRONT_M
    trees = _grow(places, np.where(in_front, SPRUCE_SHARE_FRONT, SPRUCE_SHARE_BEHIND), rng)
    room = trees[:, 2].astype(float) + shoulder_m
    # A spruce's lowest branches are its widest part, and they hang no higher than a car's bonnet.
    room[trees[:, 3] < 2.0] = trees[trees[:, 3] < 2.0, 4] + 0.5 * shoulder_m
    keep = np.ones(len(trees), np.bool_)
    for owner, ribbon in enumerate(ribbons):
        # Where two roads are near, each has the trees on its own side only: the forest is nowhere twice as dense.
        aside = np.where(candidates[:, 3] == owner, 0.0, candidates[:, 2])
        needed = np.maximum(room + ribbon.half_width_m, aside)
        _drop_near(keep, places, ribbon.points_m.astype(np.float64), needed)
    _drop_on_boxes(keep, places, room, boxes.astype(np.float64))
    _drop_crowded(keep, places)
    trees = trees[keep]
    trees.setflags(write=False)
    return trees


def _candidates(density: float, ribbon: Ribbon, shoulder_m: float, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) x, y and distance from the middle line of places on both sides of a ribbon, and around its ends."""
    points = ribbon.points_m.astype(np.float64)
    if not ribbon.closed:
        ends = np.arange(POINT_SPACING_M, BACKGROUND_M, POINT_SPACING_M)[:, None]
        first, last = points[0] - points[1], points[-1] - points[-2]
        first, last = first / np.hypot(*first), last / np.hypot(*last)
        points = np.concatenate([points[0] + ends[::-1] * first, points, points[-1] + ends * last])
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
    return np.column_stack([places, np.abs(aside)])


def _grow(places: np.ndarray, spruce_share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 7) float32 trees, or young spruces with the chance (n,) given, at (n, 2) places.

    Trunks come in few radii, so that colliders can be shared.
    """
    count = len(places)
    trees = np.zeros((count, 7), np.float32)
    trees[:, :2] = places
    trees[:, 2] = rng.choice(TRUNK_RADII_M, count)
    trees[:, 3] = rng.uniform(3.8, 6.5, count)
    trees[:, 6] = rng.random(count) < 0.4
    sphere = trees[:, 6] > 0.5
    trees[:, 4] = np.where(sphere, rng.uniform(1.1, 1.9, count), rng.uniform(0.9, 1.8, count))
    trees[:, 5] = np.where(sphere, 2 * trees[:, 4], rng.uniform(3.0, 6.0, count))
    young = np.flatnonzero(rng.random(count) < spruce_share)
    trees[young, 2] = rng.choice(SPRUCE_RADII_M, len(young))
    trees[young, 3] = rng.uniform(0.7, 0.9, len(young))
    trees[young, 4] = rng.uniform(0.7, 1.3, len(young))
    trees[young, 5] = rng.uniform(1.6, 4.0, len(young))
    trees[young, 6] = 0
    return trees


@njit(cache=True)
def _drop_near(keep: np.ndarray, places: np.ndarray, line: np.ndarray, room: np.ndarray) -> None:
    """Unmark the places (n, 2) nearer to the points of a line (m, 2) than the room (n,) that each needs."""
    slack = 0.5 * _STRIDE * POINT_SPACING_M + 0.1
    for k in range(places.shape[0]):
        if not keep[k]:
            continue
        coarse = (room[k] + slack) ** 2
        exact = (room[k] + 0.01) ** 2
        for i in range(0, line.shape[0] + _STRIDE, _STRIDE):
            middle = min(i, line.shape[0] - 1)
            dx, dy = places[k, 0] - line[middle, 0], places[k, 1] - line[middle, 1]
            if dx * dx + dy * dy > coarse:
                continue
            for j in range(max(0, middle - _STRIDE), min(line.shape[0], middle + _STRIDE + 1)):
                dx, dy = places[k, 0] - line[j, 0], places[k, 1] - line[j, 1]
                if dx * dx + dy * dy < exact:
                    keep[k] = False
                    break
            if not keep[k]:
                break


@njit(cache=True)
def _drop_on_boxes(keep: np.ndarray, places: np.ndarray, room: np.ndarray, boxes: np.ndarray) -> None:
    """Unmark the places nearer to the outline of a box than the room that each needs."""
    for b in range(boxes.shape[0]):
        cos, sin = math.cos(boxes[b, 2]), math.sin(boxes[b, 2])
        for k in range(places.shape[0]):
            dx, dy = places[k, 0] - boxes[b, 0], places[k, 1] - boxes[b, 1]
            along = max(abs(cos * dx + sin * dy) - 0.5 * boxes[b, 3], 0.0)
            aside = max(abs(cos * dy - sin * dx) - 0.5 * boxes[b, 4], 0.0)
            if along * along + aside * aside < room[k] * room[k]:
                keep[k] = False


@njit(cache=True)
def _drop_crowded(keep: np.ndarray, places: np.ndarray) -> None:
    """Unmark every place within `SPACING_M` of an earlier one that is kept; a hash grid keeps it linear."""
    if places.shape[0] == 0:
        return
    low_x, low_y = places[:, 0].min(), places[:, 1].min()
    columns = int((places[:, 0].max() - low_x) / SPACING_M) + 3
    rows = int((places[:, 1].max() - low_y) / SPACING_M) + 3
    first = np.full((rows, columns), -1, np.int32)
    following = np.full(places.shape[0], -1, np.int32)
    for k in range(places.shape[0]):
        if not keep[k]:
            continue
        i, j = int((places[k, 0] - low_x) / SPACING_M) + 1, int((places[k, 1] - low_y) / SPACING_M) + 1
        for b in range(j - 1, j + 2):
            for a in range(i - 1, i + 2):
                other = first[b, a]
                while other >= 0:
                    dx, dy = places[k, 0] - places[other, 0], places[k, 1] - places[other, 1]
                    if dx * dx + dy * dy < SPACING_M * SPACING_M:
                        keep[k] = False
                    other = following[other]
        if keep[k]:
            following[k] = first[j, i]
            first[j, i] = k
