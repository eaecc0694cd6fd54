"""How late a human steers: the delay is estimated, and labels are moved back by it.

A human who steers along with a recorded episode answers what was seen some tenths of a second before, and a held key
takes a moment to move the shaped axis. Both together are found as the lag at which the human's turn agrees best with a
reference that has no delay, the expert's turn at the same states, and both together are what makes a label late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

AHEAD_S = 0.4
"""Lags are looked at from this far before zero: a peak there says that the human is not late at all."""
BLOCK_S = 4.0
"""Length of the blocks that are drawn anew for the interval: longer than what is seen of one bend or trunk."""
ENOUGH_S = 15.0
"""With less steering than this nothing is said."""
ENOUGH_EPISODES = 8
"""From this many episodes on whole episodes are drawn for the interval, not blocks."""
LEAST_SPREAD = 0.03
"""Standard deviation of the turn below which somebody has hardly steered."""
LEAST_CORRELATION = 0.3
WIDEST_S = 0.3
"""An interval wider than this says little; two steps are always allowed."""
PLACING_STEPS = 0.15
"""The parabola places a peak no better than this; the interval is never narrower to either side."""
RESAMPLES = 400
"""Bootstrap samples for the interval."""
SURROGATES = 199
"""References that have nothing to do with the human, to tell what chance comes to."""


@dataclass(frozen=True)
class Delay:
    """Delay of a human's steering behind a reference."""

    delay_s: float
    """Best estimate in seconds, 0 or more."""
    correlation: float
    """Correlation of the two turns at that delay."""
    low_s: float
    """Lower end of the 95 % bootstrap interval in seconds."""
    high_s: float
    """Upper end."""
    trustworthy: bool
    """Whether the estimate may be used."""
    reason: str = ""
    """Why not, in plain words; empty where it may."""

    def __str__(self) -> str:
        if not self.trustworthy:
            return f"no delay can be told: {self.reason}"
        return (
            f"delay {self.delay_s:.2f} s (95 % interval {self.low_s:.2f} to {self.high_s:.2f} s, "
            f"correlation {self.correlation:.2f})"
        )


def estimate_delay(
    human: NDArray[np.floating] | Sequence[NDArray[np.floating]],
    reference: NDArray[np.floating] | Sequence[NDArray[np.floating]],
    control_hz: int,
    largest_s: float = 1.0,
) -> Delay:
    """The lag of the human's turn behind a reference, by normalised cross-correlation.

    The peak is placed between steps by a parabola. The interval is a percentile bootstrap over episodes, or over blocks
    of `BLOCK_S` where there are few. Chance is judged by references that were shifted in a circle by a random amount:
    they are as smooth as the real one, but have nothing to do with the human.

    Args:
        human: (T,) the human's turn at each step, or one such array for each episode; NaN where nobody was there.
        reference: the turn that would have been right at each step; shapes as `human`.
        control_hz: steps per second.
        largest_s: largest delay that is looked for, in seconds.

    Raises:
        ValueError: lengths differ, or an argument is out of range.
    """
    if control_hz <= 0 or largest_s <= 0:
        raise ValueError(f"control_hz is {control_hz} and largest_s {largest_s}; both must be above 0")
    lags = np.arange(-math.ceil(AHEAD_S * control_hz), math.ceil(largest_s * control_hz) + 2)
    windows, turns, episodes = _aligned(_as_episodes(human), _as_episodes(reference), lags)
    if reason := _too_little(windows, turns, lags, control_hz):
        return Delay(0.0, 0.0, 0.0, largest_s, False, reason)
    groups = _groups(episodes, max(1, round(BLOCK_S * control_hz)))
    sums = _sums(windows, turns, groups)
    pooled = _correlations(sums.sum(axis=0, keepdims=True))
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    resampled = _peaks_s(_correlations(np.tensordot(weights, sums, axes=1)), lags, control_hz)
    peak_s = float(_peaks_s(pooled, lags, control_hz)[0])
    correlation = float(pooled.max())
    low_s = min(float(np.quantile(resampled, 0.025)), peak_s - PLACING_STEPS / control_hz)
    high_s = max(float(np.quantile(resampled, 0.975)), peak_s + PLACING_STEPS / control_hz)
    reason = _doubt(peak_s, correlation, _chance(windows, turns, rng), high_s - low_s, control_hz, largest_s)
    return Delay(max(0.0, peak_s), correlation, max(0.0, low_s), max(0.0, high_s), not reason, reason)


def _as_episodes(values: NDArray[np.floating] | Sequence[NDArray[np.floating]]) -> list[NDArray[np.float64]]:
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = [values]
    return [np.asarray(episode, np.float64) for episode in values]


def _aligned(
    human: list[NDArray[np.float64]], reference: list[NDArray[np.float64]], lags: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """(n, L) the human's turn at every lag, (n,) the reference's turn, (n,) the episode: steps with all of it."""
    if [episode.shape for episode in human] != [episode.shape for episode in reference]:
        raise ValueError(
            f"human has episodes of {[len(episode) for episode in human]} steps, reference of "
            f"{[len(episode) for episode in reference]}; both must be given for the same steps"
        )
    windows = [np.zeros((0, len(lags)))]
    turns = [np.zeros(0)]
    episodes = [np.zeros(0, np.int64)]
    for number, (own, right) in enumerate(zip(human, reference)):
        if len(own) < len(lags):
            continue
        seen = sliding_window_view(own, len(lags))
        at = right[-lags[0] : -lags[0] + len(seen)]
        kept = np.isfinite(seen).all(axis=1) & np.isfinite(at)
        windows.append(seen[kept])
        turns.append(at[kept])
        episodes.append(np.full(int(kept.sum()), number))
    return np.concatenate(windows), np.concatenate(turns), np.concatenate(episodes)


def _too_little(
    windows: NDArray[np.float64], turns: NDArray[np.float64], lags: NDArray[np.int64], control_hz: int
) -> str:
    """Reason why nothing can be said before looking at any lag; empty if something may."""
    if len(turns) < max(ENOUGH_S * control_hz, 4 * len(lags)):
        return f"{len(turns) / control_hz:.0f} s of steering are too little, {ENOUGH_S:.0f} s are needed"
    for who, values in (("the human", windows[:, -lags[0]]), ("the reference", turns)):
        if values.std() < LEAST_SPREAD:
            return f"{who} hardly steered (standard deviation of the turn {values.std():.3f})"
    return ""


def _doubt(peak_s: float, correlation: float, chance: float, width_s: float, control_hz: int, largest_s: float) -> str:
    """Reason why the estimate should not be used; empty if it may."""
    if correlation < LEAST_CORRELATION:
        return f"the turns hardly agree at any delay (largest correlation {correlation:.2f})"
    if correlation < chance:
        return f"the turns agree no better ({correlation:.2f}) than by chance ({chance:.2f})"
    if peak_s < -0.75 / control_hz:
        return f"the human steers {-peak_s:.2f} s before the reference"
    if peak_s > largest_s:
        return f"the delay is above the largest one looked for, {largest_s:g} s"
    if width_s > max(WIDEST_S, 2 / control_hz):
        return f"the interval is {width_s:.2f} s wide"
    return ""


def _groups(episodes: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    """(n,) which episode, or which block of an episode, each step is drawn with."""
    numbers = episodes
    if len(np.unique(episodes)) < ENOUGH_EPISODES:
        numbers = 1_000_000 * episodes + np.arange(len(episodes)) // block
    _, groups = np.unique(numbers, return_inverse=True)
    return groups


def _sums(windows: NDArray[np.float64], turns: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """(G, 6, L): count, r, r^2, p, p^2 and r p, summed over each group for every lag; all that correlations need."""
    lags = windows.shape[1]
    right = np.broadcast_to(turns[:, None], windows.shape)
    terms = (np.ones_like(windows), right, right**2, windows, windows**2, right * windows)
    sums = np.zeros((int(groups.max()) + 1, len(terms), lags))
    for column, term in enumerate(terms):
        np.add.at(sums[:, column], groups, term)
    return sums


def _correlations(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, L) correlation at every lag, from (S, 6, L) sums; 0 where somebody did not steer."""
    count, r, rr, p, pp, rp = np.moveaxis(sums, 1, 0)
    product = np.sqrt(np.maximum(rr - r * r / count, 0.0) * np.maximum(pp - p * p / count, 0.0))
    covariance = rp - r * p / count
    return np.divide(covariance, product, out=np.zeros_like(covariance), where=product > 1e-9)


def _peaks_s(correlations: NDArray[np.float64], lags: NDArray[np.int64], control_hz: int) -> NDArray[np.float64]:
    """(S,) lag of the largest correlation in seconds, between steps where a parabola says so."""
    rows = np.arange(len(correlations))
    best = correlations.argmax(axis=1)
    inner = np.clip(best, 1, len(lags) - 2)
    left = correlations[rows, inner - 1]
    peak = correlations[rows, inner]
    right = correlations[rows, inner + 1]
    bend = left - 2 * peak + right
    offset = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend < -1e-12)
    offset = np.where(inner == best, np.clip(offset, -0.5, 0.5), 0.0)
    return (lags[best] + offset) / control_hz


def _chance(windows: NDArray[np.float64], turns: NDArray[np.float64], rng: np.random.Generator) -> float:
    """The largest correlation at any lag that references shifted in a circle reach, in 99 of 100 cases."""
    least = min(2 * windows.shape[1], len(turns) // 3)
    centred = windows - windows.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0) * ((turns - turns.mean()) ** 2).sum())
    reached = []
    for shift in rng.integers(least, len(turns) - least, size=SURROGATES):
        covariance = (np.roll(turns, shift) - turns.mean()) @ centred
        reached.append(float(np.max(covariance / np.maximum(scale, 1e-9))))
    return float(np.quantile(reached, 0.99))
