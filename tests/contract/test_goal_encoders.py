"""Every registered goal encoder: the size it says, windows by themselves, gradients everywhere."""

from __future__ import annotations

import pytest
import torch

from forestpilot.policies.networks.goal_encoders import GOAL_ENCODERS
from forestpilot.policies.networks.goal_encoders.adapted import AdaptedGoal
from forestpilot.policies.networks.goal_encoders.base import Demonstrated, GoalEncoder, GoalShape, GoalView
from forestpilot.policies.networks.goal_encoders.options import DemonstrationGoalConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATED_FRAMES, GOAL_MIRRORS, ORDER

WINDOWS = 4
STEPS = 2
VIEW = (32, 64)


def shape_of(name: str) -> GoalShape:
    return GoalShape(len(GOAL_MIRRORS[ORDER]) if name == "order" else 3, *VIEW)


def make(name: str) -> GoalEncoder:
    torch.manual_seed(0)
    part = GOAL_ENCODERS.get(name)
    return part(part.Config(), shape_of(name))


def draw_goals(encoder: GoalEncoder, name: str) -> tuple[torch.Tensor, GoalView]:
    generator = torch.Generator().manual_seed(1)
    frames = (DEMONSTRATED_FRAMES,) if encoder.reads_demonstration else ()
    views = torch.randint(0, 256, (WINDOWS, *frames, *VIEW, 3), generator=generator, dtype=torch.uint8)
    goal = torch.randn(WINDOWS, STEPS, shape_of(name).goal_size, generator=generator)
    if not frames:
        return goal, views
    return goal, Demonstrated(views, torch.randn(WINDOWS, *frames, 15, generator=generator))


def part_of(view: GoalView, row: int) -> GoalView:
    own = slice(row, row + 1)
    return Demonstrated(*(values[own] for values in view)) if isinstance(view, Demonstrated) else view[own]


def inverted(view: GoalView) -> GoalView:
    return view._replace(views=255 - view.views) if isinstance(view, Demonstrated) else 255 - view


@pytest.mark.parametrize("name", GOAL_ENCODERS.names())
def test_goals_are_read_each_by_itself_and_make_as_many_numbers_as_it_says(name: str) -> None:
    encoder = make(name).eval()
    assert GOAL_ENCODERS.get(name).Config.part == name
    goal, view = draw_goals(encoder, name)
    with torch.inference_mode():
        together = encoder(goal, view)
        alone = torch.cat([encoder(goal[i : i + 1], part_of(view, i)) for i in range(WINDOWS)])
    assert together.shape == (WINDOWS, STEPS, encoder.size) and together.dtype == torch.float32
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", GOAL_ENCODERS.names())
def test_what_it_reads_matters_and_everything_learns(name: str) -> None:
    encoder = make(name)
    goal, view = draw_goals(encoder, name)
    read = encoder(goal, view)
    assert torch.allclose(read, encoder(-goal, view)) is encoder.reads_picture
    if not isinstance(encoder, AdaptedGoal):  # that reads a demonstration by what a policy makes of it
        looks = encoder.reads_picture or encoder.reads_demonstration
        assert torch.allclose(read, encoder(goal, inverted(view))) is not looks
    if not list(encoder.parameters()):
        return
    if isinstance(encoder, AdaptedGoal):
        read = encoder.join(goal, encoder.adapted(lambda context: (context - 1.0).square().mean(dim=1), WINDOWS))
    named = encoder.naming_loss(torch.zeros(WINDOWS, 3, dtype=torch.int64))
    (read.square().sum() + named.sum()).backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("motion", [False, True])
def test_how_a_demonstrator_moved_is_read_by_who_is_to(motion: bool) -> None:
    torch.manual_seed(0)
    shape = GoalShape(3, *VIEW, state_scale=(2.0,) * 10)
    encoder = GOAL_ENCODERS.get("demonstration")(DemonstrationGoalConfig(motion=motion), shape)
    goal, view = draw_goals(encoder, "demonstration")
    assert isinstance(view, Demonstrated)
    read = encoder(goal, view)
    for part in (slice(0, 10), slice(13, 15)):  # the state; the action
        steps = view.steps.clone()
        steps[..., part] += 1.0
        assert torch.allclose(read, encoder(goal, view._replace(steps=steps))) is not motion


def test_who_needs_a_demonstration_says_so() -> None:
    encoder = make("demonstration")
    with pytest.raises(InvalidArgumentError, match="needs a demonstration"):
        encoder(draw_goals(encoder, "demonstration")[0], None)
