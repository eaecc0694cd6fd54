"""Intervals for studies in which several trained policies drive the same test roads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.policies.evaluation.intervals import poisson_interval, t_quantile

RESAMPLES = 2000


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    mean: float
    """The figure."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


def resample_weights(seeds: int, roads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each training seed and each road is drawn in each of `RESAMPLES` bootstrap samples.

    Seeds and roads are drawn apart, because every policy drives the same roads (the crossed bootstrap of Owen 2007,
    "The pigeonhole bootstrap"). A single seed stays as it is: the interval then covers the roads only.

    Returns:
        (R, seeds) and (R, roads) float64, each row summing to one.
    """
    rng = np.random.default_rng(0)
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    by_road = rng.multinomial(roads, np.full(roads, 1 / roads), RESAMPLES) / roads
    return by_seed, by_road


def rate_interval(events: NDArray[np.float64], exposure: NDArray[np.float64]) -> Interval:
    """Events per exposure (interventions per km, or per second) with its 95 % interval over seeds and roads.

    As in `forestpilot.policies.evaluation.intervals.rate_interval` the interval is the wider of two: a bootstrap, here over training seeds and
    roads, and the exact Poisson interval of the count, which knows that few events, or none, prove little.

    Args:
        events: (seeds, roads) counts.
        exposure: (seeds, roads) kilometres or seconds, positive.
    """
    by_seed, by_road = resample_weights(*events.shape)
    samples = np.einsum("rs,sw,rw->r", by_seed, events, by_road) / np.einsum("rs,sw,rw->r", by_seed, exposure, by_road)
    low, high = np.quantile(samples, (0.025, 0.975))
    total, exposed = int(events.sum()), float(exposure.sum())
    least, most = poisson_interval(total)
    return Interval(total / exposed, min(float(low), least / exposed), max(float(high), most / exposed))


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """Mean of values (seeds, roads) with a bootstrap interval over both."""
    return statistic_interval(values, lambda means: means)


def statistic_interval(
    values: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Interval:
    """A statistic of the means over seeds and roads, with its bootstrap interval over both.

    Args:
        values: (seeds, roads) or (seeds, roads, n).
        statistic: takes means (R,) or (R, n) of R samples to (R,) figures, for example the slope of a curve.
    """
    by_seed, by_road = resample_weights(*values.shape[:2])
    samples = statistic(np.einsum("rs,sw...,rw->r...", by_seed, values, by_road))
    low, high = np.quantile(samples, (0.025, 0.975))
    return Interval(float(statistic(values.mean(axis=(0, 1))[None])[0]), float(low), float(high))


def t_interval(values: Sequence[float]) -> Interval:
    """Mean of one value per training seed with Student's t interval; wide for few seeds, as it should be.

    Raises:
        ValueError: fewer than two values.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"{count} value has no spread; a t interval needs at least two training seeds")
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    half = t_quantile(count - 1) * deviation / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def log_slope(x: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slopes of log(means) over log(x) by least squares: the exponent of a power law.

    Args:
        x: (n,) positive.
        means: (R, n), at least one positive value in each row; a zero counts as the row's smallest positive value.

    Returns:
        (R,) slopes.
    """
    floor = np.where(means > 0, means, np.inf).min(axis=1, keepdims=True)
    logs = np.log(np.maximum(means, floor))
    centred = np.log(x) - np.log(x).mean()
    return (logs @ centred) / (centred @ centred)
