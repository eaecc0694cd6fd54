"""Reading the texture bank inside a kernel: mip levels, texels between texels, angles without an arc tangent."""

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.raycast.intersect import HALF, KERNEL, ONE, ZERO, Bytes, Scalar
from forestpilot.sim.rendering.raycast.textures import TILE_BITS, TILE_SIZE, Bank

F = np.float32
TILE_MASK = TILE_SIZE - 1
TO_UNIT = F(1 / 255)


@helper(**KERNEL)
def _mip_level(texels_per_pixel: Scalar) -> Scalar:
    """Level whose texels are about as large as a pixel: the binary exponent of the footprint."""
    exponent: Scalar = (F(texels_per_pixel * F(1.4)).view(np.int32) >> 23) - 127
    return min(max(exponent, 0), TILE_BITS)


@helper(**KERNEL)
def floor_of(value: Scalar) -> int:
    """Largest integer not above a value; `math.floor` would call a library function for every pixel."""
    whole = int(value)
    return whole - int(value < F(whole))


@helper(**KERNEL)
def _texel(texels: Bytes, tile: int, level: int, offset: int, x: int, y: int) -> Scalar:
    """One texel of a mip level; x and y count that level's texels and wrap around."""
    mask = TILE_MASK >> level
    return F(texels[tile, offset + ((y & mask) << (TILE_BITS - level)) + (x & mask)])


@helper(**KERNEL)
def sample(bank: Bank, tile: int, x: Scalar, y: Scalar, texels_per_pixel: Scalar, smooth: bool) -> Scalar:
    """Noise from 0 to 1 at (x, y) in texels of the finest level, averaged over about a pixel's footprint."""
    level = _mip_level(texels_per_pixel)
    size2 = 1 << (2 * TILE_BITS)
    offset = (4 * (size2 - (size2 >> (2 * level)))) // 3
    shrink = ONE / F(1 << level)
    x *= shrink
    y *= shrink
    if not smooth:
        return _texel(bank.texels, tile, level, offset, floor_of(x), floor_of(y)) * TO_UNIT
    x -= HALF
    y -= HALF
    left = floor_of(x)
    top = floor_of(y)
    u = x - F(left)
    v = y - F(top)
    upper = _texel(bank.texels, tile, level, offset, left, top) * (ONE - u)
    upper += _texel(bank.texels, tile, level, offset, left + 1, top) * u
    lower = _texel(bank.texels, tile, level, offset, left, top + 1) * (ONE - u)
    lower += _texel(bank.texels, tile, level, offset, left + 1, top + 1) * u
    return (upper * (ONE - v) + lower * v) * TO_UNIT


@helper(**KERNEL)
def around(x: Scalar, y: Scalar) -> Scalar:
    """Position around the circle, 0 to 4, that grows with the angle of (x, y): an arc tangent's cheap relative."""
    place = y / (abs(x) + abs(y) + F(1e-9))
    return ONE + place if x >= ZERO else F(3) - place
