"""An encoder: one linear look at each vertical strip of the view, for trees are tall and thin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape
from forestpilot.policies.networks.views import OUTSIDE_GREY
from forestpilot.sim.errors import InvalidArgumentError


@dataclass(frozen=True)
class StripConfig(EncoderConfig):
    """Options of the strips."""

    part: ClassVar[str] = "strips"

    strip_width: int = 4
    """Width of a strip in pixels."""
    channels: int = 24
    """Numbers that are made of each strip."""

    def __post_init__(self) -> None:
        if self.strip_width < 1 or self.channels < 1:
            raise InvalidArgumentError("strip_width and channels must be at least 1")


class StripEncoder(Encoder):
    """Strips as tall as the view, each seen by the same weights, then joined with the state and the goal."""

    Config: ClassVar[type[EncoderConfig]] = StripConfig

    def __init__(self, config: StripConfig, shape: EncoderShape) -> None:
        super().__init__(config, shape)
        size = (shape.view_height, config.strip_width)
        strips = shape.view_width // config.strip_width
        self.look = nn.Conv2d(3, config.channels, kernel_size=size, stride=size)
        self.join = nn.Linear(shape.num_cameras * strips * config.channels + shape.num_inputs, shape.features)

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """(N, C, h, w, 3) uint8 and (N, I) float32 to (N, features) float32."""
        number, cameras, height, width, _ = views.shape
        images = views.reshape(number * cameras, height, width, 3).permute(0, 3, 1, 2)
        seen = torch.relu(self.look((images.to(torch.float32) - OUTSIDE_GREY) / 64))
        return torch.relu(self.join(torch.cat((seen.reshape(number, -1), inputs), dim=1)))
