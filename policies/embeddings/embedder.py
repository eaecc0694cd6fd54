"""What ways of learning an embedding have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
        self.heads = nn.ModuleDict()
        """What learns beside the embedding and is forgotten afterwards, by name."""

    @property
    def learner(self) -> nn.Module:
        """All that learns: the embedding, then the heads."""
        return nn.ModuleList([self.embedding, self.heads])

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
    ) -> NDArray[np.uint8]:
        """(N, K, h, w, 3) the pictures of some moments, mirrored or not: see `stacks_at`."""
        stacks = stacks_at(views, moments, self.embedding.shape.frames, pace)
        return stacks[:, :, :, ::-1] if flip else stacks

    def embed(
        self, first: list[NDArray[np.uint8]], second: list[NDArray[np.uint8]], jitter: float, rng: np.random.Generator
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Points of two sides' stacks, and points of their last pictures: (first, second) of each.

        Args:
            first: stacks, some of each episode.
            second: as many, those that belong to them.
            jitter: see `relit`.
            rng: draws.
        """
        number = sum(map(len, first))
        stacks = relit(np.concatenate([*first, *second]), jitter, rng)
        stacked, single = self.embedding(torch.from_numpy(np.ascontiguousarray(stacks)))
        return (stacked[:number], stacked[number:]), (single[:number], single[number:])


def relit(stacks: NDArray[np.uint8], jitter: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Stacks (N, K, h, w, 3), each in another light: all its pictures in the same.

    Args:
        stacks: left as they are.
        jitter: contrast is multiplied by e to the power of at most this, or divided; the mean moves a quarter of it.
        rng: draws.
    """
    if not jitter:
        return stacks
    contrast, light = rng.uniform(-jitter, jitter, (2, len(stacks), 1, 1, 1, 1)).astype(np.float32)
    mean = stacks.mean((1, 2, 3, 4), keepdims=True, dtype=np.float32)
    lit = (stacks - mean) * np.exp(contrast) + mean * np.exp(0.25 * light)
    return np.clip(lit, 0, 255).astype(np.uint8)
