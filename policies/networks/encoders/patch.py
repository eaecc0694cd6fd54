"""A small CNN whose first layer reads patches, shared by the cameras: the usual encoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape, as_images
from forestpilot.policies.networks.encoders.options import PatchConfig
from forestpilot.sim.errors import InvalidArgumentError

PATCH = 4
"""Side of a patch in pixels."""


class PatchEncoder(Encoder):
    """Patches of 4x4 pixels and two convolutions over them, joined with the scaled state and the goal.

    No two patches share a pixel (as in Dosovitskiy et al. 2021, section 3.1), so the layer that reads pixels computes
    half as much as that of the encoder `cnn`; how much of a step's time that is differs from processor to processor.
    The second convolution halves the columns only: trunks are tall and thin.
    """

    Config: ClassVar[type[EncoderConfig]] = PatchConfig

    def __init__(self, config: PatchConfig, shape: EncoderShape) -> None:
        super().__init__(config, shape)
        if min(shape.view_height, shape.view_width) < PATCH:
            raise InvalidArgumentError(
                f"a view of {shape.view_width}x{shape.view_height} has no patch of {PATCH}x{PATCH} pixels; make "
                "policy.view larger, or choose the encoder cnn"
            )
        first, second, third = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=PATCH, stride=PATCH),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, third, kernel_size=3, stride=(1, 2), padding=1),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, 3, shape.view_height, shape.view_width)).numel()
        self.join = nn.Linear(shape.num_cameras * flat + shape.num_inputs, shape.features)

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """(N, C, h, w, 3) uint8 and (N, I) float32 to (N, features) float32, not negative."""
        picture = self.convolutions(as_images(views)).permute(0, 2, 3, 1).reshape(views.shape[0], -1)
        return torch.relu(self.join(torch.cat((picture, inputs), dim=1)))
