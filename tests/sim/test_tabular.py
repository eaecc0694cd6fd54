"""Imitation in tables: value, occupancy and missing mass are exact, and the Reset Cliff is as hard as theory says."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tabular.bounds import (
    cloning_bound,
    expected_cloning_gap,
    minimax_rate,
    missing_mass_bound,
    stochastic_cloning_rate,
)
from forestpilot.sim.tabular.cloning import clone, count, demonstrate, expected_missing_mass, missing_mass
from forestpilot.sim.tabular.dagger import dagger
from forestpilot.sim.tabular.mdp import Draws, TabularMDP, expected_return, occupancy, roll_out, values
from forestpilot.sim.tabular.reset_cliff import ResetCliff

CLIFF = ResetCliff(states=5, actions=6, horizon=7, episodes=20)
ENV_ID = "forestpilot:ForestPilot/ResetCliff-v0"


def random_world(rng: np.random.Generator) -> tuple[TabularMDP, np.ndarray]:
    """A world of 3 states, 2 actions and 4 steps, and a policy."""
    world = TabularMDP(rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2)), rng.dirichlet(np.ones(3)), 4)
    return world, rng.dirichlet(np.ones(2), (4, 3))


@pytest.mark.parametrize("seed", range(3))
def test_value_and_occupancy_are_sums_over_all_ways(seed):
    world, policy = random_world(np.random.default_rng(seed))
    chances = world.start.copy()
    expected = 0.0
    for step in range(world.horizon):
        assert np.allclose(occupancy(world, policy)[step], chances)
        following = np.zeros(3)
        for state in range(3):
            for action in range(2):
                chance = chances[state] * policy[step, state, action]
                expected += chance * world.rewards[state, action]
                following += chance * world.transitions[state, action]
        chances = following
    assert expected_return(world, policy) == pytest.approx(expected, rel=1e-12)
    assert values(world, policy).shape == (5, 3) and not values(world, policy)[-1].any()


def test_episodes_come_as_often_as_they_should():
    world, policy = random_world(np.random.default_rng(5))
    states, actions = roll_out(world, policy, 40_000, np.random.default_rng(0))
    shares = count(world, states, actions) / len(states)
    assert np.allclose(shares, occupancy(world, policy)[..., None] * policy, atol=0.01)
    again, _ = roll_out(world, policy, 40_000, np.random.default_rng(0))
    assert np.array_equal(states, again)


def test_what_cannot_happen_is_never_drawn():
    rows = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]])
    drawn = Draws(rows).draw(np.repeat(np.arange(3), 2000), np.random.default_rng(0)).reshape(3, 2000)
    assert set(drawn[0]) == {1} and set(drawn[1]) == {0, 2} and set(drawn[2]) == {2}


def test_matrices_that_are_no_world_are_refused():
    world, policy = random_world(np.random.default_rng(0))
    with pytest.raises(InvalidArgumentError, match="transitions are no probabilities"):
        dataclasses.replace(world, transitions=2 * world.transitions)
    with pytest.raises(InvalidArgumentError, match=r"give \(S, A, S\)"):
        dataclasses.replace(world, start=np.ones(2) / 2)
    with pytest.raises(InvalidArgumentError, match="a policy of shape"):
        expected_return(world, policy[1:])
    with pytest.raises(InvalidArgumentError, match="states is 9 and episodes 3; with at least 6"):
        ResetCliff(states=9, episodes=3)


def test_the_expert_never_falls_and_who_falls_stays_below_unless_there_is_a_ladder():
    for ladder in (False, True):
        cliff = dataclasses.replace(CLIFF, ladder=ladder)
        world = cliff.mdp()
        assert expected_return(world, cliff.expert()) == pytest.approx(cliff.horizon)
        assert occupancy(world, cliff.expert())[:, cliff.bad_state].sum() == 0
        leaving = 1 - world.transitions[cliff.bad_state, :, cliff.bad_state]
        assert leaving.sum() == pytest.approx(float(ladder))
        assert not world.rewards[cliff.bad_state].any()


def test_clones_repeat_what_was_counted_and_guess_where_nothing_was():
    counts = np.zeros((2, 3, 4), np.int64)
    counts[0, 1] = (3, 0, 1, 0)
    policy = clone(counts)
    assert policy[0, 1].tolist() == [0.75, 0.0, 0.25, 0.0]
    assert (policy[1] == 0.25).all() and (policy[0, [0, 2]] == 0.25).all()
    assert missing_mass(np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]), counts) == pytest.approx(1.5)


@pytest.mark.parametrize("coin", [False, True])
def test_cloning_on_the_cliff_comes_to_its_closed_form_on_average(coin):
    cliff = dataclasses.replace(CLIFF, coin=coin)
    world, expert = cliff.mdp(), cliff.expert()
    gaps, missed = [], []
    for seed in range(400):
        counts = demonstrate(world, expert, cliff.episodes, np.random.default_rng(seed))
        gaps.append(expected_return(world, expert) - expected_return(world, clone(counts)))
        missed.append(missing_mass(occupancy(world, expert), counts))
    expected = expected_missing_mass(occupancy(world, expert), cliff.episodes)
    assert np.mean(missed) == pytest.approx(expected, rel=0.05)
    assert expected <= missing_mass_bound(cliff) and expected_cloning_gap(cliff) <= cloning_bound(cliff)
    assert abs(np.mean(gaps) - expected_cloning_gap(cliff)) < 4 * np.std(gaps) / np.sqrt(len(gaps))


def test_the_bounds_are_those_of_the_paper():
    cliff = ResetCliff(states=9, actions=5, horizon=10, episodes=400)
    assert missing_mass_bound(cliff) == pytest.approx(0.1) and cloning_bound(cliff) == pytest.approx(1.0)
    assert minimax_rate(cliff) == pytest.approx(2.25) and minimax_rate(dataclasses.replace(cliff, episodes=9)) == 10
    assert stochastic_cloning_rate(cliff) == 10.0
    with pytest.raises(ValueError, match="without a ladder"):
        expected_cloning_gap(dataclasses.replace(cliff, ladder=True))


def test_dagger_asks_as_much_as_cloning_and_learns_the_way_back_up_where_there_is_one():
    gaps = {}
    for learn in (demonstrate, dagger):
        cliff = ResetCliff(states=5, actions=200, horizon=20, episodes=100, ladder=True)
        world, expert = cliff.mdp(), cliff.expert()
        counts = learn(world, expert, cliff.episodes, np.random.default_rng(0))
        assert counts.sum() == cliff.episodes * cliff.horizon
        assert bool(counts[:, cliff.bad_state].any()) == (learn is dagger)
        gaps[learn] = expected_return(world, expert) - expected_return(world, clone(counts))
    assert gaps[dagger] < 0.5 * gaps[demonstrate]


def test_the_environment_is_the_matrices():
    env = gymnasium.make(ENV_ID, states=4, actions=5, horizon=6, episodes=3, ladder=True)
    check_env(env.unwrapped, skip_render_check=True)
    cliff = env.unwrapped.cliff
    world = cliff.mdp()
    rng = np.random.default_rng(0)
    seen = np.zeros((4, 5, 4))
    for seed in range(300):
        state, info = env.reset(seed=seed)
        truncated = False
        while not truncated:
            own = info["expert_actions"][0]
            assert info["expert_actions"].tolist() == np.flatnonzero(cliff.expert()[0, state]).tolist()
            action = int(own if rng.random() < 0.7 else rng.integers(5))
            after, reward, terminated, truncated, info = env.step(action)
            assert reward == world.rewards[state, action] and not terminated
            seen[state, action, after] += 1
            state = after
        assert info["step"] == 6
    often = seen.sum(-1) > 100
    shares = seen[often] / seen[often].sum(-1, keepdims=True)
    assert often.sum() >= 3 and np.allclose(shares, world.transitions[often], atol=0.12)
    with pytest.raises(InvalidArgumentError, match="allowed: whole numbers from 0 to 4"):
        env.unwrapped.step(5)
