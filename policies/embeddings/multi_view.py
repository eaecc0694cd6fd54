"""Multi-view time-contrastive networks (Sermanet et al. 2018, arXiv:1704.06888, section III-A).

Two cameras saw the same moment: its two points attract. Other moments of the same episode look alike, and repel; the
nearer they are in time, the harder they are to tell apart. So what stays is what changes in time and not with the
camera.
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
from forestpilot.policies.embeddings.options import OWN_VIEW, MultiViewConfig
from forestpilot.policies.embeddings.recordings import Recording
from forestpilot.policies.networks.embedding import Embedding


class MultiView(Embedder):
    """The same moment from two views attracts."""

    Config = MultiViewConfig
    config: MultiViewConfig

    def __init__(self, config: MultiViewConfig, embedding: Embedding) -> None:
        super().__init__(config, embedding)

    def require(self, recordings: Sequence[Recording]) -> None:
        """See `Embedder.require`: each is to have two views at least, and as many moments as a step looks at."""
        for recording in recordings:
            if len(recording.views) < 2:
                raise DatasetError(
                    f"world {recording.seed} was seen by {OWN_VIEW} alone; record it by two cameras: collect "
                    "--viewpoint chase"
                )
        if not any(len(self.moments(recording)) >= 2 for recording in recordings):
            raise DatasetError("no recording is long enough to tell two of its moments apart")

    def loss(self, recordings: Sequence[Recording], rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """See `Embedder.loss`: stacks against stacks, and single pictures against single pictures."""
        config = self.config
        sides: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
        firsts = []
        for number in rng.integers(len(recordings), size=config.episodes):
            recording = recordings[number]
            moments, paces = self._moments(recording, rng)
            pair = rng.choice(sorted(recording.views), size=2, replace=False)
            flip = config.flip and bool(rng.integers(2))
            for side, view in zip(sides, pair, strict=True):
                side.append(self.stacks(recording.views[view], moments, flip, paces))
            firsts.append(np.arange(len(moments)) < len(np.unique(moments)))
        stacked, single = self.embed(*sides, config.jitter, rng)
        loss = contrast(config, *stacked)
        if self.embedding.shape.frames > 1:
            once = torch.from_numpy(np.concatenate(firsts))
            loss = loss + contrast(config, single[0][once], single[1][once])
        figures = {"loss": float(loss.detach()), "found": found(*stacked)}
        return loss, figures

    def _moments(self, recording: Recording, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Moments of a recording, and the paces at which they are shown: each moment once, then again at another pace,
        where stacks have one."""
        config = self.config
        several = config.paces > 1 and self.embedding.shape.frames > 1
        there = self.moments(recording, config.paces if several else 1)
        if several and len(there) < 2:  # too short to be shown faster
            several, there = False, self.moments(recording)
        count = min(config.moments // 2 if several else config.moments, len(there))
        moments = rng.choice(there, size=count, replace=False)
        if not several:
            return moments, np.ones(count, np.int64)
        paces = np.stack([rng.choice(config.paces, size=2, replace=False) for _ in range(count)], axis=1) + 1
        return np.tile(moments, 2), paces.reshape(-1)
