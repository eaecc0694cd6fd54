"""Reading the texture bank inside a kernel, eight pixels at once: mip levels, texels between texels, angles."""

import numpy as np

from forestpilot.sim.kernels import helper
from forestpilot.sim.rendering.raycast.intersect import EXACT, HALF, ONE, ZERO, Lanes
from forestpilot.sim.rendering.raycast.lanes import (
    bits_of,
    floor,
    fused,
    gather,
    of_bits,
    to_floats,
    to_ints,
    where,
)
from forestpilot.sim.rendering.raycast.textures import TILE_BITS, TILE_SIZE, Bank

F = np.float32
TO_UNIT = F(1 / 255)
"""What makes a texel, 0 to 255, a share."""
MIP = F(1.4)
"""A level is read up to so many of its texels a pixel."""
LEVELS = sum(4**level for level in range(TILE_BITS + 1))
"""Texels of a tile and its mip levels; in binary 1010...101, whose leading ones are where the levels start."""


@helper(**EXACT)
def mip_level(texels_per_pixel: Lanes) -> Lanes:
    """Level whose texels are about as large as a pixel: the binary exponent of the footprint, which is given in texels
    of the finest level times `MIP`."""
    exponent = (bits_of(texels_per_pixel) >> 23) - 127
    exponent = where(exponent > 0, exponent, 0)
    return where(exponent < TILE_BITS, exponent, TILE_BITS)


@helper(**EXACT)
def _place(tile: int, level: Lanes, x: Lanes, y: Lanes) -> Lanes:
    """Where texels of mip levels stand in the bank; x and y count a level's texels and wrap around."""
    start = tile * LEVELS + (LEVELS & (-1 << (2 * TILE_BITS + 2 - (level + level))))
    mask = (TILE_SIZE - 1) >> level
    return start + ((y & mask) << (TILE_BITS - level)) + (x & mask)


@helper(**EXACT)
def byte_of(words: Lanes, number: int) -> Lanes:
    """A byte of integers, counted from the lowest, as floats from 0 to 255."""
    return to_floats((words >> (8 * number)) & 255)


@helper(**EXACT)
def blend(one: Lanes, right: Lanes, below: Lanes, both: Lanes, u: Lanes, v: Lanes) -> Lanes:
    """Value between four neighbours: of one, the one right of it, below it, and both; u and v from 0 to 1."""
    left_share = ONE - u
    upper = fused(u, right, left_share * one)
    return fused(fused(u, both, fused(left_share, below, -upper)), v, upper)


@helper(**EXACT)
def sample_between(bank: Bank, tile: int, level: Lanes, x: Lanes, y: Lanes) -> Lanes:
    """Texel value, 0 to 255, between the middles of four texels; x and y in the level's texels from a middle on."""
    left = floor(x)
    top = floor(y)
    four = gather(bank.quads, _place(tile, level, to_ints(left), to_ints(top)))
    return blend(byte_of(four, 0), byte_of(four, 1), byte_of(four, 2), byte_of(four, 3), x - left, y - top)


@helper(**EXACT)
def shrink_of(level: Lanes) -> Lanes:
    """Texels of a level per texel of the finest: a power of two."""
    return of_bits((127 - level) << 23)


@helper(**EXACT)
def sample(bank: Bank, tile: int, x: Lanes, y: Lanes, level: Lanes, smooth: bool) -> Lanes:
    """Texel value, 0 to 255, at (x, y) in texels of the finest level; level as from `mip_level`."""
    shrink = shrink_of(level)
    x = x * shrink
    y = y * shrink
    if smooth:
        return sample_between(bank, tile, level, x - HALF, y - HALF)
    return to_floats(gather(bank.texels, _place(tile, level, to_ints(floor(x)), to_ints(floor(y)))))


@helper(**EXACT)
def around(x: Lanes, y: Lanes) -> Lanes:
    """Position around the circle, 0 to 4, that grows with the angle of (x, y): an arc tangent's cheap relative."""
    place = y / (abs(x) + F(1e-9) + abs(y))
    return where(x >= ZERO, place + ONE, F(3) - place)
