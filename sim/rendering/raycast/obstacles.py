"""Colours of what stands on a road: fallen logs, parked cars, barriers."""

import math

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.raycast.columns import (
    BASE,
    BLUE,
    COSINE,
    GREEN,
    HALF_LENGTH,
    HALF_WIDTH,
    KIND,
    RED,
    SINE,
    TOP,
    X,
    Y,
    Z,
)
from forestpilot.sim.rendering.raycast.intersect import HALF, KERNEL, ONE, ZERO, Floats, Scalar, Triple
from forestpilot.sim.rendering.raycast.sampling import around, floor_of, sample
from forestpilot.sim.rendering.raycast.scene import Scene
from forestpilot.sim.rendering.raycast.textures import TILE_SIZE
from forestpilot.sim.rendering.solids import WHEEL_PLACE, WHEEL_RADIUS_M
from forestpilot.sim.worlds.world import BARRIER, CAR_BODY, CAR_CABIN, LOG

F = np.float32
BARK_TEXELS_PER_M = F(110)
STRIPE_M = F(0.24)
"""Width of a barrier's stripes."""
RIM_RADIUS_M = F(0.17)
BARRIER_RED = (F(196), F(44), F(36))
GLASS = (F(34), F(44), F(54))
TYRE = (F(26), F(26), F(28))


@helper(**KERNEL)
def _box_normal(box: Floats, along: Scalar, aside: Scalar, z: Scalar) -> Triple:
    """Which face of a box a point lies on: its normal along the length, the width and upwards."""
    to_end = abs(abs(along) - box[HALF_LENGTH])
    to_side = abs(abs(aside) - box[HALF_WIDTH])
    to_top = min(abs(z - box[TOP]), abs(z - box[BASE]))
    if (to_top <= to_end) & (to_top <= to_side):
        return ZERO, ZERO, (ONE if z > HALF * (box[BASE] + box[TOP]) else -ONE)
    if to_end <= to_side:
        return (ONE if along > ZERO else -ONE), ZERO, ZERO
    return ZERO, (ONE if aside > ZERO else -ONE), ZERO


@helper(**KERNEL)
def _light(scene: Scene, box: Floats, normal: Triple, height: Scalar) -> Scalar:
    """Brightness of a face whose normal is given in the box's own directions."""
    x = normal[X] * box[COSINE] - normal[Y] * box[SINE]
    y = normal[X] * box[SINE] + normal[Y] * box[COSINE]
    facing = max(x * scene.sun[X] + y * scene.sun[Y] + normal[Z] * scene.sun[Z], ZERO)
    ambient = (ONE - F(0.6) * scene.sun_strength) * (F(0.68) + F(0.27) * normal[Z])
    return (scene.sun_strength * facing + ambient) * min(F(0.6) + F(0.9) * height, ONE)


@helper(**KERNEL)
def _log_color(scene: Scene, b: int, box: Floats, along: Scalar, aside: Scalar, z: Scalar, pixel_m: Scalar) -> Triple:
    """Bark around a lying trunk, and the pale wood of its ends."""
    middle = HALF * (box[BASE] + box[TOP])
    tall = HALF * (box[TOP] - box[BASE])
    side = aside / box[HALF_WIDTH]
    up = (z - middle) / tall
    if abs(abs(along) - box[HALF_LENGTH]) < F(0.004):
        ring = math.sqrt(side * side + up * up) * F(6)
        ring = F(0.86) + F(0.14) * abs(F(2) * (ring - F(floor_of(ring))) - ONE)
        light = _light(scene, box, (ONE if along > ZERO else -ONE, ZERO, ZERO), z) * ring
        return F(196) * light, F(160) * light, F(112) * light
    length = math.sqrt(side * side + up * up) + F(1e-6)
    bark = sample(
        scene.bank, scene.bark_tile, around(side, up) * F(TILE_SIZE // 4), along * BARK_TEXELS_PER_M,
        pixel_m * F(TILE_SIZE) / (F(6.28) * box[HALF_WIDTH]), scene.smooth,
    )  # fmt: skip
    light = _light(scene, box, (ZERO, side / length, up / length), z) * (F(0.6) + F(0.75) * bark)
    return scene.paint[b, RED] * light, scene.paint[b, GREEN] * light, scene.paint[b, BLUE] * light


@helper(**KERNEL)
def _body_color(scene: Scene, b: int, box: Floats, normal: Triple, along: Scalar, aside: Scalar, z: Scalar) -> Triple:
    """Paint of a parked car with its wheels, lights and bumpers."""
    paint = scene.paint[b, RED], scene.paint[b, GREEN], scene.paint[b, BLUE]
    up = z - box[BASE]
    if abs(normal[Y]) > HALF:
        axle = abs(along) - F(WHEEL_PLACE) * box[HALF_LENGTH]
        rise = z - F(WHEEL_RADIUS_M)
        rim = math.sqrt(axle * axle + rise * rise)
        if rim < RIM_RADIUS_M:
            return F(150), F(152), F(154)
        if rim < F(WHEEL_RADIUS_M):
            return TYRE
        if abs(along + F(0.04)) < F(0.015):
            return HALF * paint[RED], HALF * paint[GREEN], HALF * paint[BLUE]
    elif abs(normal[X]) > HALF:
        tall = box[TOP] - box[BASE]
        if (abs(aside) > F(0.62) * box[HALF_WIDTH]) & (up > F(0.5) * tall) & (up < F(0.8) * tall):
            lamp: Triple = (F(236), F(232), F(214)) if normal[X] > ZERO else (F(190), F(28), F(24))
            return lamp
        if (abs(aside) < F(0.28) * box[HALF_WIDTH]) & (up > F(0.2) * tall) & (up < F(0.4) * tall):
            return F(220), F(220), F(214)
    if up < F(0.12) * (box[TOP] - box[BASE]):
        return TYRE
    return paint


@helper(**KERNEL)
def _cabin_color(scene: Scene, b: int, box: Floats, normal: Triple, along: Scalar, aside: Scalar, z: Scalar) -> Triple:
    """Dark glass between painted posts under a painted roof."""
    from_roof = box[TOP] - z
    post = min(
        box[HALF_LENGTH] - abs(along) if abs(normal[Y]) > HALF else box[HALF_WIDTH] - abs(aside),
        abs(along) if abs(normal[Y]) > HALF else ONE,
    )
    if (abs(normal[Z]) > HALF) | (from_roof < F(0.07)) | (post < F(0.06)):
        return scene.paint[b, RED], scene.paint[b, GREEN], scene.paint[b, BLUE]
    return GLASS


@helper(**KERNEL)
def shade_box(scene: Scene, b: int, x: Scalar, y: Scalar, z: Scalar, pixel_m: Scalar) -> Triple:
    """Colour of box b at the world point (x, y, z), where a pixel is pixel_m wide."""
    box = scene.boxes[b]
    east = x - box[X]
    north = y - box[Y]
    along = east * box[COSINE] + north * box[SINE]
    aside = north * box[COSINE] - east * box[SINE]
    if box[KIND] == F(LOG):
        return _log_color(scene, b, box, along, aside, z, pixel_m)
    normal = _box_normal(box, along, aside, z)
    light = _light(scene, box, normal, z)
    color = scene.paint[b, RED], scene.paint[b, GREEN], scene.paint[b, BLUE]
    if box[KIND] == F(CAR_BODY):
        color = _body_color(scene, b, box, normal, along, aside, z)
    elif box[KIND] == F(CAR_CABIN):
        color = _cabin_color(scene, b, box, normal, along, aside, z)
    elif box[KIND] == F(BARRIER):
        stripe = (along + aside + z) / (F(2) * STRIPE_M)
        if stripe - F(floor_of(stripe)) < HALF:
            color = BARRIER_RED
    return color[RED] * light, color[GREEN] * light, color[BLUE] * light
