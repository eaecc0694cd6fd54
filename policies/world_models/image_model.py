"""A latent model of images: an encoder reads the view, a GRU goes on from there, a decoder draws what would be seen.

Imagination stays in the latent space, as in Dreamer (Hafner et al. 2020, arXiv:1912.01603): nothing is drawn unless
somebody looks. The latents are not random, though: a view has one code.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.config import USUAL_VIEW
from forestpilot.policies.world_models import WorldModelConfig
from forestpilot.policies.world_models.base import Carry, Critic, Observed, WorldModel, small_at_first
from forestpilot.policies.world_models.options import ImageConfig
from forestpilot.sim.envs.task_spec import TaskSpec

ROWS = USUAL_VIEW.height
COLUMNS = USUAL_VIEW.width
PATCH = 4
"""Side of the patches, in pixels, that the first layer reads and the last one draws, as the usual policy's does."""
STRIDES = 2 * PATCH
"""By how much the convolutions shrink a view along both axes."""
FEATURES = 64
"""Width of the networks that predict the state, and tell the nearest thing."""
CONSISTENCY = 0.3
"""Weight of the distance between the code that was believed and that of the view that came."""
RECONSTRUCTION = 25.0
"""Weight of drawing a view from its own code; its squared error is small."""
NEAREST = 10.0
"""Weight of telling the nearest thing, likewise."""


class ImageModel(WorldModel):
    """Views in a latent space, with a memory."""

    Config: ClassVar[type[WorldModelConfig]] = ImageConfig
    sees_views = True
    remembers = True
    context = 3

    def __init__(self, config: ImageConfig, spec: TaskSpec) -> None:
        super().__init__(config, spec)
        small = (2 * config.channels, ROWS // STRIDES, COLUMNS // STRIDES)
        flat = small[0] * small[1] * small[2]
        self.encoder = nn.Sequential(
            nn.Conv2d(3, config.channels, PATCH, stride=PATCH),
            nn.SiLU(),
            nn.Conv2d(config.channels, small[0], 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(flat, config.latent),
            nn.LayerNorm(config.latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent + config.memory, flat),
            nn.SiLU(),
            nn.Unflatten(1, small),
            nn.ConvTranspose2d(small[0], config.channels, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(config.channels, 3, PATCH, stride=PATCH),
        )
        self.memory = nn.GRUCell(config.latent + self.vector_size + 2, config.memory)
        self.next_code = nn.Sequential(
            nn.Linear(config.memory + config.latent, config.memory),
            nn.SiLU(),
            nn.Linear(config.memory, config.latent),
            nn.LayerNorm(config.latent),
        )
        self.dynamics = nn.Sequential(
            nn.Linear(self.vector_size + 2, FEATURES),
            nn.SiLU(),
            nn.Linear(FEATURES, FEATURES),
            nn.SiLU(),
            small_at_first(nn.Linear(FEATURES, self.vector_size)),
        )
        self.judge = nn.Sequential(
            nn.Linear(config.latent + config.memory, FEATURES), nn.SiLU(), nn.Linear(FEATURES, 1)
        )
        self._memory_size = config.memory

    def perceive(self, sight: Tensor) -> Tensor:
        """(B, latent) the code of a view."""
        code: Tensor = self.encoder(sight - 0.5)
        return code

    def start(self, observed: Observed) -> Carry:
        """The view's code, and an empty memory."""
        memory = observed.vector.new_zeros(len(observed.vector), self._memory_size)
        return Carry(observed.perceived, observed.vector, memory)

    def correct(self, carry: Carry, observed: Observed) -> Carry:
        """The view's code, and the memory as it was."""
        return Carry(observed.perceived, observed.vector, carry.memory)

    def advance(self, carry: Carry, action: Tensor, generator: torch.Generator | None = None) -> Carry:
        """A step of the GRU."""
        change = self.dynamics(torch.cat([self.read(carry.vector), action], dim=1))
        vector = self._changed(carry.vector, change, generator)
        memory = self.memory(torch.cat([carry.sight, self.read(vector), action], dim=1), carry.memory)
        code = self.next_code(torch.cat([memory, carry.sight], dim=1))
        return Carry(code, vector, memory)

    def sight(self, carry: Carry) -> Tensor:
        """(B, 3, h, w) the view, drawn."""
        return torch.sigmoid(self.decoder(torch.cat([carry.sight, carry.memory], dim=1)))

    def nearest(self, carry: Carry) -> Tensor:
        """(B,) as it was learned from depths."""
        return torch.sigmoid(self.judge(torch.cat([carry.sight, carry.memory], dim=1)))[:, 0]

    def extra_loss(self, carry: Carry, observed: Observed) -> Tensor:
        """The code that was believed is that of the view that came, from which it can be drawn; and how near the
        nearest thing is."""
        told = Carry(observed.perceived, observed.vector, carry.memory)
        drawn = (self.sight(told) - observed.sight).square().mean()
        off = (carry.sight - observed.perceived.detach()).square().mean()
        nearest = sum((self.nearest(each) - observed.nearest).square().mean() for each in (carry, told))
        return CONSISTENCY * off + RECONSTRUCTION * drawn + NEAREST * nearest

    def critic(self) -> nn.Module:
        """Convolutions over both views."""
        norm = nn.utils.parametrizations.spectral_norm
        first, second = 16, 32
        sights = nn.Sequential(
            norm(nn.Conv2d(6, first, PATCH, stride=PATCH)),
            nn.LeakyReLU(0.2),
            norm(nn.Conv2d(first, second, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        return Critic(sights, second * (ROWS // STRIDES) * (COLUMNS // STRIDES), self.usual)

    def eyes(self) -> tuple[nn.Module, int]:
        """None: a code needs no further reading."""
        return nn.Identity(), self.config.latent + self._memory_size  # type: ignore[attr-defined]
