"""Adversarial imitation in tables: the game is solved exactly, and comes to what theory says of both of its worlds."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.tabular import adversarial
from forestpilot.sim.tabular.adversarial import find_crowds, match
from forestpilot.sim.tabular.bounds import cliff_matching_rate, matching_rate
from forestpilot.sim.tabular.cloning import clone, demonstrate
from forestpilot.sim.tabular.mdp import TabularMDP, expected_return, occupancy, side_by_side, values
from forestpilot.sim.tabular.reset_cliff import ResetCliff
from forestpilot.sim.tabular.standard_imitation import EXPERT_ACTION, StandardImitation


def visits(world: TabularMDP, policy: np.ndarray) -> np.ndarray:
    """(H, S, A) probability of each state and action at each step."""
    return occupancy(world, policy)[..., None] * policy


def distance(world: TabularMDP, policy: np.ndarray, shown: np.ndarray) -> float:
    """Total variation between visits and what was shown, summed over the steps."""
    return float(np.abs(visits(world, policy) - shown).sum() / 2)


def random_world(seed: int) -> tuple[TabularMDP, np.ndarray, np.ndarray]:
    """A world of 3 states, 2 actions and 4 steps, a policy, and counts of 12 of its episodes."""
    rng = np.random.default_rng(seed)
    world = TabularMDP(rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2)), rng.dirichlet(np.ones(3)), 4)
    expert = rng.dirichlet(0.3 * np.ones(2), (4, 3))
    return world, expert, demonstrate(world, expert, 12, rng)


def best_response(world: TabularMDP, paid: np.ndarray) -> np.ndarray:
    """The policy that earns most where a discriminator pays (H, S, A)."""
    policy = np.zeros_like(paid)
    value = np.zeros(world.states)
    for step in reversed(range(world.horizon)):
        earned = paid[step] + world.transitions @ value
        policy[step] = np.eye(world.actions)[earned.argmax(axis=1)]
        value = earned.max(axis=1)
    return policy


def bounds_of_game(world: TabularMDP, shown: np.ndarray, rounds: int) -> tuple[float, float]:
    """The game's value from below and from above: the discriminator climbs its gradient, the learner answers best."""
    paid = np.full(shown.shape, 0.5)
    average = np.zeros(shown.shape)
    paid_on_average = np.zeros(shown.shape)
    for number in range(rounds):
        own = visits(world, best_response(world, paid))
        average += own / rounds
        paid_on_average += paid / rounds
        paid = np.clip(paid + 0.5 / math.sqrt(number + 1) * (shown - own), 0, 1)
    answer = visits(world, best_response(world, paid_on_average))
    return float((paid_on_average * (shown - answer)).sum()), float(np.abs(average - shown).sum() / 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_linear_program_solves_the_game_of_discriminator_and_learner(seed: int) -> None:
    world, expert, counts = random_world(seed)
    shown = counts / 12
    least, most = bounds_of_game(world, shown, 1500)
    found = distance(world, match(world, counts), shown)
    assert least - 1e-9 <= found <= most + 1e-9 and most - least < 0.03
    assert found <= min(distance(world, expert, shown), distance(world, clone(counts), shown)) + 1e-9


def test_the_worlds_rewards_are_not_read() -> None:
    world, _, counts = random_world(5)
    other = dataclasses.replace(world, rewards=1 - world.rewards)
    assert np.array_equal(match(world, counts), match(other, counts))


def test_actions_that_lead_to_the_same_are_one_unless_somebody_showed_them() -> None:
    world = ResetCliff(states=4, actions=9, horizon=2, episodes=3).mdp()
    shown = np.zeros((4, 9), bool)
    shown[0, 5] = True
    crowds = find_crowds(world, shown)
    # In good states the expert's action leads on, all others fall; below the cliff nothing leads anywhere else.
    sizes = [sorted(crowds.sizes[crowds.first // 9 == state].tolist()) for state in range(4)]
    assert sizes == [[1, 1, 7], [1, 8], [1, 8], [9]]
    assert crowds.sizes[crowds.of_pair[5]] == 1 and np.array_equal(crowds.of_pair[crowds.first], range(len(sizes) + 4))


@pytest.mark.parametrize("ladder", [False, True])
def test_on_the_cliff_only_the_last_step_is_lost(ladder: bool) -> None:
    cliff = ResetCliff(states=5, actions=50, horizon=12, episodes=100, ladder=ladder)
    world, expert = cliff.mdp(), cliff.expert()
    counts = demonstrate(world, expert, 100, np.random.default_rng(0))
    policy = match(world, counts)
    good = slice(0, cliff.bad_state)
    assert (policy[:-1, good] * expert[:-1, good]).sum(-1).min() > 1 - 1e-6, "also where it has seen nothing"
    unmatched = np.maximum(cliff.good_states() - counts[-1].sum(-1) / 100, 0).sum()
    gap = cliff.horizon - expected_return(world, policy)
    assert gap == pytest.approx(unmatched, abs=1e-6) and 0 < gap < cliff_matching_rate(cliff)
    assert cliff.horizon - expected_return(world, clone(counts)) > 5 * gap


def test_in_standard_imitation_what_matching_leaves_free_is_lost_at_every_step() -> None:
    world_of = StandardImitation(states=4, actions=50, horizon=12, episodes=100, rare=2)
    world, expert = world_of.mdp(), world_of.expert()
    counts = demonstrate(world, expert, 100, np.random.default_rng(1))
    shares = counts[0].sum(-1) / 100
    assert (counts.sum(-1) == counts[0].sum(-1)).all() and not shares.all(), "states stay, and one was never seen"
    free = np.maximum(world_of.shares() - shares, 0)
    free[shares == 0] *= 1 - 1 / 50
    policy = match(world, counts)
    gap = 12 - expected_return(world, policy)
    assert gap == pytest.approx(12 * free.sum(), rel=1e-6) and gap < matching_rate(world_of)
    below = (shares > 0) & (shares < world_of.shares())
    assert (policy[:, below, EXPERT_ACTION] < 0.99).all(), "although it has seen what the expert does there"
    assert 12 - expected_return(world, clone(counts)) < 0.5 * gap
    assert distance(world, expert, counts / 100) == pytest.approx(distance(world, policy, counts / 100)), (
        "the expert matches as well: of the best matches the luckiest loses nothing"
    )


def test_worlds_of_standard_imitation_that_cannot_be_are_refused() -> None:
    assert StandardImitation(states=4).shares().tolist() == [0.25] * 4
    rare = StandardImitation(states=4, episodes=9, rare=1).shares()
    assert rare.tolist() == pytest.approx([0.3, 0.3, 0.3, 0.1])
    for sizes in ({"states": 4, "rare": 4}, {"states": 9, "rare": 5, "episodes": 4}):
        with pytest.raises(InvalidArgumentError, match="fewer states must be rare"):
            StandardImitation(**sizes)


def test_two_worlds_side_by_side_are_each_half_of_the_time() -> None:
    first, own, _ = random_world(1)
    second, other, _ = random_world(2)
    world = side_by_side(first, second)
    policy = np.concatenate([own, other], axis=1)
    mean = (expected_return(first, own) + expected_return(second, other)) / 2
    assert expected_return(world, policy) == pytest.approx(mean)
    assert np.allclose(values(world, policy)[:, :3], values(first, own))
    with pytest.raises(InvalidArgumentError, match="and of 4 and 5 steps; give two of as many"):
        side_by_side(first, dataclasses.replace(second, horizon=5))


def test_bounds_of_matching_grow_with_the_horizon_or_not_at_all() -> None:
    world = StandardImitation(states=4, horizon=10, episodes=400)
    assert matching_rate(world) == pytest.approx(1.0) and cliff_matching_rate(world) == pytest.approx(0.1)
    few = dataclasses.replace(world, episodes=1)
    assert matching_rate(few) == 10 and cliff_matching_rate(few) == 1


def test_a_solver_that_gives_up_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _, counts = random_world(0)
    monkeypatch.setattr(adversarial, "linprog", lambda *_, **__: SimpleNamespace(status=1, message="out of time"))
    with pytest.raises(ForestPilotError, match="has no solution: out of time"):
        match(world, counts)
