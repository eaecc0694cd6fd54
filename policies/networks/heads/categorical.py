"""A probability for each bin of turn."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, DistributionHead, go_error
from forestpilot.policies.networks.heads.options import CategoricalConfig
from forestpilot.sim.envs.task_spec import TaskSpec


class CategoricalHead(DistributionHead):
    """Cross-entropy over bins of turn, a label shared by the bins beside it; acts around the likeliest bin.

    As a distribution, each bin stands for a triangle that falls to zero at the centres of its neighbours, so that the
    density between two centres lies between theirs.
    """

    Config: ClassVar[type[HeadConfig]] = CategoricalConfig
    centres: Tensor

    def __init__(self, config: CategoricalConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=config.bins + 1)
        self.register_buffer("centres", torch.linspace(-1.0, 1.0, config.bins), persistent=False)

    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Cross-entropy of the turn, squared error of go."""
        shares = self._shares(actions)
        entropy = -(shares * prediction[..., :-1].log_softmax(-1)).sum(-1)
        return entropy + go_error(prediction[..., -1], actions)

    def log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Log density of the turn, (..., K), in [-1, 1]; go is predicted, not distributed."""
        area = torch.full_like(self.centres, float(self._spacing()))
        area[0] /= 2  # the triangles at the ends are cut in half
        area[-1] /= 2
        inside = actions[..., :1].abs() <= 1
        density = (self._shares(actions) * inside / area).log()
        return torch.logsumexp(prediction[..., :-1].log_softmax(-1) + density, dim=-1)

    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A turn from the triangle of a bin that is drawn by its probability, and go as `act` would."""
        weights = prediction[..., :-1].softmax(-1)
        drawn = torch.multinomial(weights.flatten(0, -2), 1, generator=generator).view(weights.shape[:-1])
        first, second = torch.rand(2, *drawn.shape, generator=generator, device=weights.device)
        turn = self.centres[drawn] + (first - second) * self._spacing()
        # What would fall off an end falls back: the triangle there is cut in half.
        turn = torch.where(turn > 1, 2 - turn, torch.where(turn < -1, -2 - turn, turn))
        return torch.stack((turn, torch.tanh(prediction[..., -1])), dim=-1)

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """Mean turn of the likeliest bin and its two neighbours."""
        probability = prediction[..., :-1].softmax(-1)
        best = probability.argmax(-1, keepdim=True).clamp(1, len(self.centres) - 2)
        around = torch.cat((best - 1, best, best + 1), dim=-1)
        weight = probability.gather(-1, around)
        turn = (weight * self.centres[around]).sum(-1) / weight.sum(-1)
        return torch.stack((turn, torch.tanh(prediction[..., -1])), dim=-1)

    def _spacing(self) -> Tensor:
        return self.centres[1] - self.centres[0]

    def _shares(self, actions: Tensor) -> Tensor:
        """Share of each bin in each turn (..., K, bins): all of it at the bin's centre, none at the next one's."""
        return (1.0 - (actions[..., :1] - self.centres).abs() / self._spacing()).clamp_min(0.0)
