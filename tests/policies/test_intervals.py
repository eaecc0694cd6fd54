"""Tests of two arms over the same worlds, and of many such tests together."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestpilot.policies.evaluation.intervals import holm_adjusted, mcnemar_test

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
    assert mcnemar_test(only_first, only_second) == p


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
