"""Colours of what stands on a road: fallen logs, parked cars, barriers."""

import math

import numpy as np
from numba import njit

from forestpilot.sim.rendering.raycast.intersect import HALF, KERNEL, ONE, ZERO, Floats, Scalar, Triple
from forestpilot.sim.rendering.raycast.sampling import around, floor_of, sample
from forestpilot.sim.rendering.raycast.scene import Scene
from forestpilot.sim.rendering.raycast.textures import TILE_SIZE
from forestpilot.sim.rendering.solids import WHEEL_PLACE, WHEEL_RADIUS_M
from forestpilot.sim.worlds.world import CAR_BODY, CAR_CABIN, LOG

F = np.float32
BARK_TEXELS_PER_M = F(110)
STRIPE_M = F(0.24)
"""Width of a barrier's stripes."""
RIM_RADIUS_M = F(0.17)
BARRIER_RED = (F(196), F(44), F(36))
GLASS = (F(34), F(44), F(54))
TYRE = (F(26), F(26), F(28))


@njit(**KERNEL)
def _box_normal(box: Floats, along: Scalar, aside: Scalar, z: Scalar) -> Triple:
    """Which face of a box a point lies on: its normal along the length, the width and upwards."""
    to_end, to_side = abs(abs(along) - box[4]), abs(abs(aside) - box[5])
    to_top = min(abs(z - box[7]), abs(z - box[6]))
    if (to_top <= to_end) & (to_top <= to_side):
        return ZERO, ZERO, (ONE if z > HALF * (box[6] + box[7]) else -ONE)
    if to_end <= to_side:
        return (ONE if along > ZERO else -ONE), ZERO, ZERO
    return ZERO, (ONE if aside > ZERO else -ONE), ZERO


@njit(**KERNEL)
def _light(scene: Scene, box: Floats, normal: Triple, height: Scalar) -> Scalar:
    """Brightness of a face whose normal is given in the box's own directions."""
    x, y = normal[0] * box[2] - normal[1] * box[3], normal[0] * box[3] + normal[1] * box[2]
    facing = max(x * scene.sun[0] + y * scene.sun[1] + normal[2] * scene.sun[2], ZERO)
    ambient = (ONE - F(0.6) * scene.sun_strength) * (F(0.68) + F(0.27) * normal[2])
    return (scene.sun_strength * facing + ambient) * min(F(0.6) + F(0.9) * height, ONE)


@njit(**KERNEL)
def _log_color(scene: Scene, b: int, box: Floats, along: Scalar, aside: Scalar, z: Scalar, pixel_m: Scalar) -> Triple:
    """Bark around a lying trunk, and the pale wood of its ends."""
    middle, tall = HALF * (box[6] + box[7]), HALF * (box[7] - box[6])
    side, up = aside / box[5], (z - middle) / tall
    if abs(abs(along) - box[4]) < F(0.004):
        ring = math.sqrt(side * side + up * up) * F(6)
        ring = F(0.86) + F(0.14) * abs(F(2) * (ring - F(floor_of(ring))) - ONE)
        light = _light(scene, box, (ONE if along > ZERO else -ONE, ZERO, ZERO), z) * ring
        return F(196) * light, F(160) * light, F(112) * light
    length = math.sqrt(side * side + up * up) + F(1e-6)
    bark = sample(
        scene.bank, scene.bark_tile, around(side, up) * F(TILE_SIZE // 4), along * BARK_TEXELS_PER_M,
        pixel_m * F(TILE_SIZE) / (F(6.28) * box[5]), scene.smooth,
    )  # fmt: skip
    light = _light(scene, box, (ZERO, side / length, up / length), z) * (F(0.6) + F(0.75) * bark)
    return scene.paint[b, 0] * light, scene.paint[b, 1] * light, scene.paint[b, 2] * light


@njit(**KERNEL)
def _body_color(scene: Scene, b: int, box: Floats, normal: Triple, along: Scalar, aside: Scalar, z: Scalar) -> Triple:
    """Paint of a parked car with its wheels, lights and bumpers."""
    paint = scene.paint[b, 0], scene.paint[b, 1], scene.paint[b, 2]
    up = z - box[6]
    if abs(normal[1]) > HALF:
        axle = abs(along) - F(WHEEL_PLACE) * box[4]
        rise = z - F(WHEEL_RADIUS_M)
        rim = math.sqrt(axle * axle + rise * rise)
        if rim < RIM_RADIUS_M:
            return F(150), F(152), F(154)
        if rim < F(WHEEL_RADIUS_M):
            return TYRE
        if abs(along + F(0.04)) < F(0.015):
            return HALF * paint[0], HALF * paint[1], HALF * paint[2]
    elif abs(normal[0]) > HALF:
        tall = box[7] - box[6]
        if (abs(aside) > F(0.62) * box[5]) & (up > F(0.5) * tall) & (up < F(0.8) * tall):
            lamp: Triple = (F(236), F(232), F(214)) if normal[0] > ZERO else (F(190), F(28), F(24))
            return lamp
        if (abs(aside) < F(0.28) * box[5]) & (up > F(0.2) * tall) & (up < F(0.4) * tall):
            return F(220), F(220), F(214)
    if up < F(0.12) * (box[7] - box[6]):
        return TYRE
    return paint


@njit(**KERNEL)
def _cabin_color(scene: Scene, b: int, box: Floats, normal: Triple, along: Scalar, aside: Scalar, z: Scalar) -> Triple:
    """Dark glass between painted posts under a painted roof."""
    from_roof = box[7] - z
    post = min(
        box[4] - abs(along) if abs(normal[1]) > HALF else box[5] - abs(aside),
        abs(along) if abs(normal[1]) > HALF else ONE,
    )
    if (abs(normal[2]) > HALF) | (from_roof < F(0.07)) | (post < F(0.06)):
        return scene.paint[b, 0], scene.paint[b, 1], scene.paint[b, 2]
    return GLASS


@njit(**KERNEL)
def shade_box(scene: Scene, b: int, x: Scalar, y: Scalar, z: Scalar, pixel_m: Scalar) -> Triple:
    """Colour of box b at the world point (x, y, z), where a pixel is pixel_m wide."""
    box = scene.boxes[b]
    east, north = x - box[0], y - box[1]
    along, aside = east * box[2] + north * box[3], north * box[2] - east * box[3]
    if box[8] == F(LOG):
        return _log_color(scene, b, box, along, aside, z, pixel_m)
    normal = _box_normal(box, along, aside, z)
    light = _light(scene, box, normal, z)
    color = scene.paint[b, 0], scene.paint[b, 1], scene.paint[b, 2]
    if box[8] == F(CAR_BODY):
        color = _body_color(scene, b, box, normal, along, aside, z)
    elif box[8] == F(CAR_CABIN):
        color = _cabin_color(scene, b, box, normal, along, aside, z)
    else:
        stripe = (along + aside + z) / (F(2) * STRIPE_M)
        if stripe - F(floor_of(stripe)) < HALF:
            color = BARRIER_RED
    return color[0] * light, color[1] * light, color[2] * light
