"""A head: a Laplace distribution over each element of the action, more forgiving of a wrong label than a normal one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, DistributionHead
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError


@dataclass(frozen=True)
class LaplaceConfig(HeadConfig):
    """Options of the Laplace head."""

    part: ClassVar[str] = "laplace"

    least_scale: float = 0.05
    """Smallest scale that it may predict, in action units: how sure it may be."""

    def __post_init__(self) -> None:
        if not 0.0 < self.least_scale < 1.0:
            raise InvalidArgumentError(f"least_scale is {self.least_scale}; allowed: above 0 and below 1")


class LaplaceHead(DistributionHead):
    """Trained by negative log-likelihood; acts on the median."""

    Config: ClassVar[type[HeadConfig]] = LaplaceConfig

    def __init__(self, config: LaplaceConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=4)
        self.least_scale = config.least_scale

    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Negative log-likelihood (..., K)."""
        return -self.log_prob(prediction, actions)

    def log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Log density of turn and go together, (..., K)."""
        median, scale = self._split(prediction)
        densities = -(actions - median).abs() / scale - torch.log(scale) - math.log(2.0)
        return densities.sum(-1)

    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions (..., K, 2), by the inverse of the distribution function."""
        median, scale = self._split(prediction)
        uniform = torch.rand(median.shape, generator=generator) - 0.5
        return median - scale * uniform.sign() * torch.log1p(-2.0 * uniform.abs())

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """The median."""
        median, _ = self._split(prediction)
        return median

    def _split(self, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """Medians and scales, each (..., K, 2)."""
        median, scale = prediction.chunk(2, dim=-1)
        return torch.tanh(median), self.least_scale + torch.nn.functional.softplus(scale)
