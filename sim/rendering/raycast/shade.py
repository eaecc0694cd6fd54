"""Colours of what the rays met: one pass over the finished depth and ids, and one function per material.

Textures fade by mip level instead of flickering; everything fades into the background that lies behind it (sky or far
forest), so that neither the far plane nor the edge of the world shows.
"""

import math

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.protocol import SKY_ID
from forestpilot.sim.rendering.raycast.columns import (
    BLUE,
    CROWN_HEIGHT,
    CROWN_KIND,
    CROWN_RADIUS,
    GREEN,
    RED,
    RIGHT,
    TRUNK_HEIGHT,
    TRUNK_RADIUS,
    X,
    Y,
    Z,
)
from forestpilot.sim.rendering.raycast.ground import shade_ground
from forestpilot.sim.rendering.raycast.intersect import (
    HALF,
    KERNEL,
    ONE,
    ZERO,
    Bytes,
    Floats,
    Scalar,
    Triple,
    View,
    row_direction,
)
from forestpilot.sim.rendering.raycast.obstacles import shade_box
from forestpilot.sim.rendering.raycast.sampling import around, floor_of, sample
from forestpilot.sim.rendering.raycast.scene import Scene
from forestpilot.sim.rendering.raycast.textures import PATCHES, SKYLINE_SIZE, TILE_SIZE

F = np.float32
BARK_TEXELS_PER_M = F(110)
LEAF_TEXELS_PER_M = F(56)
CONE_TIERS = F(6)
FOG_SEEN = F(0.02)
"""Where fog hides less than this, the background is not worked out."""
WHITE = F(255)
QUARTER = F(0.25)


@helper(**KERNEL)
def background(scene: Scene, x: Scalar, y: Scalar, z: Scalar, focal_px: Scalar) -> Triple:
    """Colour of the sky or the far forest in direction (x, y, z), of any length."""
    flat = math.sqrt(x * x + y * y) + F(1e-6)
    rise = z / flat
    up = max(rise, ZERO)
    up = up / (F(0.45) + up)
    red = scene.haze[RED] + up * (scene.sky[RED] - scene.haze[RED])
    green = scene.haze[GREEN] + up * (scene.sky[GREEN] - scene.haze[GREEN])
    blue = scene.haze[BLUE] + up * (scene.sky[BLUE] - scene.haze[BLUE])
    if rise > F(0.3):
        red, green, blue = _clouds(scene, x / z, y / z, rise, red, green, blue)
    if rise < scene.treeline_height * F(2):
        cover = F(0.62)
        if (rise > ZERO) | scene.smooth:
            place = (around(x, y) * F(0.25) + scene.treeline_phase) * F(SKYLINE_SIZE)
            cover *= _below(scene.treeline_height * _skyline(scene, place), rise, focal_px)
            if scene.smooth:
                cover = _nearer_treeline(scene, cover, place, rise, focal_px)
        red += cover * (scene.treeline[RED] - red)
        green += cover * (scene.treeline[GREEN] - green)
        blue += cover * (scene.treeline[BLUE] - blue)
    return red, green, blue


@helper(**KERNEL)
def _nearer_treeline(scene: Scene, cover: Scalar, place: Scalar, rise: Scalar, focal_px: Scalar) -> Scalar:
    """Cover of the far forest with a lower, nearer ridge before it, leaves, and mist at its foot: for large images."""
    near = scene.treeline_height * F(0.62) * _skyline(scene, place * F(2) + F(311))
    cover += (F(0.85) - cover) * _below(near, rise, focal_px)
    crowns = sample(scene.bank, scene.leaf_tile, place * F(3), rise * F(700), F(500) / focal_px, scene.smooth)
    return cover * min(F(0.8) + F(0.4) * crowns, ONE) * min(ONE, F(0.65) + F(0.35) * max(rise, ZERO) / near)


@helper(**KERNEL)
def _skyline(scene: Scene, place: Scalar) -> Scalar:
    """Height of the far forest's top, relative to its mean, at a place from 0 to SKYLINE_SIZE and around again."""
    left = int(place)
    step = place - F(left)
    mask = SKYLINE_SIZE - 1
    return scene.skyline[left & mask] * (ONE - step) + scene.skyline[(left + 1) & mask] * step


@helper(**KERNEL)
def _below(top: Scalar, rise: Scalar, focal_px: Scalar) -> Scalar:
    """1 below a skyline, 0 above it, with a soft edge one pixel wide."""
    return min(max((top - rise) * focal_px + HALF, ZERO), ONE)


@helper(**KERNEL)
def _clouds(scene: Scene, x: Scalar, y: Scalar, rise: Scalar, red: Scalar, green: Scalar, blue: Scalar) -> Triple:
    """Brighten the sky where the broad noise, spread on a high plane, is dense."""
    dense = sample(scene.bank, PATCHES, x * F(40) + F(97), y * F(40), F(1), scene.smooth)
    dense = min(max(dense - F(0.45), ZERO) * F(1.6), ONE) * min(ONE, (rise - F(0.3)) * F(3)) * F(0.7)
    return red + dense * (F(244) - red), green + dense * (F(246) - green), blue + dense * (F(248) - blue)


@helper(**KERNEL)
def shade_trunk(scene: Scene, t: int, x: Scalar, y: Scalar, height: Scalar, pixel_m: Scalar) -> Triple:
    """Colour of trunk t at the point (x, y) metres from its axis, at this height."""
    inverse = ONE / scene.trees[t, TRUNK_RADIUS]
    normal_x = x * inverse
    normal_y = y * inverse
    texels_per_m = F(TILE_SIZE) / (F(6.2832) * scene.trees[t, TRUNK_RADIUS])
    bark = sample(
        scene.bank, scene.bark_tile, around(normal_x, normal_y) * F(TILE_SIZE // 4),
        height * BARK_TEXELS_PER_M + F(61 * (t & 63)), pixel_m * texels_per_m, scene.smooth,
    )  # fmt: skip
    facing = normal_x * scene.sun[X] + normal_y * scene.sun[Y]
    direct = scene.sun_strength * max(facing, ZERO) * F(0.9)
    ambient = (ONE - scene.sun_strength) * F(0.55) + F(0.25) + F(0.10) * facing
    foot = min(F(0.55) + F(0.9) * height, ONE)
    light = (direct + ambient * foot) * (F(0.6) + F(0.75) * bark)
    return scene.bark[t, RED] * light, scene.bark[t, GREEN] * light, scene.bark[t, BLUE] * light


@helper(**KERNEL)
def _crown_surface(
    scene: Scene, t: int, x: Scalar, y: Scalar, height: Scalar
) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar]:
    """Normal (x, y, z) and texture coordinates along the surface in metres, for a point of crown t."""
    trunk_height = scene.trees[t, TRUNK_HEIGHT]
    radius = scene.trees[t, CROWN_RADIUS]
    crown_height = scene.trees[t, CROWN_HEIGHT]
    if scene.trees[t, CROWN_KIND] > HALF:
        inverse = ONE / radius
        normal_z = (height - trunk_height - F(0.7) * radius) * inverse
        return x * inverse, y * inverse, normal_z, around(x, y) * radius * F(1.2), normal_z * radius * F(1.3)
    base = trunk_height - HALF
    if height < base + F(0.01):
        return ZERO, ZERO, -ONE, x, y
    slope = radius / crown_height
    upright = ONE / math.sqrt(ONE + slope * slope)
    inverse = upright / math.sqrt(x * x + y * y + F(1e-9))
    along = around(x, y) * radius * (ONE - F(0.6) * (height - base) / crown_height)
    return x * inverse, y * inverse, slope * upright, along, height


@helper(**KERNEL)
def shade_crown(scene: Scene, t: int, x: Scalar, y: Scalar, height: Scalar, pixel_m: Scalar) -> Triple:
    """Colour of crown t at the point (x, y) metres from its axis, at this height."""
    normal_x, normal_y, normal_z, along, upward = _crown_surface(scene, t, x, y, height)
    shift = F(37 * (t & 63))
    leaves = sample(
        scene.bank, scene.leaf_tile, along * LEAF_TEXELS_PER_M + shift, upward * LEAF_TEXELS_PER_M + shift,
        pixel_m * LEAF_TEXELS_PER_M, scene.smooth,
    )  # fmt: skip
    depth = leaves
    if scene.trees[t, CROWN_KIND] < HALF and normal_z > ZERO:
        tier = (scene.trees[t, TRUNK_HEIGHT] + scene.trees[t, CROWN_HEIGHT] - height) * CONE_TIERS / scene.trees[
            t, CROWN_HEIGHT
        ] + leaves * F(0.7)
        depth = HALF * leaves + HALF * (tier - F(floor_of(tier)))
    facing = normal_x * scene.sun[X] + normal_y * scene.sun[Y] + normal_z * scene.sun[Z] + (leaves - HALF) * F(0.8)
    direct = scene.sun_strength * max(facing, ZERO)
    ambient = (ONE - F(0.6) * scene.sun_strength) * (F(0.62) + F(0.33) * normal_z)
    light = (direct + ambient) * (F(0.45) + F(0.95) * depth)
    return scene.leaf[t, RED] * light, scene.leaf[t, GREEN] * light, scene.leaf[t, BLUE] * light


@helper(**KERNEL)
def _surface_color(scene: Scene, view: View, ident: int, place: Triple, ray: Triple, depth: Scalar) -> Triple:
    """Colour of what the ray (x, y, z) hit at a place (x, y, z) of the world, this deep in the picture."""
    x, y, z = place
    pixel_m = depth / view.focal_px
    if ident < 0:
        return shade_ground(scene, view, x, y, ray, pixel_m)
    t = ident >> 1
    if t >= scene.trees.shape[0]:
        return shade_box(scene, ident - 2 * scene.trees.shape[0], x, y, z, pixel_m)
    x -= scene.trees[t, X]
    y -= scene.trees[t, Y]
    if ident & 1 == 0:
        return shade_trunk(scene, t, x, y, z, pixel_m)
    return shade_crown(scene, t, x, y, z, pixel_m)


@helper(**KERNEL)
def _pixel_color(scene: Scene, view: View, eye: Floats, row: int, u: int) -> Triple:
    """Colour of one pixel whose depth and id are known."""
    slope, x, y, z = row_direction(view, row)
    across = view.slopes[u]
    x += across * view.axes[RIGHT, X]
    y += across * view.axes[RIGHT, Y]
    z += across * view.axes[RIGHT, Z]
    ident = view.ids[row, u]
    if ident == SKY_ID:
        return background(scene, x, y, z, view.focal_px)
    t = view.depth[row, u]
    place = eye[X] + t * x, eye[Y] + t * y, eye[Z] + t * z
    red, green, blue = _surface_color(scene, view, ident, place, (x, y, z), t)
    fog = min(t * t * (ONE + slope * slope + across * across) * scene.inverse_fog2, ONE)
    fog *= fog * HALF + HALF
    if fog > FOG_SEEN:
        far_red, far_green, far_blue = background(scene, x, y, z, view.focal_px)
        red += fog * (far_red - red)
        green += fog * (far_green - green)
        blue += fog * (far_blue - blue)
    return min(red, WHITE), min(green, WHITE), min(blue, WHITE)


@helper(**KERNEL)
def shade_pixels(scene: Scene, view: View, eye: Floats, rgb: Bytes) -> None:
    """Write the colour of every pixel of one camera; rgb is (H, W, 3) uint8."""
    for row in range(view.depth.shape[0]):
        for u in range(view.depth.shape[1]):
            red, green, blue = _pixel_color(scene, view, eye, row, u)
            rgb[row, u, RED] = np.uint8(red)
            rgb[row, u, GREEN] = np.uint8(green)
            rgb[row, u, BLUE] = np.uint8(blue)


@helper(**KERNEL)
def smooth_edges(scene: Scene, view: View, fine: View, eye: Floats, rgb: Bytes) -> None:
    """Average four samples in every pixel that sees more than one thing.

    Args:
        scene: what was drawn.
        view: the camera, its image finished.
        fine: the same camera traced at twice the width and height.
        eye: (3,) in metres.
        rgb: (H, W, 3) uint8, changed in place.
    """
    for row in range(view.depth.shape[0]):
        for u in range(view.depth.shape[1]):
            ident = view.ids[row, u]
            same = True
            for v in range(2 * row, 2 * row + 2):
                same &= (fine.ids[v, 2 * u] == ident) & (fine.ids[v, 2 * u + 1] == ident)
            if same:
                continue
            red = HALF
            green = HALF
            blue = HALF
            for sub in range(4):
                one = _pixel_color(scene, fine, eye, 2 * row + (sub >> 1), 2 * u + (sub & 1))
                red += one[RED] * QUARTER
                green += one[GREEN] * QUARTER
                blue += one[BLUE] * QUARTER
            rgb[row, u, RED] = np.uint8(red)
            rgb[row, u, GREEN] = np.uint8(green)
            rgb[row, u, BLUE] = np.uint8(blue)
