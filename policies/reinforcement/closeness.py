"""Terms of a reward that hold on to the policy that learning began with."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.actor_critic import Actor, previous_turn
from forestpilot.policies.reinforcement.rewards import LogProb, RewardTerm, Step

FIRST_PRICE = 0.1
"""Metres of progress that a nat costs at first."""
LOOK_EVERY = 64
"""Steps of every environment between two looks at how far the policy has gone."""
PRICE_RATE = 0.2
"""Most that the logarithm of the price changes by at a look."""


class Likeness(RewardTerm):
    """`weight` times log pi(a|s) of the policy that learning began with.

    Args:
        policy: that policy; it is copied.
        std: how far it strays, as the learner does at first.
        weight: metres of progress per nat.
    """

    name = "shaping"

    def __init__(self, policy: VisuomotorPolicy, std: float, weight: float) -> None:
        self._clone = Clone(policy, std)
        self._weight = weight

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """See `RewardTerm.__call__`."""
        return np.float32(self._weight) * self._clone.log_prob(step)

    def begin(self) -> None:
        """See `RewardTerm.begin`."""
        self._clone.begin()


class Closeness(RewardTerm):
    """A price on the divergence from the policy that learning began with, which holds its mean where it is wanted.

    The term is -price * (log pi(a|s) - log clone(a|s)), whose mean is -price * KL(pi, clone); the price goes up while
    that mean is above what is wanted, and down while it is below (Ziegler et al. 2019, arXiv:1909.08593, section 2.2).

    Args:
        policy: the policy that learning begins with; it is copied.
        std: how far it strays, as the learner does at first.
        wanted: mean divergence, nats a step.
    """

    name = "keep_close"

    def __init__(self, policy: VisuomotorPolicy, std: float, wanted: float) -> None:
        self._clone = Clone(policy, std)
        self._wanted = wanted
        self._log_prob: Callable[[NDArray], NDArray] | None = None
        self._price = FIRST_PRICE
        self._seen: list[float] = []

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """See `RewardTerm.__call__`."""
        assert self._log_prob is not None, "follow() says who acts"
        apart = self._log_prob(step.actions) - self._clone.log_prob(step)
        self._seen.append(float(apart.mean()))
        price = self._price
        if len(self._seen) == LOOK_EVERY:
            off = np.clip(np.mean(self._seen) / self._wanted - 1, -1, 1)
            self._price = price * math.exp(PRICE_RATE * off)
            self._seen = []
        return (-price * apart).astype(np.float32)

    def begin(self) -> None:
        """See `RewardTerm.begin`."""
        self._clone.begin()
        self._seen = []

    def follow(self, log_prob: LogProb) -> None:
        """See `RewardTerm.follow`."""
        self._log_prob = log_prob

    def state(self) -> dict[str, float]:
        """The price."""
        return {"price": self._price}

    def set_state(self, state: dict[str, float]) -> None:
        """Go on with a price."""
        self._price = state["price"]


class Clone:
    """A policy that does not learn any more, and says how likely it would do what is done.

    Args:
        policy: is copied.
        std: how far it strays.
    """

    def __init__(self, policy: VisuomotorPolicy, std: float) -> None:
        self._actor = Actor(copy.deepcopy(policy), std).requires_grad_(False).eval()
        self._memory: tuple[torch.Tensor, ...] = ()

    def begin(self) -> None:
        """All environments begin anew."""
        self._memory = ()

    @torch.no_grad()
    def log_prob(self, step: Step) -> NDArray[np.float32]:
        """(N,) logarithms; steps are to be told in their order, for its memory follows the episodes."""
        seen = {name: torch.from_numpy(value) for name, value in step.before.items()}
        policy = self._actor.policy
        if not self._memory:
            self._memory = policy.memory.initial(len(step.actions))
        features, self._memory = policy.memory(self._actor.encode(seen)[:, None], self._memory)
        over = torch.from_numpy(step.terminated | step.truncated)
        for tensor in self._memory:
            tensor[over] = 0
        prediction = policy.head(features)[:, 0]
        actions = torch.from_numpy(step.actions)
        found: NDArray[np.float32] = self._actor.explorer.log_prob(prediction, actions, previous_turn(seen)).numpy()
        return found
