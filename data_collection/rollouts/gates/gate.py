"""What a gate is: it looks at every step, and says who needs help and where a label is wanted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.rollouts.pilots import Decision
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import PartConfig


@dataclass(frozen=True)
class GateConfig(PartConfig):
    """Options of a gate."""


@dataclass(frozen=True)
class RoundSoFar:
    """Facts that a gate may know of the round of episodes that it is for."""

    max_turn_rad: float
    """Turn of action 1, in radians."""
    control_hz: int
    """Actions per second."""
    share: float = 1.0
    """Share of the states at which help is affordable, 0 to 1; what is left of a label budget says it."""
    disagreement: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(n,) how far an ensemble's turns were apart at the states it came to lately, in radians."""


class Judgement(NamedTuple):
    """Answers of a gate about n episodes."""

    take: np.ndarray
    """(n,) bool: somebody should take over."""
    give: np.ndarray
    """(n,) bool: the helper may hand back."""
    ask: np.ndarray
    """(n,) bool: the expert should be asked, even if the learner drives."""


class Gate(ABC):
    """Decides of every step whether the learner needs help; subclasses are registered in `GATES`.

    Its class says what it needs, so that nobody asks for its name. A gate goes to worker processes: it is picklable,
    and keeps no memory of the episodes that it judges.

    Args:
        config: its options.
        so_far: the round that it is for.
    """

    Config: ClassVar[type[GateConfig]]
    """Its options."""
    helper: ClassVar[int] = ACTOR_EXPERT
    """Who takes over: `ACTOR_EXPERT`, `ACTOR_HUMAN`, or `ACTOR_POLICY` where nobody does."""
    needs_ensemble: ClassVar[bool] = False
    """True where it looks at how far several policies are apart."""
    needs_budget: ClassVar[bool] = False
    """True where it spends a number of labels that must be given."""
    takes_beta: ClassVar[bool] = False
    """True where the expert may also act by chance, with the probability beta."""
    spends_labels: ClassVar[bool] = True
    """True where a budget of labels can bound it."""
    judges: ClassVar[bool] = True
    """True where `judge` is asked at every step; otherwise the keys of a human say it, or every state is labelled."""

    def __init__(self, config: GateConfig, so_far: RoundSoFar) -> None:
        if not isinstance(config, self.Config):
            raise InvalidArgumentError(f"{type(self).__name__} takes {self.Config.__name__}, not {config!r}")

    @property
    def calm_steps(self) -> int:
        """Steps in a row that must be calm before the helper hands back."""
        return 1

    @abstractmethod
    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """Judge n episodes.

        Args:
            infos: of each episode, with the expert's answers.
            learner: what the learner would do.
            expert: (n, 2) what the expert would do.
        """

    @classmethod
    def needs_human(cls) -> bool:
        """True where a human has to be there."""
        return cls.helper == ACTOR_HUMAN

    @classmethod
    def helps(cls) -> bool:
        """True where somebody may take over."""
        return cls.helper != ACTOR_POLICY


def spread_rad(decision: Decision) -> np.ndarray:
    """(n,) standard deviation of an ensemble's turns in radians.

    Raises:
        InvalidArgumentError: a single policy decided.
    """
    if decision.disagreement is None:
        raise InvalidArgumentError("this gate looks at an ensemble's disagreement, and the learner is a single policy")
    return decision.disagreement


def steps_of(calm_s: float, control_hz: int) -> int:
    """Steps that a time takes, at least one."""
    return max(1, round(calm_s * control_hz))
