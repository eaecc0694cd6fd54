"""Colours of the ground on and beside trails and roads."""

from typing import NamedTuple

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.raycast.columns import BLUE, GREEN, RED, X, Y, Z
from forestpilot.sim.rendering.raycast.intersect import HALF, KERNEL, ONE, ZERO, Scalar, Triple, View
from forestpilot.sim.rendering.raycast.road import AHEAD_X, AHEAD_Y, HALF_WIDTH, MARKED, Place
from forestpilot.sim.rendering.raycast.sampling import TO_UNIT, floor_of, sample
from forestpilot.sim.rendering.raycast.scene import ASPHALT, GRAVEL, TRAIL, Scene
from forestpilot.sim.rendering.raycast.textures import PATCHES, SPECKLES, STONES

F = np.float32
SPECKLE_TEXELS_PER_M = F(80)
STONE_TEXELS_PER_M = F(150)
LINE_HALF_WIDTH_M = F(0.055)
LINE_INSET_M = F(0.22)
"""Distance of an edge line's middle from the road's edge."""
DASH_M = F(2.5)
DASH_PERIOD_M = F(6)
TRACK_M = F(0.78)
"""Distance of the wheel tracks from the middle of the road."""


class Spot(NamedTuple):
    """A point of the ground as its textures see it."""

    x: Scalar
    y: Scalar
    """Where it is, in metres."""
    pixel_m: Scalar
    """Width of a pixel there, the geometric mean of along the view and across."""
    grain: Scalar
    patch: Scalar
    """Fine and broad noise there, 0 to 1."""


@helper(**KERNEL)
def _unit(value: Scalar) -> Scalar:
    """A value cut to 0 to 1."""
    return min(max(value, ZERO), ONE)


@helper(**KERNEL)
def _mix(under: Triple, over: Triple, share: Scalar) -> Triple:
    """A blend of two colours."""
    return (
        under[RED] + share * (over[RED] - under[RED]),
        under[GREEN] + share * (over[GREEN] - under[GREEN]),
        under[BLUE] + share * (over[BLUE] - under[BLUE]),
    )


@helper(**KERNEL)
def _footprint(view: View, ray: Triple, pixel_m: Scalar, normal_x: Scalar, normal_y: Scalar) -> Scalar:
    """How many metres of ground a pixel covers along the unit direction (normal_x, normal_y)."""
    size = ZERO
    for axis in range(2):
        fall = view.axes[axis, Z] / ray[Z]
        step_x = view.axes[axis, X] - fall * ray[X]
        step_y = view.axes[axis, Y] - fall * ray[Y]
        size += abs(step_x * normal_x + step_y * normal_y)
    return max(size * pixel_m, F(0.002))


@helper(**KERNEL)
def _line_cover(distance: Scalar, half_width: Scalar, footprint: Scalar) -> Scalar:
    """Share of a footprint that a line covers whose middle is this far away."""
    least = max(distance - HALF * footprint, -half_width)
    return max(min(distance + HALF * footprint, half_width) - least, ZERO) / footprint


@helper(**KERNEL)
def _markings(scene: Scene, place: Place, across: Scalar, lengthwise: Scalar, worn: Scalar) -> Scalar:
    """Cover of the edge lines and the dashed middle line, given a pixel's footprints across and along the road."""
    edge_line = _line_cover(place.edge + LINE_INSET_M, LINE_HALF_WIDTH_M, across)
    turns = place.along / DASH_PERIOD_M
    dash = (turns - F(floor_of(turns)) - HALF) * DASH_PERIOD_M
    middle_line = _line_cover(place.aside, LINE_HALF_WIDTH_M, across)
    # Far away one pixel holds several dashes: there the line is evenly grey.
    several = _unit(lengthwise / DASH_PERIOD_M)
    dashes = _line_cover(dash, HALF * DASH_M, min(lengthwise, DASH_PERIOD_M))
    middle_line *= dashes + several * (DASH_M / DASH_PERIOD_M - dashes)
    faded = _unit(ONE + F(0.5) - scene.road_wear * F(1.1) - (worn - HALF) * F(1.6))
    return _unit(edge_line + middle_line) * (F(0.35) + F(0.65) * faded)


@helper(**KERNEL)
def _asphalt(scene: Scene, place: Place, spot: Spot, spread: tuple[Scalar, Scalar]) -> Triple:
    """Colour of asphalt: fine grain, worn wheel paths, dust at the edges, cracks, markings."""
    x, y, pixel_m, _, patch = spot
    speckle = sample(
        scene.bank, SPECKLES, x * SPECKLE_TEXELS_PER_M, y * SPECKLE_TEXELS_PER_M,
        pixel_m * SPECKLE_TEXELS_PER_M, scene.smooth,
    )  # fmt: skip
    blotch = sample(scene.bank, PATCHES, x * F(31), y * F(31), pixel_m * F(31), scene.smooth)
    light = F(0.80) + F(0.28) * speckle + F(0.20) * (blotch - HALF)
    track = max(ONE - abs(abs(place.aside) - TRACK_M) * F(2.2), ZERO)
    light -= F(0.10) * scene.road_wear * track
    crack = max(ONE - abs(blotch - F(0.52)) * F(150), ZERO) * _unit((F(0.03) - pixel_m) * F(60))
    light -= F(0.5) * scene.road_wear * crack * _unit(patch * F(4) - F(2.1))
    color = scene.road_color[RED] * light, scene.road_color[GREEN] * light, scene.road_color[BLUE] * light
    dust = _unit((place.edge + F(0.45)) * F(1.4) + F(1.6) * (patch - HALF)) * F(0.45)
    color = _mix(color, (scene.shoulder[RED], scene.shoulder[GREEN], scene.shoulder[BLUE]), dust)
    if scene.road.chords[place.chord, MARKED] > ZERO:
        cover = _markings(scene, place, spread[0], spread[1], blotch)
        color = _mix(color, (scene.marking[RED], scene.marking[GREEN], scene.marking[BLUE]), cover)
    return color


@helper(**KERNEL)
def _gravel(scene: Scene, place: Place, spot: Spot) -> Triple:
    """Colour of gravel: coarse stones, pressed flat and paler where wheels run."""
    x, y, pixel_m, _, patch = spot
    stones = sample(
        scene.bank, STONES, x * STONE_TEXELS_PER_M, y * STONE_TEXELS_PER_M, pixel_m * STONE_TEXELS_PER_M, scene.smooth
    )
    heaps = sample(scene.bank, STONES, y * F(31), x * F(31), pixel_m * F(31), scene.smooth)
    track = max(ONE - abs(abs(place.aside) - TRACK_M) * F(2.2), ZERO) * (F(0.4) + F(0.6) * scene.road_wear)
    light = F(0.93) + (F(0.62) - F(0.3) * track) * (stones - HALF) + F(0.26) * (ONE - track) * (heaps - HALF)
    light += F(0.24) * (patch - HALF) + F(0.13) * track
    return scene.road_color[RED] * light, scene.road_color[GREEN] * light, scene.road_color[BLUE] * light


@helper(**KERNEL)
def _dirt(scene: Scene, place: Place, grass: Triple, spot: Spot) -> Triple:
    """Colour of a dirt road: two dark wheel tracks with grass between them, and weeds towards the edges."""
    x, y, pixel_m, grain, patch = spot
    lumps = sample(scene.bank, STONES, x * F(46), y * F(46), pixel_m * F(46), scene.smooth)
    track = _unit(F(1.4) - abs(abs(place.aside) - TRACK_M) * F(3.4) + F(0.5) * (patch - HALF))
    light = F(1.02) + F(0.4) * (lumps - HALF) + F(0.2) * (grain - HALF) + F(0.25) * (patch - HALF)
    light -= (F(0.22) + F(0.2) * scene.road_wear) * track
    color = scene.road_color[RED] * light, scene.road_color[GREEN] * light, scene.road_color[BLUE] * light
    half_width = scene.road.chords[place.chord, HALF_WIDTH]
    middle = F(0.95) - abs(place.aside) * F(3.2)
    side = (abs(place.aside) - F(0.7) * half_width) / (F(0.35) * half_width)
    weeds = _unit((max(middle, F(0.75) * side) + F(1.4) * (HALF * (grain + patch) - F(0.6))) * F(2.2)) * F(0.8)
    return _mix(color, grass, weeds)


@helper(**KERNEL)
def _road_color(
    scene: Scene, view: View, place: Place, floor: Triple, spot: Spot, ray: Triple, pixel_m: Scalar
) -> Triple:
    """Colour of the ground near a ribbon, the forest floor's colour being `floor`."""
    grain = spot.grain
    patch = spot.patch
    if scene.surface == TRAIL:
        cover = _unit(HALF - place.edge / F(0.4))
        cover = _unit(cover * F(1.7) + patch - F(0.85)) if cover > ZERO else ZERO
        worn = F(0.75) + F(0.35) * grain
        return _mix(
            floor, (scene.road_color[RED] * worn, scene.road_color[GREEN] * worn, scene.road_color[BLUE] * worn), cover
        )
    ahead_x = scene.road.chords[place.chord, AHEAD_X]
    ahead_y = scene.road.chords[place.chord, AHEAD_Y]
    across = _footprint(view, ray, pixel_m, -ahead_y, ahead_x)
    paved = scene.surface == ASPHALT
    ragged = (
        place.edge + (F(0.10) if paved else F(0.7)) * (grain - HALF) + (F(0.10) if paved else F(0.5)) * (patch - HALF)
    )
    cover = _unit(HALF - ragged / max(across, F(0.03) if paved else F(0.25)))
    verge_m = F(0.9) if paved else F(0.7)
    verge = _unit(ONE - (place.edge / verge_m) + F(1.3) * (grain - HALF) + F(0.9) * (patch - HALF)) * F(0.75)
    under = floor
    if cover < ONE:
        worn = F(0.72) + F(0.45) * grain
        shoulder = scene.shoulder[RED] * worn, scene.shoulder[GREEN] * worn, scene.shoulder[BLUE] * worn
        under = _mix(floor, shoulder, verge if place.edge < F(2) else ZERO)
    if cover == ZERO:
        return under
    if paved:
        over = _asphalt(scene, place, spot, (across, _footprint(view, ray, pixel_m, ahead_x, ahead_y)))
    elif scene.surface == GRAVEL:
        over = _gravel(scene, place, spot)
    else:
        over = _dirt(scene, place, floor, spot)
    return _mix(under, over, cover)


@helper(**KERNEL)
def road_color(
    scene: Scene, view: View, place: Place, floor: Triple, point: Spot, ray: Triple, pixel_m: Scalar
) -> Triple:
    """Colour of the ground at a point, be it on a ribbon, beside one or far from all.

    Args:
        scene: for its roads.
        view: the camera.
        place: where the point lies on the nearest ribbon.
        floor: colour of the forest floor there.
        point: where it is; its noise is given in texels, 0 to 255.
        ray: direction (x, y, z) that hit it.
        pixel_m: width of a pixel there across the view.
    """
    if place.chord < 0:
        return floor
    spot = Spot(point.x, point.y, point.pixel_m, point.grain * TO_UNIT, point.patch * TO_UNIT)
    return _road_color(scene, view, place, floor, spot, ray, pixel_m)
