"""A state-space model: state, goal and a strip of depths, without memory."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.world_models import WorldModelConfig
from forestpilot.policies.world_models.base import (
    FARTHEST,
    LEAST_CHANGE,
    Carry,
    Critic,
    Observed,
    WorldModel,
    small_at_first,
    within,
)
from forestpilot.policies.world_models.options import StripConfig
from forestpilot.policies.world_models.strips import COLUMNS
from forestpilot.sim.envs.task_spec import TaskSpec

KERNEL = 7
"""Columns that a convolution along the strip reads."""
LARGEST_SHIFT = 12.0
"""Columns that what is seen moves by in a step at most."""


class StripModel(WorldModel):
    """The next state is a step of a network from this one; the next strip is this one, shifted column by column as a
    second network says, plus a correction: so what is far stays sharp over many steps.
    """

    Config: ClassVar[type[WorldModelConfig]] = StripConfig
    sees_views = False
    remembers = False
    context = 1
    place: Tensor

    def __init__(self, config: StripConfig, spec: TaskSpec) -> None:
        super().__init__(config, spec)
        channels = config.channels
        self.dynamics = nn.Sequential(
            nn.Linear(self.vector_size + 2, config.features),
            nn.SiLU(),
            nn.Linear(config.features, config.features),
            nn.SiLU(),
            small_at_first(nn.Linear(config.features, self.vector_size)),
        )
        # What is felt before and after, and what is done, tell how the sight moves.
        self.motion = nn.Linear(2 * self.vector_size + 2, 2 * channels)
        self.first = nn.Conv1d(2, channels, KERNEL, padding=KERNEL // 2)
        self.second = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2)
        self.last = small_at_first(nn.Conv1d(channels, 2, KERNEL, padding=KERNEL // 2))
        self.register_buffer("place", torch.linspace(-1, 1, COLUMNS), persistent=False)

    def start(self, observed: Observed) -> Carry:
        """What is told."""
        return Carry(observed.sight, observed.vector, observed.vector[:, :0])

    def correct(self, carry: Carry, observed: Observed) -> Carry:
        """What is told."""
        return self.start(observed)

    def advance(self, carry: Carry, action: Tensor, generator: torch.Generator | None = None) -> Carry:
        """A step of both networks."""
        before = self.read(carry.vector)
        vector = self._changed(carry.vector, self.dynamics(torch.cat([before, action], dim=1)), generator)
        change = (vector - carry.vector) / self.usual.change.clamp(min=LEAST_CHANGE)
        motion = self.motion(torch.cat([before, change, action], dim=1))
        gain, bias = (1 + motion)[:, :, None].chunk(2, dim=1)
        place = self.place.expand(len(action), COLUMNS)
        hidden = nn.functional.silu(gain * self.first(torch.stack([carry.sight, place], dim=1)) + bias)
        hidden = nn.functional.silu(gain * self.second(hidden) + bias)
        shift, correction = self.last(hidden).unbind(1)
        sight = moved(carry.sight, LARGEST_SHIFT * torch.tanh(shift)) + correction
        sight = self._noisy(sight, self.log_std_sight + self.usual.sight_change.log(), generator)
        return Carry(within(sight, FARTHEST, 1.0), vector, carry.memory)

    def sight(self, carry: Carry) -> Tensor:
        """(B, COLUMNS) nearness."""
        return carry.sight

    def nearest(self, carry: Carry) -> Tensor:
        """(B,) the largest nearness."""
        return carry.sight.amax(1)

    def critic(self) -> nn.Module:
        """Convolutions along both strips."""
        norm = nn.utils.parametrizations.spectral_norm
        channels = self.config.channels  # type: ignore[attr-defined]
        sights = nn.Sequential(
            nn.Unflatten(1, (2, COLUMNS)),
            norm(nn.Conv1d(2, channels, 5, stride=2, padding=2)),
            nn.LeakyReLU(0.2),
            norm(nn.Conv1d(channels, 2 * channels, 5, stride=2, padding=2)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        return Critic(sights, 2 * channels * COLUMNS // 4, self.usual)

    def eyes(self) -> tuple[nn.Module, int]:
        """Convolutions along the strip."""
        channels = self.config.channels  # type: ignore[attr-defined]
        layers = nn.Sequential(
            nn.Unflatten(1, (1, COLUMNS)),
            nn.Conv1d(1, channels, KERNEL, stride=2, padding=KERNEL // 2),
            nn.SiLU(),
            nn.Conv1d(channels, channels, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Flatten(),
        )
        return layers, channels * COLUMNS // 4


def moved(strip: Tensor, shift: Tensor) -> Tensor:
    """A strip (B, N) read, between its columns, at each column plus a shift (B, N); beyond its ends it goes on."""
    last = strip.shape[1] - 1
    at = (torch.arange(strip.shape[1], device=strip.device) + shift).clamp(0, last)
    left = at.detach().floor().long().clamp(max=last - 1)
    weight = at - left
    return strip.gather(1, left) * (1 - weight) + strip.gather(1, left + 1) * weight
