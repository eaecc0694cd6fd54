"""Single-view time-contrastive networks (Sermanet et al. 2018, arXiv:1704.06888, section III-B).

Moments of one view that are a few steps apart attract, those that are farther apart repel. No two cameras need to have
seen the same moment; nothing then says that two views of it are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forestpilot.data_collection.episodes.dataset import DatasetError
from forestpilot.policies.embeddings.contrast import contrast, found
from forestpilot.policies.embeddings.embedder import Embedder
from forestpilot.policies.embeddings.options import SingleViewConfig
from forestpilot.policies.embeddings.recordings import Recording
from forestpilot.policies.networks.embedding import Embedding


class SingleView(Embedder):
    """Moments of one view that are near in time attract."""

    Config = SingleViewConfig
    config: SingleViewConfig

    def __init__(self, config: SingleViewConfig, embedding: Embedding) -> None:
        super().__init__(config, embedding)

    def require(self, recordings: Sequence[Recording]) -> None:
        """See `Embedder.require`: one is to be longer than `far`."""
        if not any(len(self.moments(recording)) > self.config.far for recording in recordings):
            raise DatasetError(
                f"no recording has two moments that are {self.config.far} steps apart; give a smaller --embedder.far, "
                "or longer episodes"
            )

    def loss(self, recordings: Sequence[Recording], rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """See `Embedder.loss`: stacks against stacks, and single pictures against single pictures."""
        config = self.config
        anchors: list[NDArray[np.uint8]] = []
        near: list[NDArray[np.uint8]] = []
        places: list[np.ndarray] = []
        for number in rng.integers(len(recordings), size=config.episodes):
            recording = recordings[number]
            there = self.moments(recording)
            moments = rng.choice(there, size=min(config.moments, len(there)), replace=False)
            steps = rng.integers(1, config.near + 1, size=len(moments)) * rng.choice((-1, 1), size=len(moments))
            beside = np.clip(moments + steps, there[0], there[-1])
            view = recording.views[str(rng.choice(sorted(recording.views)))]
            flip = config.flip and bool(rng.integers(2))
            anchors.append(self.stacks(view, moments, flip))
            near.append(self.stacks(view, beside, flip))
            places.append(np.stack([np.full(len(moments), number), moments, beside], axis=1))
        stacked, single = self.embed(anchors, near, config.jitter, rng)
        left_out = torch.from_numpy(_too_near(np.concatenate(places), config.far))
        loss = contrast(config, *stacked, left_out)
        loss = loss + contrast(config, *single, left_out)
        figures = {"loss": float(loss.detach()), "found": found(*stacked)}
        return loss, figures


def _too_near(places: np.ndarray, far: int) -> np.ndarray:
    """(N, N) bool: anchors and others of the same episode that are fewer than `far` steps apart; not of a row with
    itself.

    Args:
        places: (N, 3) episode, moment of the anchor, moment of what belongs to it.
        far: steps.
    """
    episode, anchor, beside = places.T
    near: np.ndarray = (episode[:, None] == episode) & (np.abs(anchor[:, None] - beside) < far)
    np.fill_diagonal(near, False)
    return near
