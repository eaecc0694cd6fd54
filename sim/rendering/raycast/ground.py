"""Colours of the ground on and beside trails and roads, for eight pixels at once.

Where products are summed, the rounding is written down (`fused`), so that no compiler changes the last bit of a colour;
constants are multiplied beforehand where that is how the colours have always been rounded.
"""

from typing import NamedTuple

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.raycast.columns import BLUE, GREEN, RED, RIGHT, UP, X, Y, Z
from forestpilot.sim.rendering.raycast.intersect import EXACT, HALF, ONE, ZERO, Floats, Lanes, Scalar, View
from forestpilot.sim.rendering.raycast.lane_colors import Colors, chosen, mixed
from forestpilot.sim.rendering.raycast.lane_sampling import MIP, TO_UNIT, mip_level, sample
from forestpilot.sim.rendering.raycast.lanes import any_of, floor, fused, gather, where
from forestpilot.sim.rendering.raycast.road import AHEAD_X, AHEAD_Y, HALF_WIDTH, MARKED, Place
from forestpilot.sim.rendering.raycast.scene import ASPHALT, GRAVEL, TRAIL, Scene
from forestpilot.sim.rendering.raycast.textures import PATCHES, SPECKLES, STONES

F = np.float32
SPECKLE_TEXELS_PER_M = F(80)
STONE_TEXELS_PER_M = F(150)
LUMP_TEXELS_PER_M = F(46)
BLOTCH_TEXELS_PER_M = F(31)
LINE_HALF_WIDTH_M = F(0.055)
LINE_INSET_M = F(0.22)
"""Distance of an edge line's middle from the road's edge."""
DASH_M = F(2.5)
DASH_PERIOD_M = F(6)
TRACK_M = F(0.78)
"""Distance of the wheel tracks from the middle of the road."""


class Spots(NamedTuple):
    """Points of the ground as their textures see them."""

    x: Lanes
    y: Lanes
    """Where they are, in metres."""
    pixel_m: Lanes
    """Width of a pixel there, the geometric mean of along the view and across."""
    grain: Lanes
    patch: Lanes
    """Fine and broad noise there, 0 to 255."""


@helper(**EXACT)
def _unit(value: Lanes) -> Lanes:
    """Values cut to 0 to 1."""
    return min(max(value, ZERO), ONE)


@helper(**EXACT)
def _tinted(color: Floats, light: Lanes) -> Colors:
    """A colour in a light."""
    return light * color[RED], light * color[GREEN], light * color[BLUE]


@helper(**EXACT)
def _tinting(under: Colors, color: Floats, light: Lanes, share: Lanes) -> Colors:
    """A blend of colours with one in a light."""
    return (
        fused(fused(light, color[RED], -under[RED]), share, under[RED]),
        fused(fused(light, color[GREEN], -under[GREEN]), share, under[GREEN]),
        fused(fused(light, color[BLUE], -under[BLUE]), share, under[BLUE]),
    )


@helper(**EXACT)
def _texture(scene: Scene, tile: int, u: Lanes, v: Lanes, pixel_m: Lanes, texels_per_m: Scalar) -> Lanes:
    """Noise, 0 to 255, at (u, v) metres."""
    level = mip_level(pixel_m * (texels_per_m * MIP))
    return sample(scene.bank, tile, u * texels_per_m, v * texels_per_m, level, scene.smooth)


@helper(**EXACT)
def _steps(view: View, axis: int, fall: tuple[Lanes, Lanes]) -> tuple[Lanes, Lanes]:
    """How far the point that a ray meets moves on the ground, per metre along one of the picture's axes; `fall` is the
    ray's way (x, y) per metre down."""
    rise = view.axes[axis, Z]
    return fused(-rise, fall[X], view.axes[axis, X]), fused(-rise, fall[Y], view.axes[axis, Y])


@helper(**EXACT)
def _footprints(view: View, ray: Colors, pixel_m: Lanes, ahead_x: Lanes, ahead_y: Lanes) -> tuple[Lanes, Lanes]:
    """How many metres of ground a pixel covers across a unit direction and along it."""
    inverse = ONE / ray[Z]
    fall = inverse * ray[X], inverse * ray[Y]
    right_x, right_y = _steps(view, RIGHT, fall)
    up_x, up_y = _steps(view, UP, fall)
    across = abs(fused(up_y, ahead_x, -(up_x * ahead_y))) + abs(fused(right_y, ahead_x, -(right_x * ahead_y)))
    along = abs(fused(up_y, ahead_y, up_x * ahead_x)) + abs(fused(right_y, ahead_y, right_x * ahead_x))
    return max(across * pixel_m, F(0.002)), max(along * pixel_m, F(0.002))


@helper(**EXACT)
def _line_m(distance: Lanes, half_width: Scalar, footprint: Lanes) -> Lanes:
    """How much of a footprint a line covers whose middle is this far away, in metres."""
    half = footprint * HALF
    least = max(distance - half, -half_width)
    return max(min(half + distance, half_width) - least, ZERO)


@helper(**EXACT)
def _markings(scene: Scene, place: Place, across: Lanes, lengthwise: Lanes, blotch: Lanes) -> Lanes:
    """Cover of the edge lines and the dashed middle line, given a pixel's footprints across and along the road."""
    edge_line = _line_m(place.edge + LINE_INSET_M, LINE_HALF_WIDTH_M, across)
    turns = place.along * (ONE / DASH_PERIOD_M)
    dash = fused(turns - floor(turns), DASH_PERIOD_M, -HALF * DASH_PERIOD_M)
    middle_line = _line_m(place.aside, LINE_HALF_WIDTH_M, across)
    # Far away one pixel holds several dashes: there the line is evenly grey.
    several = min(lengthwise * (ONE / DASH_PERIOD_M), ONE)
    length = min(lengthwise, DASH_PERIOD_M)
    dashes = _line_m(dash, HALF * DASH_M, length) / length
    dashes = fused(DASH_M / DASH_PERIOD_M - dashes, several, dashes)
    cover = _unit(fused(dashes, middle_line, edge_line) / across)
    faded = _unit(fused(blotch, -F(1.6) * TO_UNIT, fused(scene.road_wear, -F(1.1), F(2.3))))
    return fused(faded, F(0.65), F(0.35)) * cover


@helper(**EXACT)
def _asphalt(scene: Scene, wanted: Lanes, place: Place, spot: Spots, spread: tuple[Lanes, Lanes]) -> Colors:
    """Colour of asphalt: fine grain, worn wheel paths, dust at the edges, cracks, markings."""
    x, y, pixel_m, _, patch = spot
    speckle = _texture(scene, SPECKLES, x, y, pixel_m, SPECKLE_TEXELS_PER_M)
    blotch = _texture(scene, PATCHES, x, y, pixel_m, BLOTCH_TEXELS_PER_M)
    track = max(fused(abs(abs(place.aside) - TRACK_M), -F(2.2), ONE), ZERO)
    near = _unit(fused(pixel_m, -F(60), F(0.03) * F(60))) * HALF
    crack = near * _unit(fused(patch, F(4) * TO_UNIT, -F(2.1)))
    crack = crack * max(fused(abs(fused(blotch, TO_UNIT, -F(0.52))), -F(150), ONE), ZERO)
    light = fused(blotch, F(0.2) * TO_UNIT, fused(speckle, F(0.28) * TO_UNIT, F(0.8) - F(0.1)))
    light = fused(fused(track, -F(0.1), -crack), scene.road_wear, light)
    dust = _unit(fused(place.edge, F(1.4), fused(patch, F(1.6) * TO_UNIT, F(0.45) * F(1.4) - F(0.8)))) * F(0.45)
    shoulder = scene.shoulder[RED], scene.shoulder[GREEN], scene.shoulder[BLUE]
    color = mixed(_tinted(scene.road_color, light), shoulder, dust)
    marked = wanted & (gather(scene.road.chords, place.chord * 10 + MARKED) > ZERO)
    if any_of(marked):
        cover = _markings(scene, place, spread[0], spread[1], blotch)
        marking = scene.marking[RED], scene.marking[GREEN], scene.marking[BLUE]
        color = chosen(marked, mixed(color, marking, cover), color)
    return color


@helper(**EXACT)
def _gravel(scene: Scene, place: Place, spot: Spots) -> Colors:
    """Colour of gravel: coarse stones, pressed flat and paler where wheels run."""
    x, y, pixel_m, _, patch = spot
    stones = _texture(scene, STONES, x, y, pixel_m, STONE_TEXELS_PER_M) * TO_UNIT - HALF
    heaps = fused(_texture(scene, STONES, y, x, pixel_m, BLOTCH_TEXELS_PER_M), TO_UNIT, -HALF)
    track = max(fused(abs(abs(place.aside) - TRACK_M), -F(2.2), ONE), ZERO)
    track = track * fused(scene.road_wear, F(0.6), F(0.4))
    light = fused(track, F(0.13), fused(patch, F(0.24) * TO_UNIT, F(0.93) - F(0.12)))
    light = fused(stones, fused(track, -F(0.3), F(0.62)), light)
    light = fused(heaps, fused(track, -F(0.26), F(0.26)), light)
    return _tinted(scene.road_color, light)


@helper(**EXACT)
def _dirt(scene: Scene, place: Place, grass: Colors, spot: Spots) -> Colors:
    """Colour of a dirt road: two dark wheel tracks with grass between them, and weeds towards the edges."""
    x, y, pixel_m, grain, patch = spot
    lumps = _texture(scene, STONES, x, y, pixel_m, LUMP_TEXELS_PER_M)
    broad = patch * TO_UNIT
    uneven = broad - HALF
    aside = abs(place.aside)
    track = _unit(fused(uneven, HALF, fused(abs(aside - TRACK_M), -F(3.4), F(1.4))))
    light = fused(uneven, F(0.25), fused(grain, F(0.2) * TO_UNIT, F(1.02) - F(0.2) - F(0.1)))
    light = fused(track, fused(scene.road_wear, -F(0.2), -F(0.22)), light)
    light = fused(lumps, F(0.4) * TO_UNIT, light)
    half_width = gather(scene.road.chords, place.chord * 10 + HALF_WIDTH)
    middle = fused(aside, -F(3.2), F(0.95))
    side = fused(half_width, -F(0.7), aside) * F(0.75) / (half_width * F(0.35))
    weeds = fused(fused(grain, TO_UNIT, broad), F(0.7), -F(1.4) * F(0.6)) + max(middle, side)
    return mixed(_tinted(scene.road_color, light), grass, _unit(weeds * F(2.2)) * F(0.8))


@helper(**EXACT)
def _trail_colors(scene: Scene, place: Place, floor_color: Colors, spot: Spots) -> Colors:
    """Colour of the ground near a trail."""
    cover = _unit(fused(place.edge, -F(2.5), HALF))
    worn = _unit(fused(cover, F(1.7), spot.patch * TO_UNIT - F(0.85)))
    cover = where(cover > ZERO, worn, ZERO)
    return _tinting(floor_color, scene.road_color, fused(spot.grain, F(0.35) * TO_UNIT, F(0.75)), cover)


@helper(**EXACT)
def _road_colors(
    scene: Scene, view: View, wanted: Lanes, place: Place, floor_color: Colors, spot: Spots, ray: Colors, pixel_m: Lanes
) -> Colors:
    """Colour of the ground near a road."""
    ahead_x = gather(scene.road.chords, place.chord * 10 + AHEAD_X)
    ahead_y = gather(scene.road.chords, place.chord * 10 + AHEAD_Y)
    spread = _footprints(view, ray, pixel_m, ahead_x, ahead_y)
    grain = spot.grain * TO_UNIT - HALF
    patch = spot.patch * TO_UNIT - HALF
    if scene.surface == ASPHALT:
        ragged = fused(patch + grain, F(0.1), place.edge)
        least_m = F(0.03)
        verge_m = F(0.9)
    else:
        ragged = fused(patch, HALF, fused(grain, F(0.7), place.edge))
        least_m = F(0.25)
        verge_m = F(0.7)
    cover = _unit(HALF - ragged / max(spread[0], least_m))
    under = floor_color
    if any_of(wanted & (cover < ONE)):
        verge = _unit(fused(patch, F(0.9), fused(grain, F(1.3), ONE) - place.edge / verge_m)) * F(0.75)
        verge = where(place.edge < F(2), verge, ZERO)
        beside = _tinting(floor_color, scene.shoulder, fused(spot.grain, F(0.45) * TO_UNIT, F(0.72)), verge)
        under = chosen(cover < ONE, beside, under)
    paved = wanted & (cover > ZERO)
    if not any_of(paved):
        return under
    if scene.surface == ASPHALT:
        over = _asphalt(scene, paved, place, spot, spread)
    elif scene.surface == GRAVEL:
        over = _gravel(scene, place, spot)
    else:
        over = _dirt(scene, place, floor_color, spot)
    return chosen(cover > ZERO, mixed(under, over, cover), under)


@helper(**EXACT)
def road_colors(
    scene: Scene, view: View, near: Lanes, place: Place, floor_color: Colors, spot: Spots, ray: Colors, pixel_m: Lanes
) -> Colors:
    """Colours of the ground at points, be they on a ribbon, beside one or far from all.

    Args:
        scene: for its roads.
        view: the camera.
        near: which points may lie near a ribbon.
        place: where they lie on the nearest ribbon.
        floor_color: colour of the forest floor there.
        spot: where they are, and their noise.
        ray: directions (x, y, z) that hit them.
        pixel_m: width of a pixel there across the view.
    """
    wanted = near & (place.chord >= 0)
    if not any_of(wanted):
        return floor_color
    place = Place(place.edge, place.aside, place.along, where(wanted, place.chord, 0))
    if scene.surface == TRAIL:
        return chosen(wanted, _trail_colors(scene, place, floor_color, spot), floor_color)
    color = _road_colors(scene, view, wanted, place, floor_color, spot, ray, pixel_m)
    return chosen(wanted, color, floor_color)
