"""A world prepared for the ray-caster: flat arrays that the kernels read."""

from typing import NamedTuple

import numpy as np

from forestpilot.sim.rendering.raycast.intersect import Bytes, Floats, Ids
from forestpilot.sim.rendering.raycast.light_map import make_light_map
from forestpilot.sim.rendering.raycast.road import Road, make_road
from forestpilot.sim.rendering.raycast.textures import FIRST_BARK, FIRST_LEAF, Bank, skyline, texture_bank
from forestpilot.sim.rendering.solids import all_boxes, solids_of, table_of, wheels_of
from forestpilot.sim.worlds.appearance import ROAD_SURFACES, Appearance
from forestpilot.sim.worlds.tables import Trees
from forestpilot.sim.worlds.world import World

F = np.float32

SURFACES = ("trail", *ROAD_SURFACES)
"""What a ribbon can be made of; kernels know a surface by its place in this list."""
TRAIL = SURFACES.index("trail")
ASPHALT = SURFACES.index("asphalt")
GRAVEL = SURFACES.index("gravel")
GROVE_M = 10.0
"""Trees are gathered in square groves of this side, so that those out of sight are passed over together."""


class Scene(NamedTuple):
    """Everything the kernels read; colours 0 to 255."""

    trees: Floats
    """(n, 7) as in `World.trees`."""
    order: Ids
    """(n,) indices of the trees, grove after grove."""
    groves: Floats
    """(g, 5): x, y of the middle, radius and height of an upright cylinder that holds the trees (metres), and where in
    `order` its last tree stands, plus one."""
    bark: Floats
    leaf: Floats
    boxes: Floats
    """(b, 9), those that move last: x, y of the middle, cosine and sine of the yaw, half length, half width, heights of
    base and top, in metres; kind."""
    wheels: Floats
    """(w, 9): wheels of parked cars as lying cylinders; eight columns as in `boxes`, then the index of the body."""
    paint: Floats
    """(b, 3) colours of the boxes."""
    road: Road
    surface: int
    """Index in `SURFACES`."""
    bank: Bank
    skyline: Floats
    light_map: Bytes
    map_origin: Floats
    map_scale: np.float32
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
    road_color: Floats
    shoulder: Floats
    marking: Floats
    road_wear: np.float32
    ground_tile: int
    bark_tile: int
    leaf_tile: int
    smooth: bool


def _colors(colors: Floats, count: int, things: str = "trees") -> Floats:
    """A (count, 3) array of colours as the kernels' type; refuses one that does not fit the trees or boxes."""
    if colors.shape != (count, 3):
        raise ValueError(f"appearance has colours of shape {colors.shape}; {count} {things} need ({count}, 3)")
    return np.array(colors, F)


def _groves(trees: Floats) -> tuple[Ids, Floats]:
    """The order and the groves of the trees; see `Scene`."""
    if not len(trees):
        return np.zeros(0, np.int32), np.zeros((0, 5), F)
    cells = np.floor(trees[:, :2] / GROVE_M).astype(np.int64)
    order = np.lexsort(cells.T)
    cells = cells[order]
    columns = Trees.of(trees[order])
    ends = np.append(np.flatnonzero((cells[1:] != cells[:-1]).any(axis=1)) + 1, len(trees))
    starts = np.append(0, ends[:-1])
    radius = np.maximum(columns.radius_m, columns.crown_radius_m)
    low = np.stack([np.minimum.reduceat(place - radius, starts) for place in (columns.x_m, columns.y_m)], axis=1)
    high = np.stack([np.maximum.reduceat(place + radius, starts) for place in (columns.x_m, columns.y_m)], axis=1)
    # A round crown's top is 1.7 radii above its trunk, which its height of two radii covers.
    tall = np.maximum.reduceat(columns.height_m + columns.crown_height_m, starts)
    reach = np.hypot(*((high - low) / 2).T)
    return order.astype(np.int32), np.column_stack([(low + high) / 2, reach, tall, ends]).astype(F)


def _road_colors(look: Appearance, surface: str) -> tuple[Floats, Floats]:
    """Colour (3,) of the ribbons and of their shoulders."""
    if surface == "trail":
        return look.trail_color.astype(F), look.trail_color.astype(F)
    shoulder = {"asphalt": "gravel", "gravel": "dirt", "dirt": "dirt"}[surface]
    colors = [look.road_colors[ROAD_SURFACES.index(name)].astype(F) for name in (surface, shoulder)]
    return colors[0], colors[1]


def make_scene(world: World, smooth: bool) -> Scene:
    """Prepare a world for the kernels.

    Args:
        world: what to draw.
        smooth: read textures between texels, for large images.

    Raises:
        ValueError: the world's surface is unknown, or its appearance was drawn for other trees or boxes.
    """
    if world.surface not in SURFACES:
        raise ValueError(f"surface is {world.surface!r}; allowed: {', '.join(SURFACES)}")
    look: Appearance = world.appearance
    # Copies throughout: a world's arrays are read-only, which Numba takes for another type and compiles again.
    trees = np.array(world.trees, F).reshape(-1, 7)
    sun = np.array(look.sun_direction, F)
    solids = solids_of(all_boxes(world))
    boxes = table_of(solids)
    order, groves = _groves(trees)
    light_map, origin, texels_per_m = make_light_map(world, trees, boxes[: len(world.boxes)], sun)
    road_color, shoulder = _road_colors(look, world.surface)
    return Scene(
        trees=trees,
        order=order,
        groves=groves,
        bark=_colors(look.bark_colors, len(trees)),
        leaf=_colors(look.leaf_colors, len(trees)),
        boxes=boxes,
        wheels=table_of(wheels_of(solids), "box"),
        paint=np.concatenate(
            [_colors(look.box_colors, len(world.boxes), "boxes"), *(hazard.colors for hazard in world.hazards)]
        ),
        road=make_road(world.ribbons, world.markings),
        surface=SURFACES.index(world.surface),
        bank=texture_bank(bool(smooth)),
        skyline=skyline(),
        light_map=light_map,
        map_origin=origin,
        map_scale=texels_per_m,
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
        road_color=road_color,
        shoulder=shoulder,
        marking=look.marking_color.astype(F),
        road_wear=F(look.road_wear),
        ground_tile=look.ground_pattern,
        bark_tile=FIRST_BARK + look.bark_pattern,
        leaf_tile=FIRST_LEAF + look.leaf_pattern,
        smooth=bool(smooth),
    )
