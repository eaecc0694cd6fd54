"""Rewards as sums of named terms: each is a function of one step of all environments, and each is logged by itself.

What learns from another reward brings other terms:

    class Novelty(RewardTerm):
        name = "novelty"

        def __call__(self, step: Step) -> NDArray[np.float32]:
            return self.model(step.before["views"], step.actions)

    rewards = Rewards([Novelty()])
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestpilot.policies.reinforcement.options import RewardConfig

FACTS = ("distance_left", "time_used", "clearance_m")
"""What only rewards and value networks are told: shares of the way and of the time, and metres to what stands or moves
along the last step."""
CLEARANCE = FACTS.index("clearance_m")
ENVIRONMENT_TERMS = ("reward_progress", "reward_crash", "reward_intervention", "success")
"""What environments tell of each step: the terms of their own reward, and 1 where the goal was reached."""


LogProb = Callable[[NDArray], NDArray]
"""From the actions (N, 2) of the step under way to how likely the learner tries them, (N,) logarithms."""


@dataclass(frozen=True)
class Step:
    """One step of N environments."""

    before: dict[str, NDArray]
    """What was observed, each (N, ...)."""
    actions: NDArray[np.float32]
    """(N, 2) what was done, in [-1, 1]."""
    after: dict[str, NDArray]
    """What was observed then: of an episode that ended its last observation, not the next one's first."""
    terms: dict[str, NDArray[np.float32]]
    """What the environments told, (N,) each, by the names in `ENVIRONMENT_TERMS`."""
    terminated: NDArray[np.bool_]
    """(N,) whether the episode ended by what happened in it."""
    truncated: NDArray[np.bool_]
    """(N,) whether its time ran out."""


class RewardTerm(ABC):
    """A term of a reward."""

    name: str
    """What it is logged under."""

    @abstractmethod
    def __call__(self, step: Step) -> NDArray[np.float32]:
        """(N,) the term, its weight included; it is asked for every step, in their order."""

    def begin(self) -> None:  # noqa: B027  (most remember nothing)
        """All environments begin anew."""

    def follow(self, log_prob: LogProb) -> None:  # noqa: B027  (most do not ask)
        """Who acts says from now on how likely it is to do what it does."""

    def state(self) -> dict[str, float]:
        """What it has learned and a run that goes on needs."""
        return {}

    def set_state(self, state: dict[str, float]) -> None:  # noqa: B027  (most learn nothing)
        """Go on with what `state` told."""


class Rewards:
    """The sum of some terms.

    Args:
        terms: by different names.
        scale: multiplies the sum that learners see; terms are logged without it.
    """

    def __init__(self, terms: Sequence[RewardTerm], scale: float = 1.0) -> None:
        self.terms = tuple(terms)
        self.scale = scale

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in their order."""
        return tuple(term.name for term in self.terms)

    def begin(self) -> None:
        """All environments begin anew."""
        for term in self.terms:
            term.begin()

    def follow(self, log_prob: LogProb) -> None:
        """See `RewardTerm.follow`."""
        for term in self.terms:
            term.follow(log_prob)

    def state(self) -> dict[str, dict[str, float]]:
        """What terms have learned, by their names."""
        return {term.name: term.state() for term in self.terms if term.state()}

    def set_state(self, state: Mapping[str, dict[str, float]]) -> None:
        """Go on with what `state` told."""
        for term in self.terms:
            if term.name in state:
                term.set_state(state[term.name])

    def __call__(self, step: Step) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The scaled sum (N,), and the terms (N, terms)."""
        terms = np.stack([term(step) for term in self.terms], axis=1).astype(np.float32)
        return (self.scale * terms.sum(1)).astype(np.float32), terms


class Told(RewardTerm):
    """What the environment tells, times a weight."""

    def __init__(self, name: str, told: str, weight: float) -> None:
        self.name = name
        self._told = told
        self._weight = weight

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """See `RewardTerm.__call__`."""
        return np.float32(self._weight) * step.terms[self._told]


class Constant(RewardTerm):
    """The same at every step."""

    def __init__(self, name: str, value: float) -> None:
        self.name = name
        self._value = value

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """See `RewardTerm.__call__`."""
        return np.full(len(step.actions), self._value, np.float32)


class Clearance(RewardTerm):
    """A potential that falls near what stands or moves, by the least distance along the last step."""

    name = "clearance"

    def __init__(self, weight: float, within_m: float, discount: float) -> None:
        self._weight = weight
        self._within_m = within_m
        self._discount = discount

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """See `RewardTerm.__call__`."""
        before = self._potential(step.before["facts"])
        after = self._potential(step.after["facts"])
        return shaping(before, after, step.terminated, self._discount)

    def _potential(self, facts: NDArray) -> NDArray[np.float32]:
        near = np.clip(1 - facts[:, CLEARANCE] / self._within_m, 0, 1)
        return (-self._weight * near).astype(np.float32)


def shaping(before: NDArray, after: NDArray, terminated: NDArray[np.bool_], discount: float) -> NDArray[np.float32]:
    """Potential-based shaping: discount * potential after - potential before (Ng, Harada & Russell 1999, theorem 1).

    Nothing is gained or lost by it over any episode but what its first state's potential is, so that whatever policy
    was best remains so. The potential of a state in which an episode has ended counts as zero.

    Args:
        before: (N,) potentials of the states that were left.
        after: (N,) of those that were reached.
        terminated: (N,) where the episode ended by what happened in it.
        discount: the learner's.
    """
    return (discount * np.where(terminated, 0, after) - before).astype(np.float32)


def environment_terms(config: RewardConfig, discount: float, control_hz: int) -> list[RewardTerm]:
    """The terms that a config names, those of weight 0 left out, except the environment's own, which are logged.

    Args:
        config: weights.
        discount: the learner's, for potentials.
        control_hz: steps per second.
    """
    terms: list[RewardTerm] = [
        Told("progress", "reward_progress", config.progress),
        Told("crash", "reward_crash", config.crash),
        Told("intervention", "reward_intervention", config.intervention),
    ]
    if config.success:
        terms.append(Told("success", "success", config.success))
    if config.time:
        terms.append(Constant("time", -config.time / control_hz))
    if config.clearance:
        terms.append(Clearance(config.clearance, config.clearance_within, discount))
    return terms
