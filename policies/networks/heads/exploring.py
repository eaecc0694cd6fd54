"""Explorers: how a policy tries actions beside the one that its head would take, and how likely it tries each.

Reinforcement learning needs that of any head; a head says by `Head.explorer` which one it has. What an explorer learns
for itself, how far it strays, is no part of the policy: that goes on acting as its head says.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.heads.normal import draw_normal, log_density

LEAST_STD = 0.02
"""An explorer's standard deviation never falls below this, in units of the action: without any, nothing is learned."""


class Explorer(nn.Module, ABC):
    """A distribution over actions around what a head predicts.

    Predictions are (N, *P), actions (N, 2), and `previous` (N,) is the turn commanded last as `ActContext` tells it.
    """

    @abstractmethod
    def log_prob(self, prediction: Tensor, actions: Tensor, previous: Tensor) -> Tensor:
        """Logarithm (N,) of how likely it tries these actions."""

    @abstractmethod
    def sample(self, prediction: Tensor, previous: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions (N, 2) to try; one may lie outside [-1, 1]."""

    def entropy(self, prediction: Tensor, previous: Tensor) -> Tensor | None:
        """(N,) nats; None where there is no formula."""
        return None

    @abstractmethod
    def spread(self) -> float:
        """How far it strays, for logs."""


class Spread(nn.Module):
    """Standard deviations that are learned, the same in every state."""

    def __init__(self, size: int, std: float) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.full((size,), math.log(std)))

    def forward(self) -> Tensor:
        """(size,) logarithms."""
        return self.log_std.clamp_min(math.log(LEAST_STD))

    def entropy(self) -> Tensor:
        """Of normal distributions of these, in nats."""
        return (self() + 0.5 * math.log(2 * math.pi * math.e)).sum()


class NormalExplorer(Explorer):
    """Normal distributions around the action that the head would take.

    Args:
        mean: from predictions (N, *P) to the head's actions (N, 2), which gradients go through.
        std: standard deviation at first.
    """

    def __init__(self, mean: Callable[[Tensor], Tensor], std: float) -> None:
        super().__init__()
        self._mean = mean
        self.log_std = Spread(2, std)

    def log_prob(self, prediction: Tensor, actions: Tensor, previous: Tensor) -> Tensor:
        """See `Explorer.log_prob`."""
        return log_density(self._mean(prediction), self.log_std(), actions).sum(-1)

    def sample(self, prediction: Tensor, previous: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Explorer.sample`."""
        return draw_normal(self._mean(prediction), self.log_std(), generator)

    def entropy(self, prediction: Tensor, previous: Tensor) -> Tensor:
        """See `Explorer.entropy`."""
        return self.log_std.entropy().expand(len(prediction))

    def spread(self) -> float:
        """Mean standard deviation of turn and go."""
        return float(self.log_std().detach().exp().mean())


class ChoiceExplorer(Explorer):
    """One of some candidate turns, drawn by a softmax, and a normal distribution around the head's go.

    Args:
        logits: from predictions (N, *P) and the turn commanded last (N,) to (N, C), how good each candidate looks.
        turns: (C,) the candidates in action units, ascending.
        go: from predictions to the head's go (N,).
        temperature: divides the logits at first; it is learned.
        std: standard deviation of go at first.
    """

    turns: Tensor

    def __init__(
        self,
        logits: Callable[[Tensor, Tensor], Tensor],
        turns: Tensor,
        go: Callable[[Tensor], Tensor],
        temperature: float,
        std: float,
    ) -> None:
        super().__init__()
        self._logits = logits
        self._go = go
        self.register_buffer("turns", turns.clone(), persistent=False)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.log_std = Spread(1, std)

    def _log_chances(self, prediction: Tensor, previous: Tensor) -> Tensor:
        return (self._logits(prediction, previous) * torch.exp(-self.log_temperature)).log_softmax(-1)

    def log_prob(self, prediction: Tensor, actions: Tensor, previous: Tensor) -> Tensor:
        """See `Explorer.log_prob`; of a turn between two candidates that of the nearer one."""
        chosen = (actions[:, :1] - self.turns).abs().argmin(-1, keepdim=True)
        turn = self._log_chances(prediction, previous).gather(-1, chosen)
        go = log_density(self._go(prediction)[:, None], self.log_std(), actions[:, 1:])
        return (turn + go).squeeze(-1)

    def sample(self, prediction: Tensor, previous: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Explorer.sample`."""
        chances = self._log_chances(prediction, previous).exp()
        turn = self.turns[torch.multinomial(chances, 1, generator=generator)]
        go = draw_normal(self._go(prediction)[:, None], self.log_std(), generator)
        return torch.cat((turn, go), dim=-1)

    def entropy(self, prediction: Tensor, previous: Tensor) -> Tensor:
        """See `Explorer.entropy`."""
        log_chances = self._log_chances(prediction, previous)
        return self.log_std.entropy() - (log_chances.exp() * log_chances).sum(-1)

    def spread(self) -> float:
        """The softmax's temperature."""
        return float(self.log_temperature.detach().exp())


class HeadExplorer(Explorer):
    """The head's own distribution over the turn, and a normal distribution around its go.

    Args:
        turn_log_prob: from predictions and actions (N, 2) to (N,).
        draw: from predictions and a generator to actions (N, 2).
        go: from predictions to the head's go (N,).
        std: standard deviation of go at first.
    """

    def __init__(
        self,
        turn_log_prob: Callable[[Tensor, Tensor], Tensor],
        draw: Callable[[Tensor, torch.Generator | None], Tensor],
        go: Callable[[Tensor], Tensor],
        std: float,
    ) -> None:
        super().__init__()
        self._turn_log_prob = turn_log_prob
        self._draw = draw
        self._go = go
        self.log_std = Spread(1, std)

    def log_prob(self, prediction: Tensor, actions: Tensor, previous: Tensor) -> Tensor:
        """See `Explorer.log_prob`."""
        go = log_density(self._go(prediction)[:, None], self.log_std(), actions[:, 1:]).squeeze(-1)
        return self._turn_log_prob(prediction, actions.clamp(-1, 1)) + go

    def sample(self, prediction: Tensor, previous: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Explorer.sample`."""
        turn = self._draw(prediction, generator)[:, :1].clamp(-1, 1)
        go = draw_normal(self._go(prediction)[:, None], self.log_std(), generator)
        return torch.cat((turn, go), dim=-1)

    def spread(self) -> float:
        """Standard deviation of go."""
        return float(self.log_std().detach().exp())
