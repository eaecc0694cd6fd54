"""The planner's cost-to-go: as a potential it changes nothing over the whole way, and makes a short horizon enough."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

from forestpilot.policies.reinforcement.cost_to_go import CostToGo, charged, cost_of_turn, horizon_discount
from forestpilot.policies.reinforcement.replay_buffer import ReplayBuffer
from forestpilot.policies.reinforcement.shares import COSTS

Box = gymnasium.spaces.Box
SPACE = gymnasium.spaces.Dict({COSTS: Box(0, np.inf, (3,), np.float32)})
DISCOUNT = 0.9
STATES = 7
"""Of a corridor: the goal lies at its right end and is worth 1, a small prize of 0.3 at its left end; both end it."""
START = 2
LEFT, RIGHT = -1, 1


def reward_of(state: int) -> float:
    return {0: 0.3, STATES - 1: 1.0}.get(state, 0.0)


def best_moves(potential: np.ndarray, discount: float, looks: float) -> list[int]:
    """The best move in each state of the corridor between its ends, by value iteration.

    Args:
        potential: (STATES,) added as shaping.
        discount: of the rewards.
        looks: of the learner.
    """
    values = np.zeros(STATES)

    def worth(state: int, move: int) -> float:
        after = state + move
        ended = after in (0, STATES - 1)
        gained = discount * (0.0 if ended else potential[after]) - potential[state]
        return reward_of(after) + gained + (0.0 if ended else looks * values[after])

    for _ in range(200):
        for state in range(1, STATES - 1):
            values[state] = max(worth(state, move) for move in (LEFT, RIGHT))
    return [max((LEFT, RIGHT), key=lambda move: worth(state, move)) for state in range(1, STATES - 1)]


def true_values() -> np.ndarray:
    """Value of each state of the corridor under the best moves."""
    values = np.zeros(STATES)
    for state in range(1, STATES - 1):
        to_goal = DISCOUNT ** (STATES - 2 - state)
        to_prize = 0.3 * DISCOUNT ** (state - 1)
        values[state] = max(to_goal, to_prize)
    return values


def test_over_the_whole_way_a_potential_changes_no_best_move() -> None:
    plain = best_moves(np.zeros(STATES), DISCOUNT, DISCOUNT)
    assert plain == [RIGHT] * 5
    for seed in range(5):
        wrong = np.random.default_rng(seed).normal(0, 3, STATES)
        assert best_moves(wrong, DISCOUNT, DISCOUNT) == plain


def test_with_the_experts_values_one_step_is_horizon_enough_and_without_it_is_not() -> None:
    best = [RIGHT] * 5
    assert best_moves(np.zeros(STATES), DISCOUNT, looks=0.0) != best
    assert best_moves(true_values(), DISCOUNT, looks=0.0) == best
    # An expert that is wrong misleads who looks one step ahead, and not who looks further.
    misled = -true_values()
    assert best_moves(misled, DISCOUNT, looks=0.0) != best
    assert best_moves(misled, DISCOUNT, looks=DISCOUNT) == best


def test_the_shaped_reward_telescopes_to_the_first_potential() -> None:
    buffer = ReplayBuffer(SPACE, 64)
    costs = np.random.default_rng(0).uniform(0, 20, (6, 3)).astype(np.float32)
    rewards = np.arange(5, dtype=np.float32)
    for step in range(5):
        now, then = ({COSTS: costs[None, at]} for at in (step, step + 1))
        buffer.add(now, then, np.zeros((1, 2), np.float32), rewards[step : step + 1], np.array([step == 4]), [{}])
    shaped = CostToGo(weight=0.5, most=4.0, discount=DISCOUNT)
    rows = np.arange(5)  # the last state is the sixth
    gained = shaped(buffer, rows) - rewards
    assert np.dot(gained, DISCOUNT**rows) == pytest.approx(-shaped.potential(costs[:1])[0], rel=1e-5)
    assert np.array_equal(shaped.potential(np.array([[3.0, 1.0, 9.0], [40.0, 30.0, 50.0]])), [-0.5, -4.0])


def test_a_horizon_in_seconds_is_a_discount() -> None:
    assert horizon_discount(0.98, 0.5, 10) == pytest.approx(0.8)
    assert horizon_discount(0.98, 100.0, 10) == 0.98
    assert horizon_discount(0.98, 0.0, 10) == 0.0


def test_a_turn_between_candidates_costs_what_lies_between() -> None:
    turns = torch.tensor([-1.0, 0.0, 0.5])
    costs = torch.tensor([[4.0, 2.0, 6.0]] * 5)
    turn = torch.tensor([-0.5, 0.25, 0.0, -2.0, 0.5], requires_grad=True)
    paid = cost_of_turn(costs, turns, turn)
    assert paid.tolist() == [3.0, 4.0, 2.0, 4.0, 6.0]
    paid.sum().backward()
    assert turn.grad is not None
    assert turn.grad[:2].tolist() == [-2.0, 8.0]
    assert turn.grad[3] == 0.0


def test_what_is_charged_is_above_the_cheapest_and_bounded() -> None:
    costs = torch.tensor([[1.0, 3.0, 400.0]])
    assert charged(costs, weight=0.5, most=10.0).tolist() == [[0.0, 1.0, 10.0]]
