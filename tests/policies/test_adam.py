"""Adam on one row of weights."""

from __future__ import annotations

import torch

from forestpilot.policies.training.adam import Adam


def test_a_step_is_that_of_torch_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(1000, generator=generator)
    theirs = torch.nn.Parameter(ours.clone())
    adam = Adam(ours)
    reference = torch.optim.Adam([theirs], fused=True)
    for rate in (1e-2, 3e-3, 1e-3):
        gradient = torch.randn(1000, generator=generator)
        theirs.grad = gradient.clone()
        reference.param_groups[0]["lr"] = rate
        reference.step()
        adam.update(gradient, rate)
        assert torch.equal(ours, theirs)
    assert float(adam.step) == 3
    for name, row in adam.moments.items():
        assert torch.equal(row, reference.state[theirs][name])
