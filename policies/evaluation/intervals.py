"""Intervals for shares of successes and for rates of interventions: what a hundred episodes can and cannot tell.

The distributions are SciPy's. It is imported where it is needed, and of it no more than is: it takes up to a second,
which a command should not wait for that only reads what another one has counted, or that has counted successes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
"""Confidence of every interval."""
TAIL = 0.5 * (1.0 - LEVEL)
"""Probability left out at either end."""
NORMAL_QUANTILE = 1.959963984540054
"""A normal number's distance from its mean, in standard deviations, that is exceeded with probability `TAIL`."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share (Wilson 1927).

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} successes of {trials} trials; there must be at least one trial and no more successes"
        )
    share = successes / trials
    squared = NORMAL_QUANTILE**2
    denominator = 2 * (trials + squared)
    center = (2 * trials * share + squared) / denominator
    half = NORMAL_QUANTILE / denominator * math.sqrt(4 * trials * share * (1 - share) + squared)
    # Rounding must not leave the share itself out where nothing, or everything, succeeded.
    low = center - half if successes else 0.0
    high = center + half if successes < trials else 1.0
    return min(share, low), max(share, high)


def paired_difference(only_first: int, only_second: int, trials: int) -> tuple[float, float, float]:
    """Difference of two shares over the same worlds, with its 95 % interval (Bonett & Price 2012, adjusted Wald).

    Args:
        only_first: worlds in which only the first arm succeeded.
        only_second: worlds in which only the second arm succeeded.
        trials: number of worlds.

    Returns:
        (second - first, low, high) as shares.

    Raises:
        ValueError: no worlds, or more that differ than there are.
    """
    if trials < 1 or only_first + only_second > trials:
        raise ValueError(f"{only_first} + {only_second} discordant worlds of {trials}")
    first = (only_first + 1) / (trials + 2)
    second = (only_second + 1) / (trials + 2)
    deviation = math.sqrt((first + second - (second - first) ** 2) / (trials + 2))
    half = NORMAL_QUANTILE * deviation
    middle = second - first
    return (only_second - only_first) / trials, max(-1.0, middle - half), min(1.0, middle + half)


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
    # In integers, exactly: splits at least as uneven, of all 2^n.
    discordant = int(only_first) + int(only_second)
    ways = 1
    tail = 1
    for k in range(min(int(only_first), int(only_second))):
        ways = ways * (discordant - k) // (k + 1)
        tail += ways
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
    adjusted = list(p_values)
    order = sorted(range(len(adjusted)), key=adjusted.__getitem__)
    largest = 0.0
    for rank, index in enumerate(order):
        questions = len(order) - rank
        largest = max(largest, min(1.0, questions * p_values[index]))
        adjusted[index] = largest
    return adjusted


def poisson_interval(count: int, tail: float = TAIL) -> tuple[float, float]:
    """Exact interval of the mean of a Poisson count (Garwood 1936); 95 % by default.

    Of no events it says 0 to 3.7: the rule of three, with both tails.

    Args:
        count: events that were counted.
        tail: probability left out at either end.

    Raises:
        ValueError: a negative count, or a tail that is none.
    """
    from scipy import special

    if count < 0 or not 0.0 < tail < 0.5:
        raise ValueError(f"count is {count} and tail {tail}; allowed: count >= 0, tail between 0 and 0.5")
    low = 0.0
    if count:
        low = float(special.gammaincinv(count, tail))
    high = 0.5 * float(special.chdtri(2 * count + 2, tail))
    return low, high


def t_quantile(freedom: int, tail: float = TAIL) -> float:
    """Student's t that is exceeded with probability `tail`; 12.7 for one degree of freedom, 1.96 for very many.

    Raises:
        ValueError: less than one degree of freedom.
    """
    from scipy import special

    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom; allowed: 1 and up")
    return -float(special.stdtrit(freedom, tail))


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

    Raises:
        ValueError: no counts, or not one positive exposure for each.
    """
    if len(counts) != len(exposures) or not len(counts) or min(exposures) <= 0:
        raise ValueError(f"{len(counts)} counts and exposures {list(exposures)[:5]}; one positive exposure per count")
    events = np.asarray(counts, np.float64)
    exposed = np.asarray(exposures, np.float64)
    drawn = np.random.default_rng(seed).integers(len(events), size=(resamples, len(events)))
    rates = events[drawn].sum(1) / exposed[drawn].sum(1)
    low, high = np.quantile(rates, (TAIL, 1.0 - TAIL))
    total = int(events.sum())
    exposure = float(exposed.sum())
    least, most = poisson_interval(total)
    return total / exposure, min(float(low), least / exposure), max(float(high), most / exposure)
