"""`forestpilot bench reinforce`: both ways learn, and their figures are compared pair by pair."""

from __future__ import annotations

import pytest

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")

from forestpilot.launch.benchmarks import reinforce


def test_ratios_are_those_of_turns_beside_each_other() -> None:
    taken = {"own": [(1.0, 2.0), (4.0, 2.0), (1.0, 3.0)], "stable_baselines3": [(2.0, 3.0), (8.0, 4.0), (3.0, 6.0)]}
    figures = reinforce._figures(taken, steps=100)
    assert figures["turns"] == 3 and figures["stable_baselines3"] == {"steps_per_s": 33, "cpu_us_per_step": 40_000}
    assert figures["own"] == {"steps_per_s": 100, "cpu_us_per_step": 20_000, "ratio": 2.0, "ratio_cpu": 2.0}


def test_time_that_children_computed_counts_while_they_live() -> None:
    before = reinforce.computing_s()
    sum(number * number for number in range(200_000))
    assert reinforce.computing_s() > before
