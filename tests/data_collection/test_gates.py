"""Who drives: the state machine of taking over, what the gates say of a step, and what is labelled because of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.rollouts.gates import Gate, Judgement, RoundSoFar
from forestpilot.data_collection.rollouts.gates.budget import BudgetGate, BudgetGateConfig, novelty_threshold
from forestpilot.data_collection.rollouts.gates.expert import ExpertGate, ExpertGateConfig, turn_regret
from forestpilot.data_collection.rollouts.gates.gated_pilot import GatedPilot
from forestpilot.data_collection.rollouts.gates.no_gate import NoGateConfig
from forestpilot.data_collection.rollouts.gates.uncertainty import UncertaintyGate, UncertaintyGateConfig
from forestpilot.data_collection.rollouts.pilots import Decision
from forestpilot.data_collection.rollouts.takeover import Takeover, count_handovers

SO_FAR = RoundSoFar(max_turn_rad=1.0, control_hz=10)


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
    judged = ExpertGate(ExpertGateConfig(), SO_FAR).judge(infos, learner(0.5, 0.3, 0.2, 0.4, 0.49), np.zeros((5, 2)))
    assert judged.take.tolist() == [False, False, True, True, False], "near, but turning away, needs no help"
    assert judged.give.tolist() == [True, False, False, False, True]
    assert not judged.ask.any()


def test_the_uncertainty_gate_asks_and_never_takes_over():
    gate, limit = UncertaintyGate(UncertaintyGateConfig(unsure_deg=1.5), SO_FAR), np.radians(1.5)
    for spread, asks in ((0.9 * limit, False), (1.1 * limit, True)):
        judged = gate.judge([info(VALLEY)], learner(0.0, spread_rad=spread), np.zeros((1, 2)))
        assert judged.ask.tolist() == [asks] and not judged.take.any()
    with pytest.raises(ValueError, match="single policy"):
        gate.judge([info(VALLEY)], learner(0.0), np.zeros((1, 2)))


def test_the_budget_gate_takes_over_above_its_threshold_until_both_agree():
    lately = RoundSoFar(max_turn_rad=1.0, control_hz=10, share=0.5, disagreement=np.array([0.1, 0.2, 0.3]))
    gate = BudgetGate(BudgetGateConfig(), lately)
    assert gate.threshold_rad == pytest.approx(0.2)
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


class Script(Gate):
    """A gate that says what it is told, step by step."""

    Config = NoGateConfig

    def __init__(self, steps):
        super().__init__(NoGateConfig(), SO_FAR)
        self.steps = iter(steps)

    def judge(self, infos, decision, expert):
        return Judgement(*(np.array([flag]) for flag in next(self.steps)))


def test_only_what_the_helper_did_or_was_asked_is_labelled():
    script = [(False, True, False), (True, False, False), (False, True, False), (False, True, True)]
    pilot = GatedPilot(Straight(), Script(script))
    pilot.begin(1)
    pilot.restart(0, seed=3)
    decisions = [pilot.act({}, [info(VALLEY)], np.array([0])) for _ in script]
    assert [int(d.actor[0]) for d in decisions] == [ACTOR_POLICY, ACTOR_EXPERT, ACTOR_POLICY, ACTOR_POLICY]
    assert [bool(d.labelled[0]) for d in decisions] == [False, True, False, True]
    assert [float(d.actions[0, 0]) for d in decisions] == [0.0, 0.5, 0.0, 0.0]


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="calm_regret"):
        ExpertGateConfig(regret=3.0, calm_regret=4.0)
    with pytest.raises(ValueError, match=r"calm_s is -1\.0; allowed: 0 to 3,600"):
        BudgetGateConfig(calm_s=-1.0)


def test_a_helper_stays_as_long_as_the_gate_says():
    steps = [ExpertGate(ExpertGateConfig(calm_s=calm_s), SO_FAR).calm_steps for calm_s in (0.0, 0.04, 1.0, 1.26)]
    assert steps == [1, 1, 10, 13]


def test_a_gate_refuses_the_options_of_another():
    with pytest.raises(ValueError, match="ExpertGate takes ExpertGateConfig"):
        ExpertGate(BudgetGateConfig(), SO_FAR)
