"""What encoders have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.views import OUTSIDE_GREY


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of what an encoder reads and of what it makes."""

    view_height: int
    """Rows of a view."""
    view_width: int
    """Columns of a view."""
    num_cameras: int
    """Views per step."""
    num_inputs: int
    """Elements of state and goal that join the views."""
    features: int
    """Size of the result."""


class Encoder(nn.Module, ABC):
    """A network that reads one step.

    A subclass is made with its options and an `EncoderShape`, and registered in
    `forestpilot.policies.networks.encoders.ENCODERS`.
    """

    Config: ClassVar[type[EncoderConfig]]
    """Its options."""

    def __init__(self, config: EncoderConfig, shape: EncoderShape) -> None:
        super().__init__()

    def first_weights(self) -> None:
        """Take the weights that a new policy's encoder begins with, where they are not drawn.

        Raises:
            CheckpointError: they cannot be read, or are of another shape.
        """

    @abstractmethod
    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """Encode N steps, each by itself.

        Args:
            views: (N, C, h, w, 3) uint8; 128 where the camera did not look.
            inputs: (N, I) float32, scaled state and goal.

        Returns:
            (N, features) float32.
        """


def as_images(views: Tensor) -> Tensor:
    """Views (N, C, h, w, 3) uint8 as images (N * C, 3, h, w) float32 that convolutions read; grey is zero.

    What the camera did not see then looks like the padding, which lies beyond the rim.
    """
    number, cameras, height, width, _ = views.shape
    # Rows of pixels with colour innermost are PyTorch's channels_last already: this permutation copies nothing.
    images = views.reshape(number * cameras, height, width, 3).permute(0, 3, 1, 2)
    # One new tensor, changed in place: at training batches each further one costs as much as a convolution.
    return images.to(torch.float32, copy=True).sub_(OUTSIDE_GREY).mul_(1 / 64)
