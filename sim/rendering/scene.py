"""A world prepared for the ray-caster: flat arrays, and a map of the ground's light."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from sim.rendering.intersect import HALF, KERNEL, ONE, ZERO, Bytes, Floats, Scalar
from sim.rendering.textures import FIRST_BARK, FIRST_LEAF, skyline, texture_bank
from sim.worlds.appearance import Appearance
from sim.worlds.world import World

F = np.float32

MAP_TEXELS_PER_M = 5.0
"""Resolution of the ground's light map."""
MAP_MARGIN_M = 12.0
"""How far the map reaches beyond the outermost trees; shadows end there."""
SUN, OPENNESS, TRAIL = 0, 1, 2
"""Channels of the ground map: share of the sun that comes through, of the sky that is seen, and of trail; 0 to 255."""
CROWN_SHADOW = F(0.62)
"""Share of the sun that a crown takes from the ground."""


class Scene(NamedTuple):
    """Everything the kernels read; colours 0 to 255."""

    trees: Floats
    bark: Floats
    leaf: Floats
    bank: Bytes
    skyline: Floats
    ground_map: Bytes
    map_origin: Floats
    sun: Floats
    sun_strength: np.float32
    sky: Floats
    haze: Floats
    inverse_fog2: np.float32
    treeline: Floats
    treeline_height: np.float32
    treeline_phase: np.float32
    ground: Floats
    ground_offset: Floats
    trail: Floats
    ground_tile: int
    bark_tile: int
    leaf_tile: int
    smooth: bool


@njit(**KERNEL)
def _darken_disc(
    ground_map: Bytes, channel: int, column: Scalar, row: int, inner: Scalar, outer: Scalar, strength: Scalar
) -> None:
    """Multiply a soft disc into a channel; radii in texels, strength 0 to 1 at the centre."""
    height, width, _ = ground_map.shape
    for v in range(max(0, int(row - outer)), min(height, int(row + outer) + 2)):
        for u in range(max(0, int(column - outer)), min(width, int(column + outer) + 2)):
            dx, dy = np.float32(u) + HALF - column, np.float32(v) + HALF - row
            fade = (outer - math.sqrt(dx * dx + dy * dy)) / (outer - inner)
            fade = min(max(fade, ZERO), ONE)
            ground_map[v, u, channel] = np.uint8(F(ground_map[v, u, channel]) * (ONE - strength * fade))


@njit(**KERNEL)
def _darken_stripe(
    ground_map: Bytes, column: Scalar, row: int, step_x: Scalar, step_y: Scalar, steps: int, half_width: Scalar
) -> None:
    """Multiply a trunk's shadow into the sun channel: a line of soft discs would darken twice, so take the least."""
    height, width, _ = ground_map.shape
    reach = int(half_width + ONE)
    for step in range(steps):
        x, y = column + np.float32(step) * step_x, row + np.float32(step) * step_y
        for v in range(max(0, int(y) - reach), min(height, int(y) + reach + 1)):
            for u in range(max(0, int(x) - reach), min(width, int(x) + reach + 1)):
                dx, dy = np.float32(u) + HALF - x, np.float32(v) + HALF - y
                cover = min(max(half_width + HALF - math.sqrt(dx * dx + dy * dy), ZERO), ONE)
                shaded = np.uint8(F(255) * (ONE - F(0.7) * cover))
                ground_map[v, u, SUN] = min(ground_map[v, u, SUN], shaded)


@njit(**KERNEL)
def _cast_shadows(ground_map: Bytes, trees: Floats, origin: Floats, sun: Floats, texels_per_m: Scalar) -> None:
    """Trunk shadows, then crown shadows along the sun's direction, and the dark foot of every trunk."""
    away_x, away_y = -sun[0] / sun[2], -sun[1] / sun[2]
    length = math.sqrt(away_x * away_x + away_y * away_y) + F(1e-6)
    for part in range(2):
        for t in range(trees.shape[0]):
            x, y, trunk_radius, trunk_height, crown_radius, crown_height, kind = trees[t]
            column, row = (x - origin[0]) * texels_per_m, (y - origin[1]) * texels_per_m
            if part == 0:
                steps = int(trunk_height * length * texels_per_m) + 1
                half_width = trunk_radius * texels_per_m
                _darken_stripe(ground_map, column, row, away_x / length, away_y / length, steps, half_width)
                foot = (trunk_radius + F(0.7)) * texels_per_m
                _darken_disc(ground_map, OPENNESS, column, row, half_width, foot, F(0.55))
                continue
            middle = trunk_height + (F(0.7) * crown_radius if kind > HALF else F(0.25) * crown_height)
            column, row = column + away_x * middle * texels_per_m, row + away_y * middle * texels_per_m
            radius = crown_radius * texels_per_m
            _darken_disc(ground_map, SUN, column, row, F(0.55) * radius, F(1.05) * radius, CROWN_SHADOW)


def _paint_trail(ground_map: Bytes, world: World, origin: Floats) -> None:
    """Write the cover of a trail that runs along x, with soft edges, into the map's last channel."""
    height, width, _ = ground_map.shape
    x = origin[0] + (np.arange(width) + 0.5) / MAP_TEXELS_PER_M
    y = origin[1] + (np.arange(height) + 0.5) / MAP_TEXELS_PER_M
    trail = world.ribbons[0]
    center = np.interp(x, trail.points_m[:, 0], trail.points_m[:, 1])
    aside = np.abs(y[:, None] - center[None, :])
    cover = np.clip((trail.half_width_m - aside) / 0.4 + 0.5, 0, 1)
    ends = np.clip(np.minimum(x - trail.points_m[0, 0], trail.points_m[-1, 0] - x) / 4.0 + 1.0, 0, 1)
    ground_map[:, :, TRAIL] = (255 * cover * ends[None, :]).astype(np.uint8)


def _ground_map(world: World, trees: Floats, sun: Floats) -> tuple[Bytes, Floats]:
    """Light and trail on the ground, (rows along y, columns along x, 3) uint8, and the map's corner (2,) in metres."""
    places = trees[:, :2] if len(trees) else np.zeros((1, 2), F)
    low = np.minimum(places.min(axis=0), [world.bounds_m[0], world.bounds_m[2]]) - MAP_MARGIN_M
    high = np.maximum(places.max(axis=0), [world.bounds_m[1], world.bounds_m[3]]) + MAP_MARGIN_M
    width, height = (np.ceil((high - low) * MAP_TEXELS_PER_M)).astype(int) + 1
    ground_map = np.full((height, width, 3), 255, np.uint8)
    ground_map[:, :, TRAIL] = 0
    origin = low.astype(F)
    _cast_shadows(ground_map, trees, origin, sun, F(MAP_TEXELS_PER_M))
    if world.ribbons:
        _paint_trail(ground_map, world, origin)
    return ground_map, origin


def _colors(colors: Floats, count: int) -> Floats:
    """A (count, 3) array of colours as the kernels' type; refuses one that does not fit the trees."""
    if colors.shape != (count, 3):
        raise ValueError(f"appearance has colours of shape {colors.shape}; {count} trees need ({count}, 3)")
    return np.array(colors, F)


def make_scene(world: World, smooth: bool) -> Scene:
    """Prepare a world for the kernels.

    Args:
        world: what to draw.
        smooth: read textures between texels, for large images.
    """
    look: Appearance = world.appearance
    # Copies throughout: a world's arrays are read-only, which Numba takes for another type and compiles again.
    trees = np.array(world.trees, F).reshape(-1, 7)
    sun = np.array(look.sun_direction, F)
    ground_map, origin = _ground_map(world, trees, sun)
    return Scene(
        trees=trees,
        bark=_colors(look.bark_colors, len(trees)),
        leaf=_colors(look.leaf_colors, len(trees)),
        bank=texture_bank(),
        skyline=skyline(),
        ground_map=ground_map,
        map_origin=origin,
        sun=sun,
        sun_strength=F(look.sun_strength),
        sky=look.sky_color.astype(F),
        haze=look.haze_color.astype(F),
        inverse_fog2=F(1.0 / look.fog_distance_m**2),
        treeline=look.treeline_color.astype(F),
        treeline_height=F(look.treeline_height_rad),
        treeline_phase=F(look.treeline_phase),
        ground=look.ground_colors.astype(F),
        ground_offset=look.ground_offset_m.astype(F),
        trail=look.trail_color.astype(F),
        ground_tile=look.ground_pattern,
        bark_tile=FIRST_BARK + look.bark_pattern,
        leaf_tile=FIRST_LEAF + look.leaf_pattern,
        smooth=bool(smooth),
    )
