"""A small CNN that reads all pictures at once, where others read one at a time: motion lies between them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape, as_images
from forestpilot.policies.networks.encoders.options import StackedConfig


def motion_convolutions(channels: int, sizes: tuple[int, int, int]) -> nn.Sequential:
    """Three convolutions over pictures one over the other, which keep how they differ by a pixel or two.

    Args:
        channels: of all pictures together.
        sizes: output channels of the three.
    """
    first, second, third = sizes
    return nn.Sequential(
        nn.Conv2d(channels, first, kernel_size=8, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, kernel_size=3, stride=(1, 2), padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(second, third, kernel_size=3, stride=2, padding=1),
        nn.ReLU(inplace=True),
    )


class StackedEncoder(Encoder):
    """Three convolutions over the channels of all pictures, joined with the scaled state and the goal.

    From picture to picture things move by a pixel or two. The first kernels are twice as large as their step, so that
    each sees where in the next picture a pixel went; patches that share no pixel cannot.
    """

    Config: ClassVar[type[EncoderConfig]] = StackedConfig

    def __init__(self, config: StackedConfig, shape: EncoderShape) -> None:
        super().__init__(config, shape)
        channels = 3 * shape.num_cameras
        self.convolutions = motion_convolutions(channels, config.channels)
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, channels, shape.view_height, shape.view_width)).numel()
        self.join = nn.Linear(flat + shape.num_inputs, shape.features)

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """(N, C, h, w, 3) uint8 and (N, I) float32 to (N, features) float32, not negative."""
        images = as_images(views).unflatten(0, views.shape[:2]).flatten(1, 2)
        picture = self.convolutions(images).flatten(1)
        return torch.relu(self.join(torch.cat((picture, inputs), dim=1)))
