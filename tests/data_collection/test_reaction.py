"""A human's delay: found in noisy, shaped steering, never in noise; and labels moved back by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.data_collection.episodes.labels import shift_labels
from forestpilot.data_collection.people.reaction import Delay, estimate_delay

HZ, FINE = 10, 10
"""Steps per second, and finer steps per step in which a delay need not be a whole number."""


def wander(rng: np.random.Generator, steps: int, tau_s: float = 0.5) -> np.ndarray:
    """(steps * FINE,) turns that change as smoothly as bends and trunks demand."""
    rate = HZ * FINE
    kernel = np.exp(-np.arange(0, 6 * tau_s, 1 / rate) / tau_s)
    noise = rng.normal(size=steps * FINE + len(kernel))
    turns = np.convolve(np.convolve(noise, kernel)[len(kernel) : len(kernel) + steps * FINE], np.ones(20), "same")
    return 0.4 * turns / turns.std()


def late(turns: np.ndarray, delay_s: float) -> np.ndarray:
    """What was right `delay_s` ago, as one sees it at each step."""
    times = np.arange(len(turns)) - delay_s * HZ * FINE
    return np.interp(times, np.arange(len(turns)), turns)[::FINE]


def by_keys(wanted: np.ndarray) -> np.ndarray:
    """Keys held left or right, which move an axis by 0.5 per step at most."""
    axis, shaped = 0.0, []
    for key in np.where(np.abs(wanted) > 0.1, np.sign(wanted), 0.0):
        axis += float(np.clip(key - axis, -0.5, 0.5))
        shaped.append(axis)
    return np.array(shaped)


@given(st.floats(0.0, 0.9), st.floats(0.2, 1.5), st.floats(0.0, 0.3), st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
def test_a_known_delay_is_found_within_half_a_step(delay_s: float, tau_s: float, noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turns = wander(rng, 900, tau_s)
    human = late(turns, delay_s) + rng.normal(0, noise, 900)
    found = estimate_delay(np.clip(human, -1, 1), np.clip(turns[::FINE], -1, 1), HZ)
    assert found.trustworthy, found
    assert found.delay_s == pytest.approx(delay_s, abs=0.5 / HZ)
    assert found.low_s <= found.delay_s <= found.high_s
    assert str(found).startswith("delay ")


@pytest.mark.parametrize("delay_s", [0.0, 0.2, 0.5])
def test_keys_add_only_the_time_that_the_axis_needs(delay_s: float) -> None:
    turns = [wander(np.random.default_rng(seed), 300) for seed in range(10)]
    found = estimate_delay([by_keys(late(each, delay_s)) for each in turns], [each[::FINE] for each in turns], HZ)
    assert found.trustworthy
    assert delay_s <= found.delay_s <= delay_s + 0.15


@given(st.integers(0, 10_000), st.integers(160, 1500), st.floats(0.1, 2.0))
@settings(deadline=None, max_examples=60)
def test_noise_has_no_delay(seed: int, steps: int, tau_s: float) -> None:
    rng = np.random.default_rng(seed)
    found = estimate_delay(wander(rng, steps, tau_s)[::FINE], wander(rng, steps, tau_s)[::FINE], HZ)
    assert not found.trustworthy
    assert found.reason
    assert str(found).startswith("no delay can be told")


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        turns = wander(rng, 500)
        found = estimate_delay(late(turns, 0.33) + rng.normal(0, 0.3, 500), turns[::FINE], HZ)
        covered += found.low_s <= 0.33 <= found.high_s
    assert covered >= 34


def test_steps_at_which_nobody_was_there_do_not_count() -> None:
    turns = wander(np.random.default_rng(3), 900)
    human = late(turns, 0.3)
    human[200:500] = np.nan
    found = estimate_delay(human, turns[::FINE], HZ)
    assert found.trustworthy
    assert found.delay_s == pytest.approx(0.3, abs=0.05)
    human[:] = np.nan
    assert "0 s of steering are too little" in estimate_delay(human, turns[::FINE], HZ).reason


def test_what_cannot_be_told_is_said() -> None:
    turns = wander(np.random.default_rng(1), 900)
    right = turns[::FINE]
    assert "too little" in estimate_delay(right[:100], right[:100], HZ).reason
    assert "the human hardly steered" in estimate_delay(np.zeros(900), right, HZ).reason
    assert "the reference hardly steered" in estimate_delay(right, np.zeros(900), HZ).reason
    assert "before the reference" in estimate_delay(late(turns, -0.3), right, HZ).reason
    assert "above the largest" in estimate_delay(late(turns, 0.6), right, HZ, largest_s=0.5).reason
    with pytest.raises(ValueError, match="same steps"):
        estimate_delay(right[:-1], right, HZ)
    with pytest.raises(ValueError, match="above 0"):
        estimate_delay(right, right, 0)


def actions(steps: int = 20) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, 2)).astype(np.float32)


@given(st.floats(0, 3))
@settings(deadline=None)
def test_a_label_is_what_was_done_a_delay_later(delay_s: float) -> None:
    done = actions()
    labels, known = shift_labels(done, delay_s, HZ)
    assert labels.dtype == np.float32
    later = np.arange(20) + delay_s * HZ
    assert known.sum() == max(0, 20 - np.ceil(round(delay_s * HZ, 6)))
    for column in range(2):
        wanted = np.interp(later, np.arange(20), done[:, column])
        assert labels[known, column] == pytest.approx(wanted[known], abs=1e-4)
    assert not labels[~known].any()


def test_no_delay_changes_nothing() -> None:
    labels, known = shift_labels(actions(), 0.0, HZ)
    assert known.all()
    assert (labels == actions()).all()


def test_what_was_done_while_away_is_no_label() -> None:
    present = np.ones(20, bool)
    present[10] = False
    assert np.flatnonzero(~shift_labels(actions(), 0.2, HZ, present)[1]).tolist() == [8, 18, 19]
    assert np.flatnonzero(~shift_labels(actions(), 0.25, HZ, present)[1]).tolist() == [7, 8, 17, 18, 19]


@pytest.mark.parametrize("delay_s", [-0.1, float("nan"), float("inf")])
def test_a_delay_that_is_none_is_refused(delay_s: float) -> None:
    with pytest.raises(ValueError, match="delay_s"):
        shift_labels(actions(), delay_s, HZ)


def test_an_estimate_without_doubt_needs_no_reason() -> None:
    assert str(Delay(0.3, 0.8, 0.25, 0.35, True)) == "delay 0.30 s (95 % interval 0.25 to 0.35 s, correlation 0.80)"
