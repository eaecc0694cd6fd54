"""Outcomes: one list of words for what is stored, and one for what is told."""

import pytest

from forestpilot.sim.outcomes import ASSISTED, CRASHES, ENDS, OUTCOMES, TERMINAL, Outcome, succeeded, told


def test_every_outcome_is_told_in_words_of_its_own():
    assert len({told(outcome) for outcome in OUTCOMES}) == len(OUTCOMES) == 5
    assert told("out_of_bounds") == "out of bounds" and told("timeout") == "out of time"
    with pytest.raises(ValueError, match="allowed: running, success, collision, out_of_bounds, timeout"):
        told("crash")


def test_arriving_with_help_is_no_success():
    assert succeeded("success") and not succeeded("success", 2) and not succeeded("timeout")
    assert told("success", 1) == ASSISTED and told("collision", 1) == "collision"


def test_what_ends_an_episode_and_what_counts_as_a_crash():
    assert set(ENDS) == set(OUTCOMES) - {Outcome.RUNNING}
    assert set(CRASHES) < set(TERMINAL) < set(ENDS) and Outcome.TIMEOUT not in TERMINAL
