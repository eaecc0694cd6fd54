"""Markov decision processes as matrices, and what a policy comes to in them, exactly.

A policy is an array (H, S, A) float64: for each of the H steps of an episode, in each state, the probability of each
action. S and A are the numbers of states and actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.errors import InvalidArgumentError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A world of few states with episodes of one length.

    Raises:
        ValueError: shapes do not agree, or what should be probabilities does not sum to one.
    """

    transitions: Floats
    """(S, A, S) probability of each next state."""
    rewards: Floats
    """(S, A) reward of an action in a state."""
    start: Floats
    """(S,) probability of each first state."""
    horizon: int
    """H, steps of an episode."""

    def __post_init__(self) -> None:
        states, actions = self.rewards.shape
        if self.transitions.shape != (states, actions, states) or self.start.shape != (states,) or self.horizon < 1:
            raise InvalidArgumentError(
                f"transitions are {self.transitions.shape}, rewards {self.rewards.shape}, start {self.start.shape} and "
                f"the horizon {self.horizon}; give (S, A, S), (S, A), (S,) and 1 or more"
            )
        for name in ("transitions", "start"):
            shares = getattr(self, name)
            if shares.min() < 0 or not np.allclose(shares.sum(-1), 1):
                raise InvalidArgumentError(f"{name} are no probabilities: they must be 0 or more, and sum to 1")

    @property
    def states(self) -> int:
        """S."""
        return self.rewards.shape[0]

    @property
    def actions(self) -> int:
        """A."""
        return self.rewards.shape[1]

    @cached_property
    def next_state(self) -> Draws:
        """Draws next states; row s * A + a is of action a in state s."""
        return Draws(self.transitions.reshape(-1, self.states))


def side_by_side(first: TabularMDP, second: TabularMDP) -> TabularMDP:
    """A world that is one of two, each half of the time: the states of the first, then those of the second.

    A policy of it is made of policies of both: `np.concatenate([first, second], axis=1)`.

    Raises:
        ValueError: they differ in actions or horizon.
    """
    if (first.actions, first.horizon) != (second.actions, second.horizon):
        raise InvalidArgumentError(
            f"worlds of {first.actions} and {second.actions} actions, and of {first.horizon} and {second.horizon} "
            "steps; give two of as many"
        )
    states = first.states + second.states
    transitions = np.zeros((states, first.actions, states))
    transitions[: first.states, :, : first.states] = first.transitions
    transitions[first.states :, :, first.states :] = second.transitions
    rewards = np.concatenate([first.rewards, second.rewards])
    start = np.concatenate([first.start, second.start]) / 2
    return TabularMDP(transitions, rewards, start, first.horizon)


class Draws:
    """Draws outcomes from rows of probabilities, for many rows at once.

    Args:
        probabilities: (R, K), each row summing to one.
    """

    def __init__(self, probabilities: Floats) -> None:
        rows, self._outcomes = probabilities.shape
        ends = np.cumsum(probabilities, axis=1)
        ends /= ends[:, -1:]
        # Row r covers the numbers from r to r + 1, so that one sorted table serves all of them.
        self._ends = (ends + np.arange(rows)[:, None]).ravel()

    def draw(self, rows: Integers, rng: np.random.Generator) -> Integers:
        """An outcome (n,) for each of the rows (n,)."""
        found = np.searchsorted(self._ends, rows + rng.random(len(rows)), side="right")
        return np.clip(found - rows * self._outcomes, 0, self._outcomes - 1)


def expected_return(mdp: TabularMDP, policy: Floats) -> float:
    """Expected sum of the rewards of an episode."""
    return float(mdp.start @ values(mdp, policy)[0])


def values(mdp: TabularMDP, policy: Floats) -> Floats:
    """(H + 1, S) expected sum of the rewards from each step and state on; 0 after the last step."""
    reward, transition = _chain(mdp, policy)
    value = np.zeros((mdp.horizon + 1, mdp.states))
    for step in reversed(range(mdp.horizon)):
        value[step] = reward[step] + transition[step] @ value[step + 1]
    return value


def occupancy(mdp: TabularMDP, policy: Floats) -> Floats:
    """(H, S) probability of being in each state at each step."""
    _, transition = _chain(mdp, policy)
    occupied = np.zeros((mdp.horizon, mdp.states))
    occupied[0] = mdp.start
    for step in range(mdp.horizon - 1):
        occupied[step + 1] = occupied[step] @ transition[step]
    return occupied


def _chain(mdp: TabularMDP, policy: Floats) -> tuple[Floats, Floats]:
    """Expected reward (H, S) and transitions (H, S, S) of the chain that a policy makes of a world."""
    if policy.shape != (mdp.horizon, mdp.states, mdp.actions):
        raise InvalidArgumentError(
            f"a policy of shape {policy.shape} in a world of {mdp.horizon} steps, {mdp.states} states and "
            f"{mdp.actions} actions; give (H, S, A)"
        )
    reward = np.einsum("hsa,sa->hs", policy, mdp.rewards)
    by_state = policy.transpose(1, 0, 2) @ mdp.transitions  # (S, H, S)
    return reward, by_state.transpose(1, 0, 2)


def roll_out(mdp: TabularMDP, policy: Floats, episodes: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Run a policy.

    Returns:
        States and actions, each (episodes, H).
    """
    states = np.empty((episodes, mdp.horizon), np.int64)
    actions = np.empty_like(states)
    state = Draws(mdp.start[None]).draw(np.zeros(episodes, np.int64), rng)
    for step in range(mdp.horizon):
        action = Draws(policy[step]).draw(state, rng)
        states[:, step] = state
        actions[:, step] = action
        state = mdp.next_state.draw(state * mdp.actions + action, rng)
    return states, actions
