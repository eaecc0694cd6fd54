"""An embedding of pictures: what is in a picture, whoever's camera took it, as a point on a sphere.

A trunk reads each picture by itself. One layer makes a point of what it read of one picture; another joins what it read
of a few in a row, for a speed is seen across pictures only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.config import ViewConfig
from forestpilot.policies.networks.encoders.base import EncoderShape
from forestpilot.policies.networks.encoders.options import EmbeddingShape, PatchConfig
from forestpilot.policies.networks.encoders.patch import PatchEncoder


class FrameEmbedding(nn.Module):
    """Embeds pictures one by one.

    Args:
        shape: its sizes.
        view: what it sees.
    """

    def __init__(self, shape: EmbeddingShape, view: ViewConfig) -> None:
        super().__init__()
        of_picture = EncoderShape(view.height, view.width, num_cameras=1, num_inputs=0, features=shape.features)
        self.trunk = PatchEncoder(PatchConfig(channels=shape.channels), of_picture)
        self.point = nn.Linear(shape.features, shape.size)

    def read(self, views: Tensor) -> Tensor:
        """What the trunk reads, (N, F) float32, of views (N, h, w, 3) uint8."""
        features: Tensor = self.trunk(views[:, None], views.new_zeros((len(views), 0), dtype=torch.float32))
        return features

    def forward(self, views: Tensor) -> Tensor:
        """Points (N, D) float32 of length one, of views (N, h, w, 3) uint8."""
        return nn.functional.normalize(self.point(self.read(views)), dim=-1)


class Embedding(nn.Module):
    """Embeds pictures, and stacks of pictures in a row.

    Args:
        shape: its sizes.
        view: what it sees.
    """

    def __init__(self, shape: EmbeddingShape, view: ViewConfig) -> None:
        super().__init__()
        self.shape = shape
        self.view = view
        self.frame = FrameEmbedding(shape, view)
        self.join = nn.Sequential(
            nn.Linear(shape.frames * shape.features, shape.features),
            nn.ReLU(),
            nn.Linear(shape.features, shape.size),
        )

    @classmethod
    def seeded(cls, shape: EmbeddingShape, view: ViewConfig, seed: int) -> Embedding:
        """A new one whose first weights follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(shape, view)

    def forward(self, stacks: Tensor) -> tuple[Tensor, Tensor]:
        """Embed stacks, and the last picture of each.

        Args:
            stacks: (N, K, h, w, 3) uint8, oldest first.

        Returns:
            points of the stacks and of their last pictures, (N, D) float32 each, of length one.
        """
        number, frames = stacks.shape[:2]
        read = self.frame.read(stacks.flatten(0, 1)).view(number, frames, -1)
        of_last = nn.functional.normalize(self.frame.point(read[:, -1]), dim=-1)
        return nn.functional.normalize(self.join(read.flatten(1)), dim=-1), of_last
