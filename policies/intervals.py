"""Intervals for shares of successes: what a hundred trips can and cannot tell."""

from __future__ import annotations

import math

Z_95 = 1.959964


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a share (Wilson 1927); 95 % by default.

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} successes of {trials} trials; there must be at least one trial and no more successes"
        )
    share, z2 = successes / trials, z * z
    center = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == trials else min(1.0, center + half)
    return low, high


def paired_difference(only_first: int, only_second: int, trials: int, z: float = Z_95) -> tuple[float, float, float]:
    """Difference of two shares over the same worlds, with its interval (Bonett & Price 2012, adjusted Wald).

    Args:
        only_first: worlds in which only the first arm succeeded.
        only_second: worlds in which only the second arm succeeded.
        trials: number of worlds.

    Returns:
        (second - first, low, high) as shares.
    """
    if trials < 1 or only_first + only_second > trials:
        raise ValueError(f"{only_first} + {only_second} discordant worlds of {trials}")
    p1, p2 = (only_first + 1) / (trials + 2), (only_second + 1) / (trials + 2)
    half = z * math.sqrt((p1 + p2 - (p2 - p1) ** 2) / (trials + 2))
    return (only_second - only_first) / trials, max(-1.0, p2 - p1 - half), min(1.0, p2 - p1 + half)
