"""Colours of what the rays met: one pass over the finished depth and ids, eight pixels at once, material by material.

Textures fade by mip level instead of flickering; everything fades into the background that lies behind it (sky or far
forest), so that neither the far plane nor the edge of the world shows.
"""

import math

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.raycast.columns import BLUE, GREEN, RED, RIGHT, X, Y, Z
from forestpilot.sim.rendering.raycast.ground import Spots, road_colors
from forestpilot.sim.rendering.raycast.intersect import (
    EXACT,
    GROUND,
    HALF,
    ONE,
    SKY,
    STRETCH,
    Bytes,
    Floats,
    Ids,
    Lanes,
    Sheet,
    View,
    direction,
)
from forestpilot.sim.rendering.raycast.lane_colors import (
    Colors,
    chosen,
    crown_colors,
    floor_colors,
    ground_light,
    mixed,
    sky_colors,
    trunk_colors,
)
from forestpilot.sim.rendering.raycast.lanes import (
    LANES,
    any_of,
    first_half_twice,
    fused,
    gather,
    load,
    second_half_twice,
    store,
    store_colors,
    to_ints,
    transposed,
    where,
)
from forestpilot.sim.rendering.raycast.obstacles import shade_box
from forestpilot.sim.rendering.raycast.road import cells_near, places_on_road
from forestpilot.sim.rendering.raycast.scene import Scene

F = np.float32
FOG_SEEN = F(0.02)
"""Where fog hides less than this, the background is not worked out."""
WHITE = F(255)
QUARTER = F(0.25)

Place = tuple[Lanes, Lanes, Lanes]


@helper(**EXACT)
def _write(scratch: Floats, first: int, values: Colors) -> None:
    store(scratch[first], 0, values[0])
    store(scratch[first + 1], 0, values[1])
    store(scratch[first + 2], 0, values[2])


@helper(**EXACT)
def _read(scratch: Floats, first: int) -> Colors:
    return load(scratch[first], 0), load(scratch[first + 1], 0), load(scratch[first + 2], 0)


@helper(**EXACT)
def _ground_colors(
    scene: Scene, view: View, sheet: Sheet, wanted: Lanes, place: Place, ray: Place, pixel_m: Lanes
) -> Colors:
    """Colours of the ground, in the light that the trees let through."""
    # At a grazing angle a pixel covers more ground along the view than across: the mip level takes the geometric mean.
    grazing_m = pixel_m * math.sqrt(min(ONE / max(-ray[Z], F(0.02)), F(30)))
    color, grain, patch = floor_colors(scene, place[X], place[Y], grazing_m)
    first, last = cells_near(scene.road, place[X], place[Y], wanted)
    near = first < last
    if any_of(near):
        on_road = places_on_road(scene.road, sheet.marks, first, last, place[X], place[Y])
        spot = Spots(place[X], place[Y], grazing_m, grain, patch)
        color = road_colors(scene, view, near, on_road, color, spot, ray, pixel_m)
    light = ground_light(scene, wanted, place[X], place[Y])
    return light * color[RED], light * color[GREEN], light * color[BLUE]


@helper(**EXACT)
def _box_colors(scene: Scene, sheet: Sheet, wanted: Lanes, number: Lanes, place: Place, pixel_m: Lanes) -> Colors:
    """Colours of boxes, one by one."""
    scratch = sheet.scratch
    _write(scratch, 3, place)
    store(scratch[6], 0, pixel_m)
    store(sheet.marks[0], 0, where(wanted, number, np.int32(-1)))
    for lane in range(LANES):
        box = sheet.marks[0, lane]
        if box >= 0:
            one = shade_box(scene, box, scratch[3, lane], scratch[4, lane], scratch[5, lane], scratch[6, lane])
            scratch[0, lane] = one[RED]
            scratch[1, lane] = one[GREEN]
            scratch[2, lane] = one[BLUE]
    return _read(scratch, 0)


@helper(**EXACT)
def _surface_colors(
    scene: Scene, view: View, sheet: Sheet, ids: Lanes, place: Place, ray: Place, pixel_m: Lanes
) -> Colors:
    """Colours of what the rays (x, y, z) hit at places (x, y, z) of the world."""
    color = place
    on_ground = ids == GROUND
    if any_of(on_ground):
        color = _ground_colors(scene, view, sheet, on_ground, place, ray, pixel_m)
    count = scene.trees.shape[0]
    tree = (ids >= 0) & (ids < 2 * count)
    if any_of(tree):
        t = where(tree, ids >> 1, 0)
        x = place[X] - gather(scene.trees, t * 7 + X)
        y = place[Y] - gather(scene.trees, t * 7 + Y)
        trunk = tree & ((ids & 1) == 0)
        crown = tree & ((ids & 1) == 1)
        if any_of(trunk):
            color = chosen(trunk, trunk_colors(scene, t, x, y, place[Z], pixel_m), color)
        if any_of(crown):
            color = chosen(crown, crown_colors(scene, crown, t, x, y, place[Z], pixel_m), color)
    box = ids >= 2 * count
    if any_of(box):
        color = chosen(box, _box_colors(scene, sheet, box, ids - 2 * count, place, pixel_m), color)
    return color


@helper(**EXACT)
def pixel_colors(scene: Scene, view: View, sheet: Sheet, eye: Floats, u: int, row: int) -> Colors:
    """Colours, 0 to 255, of eight pixels of column u from a row on, whose depth and ids are known."""
    across = view.slopes[u]
    ids = load(sheet.ids[u], row)
    t = load(sheet.depth[u], row)
    ray = (
        direction(across, view.axes[RIGHT, X], sheet.rays[X], row),
        direction(across, view.axes[RIGHT, Y], sheet.rays[Y], row),
        direction(across, view.axes[RIGHT, Z], sheet.rays[Z], row),
    )
    sky = ids == SKY
    hit = ids != SKY
    color = ray
    fog = t * t * (fused(across, across, load(sheet.rays[STRETCH], row)) * scene.inverse_fog2)
    fog = min(fog, ONE)
    fog = fused(fog, HALF, HALF) * fog
    if any_of(hit):
        place = fused(t, ray[X], eye[X]), fused(t, ray[Y], eye[Y]), fused(t, ray[Z], eye[Z])
        color = _surface_colors(scene, view, sheet, ids, place, ray, t * (ONE / view.focal_px))
    hazy = hit & (fog > FOG_SEEN)
    if any_of(sky | hazy):
        behind = sky_colors(scene, sky | hazy, ray[X], ray[Y], ray[Z], view.focal_px)
        color = chosen(hazy, mixed(color, behind, fog), color)
        color = chosen(sky, behind, color)
    return min(color[RED], WHITE), min(color[GREEN], WHITE), min(color[BLUE], WHITE)


@helper(**EXACT)
def shade_sheet(scene: Scene, view: View, sheet: Sheet, eye: Floats) -> None:
    """Write the colour of every pixel of one camera into `Sheet.colors`."""
    for u in range(sheet.depth.shape[0]):
        for row in range(0, sheet.depth.shape[1], LANES):
            color = pixel_colors(scene, view, sheet, eye, u, row)
            packed = to_ints(color[RED]) + (to_ints(color[GREEN]) << 8) + (to_ints(color[BLUE]) << 16)
            store(sheet.colors[u], row, packed)


@helper(**EXACT)
def _turned(columns: Floats | Ids, u: int, row: int) -> tuple[Lanes, ...]:
    """A square of eight columns and eight rows of a sheet, row by row."""
    return transposed(
        (
            load(columns[u], row), load(columns[u + 1], row), load(columns[u + 2], row), load(columns[u + 3], row),
            load(columns[u + 4], row), load(columns[u + 5], row), load(columns[u + 6], row), load(columns[u + 7], row),
        )
    )  # fmt: skip


@helper(**EXACT)
def _copy_square(view: View, sheet: Sheet, rgb: Bytes, u: int, row: int) -> None:
    """Write a square of eight by eight pixels."""
    depth = _turned(sheet.depth, u, row)
    ids = _turned(sheet.ids, u, row)
    colors = _turned(sheet.colors, u, row)
    for v in range(LANES):
        store(view.depth[row + v], u, depth[v])
        store(view.ids[row + v], u, ids[v])
        store_colors(rgb, ((row + v) * rgb.shape[1] + u) * 3, colors[v])


@helper(**EXACT)
def _copy_pixel(view: View, sheet: Sheet, rgb: Bytes, u: int, row: int) -> None:
    view.depth[row, u] = sheet.depth[u, row]
    view.ids[row, u] = sheet.ids[u, row]
    color = sheet.colors[u, row]
    rgb[row, u, RED] = np.uint8(color)
    rgb[row, u, GREEN] = np.uint8(color >> 8)
    rgb[row, u, BLUE] = np.uint8(color >> 16)


@helper(**EXACT)
def copy_sheet(view: View, sheet: Sheet, rgb: Bytes) -> None:
    """Write depth, ids and colours of one camera row after row; rgb is (H, W, 3) uint8."""
    height, width = view.depth.shape
    whole_rows = height & -LANES
    whole_columns = width & -LANES
    for row in range(0, whole_rows, LANES):
        for u in range(0, whole_columns, LANES):
            _copy_square(view, sheet, rgb, u, row)
    for row in range(height):
        for u in range(whole_columns if row < whole_rows else 0, width):
            _copy_pixel(view, sheet, rgb, u, row)


@helper(**EXACT)
def _differs(fine: Sheet, u: int, row: int, ids: Lanes) -> bool:
    """Whether a sample of four pixels of column u, the first in this row of samples, is none of what they show; their
    ids are given twice each."""
    left = load(fine.ids[2 * u], row) != ids
    right = load(fine.ids[2 * u + 1], row) != ids
    return any_of(left | right)


@helper(**EXACT)
def _sees_more(sheet: Sheet, fine: Sheet, u: int, row: int) -> bool:
    """Whether the four samples of a pixel are not all of what the pixel shows."""
    ident = sheet.ids[u, row]
    left = (fine.ids[2 * u, 2 * row] == ident) & (fine.ids[2 * u, 2 * row + 1] == ident)
    right = (fine.ids[2 * u + 1, 2 * row] == ident) & (fine.ids[2 * u + 1, 2 * row + 1] == ident)
    return not (left & right)


@helper(**EXACT)
def _smooth_four(
    scene: Scene, sheet: Sheet, fine_view: View, fine: Sheet, eye: Floats, rgb: Bytes, u: int, row: int
) -> None:
    """Smooth the edges in four pixels of column u, from a row on."""
    for side in range(2):
        color = pixel_colors(scene, fine_view, fine, eye, 2 * u + side, 2 * row)
        _write(fine.samples, 3 * side, color)
    for v in range(row, min(row + LANES // 2, rgb.shape[0])):
        if _sees_more(sheet, fine, u, v):
            _average(fine.samples, 2 * (v - row), rgb[v, u])


@helper(**EXACT)
def smooth_edges(scene: Scene, sheet: Sheet, fine_view: View, fine: Sheet, eye: Floats, rgb: Bytes) -> None:
    """Average four samples in every pixel that sees more than one thing.

    Args:
        scene: what was drawn.
        sheet: what the rays of the camera meet.
        fine_view: the same camera with twice the width and height; only its rays are read.
        fine: what that one's rays meet.
        eye: (3,) in metres.
        rgb: (H, W, 3) uint8, changed in place.
    """
    half = LANES // 2
    for u in range(rgb.shape[1]):
        for row in range(0, rgb.shape[0], half):
            ids = load(sheet.ids[u], row & -LANES)
            ids = second_half_twice(ids) if row & half else first_half_twice(ids)
            if _differs(fine, u, 2 * row, ids):
                _smooth_four(scene, sheet, fine_view, fine, eye, rgb, u, row)


@helper(**EXACT)
def _average(samples: Floats, lane: int, rgb: Bytes) -> None:
    """Write the mean of four samples: two lanes of the colours in rows 0 to 2 and 3 to 5."""
    for channel in range(3):
        total = HALF + QUARTER * samples[channel, lane] + QUARTER * samples[3 + channel, lane]
        total = total + QUARTER * samples[channel, lane + 1] + QUARTER * samples[3 + channel, lane + 1]
        rgb[channel] = np.uint8(total)
