"""Rewards by named terms; potentials change no best policy."""

from __future__ import annotations

import numpy as np
import pytest

from forestpilot.policies.reinforcement.options import RewardConfig
from forestpilot.policies.reinforcement.rewards import (
    CLEARANCE,
    ENVIRONMENT_TERMS,
    FACTS,
    Rewards,
    Step,
    environment_terms,
    shaping,
)
from forestpilot.sim.tabular.mdp import TabularMDP

DISCOUNT = 0.9


def test_a_potential_changes_no_best_policy_and_a_bonus_for_being_there_does() -> None:
    """Ng, Harada & Russell 1999, theorem 1, in twenty worlds of six states, the last of which ends the episode."""
    rng = np.random.default_rng(0)
    misled = 0
    for _ in range(20):
        world = random_world(rng)
        potentials = rng.normal(0, 5, world.states)
        over = np.arange(world.states) == world.states - 1
        before = np.broadcast_to(potentials[:, None], (world.states, world.states))
        after = np.broadcast_to(potentials[None], (world.states, world.states))
        added = shaping(before, after, np.broadcast_to(over[None], after.shape), DISCOUNT)
        plain = best_actions(world, np.zeros_like(added))
        assert np.array_equal(best_actions(world, added), plain)
        bonus = np.broadcast_to(potentials[None] * ~over, added.shape)
        misled += not np.array_equal(best_actions(world, bonus), plain)
    assert misled > 10, "the worlds would not notice a reward that is no potential"


def random_world(rng: np.random.Generator, states: int = 6, actions: int = 3) -> TabularMDP:
    """A world whose last state is never left, and pays nothing."""
    transitions = rng.dirichlet(np.full(states, 0.3), (states, actions))
    transitions[-1] = np.eye(states)[-1]
    rewards = rng.normal(0, 1, (states, actions))
    rewards[-1] = 0
    return TabularMDP(transitions, rewards, np.full(states, 1 / states), horizon=1)


def best_actions(world: TabularMDP, added: np.ndarray) -> np.ndarray:
    """The best action in each state but the last, by value iteration; `added` (S, S) is paid for each transition."""
    rewards = world.rewards + (world.transitions * added[:, None, :]).sum(-1)
    rewards[-1] = 0
    value = np.zeros(world.states)
    for _ in range(500):
        gain = rewards + DISCOUNT * world.transitions @ value
        value = gain.max(1)
    return gain[:-1].argmax(1)


def step_of(clearance_m: tuple[float, float], terminated: bool = False, **terms: float) -> Step:
    """A step of one environment, `clearance_m` before and after."""
    facts = [np.zeros((1, len(FACTS)), np.float32) for _ in range(2)]
    for found, value in zip(facts, clearance_m):
        found[0, CLEARANCE] = value
    told = {name: np.array([terms.get(name, 0.0)], np.float32) for name in ENVIRONMENT_TERMS}
    no = np.zeros(1, bool)
    return Step({"facts": facts[0]}, np.zeros((1, 2), np.float32), {"facts": facts[1]}, told, no | terminated, no)


def test_each_term_is_logged_with_its_weight_and_the_sum_is_scaled() -> None:
    config = RewardConfig(progress=2.0, success=5.0, time=1.0, scale=0.5)
    rewards = Rewards(environment_terms(config, DISCOUNT, control_hz=10), config.scale)
    total, terms = rewards(step_of((1, 1), reward_progress=0.5, reward_crash=-10.0, success=1.0))
    assert dict(zip(rewards.names, terms[0].tolist(), strict=True)) == pytest.approx(
        {"progress": 1.0, "crash": -10.0, "intervention": 0.0, "success": 5.0, "time": -0.1}
    )
    assert total.tolist() == pytest.approx([0.5 * -4.1])


def test_a_way_past_a_trunk_gains_nothing_by_its_clearance() -> None:
    config = RewardConfig(progress=0.0, crash=0.0, intervention=0.0, clearance=3.0)
    rewards = Rewards(environment_terms(config, 1.0, control_hz=10))
    way = [(2.0, 0.8), (0.8, 0.1), (0.1, 0.9), (0.9, 5.0)]
    paid = [float(rewards(step_of(clearances))[0][0]) for clearances in way]
    assert paid[1] == pytest.approx(-3.0 * 0.7) and sum(paid) == pytest.approx(0.0, abs=1e-6)
    assert float(rewards(step_of((0.2, 0.0), terminated=True))[0][0]) == pytest.approx(3.0 * 0.8)
