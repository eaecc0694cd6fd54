"""What ways of learning inside a model of the world have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.policies.training.resumable import Resumable
from forestpilot.policies.world_models.base import Carry, WorldModel
from forestpilot.policies.world_models.dreams import DreamerConfig
from forestpilot.policies.world_models.dreams.policy import DreamPolicy
from forestpilot.policies.world_models.seen import Seen
from forestpilot.policies.world_models.sequences import Sequences, observed_along


class Moments(NamedTuple):
    """Moments of B flights, true or imagined."""

    carry: Carry
    """What a model believes there."""
    last_turn: Tensor
    """(B,) what was done before, from -1 to 1."""

    @classmethod
    def joined(cls, parts: Sequence[Moments]) -> Moments:
        """All moments of some, in their order."""
        carry = Carry(*(torch.cat(each) for each in zip(*(moments.carry for moments in parts))))
        return cls(carry, torch.cat([moments.last_turn for moments in parts]))

    def at(self, rows: Tensor | slice) -> Moments:
        """Some of them."""
        return Moments(Carry(*(part[rows] for part in self.carry)), self.last_turn[rows])


class Starts:
    """Moments of recorded flights, as a model believes them that was told what was seen.

    Args:
        model: in evaluation mode.
        episodes: the flights.
    """

    def __init__(self, model: WorldModel, episodes: Sequence[Seen]) -> None:
        self._model = model
        self._sequences = Sequences(model, episodes)

    @torch.no_grad()
    def draw(self, count: int, rng: np.random.Generator) -> Moments:
        """So many moments from anywhere.

        Raises:
            DatasetError: no episode is long enough for the model to be told of it.
        """
        windows = self._sequences.draw(count, self._model.context, rng)
        first, *later = observed_along(self._model, windows)
        carry = self._model.start(first)
        for step, observed in enumerate(later):
            carry = self._model.correct(self._model.advance(carry, windows.actions[:, step]), observed)
        return Moments(carry, windows.actions[:, -1, 0].clamp(-1, 1))


class Dreamer(Resumable):
    """A way of learning; registered in `forestpilot.policies.world_models.dreams.DREAMERS`.

    Args:
        config: its options.
        model: the world; in evaluation mode.
        policy: changed in place.
        starts: where imagination begins.
    """

    Config: ClassVar[type[DreamerConfig]]
    """Its options."""

    def __init__(self, config: DreamerConfig, model: WorldModel, policy: DreamPolicy, starts: Starts) -> None:
        self.model = model
        self.policy = policy
        self.starts = starts
        self.optimizer = torch.optim.Adam(policy.parameters())

    @property
    @abstractmethod
    def steps(self) -> int:
        """Gradient steps of a round."""

    @property
    @abstractmethod
    def work(self) -> int:
        """How much there is to do in a round, as progress counts it."""

    @abstractmethod
    def learn(self, round_number: int, rng: np.random.Generator, stage: Stage) -> dict[str, float]:
        """A round; returns figures by name, the same in every round, `loss` among them.

        Args:
            round_number: its number.
            rng: draws; follows from seed and round.
            stage: is told what is done of `work`.
        """

    def parts(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """The policy."""
        return {"policy": (self.policy, self.optimizer)}
