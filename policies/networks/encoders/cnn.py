"""A small CNN, shared by the cameras: the encoder of versions 0.1 and 0.2."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape, as_images
from forestpilot.policies.networks.encoders.options import CNNConfig


class ConvolutionalEncoder(Encoder):
    """Three convolutions, joined with the scaled state and the goal.

    The first convolution steps 4 pixels sideways and 2 down: trunks are tall and thin, so rows repeat more than
    columns do, yet its 5x5 kernel still sees every pixel.
    """

    Config: ClassVar[type[EncoderConfig]] = CNNConfig

    def __init__(self, config: CNNConfig, shape: EncoderShape) -> None:
        super().__init__(config, shape)
        first, second, third = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=5, stride=(2, 4), padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, third, kernel_size=3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, 3, shape.view_height, shape.view_width)).numel()
        self.join = nn.Linear(shape.num_cameras * flat + shape.num_inputs, shape.features)

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """(N, C, h, w, 3) uint8 and (N, I) float32 to (N, features) float32, not negative."""
        picture = self.convolutions(as_images(views)).permute(0, 2, 3, 1).reshape(views.shape[0], -1)
        return torch.relu(self.join(torch.cat((picture, inputs), dim=1)))
