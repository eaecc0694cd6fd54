"""The encoder that is a stored embedding: the policy sees of a picture what any camera would see of it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.config import ViewConfig
from forestpilot.policies.networks.embedding import FrameEmbedding
from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape
from forestpilot.policies.networks.encoders.options import EmbeddingConfig

FILE = "embedding.safetensors"
"""Where in the run folder of `forestpilot embed` the weights lie."""
FRAME = "frame."
"""What the names of those weights begin with that embed a picture by itself."""


class EmbeddingEncoder(Encoder):
    """Points of the views, joined with the scaled state and the goal.

    Args:
        config: its options.
        shape: sizes of what it reads and makes.
    """

    Config: ClassVar[type[EncoderConfig]] = EmbeddingConfig

    def __init__(self, config: EmbeddingConfig, shape: EncoderShape) -> None:
        super().__init__(config, shape)
        self._run = config.run
        self._is_frozen = config.frozen
        self.embedding = FrameEmbedding(config.shape, ViewConfig(shape.view_height, shape.view_width))
        self.embedding.requires_grad_(not config.frozen)
        joined = shape.num_cameras * config.shape.size + shape.num_inputs
        self.join = nn.Sequential(nn.Linear(joined, shape.features), nn.ReLU())

    def first_weights(self) -> None:
        """See `Encoder.first_weights`: those of the run, where one is named."""
        from forestpilot.policies.networks.checkpoint import CheckpointError, load_state

        if not self._run:
            return
        path = Path(self._run) / FILE
        if not path.exists():
            raise CheckpointError(f"{self._run} holds no embedding ({FILE}); `forestpilot embed` learns one")
        self.take(load_state(path)[0], str(path))

    def take(self, tensors: dict[str, Tensor], source: str) -> None:
        """Take the weights of an embedding.

        Args:
            tensors: all of its weights.
            source: where they are from, for messages.

        Raises:
            CheckpointError: they are of another shape.
        """
        from forestpilot.policies.networks.checkpoint import load_tensors

        own = {name.removeprefix(FRAME): tensor for name, tensor in tensors.items() if name.startswith(FRAME)}
        load_tensors(self.embedding, own, Path(source))

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """(N, C, h, w, 3) uint8 and (N, I) float32 to (N, features) float32, not negative."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._is_frozen):
            points = self.embedding(views.flatten(0, 1)).view(len(views), -1)
        features: Tensor = self.join(torch.cat((points, inputs), dim=1))
        return features
