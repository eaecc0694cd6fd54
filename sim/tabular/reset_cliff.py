"""The Reset Cliff: the world in which imitation is hardest.

From each good state the expert's action leads to a good state that is drawn anew; every other action falls off the
cliff, into the one bad state, where nothing is earned and from which nothing leads back. So one mistake costs all that
is left of the episode. All but one of the good states are rare: each is seen with the probability 1 / (N + 1), so that
N demonstrations miss it as often as can be. No learner does better here than about min(H, |S| H^2 / N), not even one
that asks the expert about states of its own choice (Rajaraman, Yang, Jiao & Ramchandran 2020, "Toward the Fundamental
Limits of Imitation Learning", lower bound without interaction and in the active setting).

With a `ladder` the expert's action also leads out of the bad state. A mistake then costs two steps to whoever knows
that action, and the rest of the episode to whoever does not: nobody who never fell has shown it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.tabular.mdp import Floats, Integers, TabularMDP


@dataclass(frozen=True)
class ResetCliff:
    """A Reset Cliff; the last state is the bad one."""

    states: Annotated[int, Range(3, 1000)] = 8
    """|S|, states, the bad one included."""
    actions: Annotated[int, Range(3, 10_000)] = 500
    """|A|, actions; whoever has to guess finds the expert's once in so many tries."""
    horizon: Annotated[int, Range(1, 10_000)] = 40
    """H, steps of an episode."""
    episodes: Annotated[int, Range(1, 1_000_000_000)] = 1000
    """N, the number of episodes against which it is as hard as can be."""
    ladder: bool = False
    """Whether the expert's action leads out of the bad state."""
    coin: bool = False
    """Whether the expert tosses a coin in good states: between the action that pays, and one that leads on, too, but
    pays nothing. By default it always takes the one that pays."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.episodes + 1 < self.states - 2:
            raise InvalidArgumentError(
                f"states is {self.states} and episodes {self.episodes}; with at least {self.states - 3} episodes all "
                "rare states together are no likelier than one"
            )

    @property
    def bad_state(self) -> int:
        """The state below the cliff."""
        return self.states - 1

    def good_states(self) -> Floats:
        """(S,) probability of each state wherever the expert's action leads: the first of them is the frequent one."""
        shares = np.full(self.states, 1 / (self.episodes + 1))
        shares[self.bad_state] = 0.0
        shares[0] = 1 - shares[1:].sum()
        return shares

    def expert_actions(self) -> Integers:
        """(S, 2) the action that pays in each state, and the one that only leads on."""
        first = (7 * np.arange(self.states) + 3) % self.actions
        return np.stack([first, (first + 1) % self.actions], axis=1)

    def mdp(self) -> TabularMDP:
        """The world as matrices: 1 is paid for the expert's action in each good state, 0 for all else."""
        transitions = np.zeros((self.states, self.actions, self.states))
        transitions[..., self.bad_state] = 1.0
        rewards = np.zeros((self.states, self.actions))
        for state, leading_on in enumerate(self.expert_actions()):
            if state == self.bad_state and not self.ladder:
                continue
            for action in leading_on[: 2 if self.coin else 1]:
                transitions[state, action] = self.good_states()
            rewards[state, leading_on[0]] = float(state != self.bad_state)
        return TabularMDP(transitions, rewards, self.good_states(), self.horizon)

    def expert(self) -> Floats:
        """(H, S, A) the expert, as a policy."""
        policy = np.zeros((self.states, self.actions))
        for state, leading_on in enumerate(self.expert_actions()):
            taken = leading_on[: 2 if self.coin and state != self.bad_state else 1]
            policy[state, taken] = 1 / len(taken)
        return np.broadcast_to(policy, (self.horizon, *policy.shape))
