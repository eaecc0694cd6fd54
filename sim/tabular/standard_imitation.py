"""Standard Imitation: the world in which matching what the expert visits is hardest.

Every state is absorbing: an episode stays where it began, whatever is done, and only the expert's action pays. What a
policy does in a state changes nothing of where it will be, so nothing binds it to go on as the expert did once it does
so as often as the demonstrations have it. These show a state a little too often or too seldom by chance; where too
seldom, a learner that matches them may do anything for the rest, although it has seen what the expert does there.
So its gap is about H sqrt(|S| / N), while cloning errs only where it has seen nothing (Xu, Li & Yu 2021, "On
Generalization of Adversarial Imitation Learning and Beyond", arXiv 2106.10424).

In the paper all states are equally likely. With `rare` states some are as hard for cloning as can be, as on the
`ResetCliff`: each is begun in with the probability 1 / (N + 1), and the others share what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.tabular.mdp import Floats, TabularMDP

EXPERT_ACTION = 0
"""What the expert does everywhere."""


@dataclass(frozen=True)
class StandardImitation:
    """A world of absorbing states."""

    states: Annotated[int, Range(2, 1000)] = 8
    """|S|."""
    actions: Annotated[int, Range(2, 10_000)] = 500
    """|A|."""
    horizon: Annotated[int, Range(1, 10_000)] = 40
    """H, steps of an episode."""
    episodes: Annotated[int, Range(1, 1_000_000_000)] = 1000
    """N, the number of episodes against which rare states are as hard as can be."""
    rare: Annotated[int, Range(0, 1000)] = 0
    """How many states are rare; the others are equally likely."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.rare >= self.states or self.rare > self.episodes:
            raise InvalidArgumentError(
                f"rare is {self.rare}, states {self.states} and episodes {self.episodes}; fewer states must be rare "
                "than there are, and no more than there are episodes"
            )

    def shares(self) -> Floats:
        """(S,) probability of each state, at every step; the last ones are rare."""
        shares = np.full(self.states, 1 / (self.episodes + 1))
        common = self.states - self.rare
        shares[:common] = (1 - shares[common:].sum()) / common
        return shares

    def mdp(self) -> TabularMDP:
        """The world as matrices: 1 is paid for the expert's action, 0 for all else."""
        stays = np.eye(self.states)[:, None]
        transitions = np.broadcast_to(stays, (self.states, self.actions, self.states))
        rewards = np.zeros((self.states, self.actions))
        rewards[:, EXPERT_ACTION] = 1.0
        return TabularMDP(transitions, rewards, self.shares(), self.horizon)

    def expert(self) -> Floats:
        """(H, S, A) the expert, as a policy."""
        policy = np.zeros((self.horizon, self.states, self.actions))
        policy[..., EXPERT_ACTION] = 1.0
        return policy
