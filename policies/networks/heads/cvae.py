"""A conditional variational autoencoder (Sohn et al. 2015; for action chunks: Zhao et al. 2023, arXiv:2304.13705)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.heads.generative import GenerativeHead, known_actions, mean_over_known
from forestpilot.policies.networks.heads.normal import bounded_log_std, draw_normal, log_density
from forestpilot.policies.networks.heads.options import CVAEConfig
from forestpilot.sim.envs.task_spec import TaskSpec

BOUND_DRAWS = 64
"""Draws of z behind `CVAEHead.log_prob`."""


class CVAEHead(GenerativeHead):
    """A latent z says which of the right answers it is: an encoder q(z|o,a) and a decoder p(a|o,z), both normal.

    Loss: the negative ELBO (Kingma & Welling 2014, equation 3), over `draws` of z for each step, its KL term against a
    standard normal prior weighed by `kl_weight`, from 0 on over the first `kl_warmup` of a round's gradient steps
    (Bowman et al. 2016): a decoder that learns first finds no use for z. Acting: z from the prior, and the decoder's
    mean.
    """

    Config: ClassVar[type[HeadConfig]] = CVAEConfig

    def __init__(self, config: CVAEConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, noise_shape=(config.latent,))
        self.config = config
        self.seen = nn.Linear(2 * chunk, config.width)
        self.encoder = nn.Linear(config.width, 2 * config.latent)
        self.meant = nn.Linear(config.latent, config.width)
        self.between = nn.Linear(config.width, config.width)
        self.decoder = nn.Linear(config.width, 4 * chunk)

    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """Negative ELBO (...), of a chunk as a mean over its known actions."""
        actions = known_actions(target)
        mean, log_std = self._encoded(prediction, actions)
        draws = (self.config.draws, *mean.shape)
        z = draw_normal(mean.expand(draws), log_std.expand(draws), generator)
        unlikely = mean_over_known(-log_density(*self._decoded(prediction, z), actions).sum(-1).mean(0), target)
        warmed_up = 1.0 if self.config.kl_warmup == 0 else min(1.0, target.progress / self.config.kl_warmup)
        return unlikely + warmed_up * self.config.kl_weight * _divergence(mean, log_std) / self.chunk

    def generate(self, prediction: Tensor, noise: Tensor) -> Tensor:
        """The decoder's mean (..., K, 2) for predictions (..., W) and z (..., latent)."""
        mean, _ = self._decoded(prediction, noise)
        return mean

    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions (..., K, 2) drawn from p(a|o,z), z from the prior; one may lie outside [-1, 1]."""
        z = self._draw(prediction, self.noise_shape[1:], generator)
        return draw_normal(*self._decoded(prediction, z), generator)

    def log_prob(self, prediction: Tensor, actions: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A lower bound of the log density (..., K) of turn and go together, for actions (..., K, 2).

        It is the importance-weighted bound (Burda et al. 2016, equation 8) with `BOUND_DRAWS` draws from q(z|o,a); the
        more draws, the closer.

        Args:
            prediction: (..., W).
            actions: (..., K, 2).
            generator: draws z; by default one that draws the same each time.
        """
        likely, weight = self._weighed(prediction, actions, generator)
        return torch.logsumexp(likely.sum(-1) + weight, dim=0) - math.log(BOUND_DRAWS)

    def turn_log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """The same bound for the turn alone, so that heads can be compared."""
        likely, weight = self._weighed(prediction, actions, None)
        return torch.logsumexp(likely[..., 0] + weight, dim=0) - math.log(BOUND_DRAWS)

    def _weighed(self, prediction: Tensor, actions: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Log densities (D, ..., K, 2) of actions (..., K, 2) at D draws of z, and the draws' log weights."""
        generator = generator or torch.Generator().manual_seed(0)
        mean, log_std = (part.expand(BOUND_DRAWS, *part.shape) for part in self._encoded(prediction, actions))
        z = draw_normal(mean, log_std, generator)
        weight = (log_density(torch.zeros_like(z), torch.zeros_like(z), z) - log_density(mean, log_std, z)).sum(-1)
        return log_density(*self._decoded(prediction, z), actions), weight[..., None]

    @torch.no_grad()
    def diagnostics(self, prediction: Tensor, target: Target, mask: Tensor) -> dict[str, float]:
        """How much z says of the action, in nats: near 0 the head has collapsed to a normal distribution."""
        divergence = _divergence(*self._encoded(prediction, known_actions(target)))
        return {"kl_nats": float(divergence[mask].mean())}

    def _encoded(self, prediction: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of z, each (..., latent)."""
        hidden = nn.functional.silu(self.seen(actions.flatten(-2)) + prediction)
        mean, log_std = self.encoder(hidden).chunk(2, dim=-1)
        return mean, log_std.clamp(-6.0, 3.0)

    def _decoded(self, prediction: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log standard deviations of actions, each (..., K, 2)."""
        hidden = nn.functional.silu(self.meant(z) + prediction)
        hidden = nn.functional.silu(self.between(hidden))
        mean, log_std = self.decoder(hidden).reshape(*hidden.shape[:-1], self.chunk, 4).chunk(2, dim=-1)
        return torch.tanh(mean), bounded_log_std(log_std)


def _divergence(mean: Tensor, log_std: Tensor) -> Tensor:
    """Kullback-Leibler divergence (...) of normal distributions (..., latent) from the standard normal one, in nats."""
    return 0.5 * (mean.square() + torch.exp(2 * log_std) - 1.0).sum(-1) - log_std.sum(-1)
