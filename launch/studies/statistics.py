"""Intervals for studies in which several trained policies run through the same test worlds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.reading.study_results import Interval
from forestpilot.launch.studies.cells import Cell
from forestpilot.policies.evaluation.intervals import poisson_interval, t_quantile

RESAMPLES = 2000
BOTH_TAILS = (0.025, 0.975)
"""Quantiles at the ends of a 95 % interval."""
BOOTSTRAP_NOTE = "95 % intervals: bootstrap over training seeds and test {worlds}, drawn apart (2,000 resamples)"
"""Sentence on how intervals were made, to be completed with the name of the worlds."""


def resample_weights(seeds: int, worlds: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of each training seed and of each world in each of `RESAMPLES` bootstrap samples.

    Seeds and worlds are drawn apart, because every policy runs through the same worlds (the crossed bootstrap of Owen
    2007, "The pigeonhole bootstrap"). A single seed stays as it is: the interval then covers the worlds only.

    Returns:
        (R, seeds) and (R, worlds) float64, each row summing to one.
    """
    rng = np.random.default_rng(0)
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    by_world = rng.multinomial(worlds, np.full(worlds, 1 / worlds), RESAMPLES) / worlds
    return by_seed, by_world


def rate_interval(events: NDArray[np.float64], exposure: NDArray[np.float64]) -> Interval:
    """Events per exposure (interventions per km, or per second) with its 95 % interval over seeds and worlds.

    As in `forestpilot.policies.evaluation.intervals.rate_interval` the interval is the wider of two: a bootstrap, here
    over training seeds and worlds, and the exact Poisson interval of the count, which knows that few events, or none,
    prove little.

    Args:
        events: (seeds, worlds) counts.
        exposure: (seeds, worlds) kilometres or seconds, positive.
    """
    by_seed, by_world = resample_weights(*events.shape)
    counted = np.einsum("rs,sw,rw->r", by_seed, events, by_world)
    exposed = np.einsum("rs,sw,rw->r", by_seed, exposure, by_world)
    low, high = np.quantile(counted / exposed, BOTH_TAILS)
    total = int(events.sum())
    whole_exposure = float(exposure.sum())
    least, most = poisson_interval(total)
    return Interval(
        total / whole_exposure, min(float(low), least / whole_exposure), max(float(high), most / whole_exposure)
    )


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """Mean of values (seeds, worlds) with a bootstrap interval over both."""
    return statistic_interval(values, lambda means: means)


def statistic_interval(
    values: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Interval:
    """A statistic of the means over seeds and worlds, with its bootstrap interval over both.

    Args:
        values: (seeds, worlds) or (seeds, worlds, n).
        statistic: takes means (R,) or (R, n) of R samples to (R,) figures, for example the slope of a curve.
    """
    by_seed, by_world = resample_weights(*values.shape[:2])
    samples = statistic(np.einsum("rs,sw...,rw->r...", by_seed, values, by_world))
    low, high = np.quantile(samples, BOTH_TAILS)
    return Interval(float(statistic(values.mean(axis=(0, 1))[None])[0]), float(low), float(high))


def t_interval(values: Sequence[float]) -> Interval:
    """Mean of one value per training seed with Student's t interval; wide for few seeds, as it should be.

    Raises:
        ValueError: fewer than two values.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"{count} value has no spread; a t interval needs at least two training seeds")
    mean = float(np.mean(values))
    half = t_quantile(count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def paired_difference(
    cells: Sequence[Cell], first: str, second: str, figure: Callable[[Cell], float]
) -> tuple[Interval, int] | None:
    """Difference of a figure between two arms, paired by training seed, with its t interval.

    Both arms of a seed share demonstrations, first weights and test worlds.

    Args:
        cells: of one x.
        first: arm that is compared with.
        second: arm that is compared.
        figure: takes a cell to a number.

    Returns:
        (second - first, number of seeds that have both), or None for fewer than two seeds.
    """
    figures = {(cell.arm, cell.seed): figure(cell) for cell in cells}
    seeds = sorted(seed for arm, seed in figures if arm == first and (second, seed) in figures)
    if len(seeds) < 2:
        return None
    differences = [figures[second, seed] - figures[first, seed] for seed in seeds]
    return t_interval(differences), len(seeds)


def difference_words(difference: Interval) -> str:
    """A difference with its interval, for example `+3.1 (-0.4 to +6.6)`."""
    mean, low, high = difference
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def log_slope(x: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slopes of log(means) over log(x) by least squares: the exponent of a power law.

    Args:
        x: (n,) positive.
        means: (R, n), 0 or more; a zero counts as the row's smallest positive value, and a row of zeros is level.

    Returns:
        (R,) slopes.
    """
    floor = np.where(means > 0, means, np.inf).min(axis=1, keepdims=True)
    floor = np.where(np.isfinite(floor), floor, 1.0)
    logs = np.log(np.maximum(means, floor))
    centred = np.log(x) - np.log(x).mean()
    return (logs @ centred) / (centred @ centred)


def slope_interval(x: Sequence[float], figures: NDArray[np.float64]) -> Interval:
    """Exponent of a power law with its bootstrap interval over seeds and worlds.

    Args:
        x: (n,) positive.
        figures: (seeds, worlds, n).
    """
    return statistic_interval(figures, lambda means: log_slope(np.array(x, np.float64), means))


def slope_words(slope: Interval) -> str:
    """A slope with its interval, for example `1.95 (1.91 to 1.99)`."""
    mean, low, high = slope
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"
