"""Colours of sky, forest floor, trunks and crowns, for eight pixels at once.

Each function takes lanes of one material; what it gives in other lanes has no meaning. Where products are summed, the
rounding is written down (`fused`), so that no compiler changes the last bit of a colour.
"""

import math

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.raycast.columns import (
    BLUE,
    CROWN_HEIGHT,
    CROWN_KIND,
    CROWN_RADIUS,
    GREEN,
    RED,
    TRUNK_HEIGHT,
    TRUNK_RADIUS,
    X,
    Y,
    Z,
)
from forestpilot.sim.rendering.raycast.intersect import EXACT, HALF, ONE, ZERO, Bytes, Floats, Lanes, Scalar
from forestpilot.sim.rendering.raycast.lane_sampling import (
    MIP,
    TO_UNIT,
    around,
    blend,
    byte_of,
    mip_level,
    sample,
    sample_between,
    shrink_of,
)
from forestpilot.sim.rendering.raycast.lanes import (
    any_of,
    floor,
    fused,
    gather,
    gather_words,
    inverse_root,
    spread,
    to_floats,
    to_ints,
    where,
)
from forestpilot.sim.rendering.raycast.light_map import OPENNESS, SUN
from forestpilot.sim.rendering.raycast.scene import Scene
from forestpilot.sim.rendering.raycast.textures import PATCHES, SKYLINE_SIZE, TILE_SIZE

F = np.float32
BARK_TEXELS_PER_M = F(110)
LEAF_TEXELS_PER_M = F(56)
GRAIN_TEXELS_PER_M = F(36)
"""Texels per metre of the ground's fine pattern: one tile covers 7 m."""
PATCH_TEXELS_PER_M = F(9)
CONE_TIERS = F(6)
FAR_COVER = F(0.62)
"""Share of the sky's colour that the far forest takes."""

Colors = tuple[Lanes, Lanes, Lanes]


@helper(**EXACT)
def mixed(under: Colors, over: Colors, share: Lanes) -> Colors:
    """A blend of two colours."""
    return (
        fused(over[RED] - under[RED], share, under[RED]),
        fused(over[GREEN] - under[GREEN], share, under[GREEN]),
        fused(over[BLUE] - under[BLUE], share, under[BLUE]),
    )


@helper(**EXACT)
def _triple(color: Floats) -> tuple[Scalar, Scalar, Scalar]:
    return color[RED], color[GREEN], color[BLUE]


@helper(**EXACT)
def chosen(mask: Lanes, one: Colors, two: Colors) -> Colors:
    """The first colour in the lanes of the mask, the second in the others."""
    return where(mask, one[RED], two[RED]), where(mask, one[GREEN], two[GREEN]), where(mask, one[BLUE], two[BLUE])


@helper(**EXACT)
def sky_colors(scene: Scene, wanted: Lanes, x: Lanes, y: Lanes, z: Lanes, focal_px: Scalar) -> Colors:
    """Colour of the sky or the far forest in directions (x, y, z), of any length, where it is wanted."""
    rise = z / (math.sqrt(fused(y, y, x * x)) + F(1e-6))
    up = max(rise, ZERO)
    up = up / (up + F(0.45))
    color = mixed(_triple(scene.haze), _triple(scene.sky), up)
    high = rise > F(0.3)
    if any_of(high & wanted):
        color = chosen(high, _with_clouds(scene, color, x, y, z, rise), color)
    low = rise < scene.treeline_height * F(2)
    if any_of(low & wanted):
        cover = _far_forest(scene, x, y, rise, focal_px)
        color = chosen(low, mixed(color, _triple(scene.treeline), cover), color)
    return color


@helper(**EXACT)
def _with_clouds(scene: Scene, color: Colors, x: Lanes, y: Lanes, z: Lanes, rise: Lanes) -> Colors:
    """Brighten the sky where the broad noise, spread on a high plane, is dense."""
    level = spread(np.int32(0))
    inverse = ONE / z
    u = x * F(40) * inverse
    v = y * F(40) * inverse
    if scene.smooth:
        dense = sample_between(scene.bank, PATCHES, level, u + F(96.5), v - HALF)
    else:
        dense = sample(scene.bank, PATCHES, u + F(97), v, level, False)
    share = min(max(fused(dense, TO_UNIT, -F(0.45)), ZERO) * F(1.6), ONE)
    share = min(fused(rise, F(3), -(F(0.3) * F(3))), ONE) * F(0.7) * share
    return mixed(color, (F(244), F(246), F(248)), share)


@helper(**EXACT)
def _far_forest(scene: Scene, x: Lanes, y: Lanes, rise: Lanes, focal_px: Scalar) -> Lanes:
    """How much the far forest covers of what is behind it."""
    turn = around(x, y) * F(0.25) + scene.treeline_phase
    top = _skyline(scene.skyline, turn * F(SKYLINE_SIZE))
    cover = _below(fused(top, scene.treeline_height, -rise), focal_px) * FAR_COVER
    if scene.smooth:
        return _nearer_treeline(scene, cover, turn, rise, focal_px)
    return where(rise > ZERO, cover, FAR_COVER)


@helper(**EXACT)
def _nearer_treeline(scene: Scene, cover: Lanes, turn: Lanes, rise: Lanes, focal_px: Scalar) -> Lanes:
    """Cover of the far forest with a lower, nearer ridge before it, leaves, and mist at its foot: for large images."""
    near = _skyline(scene.skyline, fused(turn, F(2 * SKYLINE_SIZE), F(311))) * (scene.treeline_height * FAR_COVER)
    cover = fused(_below(near - rise, focal_px), F(0.85) - cover, cover)
    level = mip_level(spread(F(500) * MIP / focal_px))
    shrink = shrink_of(level)
    crowns = sample_between(
        scene.bank, scene.leaf_tile, level,
        fused(turn, F(3 * SKYLINE_SIZE) * shrink, -HALF), fused(rise, F(700) * shrink, -HALF),
    )  # fmt: skip
    mist = min(max(rise, ZERO) * F(0.35) / near + F(0.65), ONE)
    return cover * mist * min(fused(crowns, TO_UNIT * F(0.4), F(0.8)), ONE)


@helper(**EXACT)
def _skyline(skyline: Floats, place: Lanes) -> Lanes:
    """Height of the far forest's top, relative to its mean, at places from 0 to SKYLINE_SIZE and around again."""
    left = to_ints(place)
    mask = SKYLINE_SIZE - 1
    height = gather(skyline, left & mask)
    return fused(gather(skyline, (left + 1) & mask) - height, place - to_floats(left), height)


@helper(**EXACT)
def _below(above: Lanes, focal_px: Scalar) -> Lanes:
    """1 where a skyline is above, 0 where it is below, with a soft edge one pixel wide."""
    return min(max(fused(above, focal_px, HALF), ZERO), ONE)


@helper(**EXACT)
def floor_colors(scene: Scene, x: Lanes, y: Lanes, grazing_m: Lanes) -> tuple[Colors, Lanes, Lanes]:
    """Colour of the forest floor at (x, y) metres, and the texels of its fine and broad pattern."""
    grain_x = x + scene.ground_offset[X]
    grain_y = y + scene.ground_offset[Y]
    grain = sample(
        scene.bank, scene.ground_tile, grain_x * GRAIN_TEXELS_PER_M, grain_y * GRAIN_TEXELS_PER_M,
        mip_level(grazing_m * (GRAIN_TEXELS_PER_M * MIP)), scene.smooth,
    )  # fmt: skip
    patch = sample(
        scene.bank, PATCHES, grain_y * PATCH_TEXELS_PER_M, grain_x * PATCH_TEXELS_PER_M,
        mip_level(grazing_m * (PATCH_TEXELS_PER_M * MIP)), scene.smooth,
    )  # fmt: skip
    share = fused(patch, TO_UNIT * F(0.45), grain * (TO_UNIT * F(0.55)))
    return mixed(_triple(scene.ground[0]), _triple(scene.ground[1]), share), grain, patch


@helper(**EXACT)
def _light_map_texel(light_map: Bytes, inside: Lanes, column: Lanes, row: Lanes, channel: int) -> Lanes:
    """A channel of the light map, 0 to 255, in the lanes that lie on it."""
    place = (row * light_map.shape[1] + column) * 2 + channel
    return to_floats(gather(light_map, where(inside, place, 0)))


@helper(**EXACT)
def _lights_at(light_map: Bytes, inside: Lanes, u: Lanes, v: Lanes) -> tuple[Lanes, Lanes]:
    """Sun and openness between texels, 0 to 255; those of a texel and of the one right of it are four bytes."""
    column = to_ints(u)
    row = to_ints(v)
    u = u - to_floats(column)
    v = v - to_floats(row)
    width = light_map.shape[1]
    place = where(inside, (row * width + column) * 2, 0)
    two = gather_words(light_map, place)
    below = gather_words(light_map, place + 2 * width)
    return (
        blend(byte_of(two, 0), byte_of(two, 2), byte_of(below, 0), byte_of(below, 2), u, v),
        blend(byte_of(two, 1), byte_of(two, 3), byte_of(below, 1), byte_of(below, 3), u, v),
    )


@helper(**EXACT)
def ground_light(scene: Scene, on_ground: Lanes, x: Lanes, y: Lanes) -> Lanes:
    """Brightness of the ground at (x, y) metres."""
    height, width, _ = scene.light_map.shape
    u = fused(x - scene.map_origin[X], scene.map_scale, -HALF)
    v = fused(y - scene.map_origin[Y], scene.map_scale, -HALF)
    u = min(max(u, ZERO), F(width) - F(1.01))
    v = min(max(v, ZERO), F(height) - F(1.01))
    if scene.smooth:
        sun, openness = _lights_at(scene.light_map, on_ground, u, v)
    else:
        column = to_ints(u + HALF)
        row = to_ints(v + HALF)
        sun = _light_map_texel(scene.light_map, on_ground, column, row, SUN)
        openness = _light_map_texel(scene.light_map, on_ground, column, row, OPENNESS)
    direct = fused(sun, TO_UNIT * F(1.25), -F(0.9))
    return openness * TO_UNIT * fused(direct, scene.sun_strength, F(0.9))


@helper(**EXACT)
def _column(table: Floats, t: Lanes, column: int) -> Lanes:
    """A column of a table, in the rows t."""
    return gather(table, t * table.shape[1] + column)


@helper(**EXACT)
def _tinted(colors: Floats, t: Lanes, light: Lanes) -> Colors:
    """The colours of rows t in a light."""
    return light * _column(colors, t, RED), light * _column(colors, t, GREEN), light * _column(colors, t, BLUE)


@helper(**EXACT)
def trunk_colors(scene: Scene, t: Lanes, x: Lanes, y: Lanes, height: Lanes, pixel_m: Lanes) -> Colors:
    """Colour of trunks t at points (x, y) metres from their axes, at these heights."""
    radius = _column(scene.trees, t, TRUNK_RADIUS)
    inverse = ONE / radius
    normal_x = inverse * x
    normal_y = inverse * y
    bark = sample(
        scene.bank, scene.bark_tile, around(normal_x, normal_y) * F(TILE_SIZE // 4),
        fused(height, BARK_TEXELS_PER_M, to_floats((t & 63) * 61)),
        mip_level(pixel_m * (F(TILE_SIZE) / F(6.2832) * MIP) * inverse), scene.smooth,
    )  # fmt: skip
    facing = fused(scene.sun[Y], normal_y, scene.sun[X] * normal_x)
    direct = (scene.sun_strength * F(0.9)) * max(facing, ZERO)
    ambient = fused(facing, F(0.1), fused(scene.sun_strength, -F(0.55), F(0.55) + F(0.25)))
    foot = min(fused(height, F(0.9), F(0.55)), ONE)
    light = fused(ambient, foot, direct) * fused(bark, TO_UNIT * F(0.75), F(0.6))
    return _tinted(scene.bark, t, light)


@helper(**EXACT)
def _cone_surface(
    tree: tuple[Lanes, Lanes, Lanes], x: Lanes, y: Lanes, height: Lanes
) -> tuple[Lanes, Lanes, Lanes, Lanes, Lanes]:
    """Normal (x, y, z) and texture coordinates in metres along the surface of cones, whose trunk's height, radius and
    own height are given."""
    trunk_height, radius, crown_height = tree
    inverse_height = ONE / crown_height
    slope = radius * inverse_height
    upright = inverse_root(fused(slope, slope, ONE))
    inverse = upright * inverse_root(fused(y, y, fused(x, x, F(1e-9))))
    share = fused((height + HALF - trunk_height) * -F(0.6), inverse_height, ONE)
    along = around(x, y) * (radius * share)
    below = height < trunk_height + (F(0.01) - HALF)
    return (
        where(below, ZERO, inverse * x),
        where(below, ZERO, inverse * y),
        where(below, -ONE, upright * slope),
        where(below, x, along),
        where(below, y, height),
    )


@helper(**EXACT)
def _ball_surface(
    tree: tuple[Lanes, Lanes, Lanes], x: Lanes, y: Lanes, height: Lanes
) -> tuple[Lanes, Lanes, Lanes, Lanes, Lanes]:
    """The same of round crowns."""
    trunk_height, radius, _ = tree
    inverse = ONE / radius
    normal_z = fused(radius, -F(0.7), height - trunk_height) * inverse
    along = around(x, y) * F(1.2) * radius
    return inverse * x, inverse * y, normal_z, along, radius * F(1.3) * normal_z


@helper(**EXACT)
def _crown_surface(
    tree: tuple[Lanes, Lanes, Lanes], cone: Lanes, ball: Lanes, x: Lanes, y: Lanes, height: Lanes
) -> tuple[Lanes, Lanes, Lanes, Lanes, Lanes]:
    """Normal (x, y, z) and texture coordinates along the surface in metres; `cone` and `ball` say which crowns are."""
    surface = x, y, height, x, y
    if any_of(cone):
        surface = _cone_surface(tree, x, y, height)
    if any_of(ball):
        other = _ball_surface(tree, x, y, height)
        surface = (
            where(ball, other[0], surface[0]),
            where(ball, other[1], surface[1]),
            where(ball, other[2], surface[2]),
            where(ball, other[3], surface[3]),
            where(ball, other[4], surface[4]),
        )
    return surface


@helper(**EXACT)
def crown_colors(scene: Scene, wanted: Lanes, t: Lanes, x: Lanes, y: Lanes, height: Lanes, pixel_m: Lanes) -> Colors:
    """Colour of crowns t at points (x, y) metres from their axes, at these heights, where it is wanted."""
    cone = _column(scene.trees, t, CROWN_KIND) < HALF
    tree = (
        _column(scene.trees, t, TRUNK_HEIGHT),
        _column(scene.trees, t, CROWN_RADIUS),
        _column(scene.trees, t, CROWN_HEIGHT),
    )
    ball = _column(scene.trees, t, CROWN_KIND) > HALF
    normal_x, normal_y, normal_z, along, upward = _crown_surface(tree, cone & wanted, ball & wanted, x, y, height)
    shift = to_floats((t & 63) * 37)
    leaves = sample(
        scene.bank, scene.leaf_tile, fused(along, LEAF_TEXELS_PER_M, shift), fused(upward, LEAF_TEXELS_PER_M, shift),
        mip_level(pixel_m * (LEAF_TEXELS_PER_M * MIP)), scene.smooth,
    )  # fmt: skip
    share = leaves * TO_UNIT
    tier = fused(leaves, TO_UNIT * F(0.7), (tree[0] - height + tree[2]) * CONE_TIERS / tree[2])
    depth = where(cone & (normal_z > ZERO), (tier + share - floor(tier)) * HALF, share)
    facing = fused(scene.sun[X], normal_x, fused(leaves, TO_UNIT * F(0.8), -F(0.4)))
    facing = fused(scene.sun[Z], normal_z, fused(scene.sun[Y], normal_y, facing))
    ambient = fused(normal_z, F(0.33), F(0.62)) * fused(-F(0.6), scene.sun_strength, ONE)
    light = fused(max(facing, ZERO), scene.sun_strength, ambient) * fused(depth, F(0.95), F(0.45))
    return _tinted(scene.leaf, t, light)
