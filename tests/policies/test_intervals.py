"""Tests of two arms over the same worlds, and of many such tests together."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestpilot.policies.evaluation.intervals import (
    NORMAL_QUANTILE,
    TAIL,
    holm_adjusted,
    mcnemar_test,
    paired_difference,
    poisson_interval,
    rate_interval,
    t_quantile,
    wilson_interval,
)

counts = st.integers(0, 60)
probabilities = st.floats(0, 1)


def exact_p(only_first: int, only_second: int) -> Fraction:
    """The definition: how likely are splits that are no likelier than the one seen, outcome by outcome."""
    n = only_first + only_second
    seen = math.comb(n, only_first)
    return Fraction(sum(ways for k in range(n + 1) if (ways := math.comb(n, k)) <= seen), 2**n)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (1, 9, 0.021484375), (3, 3, 1.0)],
)
def test_mcnemars_test_has_the_known_values(only_first: int, only_second: int, p: float) -> None:
    assert mcnemar_test(only_first, only_second) == pytest.approx(p, rel=1e-12)


@given(counts, counts)
def test_mcnemars_test_is_the_exact_sum_and_knows_no_order(only_first: int, only_second: int) -> None:
    assert mcnemar_test(only_first, only_second) == pytest.approx(float(exact_p(only_first, only_second)), rel=1e-12)
    assert mcnemar_test(only_first, only_second) == mcnemar_test(only_second, only_first)


def test_mcnemars_test_takes_many_worlds() -> None:
    assert 0.0 < mcnemar_test(400, 600) < 1e-9
    assert mcnemar_test(0, 5000) == 0.0, "too small for a float"
    with pytest.raises(ValueError, match="negative"):
        mcnemar_test(-1, 2)


def test_many_tests_are_corrected_together() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_adjusted([0.2]) == [0.2]
    assert holm_adjusted([]) == []
    with pytest.raises(ValueError, match=r"1\.2"):
        holm_adjusted([0.1, 1.2])


@given(st.lists(probabilities, max_size=8))
def test_corrected_values_keep_their_order_between_the_raw_value_and_bonferronis(raw: list[float]) -> None:
    adjusted = holm_adjusted(raw)
    for p, corrected in zip(raw, adjusted):
        assert p <= corrected <= min(1.0, len(raw) * p)
    assert [a for _, a in sorted(zip(raw, adjusted))] == sorted(adjusted)


def test_shares_are_those_of_version_0_1() -> None:
    """Version 0.1 took 1.959964 for the normal quantile, which is 1.5e-8 too much."""
    for successes, trials, low, high in (
        (0, 1, 0.0, 0.7934506882081973),
        (0, 20, 0.0, 0.16112516018512968),
        (6, 10, 0.31267376792119533, 0.831819671473593),
        (90, 100, 0.8256343377898756, 0.9447708631949274),
        (237, 240, 0.9638999951073413, 0.9957399327111398),
        (100, 100, 0.9630065012310038, 1.0),
    ):
        assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=4e-9)
    assert paired_difference(5, 40, 100) == pytest.approx((0.35, 0.22947373244911842, 0.4568007773548032), abs=4e-9)


def test_counts_and_their_tests_are_those_of_version_0_1() -> None:
    for count, low, high in (
        (0, 0.0, 3.688879454113936),
        (1, 0.025317807984289845, 5.571643390938899),
        (40, 28.576586441789082, 54.468646963984085),
        (1000, 938.9730184077857, 1063.9521360162985),
    ):
        assert poisson_interval(count) == pytest.approx((low, high), rel=1e-9)
    rate = rate_interval([0, 1, 3, 0, 2], [10.0, 12.0, 9.0, 11.0, 10.0])
    assert rate == pytest.approx((0.11538461538461539, 0.018518518518518517, 0.2511437312022824), rel=1e-9)
    assert mcnemar_test(12, 30) == pytest.approx(0.007915897334896727, rel=1e-9)
    assert mcnemar_test(400, 600) == pytest.approx(2.7284641560660184e-10, rel=1e-9)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042), (120, 1.980)])
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=6e-4)


def test_no_degree_of_freedom_is_refused() -> None:
    with pytest.raises(ValueError, match="1 and up"):
        t_quantile(0)


def test_intervals_are_scipys_bit_for_bit() -> None:
    from scipy import stats  # here: each process that collects tests would take a second for it

    for trials in (1, 4, 7, 80, 100, 6000):
        for successes in {0, 1, trials // 3, trials - 1, trials}:
            theirs = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
            share = successes / trials
            assert wilson_interval(successes, trials) == (min(share, theirs.low), max(share, theirs.high))
    for count in (0, 1, 2, 13, 400):
        low = stats.chi2.ppf(TAIL, 2 * count) / 2 if count else 0.0
        assert poisson_interval(count) == (low, stats.chi2.isf(TAIL, 2 * count + 2) / 2)
    for freedom in (1, 2, 9, 120, 10_000):
        assert t_quantile(freedom) == stats.t.isf(TAIL, freedom)
        assert t_quantile(freedom, 0.1) == stats.t.isf(0.1, freedom)
    assert stats.norm.isf(TAIL) == NORMAL_QUANTILE
