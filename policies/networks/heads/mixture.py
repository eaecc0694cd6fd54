"""A mixture of normal distributions over the turn (Bishop 1994)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, DistributionHead, Target, go_error
from forestpilot.policies.networks.heads.normal import bounded_log_std, draw_normal, log_density
from forestpilot.policies.networks.heads.options import MixtureConfig
from forestpilot.sim.envs.task_spec import TaskSpec

SPREAD = 0.3
"""Outermost turns, in action units, at which the components start."""


class _Mixture(NamedTuple):
    """A mixture over the turn of each action, (..., K, M), and the raw go (..., K)."""

    log_weights: Tensor
    mean: Tensor
    log_std: Tensor
    go: Tensor


class MixtureHead(DistributionHead):
    """Several normal distributions over the turn; acts on the mean of the likeliest.

    The components start spread, or all of them learn the same turn. Go stands beside the mixture: it hardly varies, so
    its likelihood would drown the turn's.
    """

    Config: ClassVar[type[HeadConfig]] = MixtureConfig
    spread: Tensor

    def __init__(self, config: MixtureConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=3 * config.components + 1)
        self.register_buffer(
            "spread", torch.atanh(torch.linspace(-SPREAD, SPREAD, config.components)), persistent=False
        )

    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Negative log-likelihood of the turn, squared error of go."""
        return go_error(self._split(prediction).go, actions) - self.log_prob(prediction, actions)

    def log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Log density of the turn, (..., K); go is predicted, not distributed."""
        mixture = self._split(prediction)
        density = log_density(mixture.mean, mixture.log_std, actions[..., :1])
        return torch.logsumexp(mixture.log_weights + density, dim=-1)

    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A turn from a component that is drawn by its weight, and go as `act` would."""
        mixture = self._split(prediction)
        weights = mixture.log_weights.exp().flatten(0, -2)
        component = torch.multinomial(weights.cpu(), 1, generator=generator).to(weights.device)
        component = component.view(*mixture.mean.shape[:-1], 1)
        turn = draw_normal(mixture.mean.gather(-1, component), mixture.log_std.gather(-1, component), generator)
        return torch.stack((turn.squeeze(-1), torch.tanh(mixture.go)), dim=-1)

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """The mean of the component with the largest weight."""
        mixture = self._split(prediction)
        turn = mixture.mean.gather(-1, mixture.log_weights.argmax(-1, keepdim=True)).squeeze(-1)
        return torch.stack((turn, torch.tanh(mixture.go)), dim=-1)

    def diagnostics(self, prediction: Tensor, target: Target, mask: Tensor) -> dict[str, float]:
        """Number of components that share the weight: from 1 (collapsed) to all."""
        weights = self._split(prediction).log_weights.exp()[mask].flatten(0, -2).mean(0)
        return {"components_in_use": float(torch.exp(-(weights * weights.clamp_min(1e-9).log()).sum()))}

    def _split(self, prediction: Tensor) -> _Mixture:
        logits, mean, log_std = prediction[..., :-1].chunk(3, dim=-1)
        return _Mixture(
            log_weights=logits.log_softmax(-1),
            mean=torch.tanh(mean + self.spread),
            log_std=bounded_log_std(log_std),
            go=prediction[..., -1],
        )
