"""Gradients are clipped as torch clips them."""

from __future__ import annotations

import math

import pytest
import torch

from forestpilot.policies.training.state import clip


@pytest.mark.parametrize("limit", [0.0, 1.0])
@pytest.mark.parametrize("size", [1e-4, 1.0, math.nan])
def test_a_gradient_is_shortened_to_the_same_bits_as_by_torch(size: float, limit: float) -> None:
    gradient = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * size
    other = torch.nn.Parameter(torch.zeros(1000))
    other.grad = gradient.clone()
    norm = clip(gradient, limit)
    torch.testing.assert_close(
        norm, torch.nn.utils.clip_grad_norm_(other, limit or math.inf), rtol=0, atol=0, equal_nan=True
    )
    torch.testing.assert_close(gradient, other.grad, rtol=0, atol=0, equal_nan=True)
