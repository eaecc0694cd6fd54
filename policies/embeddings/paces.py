"""What keeps speed in an embedding: heads that tell it from what the trunk of changes read of a stack.

`PaceHead` needs nobody's label. The same moments are shown with their pictures one step apart or more, so that one
knows how many times as fast one stack is as another (as in Benaim et al. 2020, arXiv:2004.06130). Neither a place nor a
world has a pace, so all moments of an episode that are near in time, and hence about as fast, are asked together.
`OdometryHead` tells an element of the state, which the vehicle measured while it was filmed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forestpilot.data_collection.episodes.dataset import DatasetError
from forestpilot.policies.embeddings.embedder import relit
from forestpilot.policies.embeddings.options import MultiViewConfig
from forestpilot.policies.embeddings.recordings import Recording, moments_of, stacks_at
from forestpilot.policies.networks.embedding import Embedding

TOGETHER = 8
"""Stacks of an episode that are asked together."""
NEAR = 10
"""Steps within which these lie of one another, to either side of one of them."""
LEAST_SPREAD = 1e-3
"""Of what odometry tells, in its own unit."""


class PaceHead(nn.Module):
    """Tells the logarithm of the pace of stacks, apart from what all stacks of an episode have in common.

    Args:
        config: how many stacks, and up to which pace.
        embedding: whose trunk of changes reads them.
    """

    def __init__(self, config: MultiViewConfig, embedding: Embedding) -> None:
        super().__init__()
        self._config = config
        self.tell = nn.Linear(embedding.shape.features, 1)

    def loss(self, embedding: Embedding, recordings: Sequence[Recording], rng: np.random.Generator) -> Tensor:
        """() variance that is left of the logarithm of the pace among stacks of an episode; 0 where all are short."""
        config = self._config
        stacks, paces = [], []
        for number in rng.integers(len(recordings), size=max(1, config.clips // TOGETHER)):
            recording = recordings[number]
            there = moments_of(recording, embedding.shape.frames, config.paces)
            if len(there) < 2:
                continue
            around = rng.integers(len(there)) + rng.integers(-NEAR, NEAR + 1, size=TOGETHER)
            drawn = rng.integers(1, config.paces + 1, size=TOGETHER)
            moments = there[np.clip(around, 0, len(there) - 1)]
            flip = config.flip and bool(rng.integers(2))
            stacks.append(_seen(recording, moments, drawn, embedding.shape.frames, flip, rng))
            paces.append(np.log(drawn))
        if not stacks:
            return torch.zeros(())
        told = self.tell(embedding.motion(_lit(stacks, config.jitter, rng)))[:, 0].view(len(stacks), TOGETHER)
        left = told - torch.from_numpy(np.stack(paces).astype(np.float32))
        return (left - left.mean(1, keepdim=True)).square().mean()


class OdometryHead(nn.Module):
    """Tells an element of the state from stacks of one view.

    Args:
        config: which element, and how many stacks.
        embedding: whose trunk of changes reads them.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: MultiViewConfig, embedding: Embedding) -> None:
        super().__init__()
        self._config = config
        self.tell = nn.Linear(embedding.shape.features, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def require(self, recordings: Sequence[Recording]) -> None:
        """Measure what is told by its mean and spread.

        Raises:
            DatasetError: the state has no such element.
        """
        names = recordings[0].state_names
        if self._config.odometry not in names:
            raise DatasetError(
                f"embedder.odometry is {self._config.odometry!r}, and the state of these recordings has "
                f"{', '.join(names) or 'no names'}"
            )
        self._column = names.index(self._config.odometry)
        values = np.concatenate([recording.state[:, self._column] for recording in recordings]).astype(np.float64)
        self.mean.fill_(float(values.mean()))
        self.spread.fill_(max(float(values.std()), LEAST_SPREAD))

    def loss(self, embedding: Embedding, recordings: Sequence[Recording], rng: np.random.Generator) -> Tensor:
        """() squared error in units of the spread."""
        frames = embedding.shape.frames
        stacks, values = [], []
        for number in rng.integers(len(recordings), size=self._config.clips):
            recording = recordings[number]
            there = moments_of(recording, frames)
            if len(there):
                moments = rng.choice(there, size=1)
                flip = self._config.flip and bool(rng.integers(2))
                stacks.append(_seen(recording, moments, 1, frames, flip, rng))
                values.append(
                    recording.state[moments, self._column] * (recording.state_mirror[self._column] if flip else 1)
                )
        if not stacks:
            return torch.zeros(())
        told = self.tell(embedding.motion(_lit(stacks, self._config.jitter, rng)))[:, 0]
        wanted = (torch.from_numpy(np.concatenate(values).astype(np.float32)) - self.mean) / self.spread
        return (told - wanted).square().mean()


def _seen(
    recording: Recording,
    moments: NDArray[np.int64],
    pace: int | NDArray[np.int64],
    frames: int,
    flip: bool,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Stacks of one of a recording's views, mirrored or not."""
    views = recording.views[str(rng.choice(sorted(recording.views)))]
    stacks = stacks_at(views, moments, frames, pace)
    return stacks[:, :, :, ::-1] if flip else stacks


def _lit(stacks: list[NDArray[np.uint8]], jitter: float, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(relit(np.concatenate(stacks), jitter, rng)))
