"""Action chunks: several actions predicted at once, and which is executed (Zhao et al. 2023, arXiv:2304.13705)."""

from __future__ import annotations

from typing import Literal

import numpy as np

Execution = Literal["receding", "averaged"]
EXECUTIONS: tuple[Execution, ...] = ("receding", "averaged")
"""What `PolicyConfig.chunk_execution` may say."""


class ChunkQueue:
    """The predictions that the next actions of a batch of episodes are taken from.

    - `receding`: the first `steps` actions of a chunk, one after another, then those of a new one;
    - `averaged`: the mean of what all chunks of the last K steps say of the present step. A chunk that is i steps old
      weighs exp(decay * i): the older ones weigh more, which keeps the action from jumping.

    Args:
        batch: episodes B.
        chunk: actions in a prediction K.
        execution: which rule.
        steps: receding: actions that are executed of each chunk.
        decay: averaged: how much more older predictions weigh.
    """

    def __init__(self, batch: int, chunk: int, execution: Execution, steps: int, decay: float) -> None:
        self._past = np.full((batch, chunk, chunk, 2), np.nan, dtype=np.float32)  # [b, i]: predicted i steps ago
        self._steps = steps
        self._age = np.full(batch, steps - 1)
        self._weights: np.ndarray | None = None
        if execution == "averaged":
            self._weights = np.exp(decay * np.arange(chunk, dtype=np.float32))[:, None]

    def next(self, chunks: np.ndarray) -> np.ndarray:
        """The actions to execute now.

        Args:
            chunks: (B, K, 2) float32, predicted now.

        Returns:
            (B, 2) float32.
        """
        self._past = np.concatenate((chunks[:, None], self._past[:, :-1]), axis=1)
        ages = np.arange(self._past.shape[1])
        said_of_now = self._past[:, ages, ages]
        if self._weights is None:
            self._age = np.where(self._age + 1 < self._steps, self._age + 1, 0)
            chosen: np.ndarray = said_of_now[np.arange(len(chunks)), self._age]
            return chosen
        weights = np.where(np.isnan(said_of_now), np.float32(0.0), self._weights)
        averaged: np.ndarray = np.nansum(said_of_now * weights, axis=1) / weights.sum(axis=1)
        return averaged

    def restart(self, index: np.ndarray) -> None:
        """Forget what was predicted for these episodes."""
        self._past[index] = np.nan
        self._age[index] = self._steps - 1
