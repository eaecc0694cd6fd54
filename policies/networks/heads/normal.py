"""Normal distributions as networks predict them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_STD_MIN = -3.0
"""Least logarithm of a predicted standard deviation, in units of the action."""
LOG_STD_MAX = 0.5
"""Largest."""


def bounded_log_std(raw: Tensor) -> Tensor:
    """Squash to the bounds smoothly, so that the gradient never dies at a wall."""
    middle = (LOG_STD_MAX + LOG_STD_MIN) / 2
    half = (LOG_STD_MAX - LOG_STD_MIN) / 2
    return middle + half * torch.tanh(raw)


def log_density(mean: Tensor, log_std: Tensor, value: Tensor) -> Tensor:
    """Elementwise log density of a normal distribution."""
    return -0.5 * ((value - mean) * torch.exp(-log_std)).square() - log_std - 0.5 * math.log(2 * math.pi)


def draw_normal(mean: Tensor, log_std: Tensor, generator: torch.Generator | None) -> Tensor:
    """One draw from each normal distribution."""
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
    return mean + torch.exp(log_std) * noise
