"""Noise for heads that draw when they act: each episode of a batch has a generator, and so its own noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class EpisodeNoise:
    """Standard normal numbers for each episode of a batch, which follow from its seed and step alone.

    Args:
        generators: one for each episode.
        shape: of one episode's noise.
        kept: whether an episode keeps what it drew first.
    """

    def __init__(self, generators: Sequence[torch.Generator], shape: tuple[int, ...], kept: bool) -> None:
        self._generators = generators
        self._noise = torch.zeros(len(generators), *shape)
        self._kept = kept
        self._missing = np.ones(len(generators), dtype=bool)

    def next(self) -> Tensor:
        """Noise (B, *shape) of the next step."""
        for row in np.flatnonzero(self._missing).tolist():
            self._noise[row] = torch.randn(self._noise.shape[1:], generator=self._generators[row])
        self._missing[:] = not self._kept
        return self._noise

    def restart(self, index: np.ndarray) -> None:
        """Forget what these episodes drew."""
        self._missing[index] = True
