"""An embedding of pictures: what is in a picture, whoever's camera took it, as a point on a sphere.

A trunk reads a picture, and a layer makes a point of what it read. Another trunk reads how a few pictures in a row
change, for speed is seen across pictures only; what both read together is the point of the stack.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.config import ViewConfig
from forestpilot.policies.networks.encoders.base import EncoderShape, as_images
from forestpilot.policies.networks.encoders.options import EmbeddingShape, PatchConfig
from forestpilot.policies.networks.encoders.patch import PatchEncoder
from forestpilot.policies.networks.encoders.stacked import motion_convolutions

LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue (ITU-R BT.601)."""


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


class MotionTrunk(nn.Module):
    """Reads how the pictures of a stack change into the last one: their differences, all at once.

    Motion is a pixel or two from picture to picture, which features of one picture at a time do not keep. It is seen
    without colours.

    Args:
        shape: sizes.
        view: what it sees.
    """

    def __init__(self, shape: EmbeddingShape, view: ViewConfig) -> None:
        super().__init__()
        self.convolutions = motion_convolutions(shape.frames, shape.channels)
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, shape.frames, view.height, view.width)).numel()
        self.join = nn.Linear(flat, shape.features)

    def forward(self, stacks: Tensor) -> Tensor:
        """(N, K, h, w, 3) uint8 to (N, F) float32, not negative."""
        images = as_images(stacks)
        shades = (images * images.new_tensor(LUMINANCE)[:, None, None]).sum(1).unflatten(0, stacks.shape[:2])
        changes = torch.cat((shades[:, -1:] - shades[:, :-1], shades[:, -1:]), dim=1)
        return torch.relu(self.join(self.convolutions(changes).flatten(1)))


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
        self.motion = MotionTrunk(shape, view)
        self.join = nn.Sequential(
            nn.Linear(2 * shape.features, shape.features),
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
        features = self.features(stacks)
        of_last = nn.functional.normalize(self.frame.point(features[:, : self.shape.features]), dim=-1)
        return nn.functional.normalize(self.join(features), dim=-1), of_last

    def features(self, stacks: Tensor) -> Tensor:
        """(N, 2F) float32 what both trunks read of stacks (N, K, h, w, 3) uint8, before points are made of it."""
        return torch.cat((self.frame.read(stacks[:, -1]), self.motion(stacks)), dim=-1)
