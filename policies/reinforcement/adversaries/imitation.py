"""What rewards that compare a learner with an expert have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries import AdversaryConfig
from forestpilot.policies.reinforcement.adversaries.frames import Frames, expert_frames
from forestpilot.policies.reinforcement.learner import Learner
from forestpilot.policies.reinforcement.rewards import RewardTerm


@dataclass(frozen=True)
class Imitated:
    """Who learns from whom."""

    policy: VisuomotorPolicy
    """The learner's."""
    expert: Frames
    """What the expert saw and did."""
    method: Any
    """Options of the learner, a `LearnerConfig`."""
    seed: int
    """Of the run."""


class ImitationReward(RewardTerm):
    """The only term of a reward, which reads nothing of what the environment rewards.

    A subclass is made with its options and an `Imitated`.
    """

    Config: ClassVar[type[AdversaryConfig]]
    """Its options."""
    learners: ClassVar[tuple[str, ...]]
    """Names of the learners that it goes with, the usual one first."""

    @abstractmethod
    def __init__(self, config: Any, imitated: Imitated) -> None: ...

    @classmethod
    def require(cls, policy: VisuomotorPolicy) -> None:
        """Raise InvalidArgumentError, before any work, where a policy's parts do not go with this reward."""

    @classmethod
    def require_given(cls, config: Any, policy: VisuomotorPolicy) -> None:
        """Raise a ForestPilotError, before any work, where what its options name is not there or cannot be used."""

    @classmethod
    def expert(
        cls, config: Any, datasets: Sequence[Dataset], policy: VisuomotorPolicy, discount: float, room: int
    ) -> Frames:
        """What the learner is compared with: by default all frames that an expert or a human drove.

        Args:
            config: its options.
            datasets: the run's demonstrations.
            policy: whose views they are prepared for.
            discount: per step.
            room: bytes of memory that they may take.

        Raises:
            DatasetError: there is nothing to compare with.
        """
        return expert_frames(datasets, policy, discount, room)

    def join(self, learner: Learner) -> None:
        """The learner that is rewarded is made."""

    @abstractmethod
    def begin_round(self, round_number: int) -> None:
        """From the next beginning on, all that is drawn follows from the seed and the number of the round."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write all it knows into a folder."""

    @classmethod
    @abstractmethod
    def require_whole(cls, folder: Path) -> None:
        """Raise CheckpointError where `load` could not read what lies in a folder."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged.
        """


def discount_of(method: Any) -> float:
    """What a reward one step later is worth to a learner, by its options."""
    discount: float = method.discount
    return discount
