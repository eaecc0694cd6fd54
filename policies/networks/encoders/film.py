"""The patch encoder, modulated: state and goal say what to look for in the picture, and where it is becomes a number.

FiLM (Perez et al. 2018, arXiv:1709.07871, section 2): the channels of a layer are scaled and shifted by what a small
network makes of something else. So "where is the red one?" takes one network and not one for each colour. The answer is
the mean place of what lights up, a spatial softmax (Levine et al. 2016, arXiv:1504.00702, section 5.1), as policies
have it that imitate from one demonstration (Finn et al. 2017, arXiv:1709.04905): the middle between two posts of one
colour is the gate.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.base import EncoderShape, as_images
from forestpilot.policies.networks.encoders.options import FilmConfig
from forestpilot.policies.networks.encoders.patch import PATCH, PatchEncoder

PATCHES = 2
"""Layers of the patch encoder that read patches; what they read is modulated."""
COORDINATES = 2
"""A place in the picture: across and down, each from -1 to 1."""


class FilmEncoder(PatchEncoder):
    """Patches of 4x4 pixels and two convolutions over them, as `PatchEncoder`; what is read of the patches is scaled
    and shifted as state and goal say, and the mean places of what lights up then join the rest."""

    Config: ClassVar[type[EncoderConfig]] = FilmConfig
    places: Tensor

    def __init__(self, config: FilmConfig, shape: EncoderShape) -> None:
        super().__init__(config, shape)
        first = config.channels[0]
        self.modulate = nn.Sequential(
            nn.Linear(shape.num_inputs, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2 * first)
        )
        self.light_up = nn.Conv2d(first, config.points, kernel_size=1)
        down, across = (torch.linspace(-1, 1, size // PATCH) for size in (shape.view_height, shape.view_width))
        grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
        self.register_buffer("places", grid.reshape(-1, COORDINATES), persistent=False)
        self.join_places = nn.Linear(COORDINATES * config.points * shape.num_cameras, shape.features, bias=False)

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """(N, C, h, w, 3) uint8 and (N, I) float32 to (N, features) float32, not negative."""
        scale, shift = self.modulate(inputs).repeat_interleave(views.shape[1], 0)[:, :, None, None].chunk(2, dim=1)
        patches = torch.relu(self.convolutions[:PATCHES](as_images(views)) * (1 + scale) + shift)
        shares = torch.softmax(self.light_up(patches).flatten(2), dim=-1)
        points = (shares @ self.places).reshape(views.shape[0], -1)
        flat = self.convolutions[PATCHES:](patches).permute(0, 2, 3, 1).reshape(views.shape[0], -1)
        return torch.relu(self.join(torch.cat((flat, inputs), dim=1)) + self.join_places(points))
