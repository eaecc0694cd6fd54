"""The map of the ground's light: shadows that trees and boxes cast, and the dark ground at their feet."""

import math

import numpy as np

from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.rendering.raycast.columns import (
    BASE,
    COSINE,
    CROWN_HEIGHT,
    CROWN_KIND,
    CROWN_RADIUS,
    HALF_LENGTH,
    HALF_WIDTH,
    SINE,
    TOP,
    TRUNK_HEIGHT,
    TRUNK_RADIUS,
    X,
    Y,
    Z,
)
from forestpilot.sim.rendering.raycast.intersect import HALF, KERNEL, ONE, ZERO, Bytes, Floats, Scalar
from forestpilot.sim.worlds.world import World

F = np.float32

MAP_TEXELS_PER_M = 5.0
"""Resolution of the map, in worlds that are not too large for it."""
MAP_MAX_TEXELS = 4_000_000
"""A larger world has a coarser map: writing more than 8 MB would show in the time that a reset takes."""
MAP_MARGIN_M = 12.0
"""How far the map reaches beyond the outermost trees; shadows end there."""
SUN = np.int64(0)
OPENNESS = np.int64(1)
"""Channels of the map: share of the sun that comes through and of the sky that is seen; 0 to 255. No Python integers:
for each of those Numba would compile the helpers once more."""
CROWN_SHADOW = F(0.62)
"""Share of the sun that a crown takes from the ground."""
TRUNK_SHADOW = F(0.7)
"""Share of the sun that a trunk or a box takes from the ground."""


@helper(**KERNEL)
def _darken_disc(
    light_map: Bytes, channel: int, column: Scalar, row: Scalar, inner: Scalar, outer: Scalar, strength: Scalar
) -> None:
    """Multiply a soft disc into a channel; radii in texels, strength 0 to 1 at the centre."""
    height, width, _ = light_map.shape
    for v in range(max(0, int(row - outer)), min(height, int(row + outer) + 2)):
        for u in range(max(0, int(column - outer)), min(width, int(column + outer) + 2)):
            dx = np.float32(u) + HALF - column
            dy = np.float32(v) + HALF - row
            fade = (outer - math.sqrt(dx * dx + dy * dy)) / (outer - inner)
            fade = min(max(fade, ZERO), ONE)
            light_map[v, u, channel] = np.uint8(F(light_map[v, u, channel]) * (ONE - strength * fade))


@helper(**KERNEL)
def _darken_stripe(
    light_map: Bytes, column: Scalar, row: Scalar, ahead_x: Scalar, ahead_y: Scalar, length: Scalar, half_width: Scalar
) -> None:
    """Lower the sun to a trunk's shadow: a soft stripe with round ends; lengths in texels, (ahead_x, ahead_y) unit."""
    height, width, _ = light_map.shape
    reach = half_width + ONE
    end_x = column + length * ahead_x
    end_y = row + length * ahead_y
    for v in range(max(0, int(min(row, end_y) - reach)), min(height, int(max(row, end_y) + reach) + 1)):
        # Only the columns that this row of a slanting stripe can touch.
        from_x = min(column, end_x)
        to_x = max(column, end_x)
        if abs(ahead_y) > F(0.05):
            middle = column + (np.float32(v) + HALF - row) * ahead_x / ahead_y
            aside = (reach + HALF) / abs(ahead_y)
            from_x = max(from_x, middle - aside)
            to_x = min(to_x, middle + aside)
        for u in range(max(0, int(from_x - reach)), min(width, int(to_x + reach) + 1)):
            dx = np.float32(u) + HALF - column
            dy = np.float32(v) + HALF - row
            along = min(max(dx * ahead_x + dy * ahead_y, ZERO), length)
            dx -= along * ahead_x
            dy -= along * ahead_y
            cover = min(max(half_width + HALF - math.sqrt(dx * dx + dy * dy), ZERO), ONE)
            light_map[v, u, SUN] = min(light_map[v, u, SUN], np.uint8(F(255) * (ONE - TRUNK_SHADOW * cover)))


@kernel(**KERNEL)
def _cast_tree_shadows(light_map: Bytes, trees: Floats, origin: Floats, sun: Floats, texels_per_m: Scalar) -> None:
    """Trunk shadows, then crown shadows along the sun's direction, and the dark foot of every trunk."""
    away_x = -sun[X] / sun[Z]
    away_y = -sun[Y] / sun[Z]
    length = math.sqrt(away_x * away_x + away_y * away_y) + F(1e-6)
    for part in range(2):
        for t in range(trees.shape[0]):
            tree = trees[t]
            trunk_radius = tree[TRUNK_RADIUS]
            trunk_height = tree[TRUNK_HEIGHT]
            column = (tree[X] - origin[X]) * texels_per_m
            row = (tree[Y] - origin[Y]) * texels_per_m
            if part == 0:
                reach = trunk_height * length * texels_per_m
                half_width = trunk_radius * texels_per_m
                _darken_stripe(light_map, column, row, away_x / length, away_y / length, reach, half_width)
                foot = (trunk_radius + F(0.7)) * texels_per_m
                _darken_disc(light_map, OPENNESS, column, row, half_width, foot, F(0.55))
                continue
            crown_radius = tree[CROWN_RADIUS]
            round_crown = tree[CROWN_KIND] > HALF
            middle = trunk_height + (F(0.7) * crown_radius if round_crown else F(0.25) * tree[CROWN_HEIGHT])
            column += away_x * middle * texels_per_m
            row += away_y * middle * texels_per_m
            radius = crown_radius * texels_per_m
            _darken_disc(light_map, SUN, column, row, F(0.55) * radius, F(1.05) * radius, CROWN_SHADOW)


@helper(**KERNEL)
def _slab(start: Scalar, step: Scalar, half: Scalar) -> tuple[Scalar, Scalar]:
    """Between which parameters the line start + t * step lies within -half and half."""
    step = step if abs(step) > F(1e-6) else F(1e-6)
    one = (-half - start) / step
    two = (half - start) / step
    return min(one, two), max(one, two)


@kernel(**KERNEL)
def _cast_box_shadows(light_map: Bytes, boxes: Floats, origin: Floats, sun: Floats, texels_per_m: Scalar) -> None:
    """Shadows of boxes along the sun's direction, and the dark ground under and around them; boxes as in `Scene`."""
    height, width, _ = light_map.shape
    for b in range(boxes.shape[0]):
        box = boxes[b]
        x = box[X]
        y = box[Y]
        cosine = box[COSINE]
        sine = box[SINE]
        half_length = box[HALF_LENGTH]
        half_width = box[HALF_WIDTH]
        low = box[BASE]
        high = box[TOP]
        shift_x = -sun[X] / sun[Z] * high
        shift_y = -sun[Y] / sun[Z] * high
        reach = math.sqrt(half_length * half_length + half_width * half_width) + F(0.6)
        sun_along = sun[X] * cosine + sun[Y] * sine
        sun_aside = sun[Y] * cosine - sun[X] * sine
        first_row = int((y + min(shift_y, ZERO) - reach - origin[Y]) * texels_per_m)
        last_row = int((y + max(shift_y, ZERO) + reach - origin[Y]) * texels_per_m)
        first_column = int((x + min(shift_x, ZERO) - reach - origin[X]) * texels_per_m)
        last_column = int((x + max(shift_x, ZERO) + reach - origin[X]) * texels_per_m)
        for v in range(max(0, first_row), min(height, last_row + 1)):
            for u in range(max(0, first_column), min(width, last_column + 1)):
                east = origin[X] + (np.float32(u) + HALF) / texels_per_m - x
                north = origin[Y] + (np.float32(v) + HALF) / texels_per_m - y
                along = east * cosine + north * sine
                aside = north * cosine - east * sine
                enter_along, leave_along = _slab(along, sun_along, half_length)
                enter_aside, leave_aside = _slab(aside, sun_aside, half_width)
                enter = max(max(enter_along, enter_aside), low / sun[Z])
                if enter < min(min(leave_along, leave_aside), high / sun[Z]):
                    light_map[v, u, SUN] = min(light_map[v, u, SUN], np.uint8(F(255) * (ONE - TRUNK_SHADOW)))
                beyond_x = max(abs(along) - half_length, ZERO)
                beyond_y = max(abs(aside) - half_width, ZERO)
                near = ONE - math.sqrt(beyond_x * beyond_x + beyond_y * beyond_y) / F(0.6)
                near = max(near, ZERO) * min(ONE, F(1.6) - F(2) * low)
                open_sky = np.uint8(F(255) * (ONE - F(0.6) * max(near, ZERO)))
                light_map[v, u, OPENNESS] = min(light_map[v, u, OPENNESS], open_sky)


def make_light_map(world: World, trees: Floats, boxes: Floats, sun: Floats) -> tuple[Bytes, Floats, np.float32]:
    """Light on the ground of a world.

    Args:
        world: for its bounds.
        trees: (n, 7) as in `World.trees`.
        boxes: (b, 9) as in `forestpilot.sim.rendering.raycast.scene.Scene`.
        sun: (3,) unit vector towards the sun.

    Returns:
        The map (rows along y, columns along x, 2) uint8, its corner (2,) in metres, and its texels per metre.
    """
    bounds = world.bounds_m
    places = trees[:, :2] if len(trees) else np.zeros((1, 2), F)
    low = np.minimum(places.min(axis=0), [bounds.x_min, bounds.y_min]) - MAP_MARGIN_M
    high = np.maximum(places.max(axis=0), [bounds.x_max, bounds.y_max]) + MAP_MARGIN_M
    texels_per_m = min(MAP_TEXELS_PER_M, math.sqrt(MAP_MAX_TEXELS / float(np.prod(high - low))))
    width, height = (np.ceil((high - low) * texels_per_m)).astype(int) + 1
    light_map = np.full((height, width, 2), 255, np.uint8)
    origin = low.astype(F)
    _cast_tree_shadows(light_map, trees, origin, sun, F(texels_per_m))
    _cast_box_shadows(light_map, boxes, origin, sun, F(texels_per_m))
    return light_map, origin, F(texels_per_m)
