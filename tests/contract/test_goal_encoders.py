"""Every registered goal encoder: the size it says, windows by themselves, gradients everywhere."""

from __future__ import annotations

import pytest
import torch

from forestpilot.policies.networks.goal_encoders import GOAL_ENCODERS
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape

SHAPE = GoalShape(goal_size=3, view_height=32, view_width=64)
WINDOWS = 4
STEPS = 2


def make(name: str) -> GoalEncoder:
    torch.manual_seed(0)
    part = GOAL_ENCODERS.get(name)
    return part(part.Config(), SHAPE)


def draw_goals() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    size = (WINDOWS, SHAPE.view_height, SHAPE.view_width, 3)
    views = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    return torch.randn(WINDOWS, STEPS, SHAPE.goal_size, generator=generator), views


@pytest.mark.parametrize("name", GOAL_ENCODERS.names())
def test_goals_are_read_each_by_itself_and_make_as_many_numbers_as_it_says(name: str) -> None:
    encoder = make(name).eval()
    assert GOAL_ENCODERS.get(name).Config.part == name
    goal, view = draw_goals()
    with torch.inference_mode():
        together = encoder(goal, view)
        alone = torch.cat([encoder(goal[i : i + 1], view[i : i + 1]) for i in range(WINDOWS)])
    assert together.shape == (WINDOWS, STEPS, encoder.size) and together.dtype == torch.float32
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", GOAL_ENCODERS.names())
def test_what_it_reads_matters_and_everything_learns(name: str) -> None:
    encoder = make(name)
    goal, view = draw_goals()
    read = encoder(goal, view)
    assert torch.allclose(read, encoder(-goal, view)) is encoder.reads_picture
    assert torch.allclose(read, encoder(goal, 255 - view)) is not encoder.reads_picture
    if not list(encoder.parameters()):
        return
    read.square().sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), parameter_name
