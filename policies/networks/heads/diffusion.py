"""Denoising diffusion of the action, or of a chunk (Ho et al. 2020; as a policy: Chi et al. 2023, arXiv:2303.04137)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.heads.generative import DenoisingHead, known_actions, mean_over_known
from forestpilot.policies.networks.heads.options import DiffusionConfig
from forestpilot.sim.envs.task_spec import TaskSpec

OFFSET = 0.008
"""Keeps the least noise of the schedule from vanishing (Nichol & Dhariwal 2021, section 3.2)."""
MOST_NOISE = 0.999
"""Largest share of a step's variance that is noise, as there."""


class DiffusionHead(DenoisingHead):
    """Learns what noise was added to an action, and takes it out again in a few steps.

    Loss: DDPM's simple one (Ho et al. 2020, equation 14), over `draws` levels of the cosine schedule (Nichol & Dhariwal
    2021, equation 17) for each action. Acting: DDIM without noise of its own (Song et al. 2021, equation 12), so that
    an action follows from the noise that it begins with. It has samples and no density.
    """

    Config: ClassVar[type[HeadConfig]] = DiffusionConfig
    signal: Tensor
    """(levels,) what is left of an action at each noise level, as a share of its variance."""

    def __init__(self, config: DiffusionConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk)
        self.config = config
        self.register_buffer("signal", cosine_schedule(config.levels), persistent=False)
        self._shares: list[float] = self.signal.tolist()
        # From the level before the noisiest on evenly down to the least, as in Song et al. 2021, appendix D.2.
        self._visited = [config.levels * step // config.steps for step in reversed(range(config.steps))]

    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """Squared error (...) of the noise, summed over turn and go, mean of the levels drawn."""
        actions = self.config.scale * known_actions(target).expand(self.config.draws, *target.actions.shape)
        noise = torch.randn(actions.shape, generator=generator).to(actions.device)
        level = torch.randint(self.config.levels, actions.shape[:-2], generator=generator).to(actions.device)
        signal = self.signal[level][..., None, None]
        noisy = signal.sqrt() * actions + (1 - signal).sqrt() * noise
        guess = self.denoiser(noisy, level / self.config.levels, prediction)
        return mean_over_known((guess - noise).square().sum(-1).mean(0), target)

    def generate(self, prediction: Tensor, noise: Tensor) -> Tensor:
        """Actions (..., K, 2) in [-1, 1] of predictions (..., W) and noise (..., K, 2)."""
        scale = self.config.scale
        noisy = noise
        actions = torch.zeros_like(noise)
        for step, level in enumerate(self._visited):
            signal = self._shares[level]
            time = noise.new_full(noise.shape[:-2], level / self.config.levels)
            guess = self.denoiser(noisy, time, prediction)
            actions = ((noisy - math.sqrt(1 - signal) * guess) / math.sqrt(signal)).clamp(-scale, scale)
            if step + 1 < len(self._visited):
                left = self._shares[self._visited[step + 1]]
                # The noise that goes with the action, which may have been clipped.
                guess = (noisy - math.sqrt(signal) * actions) / math.sqrt(1 - signal)
                noisy = math.sqrt(left) * actions + math.sqrt(1 - left) * guess
        return actions / scale


def cosine_schedule(levels: int) -> Tensor:
    """Share of the signal's variance (levels,) that is left at each noise level, falling from almost 1 to almost 0."""
    steps = torch.arange(levels + 1, dtype=torch.float64) / levels
    wanted = torch.cos((steps + OFFSET) / (1 + OFFSET) * math.pi / 2).square()
    added = (1 - wanted[1:] / wanted[:-1]).clamp_max(MOST_NOISE)
    return torch.cumprod(1 - added, dim=0).float()
