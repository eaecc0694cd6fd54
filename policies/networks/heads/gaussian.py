"""A normal distribution per element of the action."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, DistributionHead
from forestpilot.policies.networks.heads.exploring import Explorer, NormalExplorer
from forestpilot.policies.networks.heads.normal import bounded_log_std, draw_normal, log_density
from forestpilot.policies.networks.heads.options import GaussianConfig
from forestpilot.sim.envs.task_spec import TaskSpec


class GaussianHead(DistributionHead):
    """A normal distribution per element of the action, trained by negative log-likelihood; acts on its mean."""

    Config: ClassVar[type[HeadConfig]] = GaussianConfig

    def __init__(self, config: GaussianConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=4)

    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Negative log-likelihood."""
        return -self.log_prob(prediction, actions)

    def log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Log density of turn and go together, (..., K)."""
        mean, log_std = _split(prediction)
        return log_density(mean, log_std, actions).sum(-1)

    def turn_log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Log density of the turn, (..., K), whatever go is: the two are independent."""
        mean, log_std = _split(prediction)
        return log_density(mean, log_std, actions)[..., 0]

    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Turn and go, (..., K, 2), drawn by themselves."""
        mean, log_std = _split(prediction)
        return draw_normal(mean, log_std, generator)

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """The mean."""
        return torch.tanh(prediction[..., :2])

    def explorer(self, std: float) -> Explorer:
        """Normal distributions around its mean, as narrow as is asked for: its own tell how far demonstrators differ,
        and to stray so far crashes."""
        return NormalExplorer(lambda prediction: self.act(prediction)[:, 0], std)


def _split(prediction: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log standard deviations of turn and go, each (..., 2)."""
    mean, log_std = prediction.chunk(2, dim=-1)
    return torch.tanh(mean), bounded_log_std(log_std)
