"""A probability for each bin of turn, or for each bin of turn and go together."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, DistributionHead, go_error
from forestpilot.policies.networks.heads.options import CategoricalConfig
from forestpilot.sim.envs.task_spec import TaskSpec


class CategoricalHead(DistributionHead):
    """Cross-entropy over bins, a label shared by the bins beside it; acts around the likeliest bin.

    As a distribution, each bin stands for a triangle that falls to zero at the centres of its neighbours, so that the
    density between two centres lies between theirs; over turn and go together, for the product of two triangles.
    """

    Config: ClassVar[type[HeadConfig]] = CategoricalConfig
    centres: Tensor
    """(bins,) turns, ascending."""
    go_centres: Tensor
    """(go_bins,) go, ascending; empty where go is predicted beside the turn."""

    def __init__(self, config: CategoricalConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        is_joint = config.over == "turn-go"
        go_bins = config.go_bins if is_joint else 0
        super().__init__(config, features, spec, chunk, outputs=config.bins * go_bins if is_joint else config.bins + 1)
        self.is_joint = is_joint
        self.register_buffer("centres", torch.linspace(-1.0, 1.0, config.bins), persistent=False)
        self.register_buffer("go_centres", torch.linspace(-1.0, 1.0, go_bins), persistent=False)

    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Cross-entropy; where go is not among the bins, plus its squared error."""
        if self.is_joint:
            shares = self._joint(*self._shares_of_both(actions))
            return -(shares * prediction.log_softmax(-1)).sum(-1)
        shares = _shares(actions[..., :1], self.centres)
        entropy = -(shares * prediction[..., :-1].log_softmax(-1)).sum(-1)
        return entropy + go_error(prediction[..., -1], actions)

    def log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Log density (..., K) within [-1, 1]: of turn and go together where both are in bins, else of the turn."""
        if self.is_joint:
            turn, go = self._shares_of_both(actions)
            density = self._joint(turn / _areas(self.centres), go / _areas(self.go_centres))
            inside = actions.abs().amax(-1, keepdim=True) <= 1
            return torch.logsumexp(prediction.log_softmax(-1) + (density * inside).log(), dim=-1)
        return self.turn_log_prob(prediction, actions)

    def turn_log_prob(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Log density (..., K) of the turn; where go is in bins too, summed over these."""
        if self.is_joint:
            both = prediction.log_softmax(-1).unflatten(-1, (len(self.centres), len(self.go_centres)))
            logits = torch.logsumexp(both, dim=-1)
        else:
            logits = prediction[..., :-1].log_softmax(-1)
        inside = actions[..., :1].abs() <= 1
        density = (_shares(actions[..., :1], self.centres) * inside / _areas(self.centres)).log()
        return torch.logsumexp(logits + density, dim=-1)

    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """An action from the triangle of a bin that is drawn by its probability; go as `act` would where it is none."""
        weights = (prediction if self.is_joint else prediction[..., :-1]).softmax(-1)
        rows = weights.flatten(0, -2).cpu()
        drawn = torch.multinomial(rows, 1, generator=generator).to(weights.device).view(weights.shape[:-1])
        if self.is_joint:
            go_bins = len(self.go_centres)
            turn = _around(drawn // go_bins, self.centres, generator)
            go = _around(drawn % go_bins, self.go_centres, generator)
        else:
            turn = _around(drawn, self.centres, generator)
            go = torch.tanh(prediction[..., -1])
        return torch.stack((turn, go), dim=-1)

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """Mean of the likeliest bin and its neighbours, two of them, or eight over turn and go together."""
        if self.is_joint:
            return self._likeliest_of_both(prediction.softmax(-1))
        turn = _mean_around(prediction[..., :-1].softmax(-1), self.centres)
        return torch.stack((turn, torch.tanh(prediction[..., -1])), dim=-1)

    def _likeliest_of_both(self, probability: Tensor) -> Tensor:
        """Actions (..., K, 2) for probabilities (..., K, bins * go_bins)."""
        bins, go_bins = len(self.centres), len(self.go_centres)
        best = probability.argmax(-1)
        table = probability.unflatten(-1, (bins, go_bins))
        rows = _near(best // go_bins, bins)
        columns = _near(best % go_bins, go_bins)
        near = table.gather(-2, rows[..., None].expand(*rows.shape, go_bins))
        near = near.gather(-1, columns[..., None, :].expand(*rows.shape, columns.shape[-1]))
        total = near.sum((-1, -2))
        turn = (near.sum(-1) * self.centres[rows]).sum(-1) / total
        go = (near.sum(-2) * self.go_centres[columns]).sum(-1) / total
        return torch.stack((turn, go), dim=-1)

    def _shares_of_both(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of the bins of turn (..., K, bins) and of go (..., K, go_bins)."""
        return _shares(actions[..., :1], self.centres), _shares(actions[..., 1:], self.go_centres)

    def _joint(self, turn: Tensor, go: Tensor) -> Tensor:
        """(..., bins * go_bins) product of (..., bins) and (..., go_bins)."""
        return (turn[..., :, None] * go[..., None, :]).flatten(-2)


def _spacing(centres: Tensor) -> Tensor:
    return centres[1] - centres[0]


def _shares(values: Tensor, centres: Tensor) -> Tensor:
    """Share of each bin in values (..., 1), (..., bins): all of it at the bin's centre, none at the next one's."""
    return (1.0 - (values - centres).abs() / _spacing(centres)).clamp_min(0.0)


def _areas(centres: Tensor) -> Tensor:
    """Area (bins,) under each bin's triangle; those at the ends are cut in half."""
    area = torch.full_like(centres, float(_spacing(centres)))
    area[0] /= 2
    area[-1] /= 2
    return area


def _around(drawn: Tensor, centres: Tensor, generator: torch.Generator | None) -> Tensor:
    """A value (...) from the triangle of each bin that was drawn (...)."""
    first, second = torch.rand(2, *drawn.shape, generator=generator).to(centres.device)
    value = centres[drawn] + (first - second) * _spacing(centres)
    # What would fall off an end falls back: the triangle there is cut in half.
    return torch.where(value > 1, 2 - value, torch.where(value < -1, -2 - value, value))


def _near(best: Tensor, bins: int) -> Tensor:
    """Bins (..., 3): those likeliest (...) and their neighbours."""
    best = best[..., None].clamp(1, bins - 2)
    return torch.cat((best - 1, best, best + 1), dim=-1)


def _mean_around(probability: Tensor, centres: Tensor) -> Tensor:
    """Mean (...) of the likeliest bin and its two neighbours, for probabilities (..., bins)."""
    around = _near(probability.argmax(-1), len(centres))
    weight = probability.gather(-1, around)
    return (weight * centres[around]).sum(-1) / weight.sum(-1)
