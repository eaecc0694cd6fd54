"""What a world looks like: light, fog, colours and which patterns to use, as plain numbers any renderer reads."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.worlds.tables import CAR_BODY, CAR_CABIN, LOG, NO_BOXES, Boxes

FloatArray = NDArray[np.float32]

GROUND_PATTERNS = 4
BARK_PATTERNS = 3
LEAF_PATTERNS = 3
"""How many patterns of each kind a renderer's texture bank must hold."""

_SKIES = np.array(
    [  # zenith, haze at the horizon
        [[84, 138, 208], [198, 214, 226]],  # clear
        [[122, 154, 190], [214, 219, 221]],  # thin cloud
        [[156, 164, 172], [205, 207, 207]],  # overcast
        [[102, 126, 176], [236, 212, 184]],  # evening
    ],
    np.float32,
)
_GROUNDS = np.array(
    [  # dark, light
        [[58, 66, 34], [112, 124, 62]],  # grass and moss
        [[70, 52, 34], [142, 112, 74]],  # leaf litter
        [[62, 58, 40], [122, 112, 80]],  # needles and earth
        [[84, 82, 56], [158, 148, 104]],  # dry grass
    ],
    np.float32,
)
_TRAILS = np.array([[170, 142, 104], [138, 112, 82], [186, 170, 138], [120, 104, 90]], np.float32)
ROAD_SURFACES = ("asphalt", "gravel", "dirt")
"""Order of `Appearance.road_colors`."""
ROAD_CONTRAST = 26.0
"""How much brighter or darker than the forest floor's mean a drawn road is at least, of 255."""
_ROADS = np.array(
    [  # two extremes of each surface
        [[74, 76, 80], [124, 122, 118]],  # asphalt, new and bleached
        [[150, 142, 128], [192, 180, 156]],  # gravel, grey and sandy
        [[104, 78, 54], [150, 120, 84]],  # dirt, moist and dry
    ],
    np.float32,
)
_LINES = np.array([[228, 226, 218], [232, 204, 112]], np.float32)
_PAINTS = np.array(
    [[168, 38, 36], [38, 70, 142], [206, 206, 204], [52, 56, 60], [46, 96, 66], [212, 168, 48], [128, 136, 144]],
    np.float32,
)
_BARKS = np.array([[112, 82, 56], [96, 86, 74], [134, 106, 78], [150, 144, 132], [86, 62, 46]], np.float32)
_LEAVES = np.array([[60, 104, 44], [88, 124, 48], [44, 88, 52], [122, 132, 52], [66, 116, 66]], np.float32)


@dataclass(frozen=True, eq=False)
class Appearance:
    """Light, fog, colours and patterns of one world; colours are RGB float32 from 0 to 255."""

    sun_direction: FloatArray
    """(3,) unit vector towards the sun."""
    sun_strength: float
    """Share of the light that comes straight from the sun, 0 (overcast) to 1."""
    sky_color: FloatArray
    """(3,) straight up."""
    haze_color: FloatArray
    """(3,) of the sky at the horizon."""
    fog_distance_m: float
    """Distance at which everything has faded into the background; at most the far plane's 60 m."""
    treeline_color: FloatArray
    """(3,) of the far forest painted on the horizon."""
    treeline_height_rad: float
    """Mean elevation of the far forest's top; 0 paints none."""
    treeline_phase: float
    """0 to 1, which part of the skyline stands ahead."""
    bark_colors: FloatArray
    """(n, 3), one per tree."""
    leaf_colors: FloatArray
    """(n, 3), one per tree."""
    bark_pattern: int
    """Index below BARK_PATTERNS."""
    leaf_pattern: int
    """Index below LEAF_PATTERNS."""
    ground_colors: FloatArray
    """(2, 3), dark and light; the pattern blends between them."""
    ground_pattern: int
    """Index below GROUND_PATTERNS."""
    ground_offset_m: FloatArray
    """(2,) shift of the ground's pattern, so that worlds differ."""
    trail_color: FloatArray
    """(3,) of the trail, where the world has one."""
    trail_half_width_m: float
    """Half the trail's width in metres."""
    road_colors: FloatArray
    """(3, 3), one per surface in `ROAD_SURFACES`; a world uses its own and that of its shoulders."""
    road_wear: float
    """0 (fresh paint and even ground) to 1 (faded lines, cracks, deep tracks)."""
    marking_color: FloatArray
    """(3,) of the lines on a road that has them."""
    box_colors: FloatArray
    """(b, 3), one per box: bark, paint, or the light part of a barrier's stripes."""

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def painted(self, colors: FloatArray) -> Appearance:
        """The same with the last trees in these colours (k, 3), bark and leaves."""
        if not len(colors):
            return self
        bark, leaf = (
            np.concatenate([own[: -len(colors)], colors]).astype(np.float32)
            for own in (self.bark_colors, self.leaf_colors)
        )
        return dataclasses.replace(self, bark_colors=bark, leaf_colors=leaf)


def _direction(azimuth_rad: float, elevation_rad: float) -> FloatArray:
    """Unit vector (3,) float32 at this azimuth (left positive) and elevation."""
    flat = math.cos(elevation_rad)
    return np.array(
        [flat * math.cos(azimuth_rad), flat * math.sin(azimuth_rad), math.sin(elevation_rad)], dtype=np.float32
    )


def _clip(colors: NDArray[np.floating]) -> FloatArray:
    """Colours as float32 within what a pixel can hold."""
    return np.clip(colors, 0, 255).astype(np.float32)


def _box_colors(boxes: NDArray[np.float32], paints: NDArray[np.floating], bark: NDArray[np.floating]) -> FloatArray:
    """Colours (b, 3) by kind: logs are of bark (b, 3), parked cars have paints (b, 3), barriers are white."""
    colors = np.full((len(boxes), 3), 232.0)
    for index, kind in enumerate(Boxes.of(boxes).kind.astype(int)):
        if kind == LOG:
            colors[index] = bark[index]
        elif kind == CAR_BODY:
            colors[index] = paints[index]
        elif kind == CAR_CABIN:
            body = max(index - 1, 0)  # the body that carries it comes before it
            colors[index] = paints[body]
    return _clip(colors)


def draw_appearance(
    rng: np.random.Generator, trees: NDArray[np.float32], boxes: NDArray[np.float32] = NO_BOXES
) -> Appearance:
    """Draw an appearance for domain randomisation.

    Args:
        rng: source of all randomness.
        trees: (n, 7) float32 as in `World.trees`; only their number and kind matter.
        boxes: (b, 8) float32 as in `World.boxes`; a parked car's cabin follows its body.

    Returns:
        An appearance with one bark and one leaf colour per tree and one colour per box.
    """
    count = len(trees)
    sky = _mix_of(rng, _SKIES) * rng.uniform(0.85, 1.08)
    ground = _mix_of(rng, _GROUNDS) * rng.uniform(0.75, 1.15) + rng.normal(0, 6, 3)
    bark = _mix_of(rng, _BARKS) * rng.uniform(0.7, 1.2) + rng.normal(0, 5, 3)
    leaf = _mix_of(rng, _LEAVES) * rng.uniform(0.75, 1.2) + rng.normal(0, 8, 3)
    haze = sky[1]
    return Appearance(
        sun_direction=_direction(rng.uniform(-math.pi, math.pi), rng.uniform(0.5, 1.25)),
        sun_strength=float(rng.uniform(0.25, 0.75)),
        sky_color=_clip(sky[0]),
        haze_color=_clip(haze),
        fog_distance_m=float(rng.uniform(42, 60)),
        treeline_color=_clip(haze + (leaf - haze) * rng.uniform(0.25, 0.5)),
        treeline_height_rad=float(rng.uniform(0.04, 0.12)),
        treeline_phase=float(rng.uniform()),
        bark_colors=_clip(bark * rng.uniform(0.8, 1.2, (count, 1)) + rng.normal(0, 4, (count, 3))),
        leaf_colors=_clip(leaf * rng.uniform(0.8, 1.2, (count, 1)) + rng.normal(0, 9, (count, 3))),
        bark_pattern=int(rng.integers(BARK_PATTERNS)),
        leaf_pattern=int(rng.integers(LEAF_PATTERNS)),
        ground_colors=_clip(ground),
        ground_pattern=int(rng.integers(GROUND_PATTERNS)),
        ground_offset_m=rng.uniform(0, 64, 2).astype(np.float32),
        trail_color=_clip(_mix_of(rng, _TRAILS) * rng.uniform(0.85, 1.15)),
        trail_half_width_m=float(rng.uniform(0.6, 1.2)),
        road_colors=_draw_roads(rng, ground),
        road_wear=float(rng.uniform(0.1, 0.9)),
        marking_color=_clip(_LINES[int(rng.random() < 0.3)] * rng.uniform(0.85, 1.05)),
        box_colors=_box_colors(
            boxes,
            _PAINTS[rng.integers(len(_PAINTS), size=len(boxes))] * rng.uniform(0.8, 1.1, (len(boxes), 1)),
            bark * rng.uniform(0.7, 1.2, (len(boxes), 1)),
        ),
    )


def default_appearance(trees: NDArray[np.float32], boxes: NDArray[np.float32] = NO_BOXES) -> Appearance:
    """The fixed appearance of worlds without domain randomisation; colours still vary from tree to tree.

    Args:
        trees: (n, 7) float32 as in `World.trees`.
        boxes: (b, 8) float32 as in `World.boxes`; a parked car's cabin follows its body.
    """
    vary = np.sin(np.arange(len(trees))[:, None] * np.array([12.9898, 78.233, 37.719])) % 1.0
    vary_bark, vary_leaf, vary_green = np.split(vary, 3, axis=1)
    leaf = np.array([66, 110, 48], np.float32)
    haze = np.array([203, 216, 224], np.float32)
    return Appearance(
        sun_direction=_direction(0.9, 0.75),
        sun_strength=0.6,
        sky_color=np.array([92, 144, 206], np.float32),
        haze_color=haze,
        fog_distance_m=60.0,
        treeline_color=_clip(haze + (leaf - haze) * 0.4),
        treeline_height_rad=0.08,
        treeline_phase=0.0,
        bark_colors=_clip(np.array([116, 88, 62]) * (0.8 + 0.4 * vary_bark)),
        leaf_colors=_clip(leaf * (0.8 + 0.4 * vary_leaf) + np.array([30, 10, 0]) * (vary_green - 0.5)),
        bark_pattern=0,
        leaf_pattern=0,
        ground_colors=np.array([[56, 62, 32], [128, 122, 70]], np.float32),
        ground_pattern=0,
        ground_offset_m=np.zeros(2, np.float32),
        trail_color=np.array([164, 138, 100], np.float32),
        trail_half_width_m=0.9,
        road_colors=_clip(_road_mix(np.array([0.35, 0.5, 0.5]))),
        road_wear=0.4,
        marking_color=_LINES[0],
        box_colors=_box_colors(
            boxes, _PAINTS[np.arange(len(boxes)) // 2 % len(_PAINTS)], np.tile([116.0, 88.0, 62.0], (len(boxes), 1))
        ),
    )


def _draw_roads(rng: np.random.Generator, ground: NDArray[np.floating]) -> FloatArray:
    """(3, 3) colours of the surfaces, none of them as bright as the ground (2, 3) beside it: a road must be seen."""
    roads = _road_mix(rng.uniform(0, 1, 3)) * rng.uniform(0.88, 1.12, (3, 1)) + rng.normal(0, 4, (3, 3))
    gap = roads.mean(axis=1) - ground.mean()
    return _clip(roads + (np.copysign(np.maximum(np.abs(gap), ROAD_CONTRAST), gap) - gap)[:, None])


def _road_mix(shares: NDArray[np.float64]) -> NDArray[np.floating]:
    """(3, 3) colours of the surfaces, at these shares (3,) of the way between their extremes."""
    return _ROADS[:, 0] + shares[:, None] * (_ROADS[:, 1] - _ROADS[:, 0])


def _mix_of(rng: np.random.Generator, palette: FloatArray) -> NDArray[np.float64]:
    """A random point between two random entries of a palette."""
    first, second = rng.integers(len(palette), size=2)
    return palette[first] + (palette[second] - palette[first]) * rng.uniform(0, 0.5)
