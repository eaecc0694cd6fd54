"""Rectified flow: noise moves to an action as straight as can be (Liu et al. 2023, arXiv:2209.03003)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.heads.generative import DenoisingHead, known_actions, mean_over_known
from forestpilot.policies.networks.heads.options import FlowConfig
from forestpilot.sim.envs.task_spec import TaskSpec


class FlowHead(DenoisingHead):
    """Learns the mean velocity of the straight lines from noise to actions, and follows it in a few Euler steps.

    Loss: equation 1 of the paper, over `draws` times for each action, evenly distributed. It has samples; its density
    is not computed.
    """

    Config: ClassVar[type[HeadConfig]] = FlowConfig

    def __init__(self, config: FlowConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk)
        self.config = config

    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """Squared error (...) of the velocity, summed over turn and go, mean of the times drawn."""
        actions = self.config.scale * known_actions(target).expand(self.config.draws, *target.actions.shape)
        noise = torch.randn(actions.shape, generator=generator).to(actions.device)
        time = torch.rand(actions.shape[:-2], generator=generator).to(actions.device)
        moved = time[..., None, None]
        velocity = self.denoiser(moved * actions + (1 - moved) * noise, time, prediction)
        return mean_over_known((velocity - (actions - noise)).square().sum(-1).mean(0), target)

    def generate(self, prediction: Tensor, noise: Tensor) -> Tensor:
        """Actions (..., K, 2) of predictions (..., W) and noise (..., K, 2)."""
        moved = noise
        for step in range(self.config.steps):
            time = noise.new_full(noise.shape[:-2], step / self.config.steps)
            moved = moved + self.denoiser(moved, time, prediction) / self.config.steps
        return moved / self.config.scale
