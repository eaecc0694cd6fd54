"""What ways of learning an embedding have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forestpilot.policies.embeddings import EmbedderConfig
from forestpilot.policies.embeddings.recordings import Recording, moments_of, stacks_at
from forestpilot.policies.networks.embedding import Embedding


class Embedder(ABC):
    """A way of learning; registered in `forestpilot.policies.embeddings.EMBEDDERS`.

    Args:
        config: its options.
        embedding: changed in place by whoever follows the loss.
    """

    Config: ClassVar[type[EmbedderConfig]]
    """Its options."""

    def __init__(self, config: EmbedderConfig, embedding: Embedding) -> None:
        self.config = config
        self.embedding = embedding

    @abstractmethod
    def require(self, recordings: Sequence[Recording]) -> None:
        """Raise DatasetError where nothing can be learned from these recordings."""

    @abstractmethod
    def loss(self, recordings: Sequence[Recording], rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """() what is to become small, of a batch, and figures by name, the same at every step.

        Args:
            recordings: what was seen.
            rng: draws the batch.
        """

    def moments(self, recording: Recording, pace: int = 1) -> NDArray[np.int64]:
        """Moments of a recording that can be embedded, at a pace: see `moments_of`."""
        return moments_of(recording, self.embedding.shape.frames, pace)

    def stacks(
        self,
        views: NDArray[np.uint8],
        moments: NDArray[np.int64],
        flip: bool,
        pace: int | NDArray[np.int64] = 1,
    ) -> Tensor:
        """(N, K, h, w, 3) uint8 the pictures of some moments, mirrored or not: see `stacks_at`."""
        stacks = stacks_at(views, moments, self.embedding.shape.frames, pace)
        return torch.from_numpy(np.ascontiguousarray(stacks[:, :, :, ::-1]) if flip else stacks)
