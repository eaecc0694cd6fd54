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
from forestpilot.policies.embeddings.paces import OdometryHead, PaceHead
from forestpilot.policies.embeddings.recordings import Recording
from forestpilot.policies.networks.embedding import Embedding

HEADS_SEED = 0
"""Of the first weights of heads."""


class MultiView(Embedder):
    """The same moment from two views attracts."""

    Config = MultiViewConfig
    config: MultiViewConfig

    def __init__(self, config: MultiViewConfig, embedding: Embedding) -> None:
        super().__init__(config, embedding)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(HEADS_SEED)
            if config.paces > 1 and embedding.shape.frames > 1:
                self.heads["pace"] = PaceHead(config, embedding)
            if config.odometry:
                self.heads["odometry"] = OdometryHead(config, embedding)

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
        for head in self.heads.values():
            if isinstance(head, OdometryHead):
                head.require(recordings)

    def loss(self, recordings: Sequence[Recording], rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """See `Embedder.loss`: stacks against stacks, single pictures against single pictures, and what heads tell."""
        config = self.config
        sides: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
        for number in rng.integers(len(recordings), size=config.episodes):
            recording = recordings[number]
            there = self.moments(recording)
            moments = rng.choice(there, size=min(config.moments, len(there)), replace=False)
            pair = rng.choice(sorted(recording.views), size=2, replace=False)
            flip = config.flip and bool(rng.integers(2))
            for side, view in zip(sides, pair, strict=True):
                side.append(self.stacks(recording.views[view], moments, flip))
        stacked, single = self.embed(*sides, config.jitter, rng)
        loss = contrast(config, *stacked) + contrast(config, *single)
        figures = {"found": found(*stacked)}
        for name, head in self.heads.items():
            told: Tensor = head.loss(self.embedding, recordings, rng)  # type: ignore[operator]
            figures[name] = float(told.detach())
            loss = loss + told
        return loss, {"loss": float(loss.detach()), **figures}
