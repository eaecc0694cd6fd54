"""Method: what a run of few labels makes of the episodes that have none."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.policies.algorithms.semi import MethodConfig
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy

if TYPE_CHECKING:
    from forestpilot.policies.training.batches import Objective


@dataclass(frozen=True)
class Setting:
    """What a method is told of its run."""

    policy: VisuomotorPolicy
    """Whose shape and task matter; its weights are nobody's."""
    share: float
    """Share of the windows of a gradient step that come from what has no labels."""
    seed: int
    """Of the run."""
    most_bytes: int
    """Bound of the memory that frames may take."""
    progress: Progress
    """Who watches."""


@dataclass(frozen=True)
class Given:
    """What a method has in a round."""

    round: int
    """Number of the round."""
    folder: Path
    """Where it keeps what it has learned; what is there, of a round that was interrupted, is gone on with."""
    labelled: Sequence[Dataset]
    """Episodes with labels."""
    beside: Sequence[Dataset]
    """Episodes without."""

    @property
    def first_folder(self) -> Path:
        """That of round 0."""
        return round_folder(self.folder.parents[2], 0) / self.folder.name

    @property
    def labelled_episodes(self) -> list[EpisodeHeader]:
        """Those with labels, one after the other."""
        return [header for dataset in self.labelled for header in dataset.episodes if header.num_labels]


ConfigT = TypeVar("ConfigT", bound=MethodConfig)


class Method(ABC, Generic[ConfigT]):
    """What is made of the episodes that have no labels. Subclasses are registered in `SEMI_METHODS`.

    Args:
        config: its options.
        setting: what it is told of its run.
    """

    Config: ClassVar[type[MethodConfig]]
    """Its options."""
    learns_beside: ClassVar[bool] = True
    """Whether the policy is fitted to windows of what has no labels."""
    reads: ClassVar[tuple[str, ...]] = ()
    """Observations that it reads besides what the policy does."""

    def __init__(self, config: ConfigT, setting: Setting) -> None:
        self.config = config
        self.setting = setting

    def learn(self, given: Given) -> dict[str, float]:
        """Learn what comes before the policy is fitted, or find it in `given.folder`; returns figures by name."""
        return {}

    def actions_of(self, video: Episode) -> NDArray[np.float32]:
        """(T, 2) what the policy is to learn from a video, whose actions were taken away, if it had any; by default
        zeros, for methods that learn something else."""
        return np.zeros((video.num_steps, 2), np.float32)

    def begin(self, policy: VisuomotorPolicy) -> None:
        """Change the first weights of a new policy."""

    def objective(self) -> Objective | None:
        """What is learned; None for labels, by the head's own loss."""
        return None

    def table(self, given: Given) -> list[dict[str, Any]]:
        """Rows of a table that says what it found, written beside what it has learned; empty for none."""
        return []
