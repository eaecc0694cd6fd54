"""A small bank of tileable noise with mip maps, built once per process, and the far forest's skyline.

Every tile is 256 x 256 bytes; its mip levels (256, 128, ..., 1 pixels wide) follow one another in one row of the bank,
so that a kernel finds a texel with a shift and a mask. Reading a level whose texels are as large as the pixel's
footprint is what keeps far textures from flickering.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.worlds.appearance import BARK_PATTERNS, GROUND_PATTERNS, LEAF_PATTERNS

TILE_BITS = 8
TILE_SIZE = 1 << TILE_BITS
FIRST_BARK = GROUND_PATTERNS
FIRST_LEAF = FIRST_BARK + BARK_PATTERNS
PATCHES = np.int64(FIRST_LEAF + LEAF_PATTERNS)
"""Index of the broad patches that vary the ground over tens of metres, after the ground, bark and leaf patterns.
No Python integer: for each of those Numba would compile `sampling.sample` once more.
"""
SPECKLES = PATCHES + 1
STONES = PATCHES + 2
"""Indices of asphalt's fine grain and of gravel."""
SKYLINE_SIZE = 1024

_SEED = 20261


class Bank(NamedTuple):
    """All tiles with their mip levels."""

    texels: NDArray[np.uint8]
    """(tiles, texels of all levels)."""
    quads: NDArray[np.int32]
    """The same shape: from the lowest byte up each texel, the one right of it, the one below it, and the one right of
    that. Large pictures read all four at once; for small ones it is empty.
    """


def _spectral_noise(
    rng: np.random.Generator, period_px: tuple[float, float], slope: float = 1.5, octaves: float = 2.0
) -> NDArray[np.float64]:
    """Tileable noise of zero mean and unit deviation.

    Args:
        rng: source of the noise.
        period_px: period of its strongest waves along the rows' axis and the columns' axis, in pixels; a long period
            along one axis makes streaks.
        slope: how fast waves shorter than that lose amplitude; about 1 looks like earth, 3 like cloud.
        octaves: how fast waves longer than that lose amplitude.
    """
    frequency_v = np.fft.fftfreq(TILE_SIZE)[:, None] * period_px[0]
    frequency_u = np.fft.rfftfreq(TILE_SIZE)[None, :] * period_px[1]
    frequency = np.hypot(frequency_v, frequency_u) + 1e-9
    gain = np.minimum(frequency**octaves, frequency**-slope)
    gain[0, 0] = 0.0
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE_SIZE, TILE_SIZE))) * gain, (TILE_SIZE, TILE_SIZE))
    return noise / noise.std()


def _tiles(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """All tiles in the order of the indices above, around 0 with a deviation near 1."""

    def noise(v: float, u: float, slope: float = 1.5) -> NDArray[np.float64]:
        return _spectral_noise(rng, (v, u), slope)

    grass = 0.7 * noise(24, 24, 1.0) + 0.7 * noise(5, 5, 0.5)
    litter = np.abs(noise(9, 9)) * 1.6 - 1.2 + 0.5 * noise(60, 60)
    needles = 0.6 * noise(40, 40, 1.0) + 0.5 * noise(3, 14) + 0.5 * noise(14, 3)
    pebbles = 0.5 * noise(30, 30, 1.0) + 1.2 * np.maximum(noise(7, 7, 3.0) - 0.6, 0) - 0.2
    furrowed = -np.abs(noise(90, 14)) * 1.6 + 1.2 + 0.3 * noise(8, 4)
    plates = -np.abs(noise(40, 26, 2.0)) * 1.8 + 1.3 + 0.3 * noise(6, 6)
    birch = 0.5 * noise(40, 40, 1.0) - 1.8 * np.maximum(noise(6, 50, 2.0) - 1.2, 0)
    clumps = 0.9 * noise(26, 26, 1.2) + 0.4 * noise(6, 6, 1.0)
    leaves = 0.6 * noise(44, 44, 1.5) + 0.9 * (np.abs(noise(13, 13)) - 0.8)
    sprays = 0.7 * noise(18, 40, 1.2) + 0.6 * noise(5, 9, 1.0)
    patches = _spectral_noise(rng, (128, 128), 1.4)
    speckles = 0.8 * noise(4, 4, 0.3) + 0.3 * noise(40, 40, 1.0)
    stones = 1.3 * (np.abs(noise(11, 11, 2.5)) - 0.75) + 0.4 * noise(4, 4, 0.5)
    return [
        *(grass, litter, needles, pebbles, furrowed, plates, birch, clumps, leaves, sprays, patches),
        *(speckles, stones),
    ]


def _with_mip_levels(tile: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Bytes of a tile (mean 128) followed by its halved versions down to one pixel."""
    level = 128 + 110 * np.tanh(tile * 0.6)
    level += 128 - level.mean()
    levels = []
    while True:
        levels.append(np.clip(level, 0, 255).round().astype(np.uint8).ravel())
        if len(level) == 1:
            return np.concatenate(levels)
        level = level.reshape(len(level) // 2, 2, -1, 2).mean(axis=(1, 3))


@functools.cache
def texture_bank(smooth: bool) -> Bank:
    """The bank, read-only; the same in every process. With quads if textures are read between texels."""
    quads = _quads(_texels()) if smooth else np.zeros((0, 0), np.int32)
    quads.setflags(write=False)
    return Bank(_texels(), quads)


@functools.cache
def _texels() -> NDArray[np.uint8]:
    rng = np.random.Generator(np.random.PCG64(_SEED))
    texels = np.stack([_with_mip_levels(tile) for tile in _tiles(rng)])
    texels.setflags(write=False)
    return texels


def _quads(texels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Each texel with its neighbours to the right and below, which wrap around; see `Bank`."""
    levels = []
    start = 0
    for bits in range(TILE_BITS, -1, -1):
        side = 1 << bits
        level = texels[:, start : start + side * side].reshape(-1, side, side)
        below = np.roll(level, -1, axis=1)
        neighbours = (level, np.roll(level, -1, axis=2), below, np.roll(below, -1, axis=2))
        levels.append(np.stack(neighbours, axis=-1).reshape(len(texels), -1))
        start += side * side
    return np.concatenate(levels, axis=1).view("<i4").astype(np.int32)


@functools.cache
def skyline() -> NDArray[np.float32]:
    """Height of the far forest's top around the horizon, (SKYLINE_SIZE,) float32 with mean 1, read-only.

    Tree tops are peaks of random height and width, and slow hills lie beneath them.
    """
    rng = np.random.Generator(np.random.PCG64(_SEED + 1))
    place = np.arange(SKYLINE_SIZE)
    angle = 2 * np.pi * place / SKYLINE_SIZE
    hills = sum(np.sin(k * angle + rng.uniform(0, 2 * np.pi)) / k for k in (2, 3, 5, 8, 13))
    tops = np.zeros(SKYLINE_SIZE)
    for center, width, height in zip(
        rng.uniform(0, SKYLINE_SIZE, 260), rng.uniform(3, 9, 260), rng.uniform(0.5, 1.0, 260), strict=True
    ):
        distance = np.abs((place - center + SKYLINE_SIZE / 2) % SKYLINE_SIZE - SKYLINE_SIZE / 2)
        tops = np.maximum(tops, height * np.clip(1 - (distance / width) ** 1.5, 0, None))
    line = 1.0 + 0.22 * hills + 0.55 * tops
    line = (line / line.mean()).astype(np.float32)
    line.setflags(write=False)
    return line
