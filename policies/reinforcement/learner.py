"""Learner: what reinforcement learners have in common.

A learner is one file: options (a subclass of `LearnerConfig`, in `options`), a subclass of `Learner`, and a line in
`LEARNERS`. It is made anew in every process that goes on with a run, and between two rounds all that it knows is what
`save` writes: killed and resumed equals uninterrupted as long as `begin` and `load` leave nothing of what was before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement import LearnerConfig
from forestpilot.policies.reinforcement.envs import ForestVecEnv

Watch = Callable[[int, Mapping[str, float]], None]
"""Is told how many steps were done since it was told last, and figures of an update where there was one."""


@dataclass(frozen=True)
class Start:
    """What a learner begins with."""

    policy: VisuomotorPolicy
    """What learns, in place."""
    is_given: bool
    """Whether its weights were learned before, so that they are not to be lost."""
    seed: int
    """Seed of the run."""
    demonstrations: tuple[Dataset, ...] = ()
    """Datasets that the run was given or has recorded; none is empty."""


class Learner(ABC):
    """Improves a policy by rewards.

    Args:
        start: the policy.
        config: options.
        envs: where it acts; they say what is rewarded.

    Raises:
        InvalidArgumentError: the policy's parts do not go with this learner; the message says which do.
    """

    Config: ClassVar[type[LearnerConfig]]
    """Its options."""

    def __init__(self, start: Start, config: Any, envs: ForestVecEnv) -> None:
        self.policy = start.policy
        self.config = config
        self.envs = envs
        self.seed = start.seed

    @classmethod
    @abstractmethod
    def require(cls, policy: VisuomotorPolicy, config: Any) -> None:
        """Raise InvalidArgumentError, before any work, where a policy's parts do not go with this learner."""

    @classmethod
    @abstractmethod
    def environments(cls, config: Any) -> int:
        """Environments side by side that it wants."""

    @abstractmethod
    def learn(self, steps: int, round_number: int, left: float, watch: Watch) -> None:
        """Learn from at least so many further steps of all environments together.

        Args:
            steps: how many.
            round_number: of the round, from which with the seed everything follows that is drawn.
            left: share of the run that is left when it begins, 1 to 0, for rates that fall.
            watch: who is told of it.
        """

    @abstractmethod
    def log_prob(self, actions: NDArray) -> NDArray:
        """How likely it tried the actions (N, 2) of the step under way, (N,) logarithms."""

    @classmethod
    @abstractmethod
    def std_of(cls, config: Any, is_given: bool) -> float:
        """Standard deviation with which it explores at first.

        Args:
            config: its options.
            is_given: whether the policy was learned before.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write all it knows besides the policy: a folder of its own, which is whole once the round's policy is."""

    @classmethod
    @abstractmethod
    def require_whole(cls, folder: Path) -> None:
        """Raise CheckpointError where `load` could not read what lies in a folder."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what `save` wrote; the policy's own weights are there already.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
