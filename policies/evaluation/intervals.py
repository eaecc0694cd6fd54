"""Intervals for shares of successes and for rates of interventions: what a hundred episodes can and cannot tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

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


def mcnemar_test(only_first: int, only_second: int) -> float:
    """Exact two-sided p value of McNemar's test (McNemar 1947): do two arms succeed in equally many of the worlds?

    Worlds in which both or neither succeeded say nothing about that. If the arms were alike, each of the others would
    be either arm's with probability 1/2, so their number follows a binomial distribution; p is twice its smaller tail.

    Args:
        only_first: worlds in which only the first arm succeeded.
        only_second: worlds in which only the second arm succeeded.

    Returns:
        Probability of a split at least as uneven; 1 where the arms never differ.

    Raises:
        ValueError: a negative count.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"{only_first} and {only_second} discordant worlds; counts cannot be negative")
    discordant = only_first + only_second
    tail = sum(math.comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """p values that may be read together, in the order given (Holm 1979): who asks m questions of the same data will be
    told something by chance, so the smallest p is multiplied by m, the next by m - 1, and none falls below the one
    before.

    Raises:
        ValueError: something that is no probability.
    """
    if wrong := [p for p in p_values if not 0.0 <= p <= 1.0]:
        raise ValueError(f"p is {wrong[0]}; allowed: 0 to 1")
    adjusted, largest = list(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def poisson_interval(count: int, tail: float = 0.025) -> tuple[float, float]:
    """Exact interval of the mean of a Poisson count (Garwood 1936); 95 % by default.

    Of no events it says 0 to 3.7: the rule of three, with both tails.

    Args:
        count: events that were counted.
        tail: probability left out at either end.
    """
    if count < 0 or not 0.0 < tail < 0.5:
        raise ValueError(f"count is {count} and tail {tail}; allowed: count >= 0, tail between 0 and 0.5")
    highest = count + 10.0 * math.sqrt(count + 1.0) + 10.0

    def where(at_most: int, probability: float) -> float:
        return _bisect(lambda mean: _poisson_cdf(at_most, mean) - probability, 0.0, highest)

    return (where(count - 1, 1.0 - tail) if count else 0.0), where(count, tail)


def rate_interval(
    counts: Sequence[int], exposures: Sequence[float], resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Events per unit of exposure over some worlds, with its 95 % interval.

    The interval is the wider of two: a bootstrap over the worlds, which knows that some are harder than others, and the
    exact Poisson interval of the count, which knows that few events, or none, prove little.

    Args:
        counts: events in each world, for example interventions.
        exposures: time, distance or what else the rate is per, in each world; positive.
        resamples: bootstrap resamples.
        seed: of their draws.

    Returns:
        (rate, low, high).
    """
    if len(counts) != len(exposures) or not len(counts) or min(exposures) <= 0:
        raise ValueError(f"{len(counts)} counts and exposures {list(exposures)[:5]}; one positive exposure per count")
    events, exposed = np.asarray(counts, np.float64), np.asarray(exposures, np.float64)
    drawn = np.random.default_rng(seed).integers(len(events), size=(resamples, len(events)))
    low, high = np.quantile(events[drawn].sum(1) / exposed[drawn].sum(1), (0.025, 0.975))
    total, exposure = int(events.sum()), float(exposed.sum())
    least, most = poisson_interval(total)
    return total / exposure, min(float(low), least / exposure), max(float(high), most / exposure)


def _poisson_cdf(count: int, mean: float) -> float:
    """Probability of at most `count` events."""
    if mean <= 0.0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _bisect(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero between two points."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return 0.5 * (low + high)
