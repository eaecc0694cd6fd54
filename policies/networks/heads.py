"""What a policy predicts at each step, what it is trained on, and how the prediction becomes an action.

Each head predicts both elements of the action, (turn, go), each in [-1, 1]. They differ in how they treat a turn on
which demonstrations disagree: the planner turns left or right of a trunk dead ahead, and the mean of the two is the
trunk.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOG_STD_MIN, LOG_STD_MAX = -3.0, 0.5
"""Bounds of the logarithm of a predicted standard deviation, in units of the action."""
SPREAD = 0.3
"""Outermost turns, in action units, at which the components of a mixture start."""


class Head(nn.Module):
    """A small network on the features; subclasses say what its outputs mean.

    Args:
        features: size of the features.
        size: number of outputs P.
    """

    needs_costs = False
    """Whether the loss needs the planner's costs."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.network = nn.Sequential(nn.Linear(features, features), nn.ReLU(inplace=True), nn.Linear(features, size))

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., F) to predictions (..., P)."""
        return self.network(features)

    def loss(self, prediction: Tensor, actions: Tensor, costs: Tensor | None) -> Tensor:
        """Loss of each step (...) for predictions (..., P), expert actions (..., 2) and planner's costs (..., K)."""
        raise NotImplementedError

    def decode(self, prediction: Tensor, previous_turn: Tensor | None = None) -> Tensor:
        """Actions (..., 2) in [-1, 1] for predictions (..., P).

        Args:
            prediction: (..., P).
            previous_turn: (...) the turn in action units that the last command would now be, NaN where there was
                none; only the turn-costs head uses it.
        """
        raise NotImplementedError

    def costs(self, prediction: Tensor) -> Tensor | None:
        """Predicted cost of each candidate turn (..., K), for the overlay; None where a head predicts none."""
        return None

    def diagnostics(self, prediction: Tensor, actions: Tensor, costs: Tensor | None, mask: Tensor) -> dict[str, float]:
        """Figures of this head alone for the log, name to value."""
        return {}


class RegressionHead(Head):
    """Mean squared error on the action: simple, and averages left and right."""

    def __init__(self, features: int) -> None:
        super().__init__(features, 2)

    def loss(self, prediction: Tensor, actions: Tensor, costs: Tensor | None) -> Tensor:
        """Squared error, summed over turn and go."""
        return (torch.tanh(prediction) - actions).square().sum(-1)

    def decode(self, prediction: Tensor, previous_turn: Tensor | None = None) -> Tensor:
        """The prediction, bounded."""
        return torch.tanh(prediction)


class GaussianHead(Head):
    """A normal distribution per element of the action, trained by negative log-likelihood; acts on its mean."""

    def __init__(self, features: int) -> None:
        super().__init__(features, 4)

    def loss(self, prediction: Tensor, actions: Tensor, costs: Tensor | None) -> Tensor:
        """Negative log-likelihood."""
        mean, log_std = prediction.chunk(2, dim=-1)
        return -_log_density(torch.tanh(mean), _bounded_log_std(log_std), actions).sum(-1)

    def decode(self, prediction: Tensor, previous_turn: Tensor | None = None) -> Tensor:
        """The mean."""
        return torch.tanh(prediction[..., :2])


class MixtureHead(Head):
    """A mixture of normal distributions over the turn (Bishop 1994); acts on the mean of the likeliest component.

    The components start spread, or all of them learn the same turn. Go stands beside the mixture: it hardly
    varies, so its likelihood would drown the turn's.
    """

    spread: Tensor

    def __init__(self, features: int, components: int) -> None:
        super().__init__(features, 3 * components + 1)
        self.components = components
        self.register_buffer("spread", torch.atanh(torch.linspace(-SPREAD, SPREAD, components)), persistent=False)

    def loss(self, prediction: Tensor, actions: Tensor, costs: Tensor | None) -> Tensor:
        """Negative log-likelihood of the turn, squared error of go."""
        log_weights, mean, log_std = self._split(prediction)
        density = _log_density(mean, log_std, actions[..., :1])
        return _go_error(prediction, actions) - torch.logsumexp(log_weights + density, dim=-1)

    def decode(self, prediction: Tensor, previous_turn: Tensor | None = None) -> Tensor:
        """The mean of the component with the largest weight."""
        log_weights, mean, _ = self._split(prediction)
        turn = mean.gather(-1, log_weights.argmax(-1, keepdim=True)).squeeze(-1)
        return torch.stack((turn, torch.tanh(prediction[..., -1])), dim=-1)

    def diagnostics(self, prediction: Tensor, actions: Tensor, costs: Tensor | None, mask: Tensor) -> dict[str, float]:
        """How many components share the weight: from 1 (collapsed) to all."""
        weights = self._split(prediction)[0].exp()[mask].mean(0)
        return {"components_in_use": float(torch.exp(-(weights * weights.clamp_min(1e-9).log()).sum()))}

    def _split(self, prediction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and log standard deviations of the turn, each (..., M)."""
        logits, mean, log_std = prediction[..., :-1].chunk(3, dim=-1)
        return logits.log_softmax(-1), torch.tanh(mean + self.spread), _bounded_log_std(log_std)


class CategoricalHead(Head):
    """Cross-entropy over bins of turn, a label shared by the bins beside it; acts around the likeliest bin."""

    centres: Tensor

    def __init__(self, features: int, bins: int) -> None:
        super().__init__(features, bins + 1)
        self.register_buffer("centres", torch.linspace(-1.0, 1.0, bins), persistent=False)

    def loss(self, prediction: Tensor, actions: Tensor, costs: Tensor | None) -> Tensor:
        """Cross-entropy of the turn, squared error of go."""
        spacing = self.centres[1] - self.centres[0]
        target = (1.0 - (actions[..., :1] - self.centres).abs() / spacing).clamp_min(0.0)
        entropy = -(target * prediction[..., :-1].log_softmax(-1)).sum(-1)
        return entropy + _go_error(prediction, actions)

    def decode(self, prediction: Tensor, previous_turn: Tensor | None = None) -> Tensor:
        """Mean turn of the likeliest bin and its two neighbours."""
        probability = prediction[..., :-1].softmax(-1)
        best = probability.argmax(-1, keepdim=True).clamp(1, len(self.centres) - 2)
        around = torch.cat((best - 1, best, best + 1), dim=-1)
        weight = probability.gather(-1, around)
        turn = (weight * self.centres[around]).sum(-1) / weight.sum(-1)
        return torch.stack((turn, torch.tanh(prediction[..., -1])), dim=-1)


class TurnCostsHead(Head):
    """Regresses the planner's cost of each candidate turn (AggreVaTe, Ross & Bagnell 2014) and takes the cheapest.

    Target: cost above the cheapest candidate, clipped, compressed and scaled, smooth-L1. Where left and right are
    equally good both stay cheap and the middle stays dear, so nothing is averaged away. Acting: predicted cost plus a
    little for leaving the last commanded heading, argmin, then the vertex of the parabola through it and its
    neighbours.

    Args:
        features: size of the features.
        candidate_turns: the K candidates in action units (-1 to 1), evenly spaced, ascending.
        clip: cost above which a candidate is simply bad, in the expert's units.
        scale: divides the target.
        curve: `linear`, or `sqrt` to see more of the small differences near the cheapest.
        hysteresis: cost in the expert's units per unit of turn away from the last commanded heading.
        predict_go: learn the expert's go; False goes at full set point.
    """

    needs_costs = True
    turns: Tensor

    def __init__(
        self,
        features: int,
        candidate_turns: Tensor,
        clip: float,
        scale: float,
        curve: str,
        hysteresis: float,
        predict_go: bool,
    ) -> None:
        if curve not in ("linear", "sqrt"):
            raise ValueError(f"cost_curve must be linear or sqrt, got {curve!r}")
        super().__init__(features, len(candidate_turns) + 1)
        self.register_buffer("turns", candidate_turns, persistent=False)
        self.clip, self.scale, self.curve = clip, scale, curve
        self.hysteresis, self.predict_go = hysteresis, predict_go

    def loss(self, prediction: Tensor, actions: Tensor, costs: Tensor | None) -> Tensor:
        """Smooth-L1 of the candidates' costs, squared error of go; raises ValueError without costs."""
        if costs is None:
            raise ValueError(
                "the turn-costs head learns from the planner's costs, and this data has none; choose another head"
            )
        loss = F.smooth_l1_loss(prediction[..., :-1], self.target(costs), reduction="none").mean(-1)
        if self.predict_go:
            loss = loss + _go_error(prediction, actions)
        return loss

    def target(self, costs: Tensor) -> Tensor:
        """What the network should say for the planner's costs (..., K)."""
        relative = (costs - costs.amin(-1, keepdim=True)).clamp_max(self.clip)
        return (relative.sqrt() if self.curve == "sqrt" else relative) / self.scale

    def costs(self, prediction: Tensor) -> Tensor:
        """Predicted costs (..., K) in the expert's units, clipped as the targets were."""
        scaled = prediction[..., :-1] * self.scale
        # Odd-symmetric square: a prediction slightly below zero must stay below its neighbours.
        return scaled * scaled.abs() if self.curve == "sqrt" else scaled

    def decode(self, prediction: Tensor, previous_turn: Tensor | None = None) -> Tensor:
        """The cheapest turn."""
        costs = self.costs(prediction)
        if previous_turn is not None:
            previous_turn = previous_turn[..., None]
            costs = costs + torch.nan_to_num(self.hysteresis * (self.turns - previous_turn).abs(), nan=0.0)
        best = costs.argmin(-1, keepdim=True)
        middle = best.clamp(1, len(self.turns) - 2)
        before, at, after = costs.gather(-1, torch.cat((middle - 1, middle, middle + 1), dim=-1)).unbind(-1)
        curvature = (before - 2 * at + after).clamp_min(1e-6)
        shift = (0.5 * (before - after) / curvature).clamp(-0.5, 0.5)
        # At either end there is no parabola: the end itself is the answer.
        shift = torch.where((best == middle).squeeze(-1), shift, torch.zeros_like(shift))
        turn = self.turns[best.squeeze(-1)] + shift * (self.turns[1] - self.turns[0])
        go = torch.tanh(prediction[..., -1]) if self.predict_go else torch.ones_like(turn)
        return torch.stack((turn.clamp(-1.0, 1.0), go), dim=-1)

    def diagnostics(self, prediction: Tensor, actions: Tensor, costs: Tensor | None, mask: Tensor) -> dict[str, float]:
        """Share of choices that are the planner's or next to it, and what they cost."""
        if costs is None:
            return {}
        chosen = prediction[..., :-1].argmin(-1, keepdim=True)
        relative = (costs - costs.amin(-1, keepdim=True)).clamp_max(self.clip)
        near = (chosen.squeeze(-1) - costs.argmin(-1)).abs() <= 1
        return {
            "argmin_agreement": float(near[mask].float().mean()),
            "regret": float(relative.gather(-1, chosen).squeeze(-1)[mask].mean()),
        }


def _go_error(prediction: Tensor, actions: Tensor) -> Tensor:
    """Squared error of go, which most heads predict as their last output."""
    return (torch.tanh(prediction[..., -1]) - actions[..., 1]).square()


def _bounded_log_std(raw: Tensor) -> Tensor:
    """Squash to the bounds smoothly, so that the gradient never dies at a wall."""
    middle, half = (LOG_STD_MAX + LOG_STD_MIN) / 2, (LOG_STD_MAX - LOG_STD_MIN) / 2
    return middle + half * torch.tanh(raw)


def _log_density(mean: Tensor, log_std: Tensor, value: Tensor) -> Tensor:
    """Elementwise log density of a normal distribution."""
    return -0.5 * ((value - mean) * torch.exp(-log_std)).square() - log_std - 0.5 * math.log(2 * math.pi)


HEADS = ("regression", "gaussian", "mixture", "categorical", "turn-costs")
"""Names of the heads."""
