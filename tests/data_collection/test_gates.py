"""Who drives: the state machine of taking over, what the gates say of a step, and what is labelled because of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestpilot.data_collection.episodes.episode import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.rollouts.gates import (
    ExpertGate,
    GatedPilot,
    GateLimits,
    Judgement,
    NoveltyGate,
    UncertaintyGate,
    novelty_threshold,
    turn_regret,
)
from forestpilot.data_collection.rollouts.pilots import Decision
from forestpilot.data_collection.rollouts.takeover import Takeover, count_handovers

LIMITS = GateLimits()


def test_the_policy_drives_until_somebody_takes_over_and_after_they_hand_back():
    takeover = Takeover(ACTOR_HUMAN)
    asked = [(False, False), (True, False), (False, False), (False, True), (False, True), (True, True)]
    assert [takeover.step(*step) for step in asked] == [0, 2, 2, 0, 0, 2]
    takeover.restart()
    assert takeover.step(False, False) == ACTOR_POLICY


def test_handing_back_waits_for_calm_steps_in_a_row():
    takeover = Takeover(ACTOR_EXPERT, calm_steps=3)
    gives = [True, True, False, True, True, True, True]
    assert takeover.step(True, False) == ACTOR_EXPERT
    assert [takeover.step(False, give) for give in gives] == [1, 1, 1, 1, 1, 0, 0]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.integers(1, 5))
def test_handovers_are_counted_as_they_happened(asked: list[tuple[bool, bool]], calm_steps: int):
    takeover = Takeover(ACTOR_HUMAN, calm_steps)
    actor = np.array([takeover.step(*step) for step in asked], np.uint8)
    runs = [who for who, _ in itertools.groupby(actor)]
    counted = count_handovers([actor])
    assert counted.intervention_steps == (actor == ACTOR_HUMAN).sum()
    assert counted.context_switches == len(runs) - 1
    assert counted.takeovers == runs.count(ACTOR_HUMAN)


def test_an_episode_that_is_helped_from_its_first_step_is_a_takeover_without_a_switch():
    assert count_handovers([np.full(5, ACTOR_EXPERT), np.array([0, 1, 1, 0])]) == (7, 2, 2)


def test_a_helper_must_not_be_the_policy():
    with pytest.raises(ValueError, match="a helper is no policy"):
        Takeover(ACTOR_POLICY)


def info(costs: np.ndarray, clearance_m: float = 5.0) -> dict:
    return {
        "expert_costs": np.stack([costs * 0, costs, costs * 0]),
        "expert_action": np.array([[0, 0], [0.5, 1.0], [0, 0]], np.float32),
        "clearance_m": clearance_m,
    }


def learner(*turns: float, spread_rad: float | None = None) -> Decision:
    actions = np.array([[turn, 1.0] for turn in turns], np.float32)
    spread = None if spread_rad is None else np.full(len(turns), spread_rad, np.float32)
    return Decision(actions, np.zeros(len(turns), np.uint8), disagreement=spread)


VALLEY = np.abs(np.linspace(-1, 1, 21) - 0.5) * 100
"""Costs of turns whose best is 0.5."""


def test_regret_is_the_cost_above_the_best_between_candidates_too():
    assert turn_regret(VALLEY, 0.5) == pytest.approx(0.0)
    assert turn_regret(VALLEY, 0.25) == pytest.approx(25.0)
    assert turn_regret(VALLEY + 7, -1.0) == pytest.approx(150.0)


def test_the_expert_gate_opens_where_the_turn_is_costly_or_something_is_near():
    infos = [info(VALLEY), info(VALLEY), info(VALLEY), info(VALLEY, 0.05), info(VALLEY, 0.05)]
    judged = ExpertGate(LIMITS).judge(infos, learner(0.5, 0.3, 0.2, 0.4, 0.49), np.zeros((5, 2)))
    assert judged.take.tolist() == [False, False, True, True, False], "near, but turning away, needs no help"
    assert judged.give.tolist() == [True, False, False, False, True]
    assert not judged.ask.any()


def test_the_uncertainty_gate_asks_and_never_takes_over():
    limit = np.radians(LIMITS.unsure_deg)
    for spread, asks in ((0.9 * limit, False), (1.1 * limit, True)):
        judged = UncertaintyGate(LIMITS).judge([info(VALLEY)], learner(0.0, spread_rad=spread), np.zeros((1, 2)))
        assert judged.ask.tolist() == [asks] and not judged.take.any()
    with pytest.raises(ValueError, match="single policy"):
        UncertaintyGate(LIMITS).judge([info(VALLEY)], learner(0.0), np.zeros((1, 2)))


def test_the_novelty_gate_takes_over_above_its_threshold_until_both_agree():
    gate = NoveltyGate(LIMITS, threshold_rad=0.2, max_turn_rad=1.0)
    expert = np.array([[0.5, 1.0]])
    assert gate.judge([info(VALLEY)], learner(0.0, spread_rad=0.3), expert).take.all()
    assert not gate.judge([info(VALLEY)], learner(0.0, spread_rad=0.1), expert).take.any()
    assert gate.judge([info(VALLEY)], learner(0.5, spread_rad=0.1), expert).give.all()
    assert not gate.judge([info(VALLEY)], learner(0.1, spread_rad=0.1), expert).give.any()


def test_the_threshold_lets_the_affordable_share_through():
    seen = np.linspace(0, 1, 1001)
    assert (seen > novelty_threshold(seen, 0.1)).mean() == pytest.approx(0.1, abs=0.002)
    assert novelty_threshold(np.zeros(0), 0.5) == np.inf, "before anything was seen nothing is novel"
    assert novelty_threshold(seen, -0.3) == 1.0 and novelty_threshold(seen, 7.0) == 0.0


class Straight:
    """A learner that goes straight on."""

    name, needs_expert = "straight", False

    def begin(self, slots): ...

    def restart(self, slot, seed): ...

    def act(self, observations, infos, slots):
        return learner(*(0.0 for _ in slots))


class Script:
    """A gate that says what it is told, step by step."""

    def __init__(self, steps):
        self.steps = iter(steps)

    def judge(self, infos, decision, expert):
        return Judgement(*(np.array([flag]) for flag in next(self.steps)))


def test_only_what_the_helper_did_or_was_asked_is_labelled():
    script = [(False, True, False), (True, False, False), (False, True, False), (False, True, True)]
    pilot = GatedPilot(Straight(), Script(script), calm_steps=1)
    pilot.begin(1)
    pilot.restart(0, seed=3)
    decisions = [pilot.act({}, [info(VALLEY)], np.array([0])) for _ in script]
    assert [int(d.actor[0]) for d in decisions] == [ACTOR_POLICY, ACTOR_EXPERT, ACTOR_POLICY, ACTOR_POLICY]
    assert [bool(d.labelled[0]) for d in decisions] == [False, True, False, True]
    assert [float(d.actions[0, 0]) for d in decisions] == [0.0, 0.5, 0.0, 0.0]


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="calm_regret"):
        GateLimits(regret=3.0, calm_regret=4.0)
    with pytest.raises(ValueError, match="0 or more"):
        GateLimits(calm_s=-1.0)
