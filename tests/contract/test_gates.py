"""Every gate: what `GATES` promises of it, tested by being registered."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.rollouts.gates import GATES, Gate, GateConfig, RoundSoFar
from forestpilot.data_collection.rollouts.gates.gated_pilot import GatedPilot
from forestpilot.data_collection.rollouts.pilots import Decision

SO_FAR = RoundSoFar(max_turn_rad=0.8, control_hz=10, share=0.3, disagreement=np.linspace(0.0, 0.4, 50))
CANDIDATES = 21


def make_gate(name: str) -> Gate:
    gate_class = GATES.get(name)
    return gate_class(gate_class.Config(), SO_FAR)


def situation(count: int, seed: int) -> tuple[list[dict[str, Any]], Decision, np.ndarray]:
    """Episodes in some step: infos, what the learner would do, what the expert would do."""
    rng = np.random.default_rng(seed)
    costs = rng.uniform(0, 100, (count, 3, CANDIDATES)).astype(np.float32)
    answers = rng.uniform(-1, 1, (count, 3, 2)).astype(np.float32)
    clearances = rng.uniform(0, 1, count)
    infos = [
        {"expert_costs": costs[row], "expert_action": answers[row], "clearance_m": float(clearances[row])}
        for row in range(count)
    ]
    actions = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    spread = rng.uniform(0, 0.5, count).astype(np.float32)
    return infos, Decision(actions, np.zeros(count, np.uint8), disagreement=spread), answers[:, 1]


@pytest.mark.parametrize("name", GATES.names())
def test_its_options_are_its_own_and_survive_being_stored(name: str) -> None:
    config = GATES.get(name).Config()
    assert isinstance(config, GateConfig)
    assert config.part == name
    assert from_plain(type(config), {key: value for key, value in to_plain(config).items() if key != "part"}) == config


@pytest.mark.parametrize("name", GATES.names())
def test_it_says_three_things_of_every_episode_and_the_same_in_a_worker(name: str) -> None:
    gate = make_gate(name)
    told = gate.judge(*situation(7, seed=1))
    assert all(answer.shape == (7,) and answer.dtype == bool for answer in told)
    again = pickle.loads(pickle.dumps(gate)).judge(*situation(7, seed=1))
    assert all(np.array_equal(first, second) for first, second in zip(told, again, strict=True))
    assert gate.calm_steps >= 1


@pytest.mark.parametrize("name", GATES.names())
def test_it_judges_an_episode_by_itself(name: str) -> None:
    gate = make_gate(name)
    infos, learner, expert = situation(6, seed=2)
    together = gate.judge(infos, learner, expert)
    for row in range(6):
        one = slice(row, row + 1)
        alone = Decision(learner.actions[one], learner.actor[one], disagreement=learner.disagreement[one])
        for whole, single in zip(together, gate.judge(infos[one], alone, expert[one]), strict=True):
            assert whole[row] == single[0]


@pytest.mark.parametrize("name", GATES.names())
def test_nobody_takes_over_whom_the_gate_does_not_name(name: str) -> None:
    gate = make_gate(name)
    assert gate.helper in (ACTOR_POLICY, ACTOR_EXPERT, ACTOR_HUMAN)
    assert gate.needs_human() == (gate.helper == ACTOR_HUMAN)
    taken = np.concatenate([gate.judge(*situation(20, seed)).take for seed in range(20)])
    assert taken.any() == (gate.helper == ACTOR_EXPERT)


class Learner:
    """Decides as it is told."""

    name = "learner"
    needs_expert = False

    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    def begin(self, slots: int) -> None: ...

    def restart(self, slot: int, seed: int) -> None: ...

    def act(self, observations: Any, infos: Any, slots: Any) -> Decision:
        return self.decision


@pytest.mark.parametrize("name", GATES.names())
def test_behind_it_what_was_done_is_the_drivers_and_what_the_expert_did_is_labelled(name: str) -> None:
    infos, decision, expert = situation(12, seed=3)
    pilot = GatedPilot(Learner(decision), make_gate(name))
    pilot.begin(12)
    for slot in range(12):
        pilot.restart(slot, seed=slot)
    done = pilot.act({}, infos, np.arange(12))
    helped = done.actor == ACTOR_EXPERT
    np.testing.assert_array_equal(done.actions, np.where(helped[:, None], expert, decision.actions))
    assert done.labelled is not None
    assert done.labelled[helped].all()
