"""Every registered memory: step by step equals the window; episodes of a batch do not meet; the future is not known."""

from __future__ import annotations

import pytest
import torch

from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.memories.base import Memory
from tests.helpers.made_up import step_through

FEATURES, WINDOW, BATCH = 16, 6, 3


def make(name: str) -> Memory:
    """A memory that is no longer as it begins."""
    torch.manual_seed(0)
    part = MEMORIES.get(name)
    memory = part(part.Config(), FEATURES, WINDOW).eval()
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return memory


@pytest.fixture(params=MEMORIES.names())
def memory(request: pytest.FixtureRequest) -> Memory:
    return make(request.param)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(BATCH, WINDOW, FEATURES, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", MEMORIES.names())
def test_its_config_names_it(name: str) -> None:
    assert MEMORIES.get(name).Config.part == name


@torch.inference_mode()
def test_step_by_step_equals_the_window(memory: Memory, features: torch.Tensor) -> None:
    window, _ = memory(features)
    assert window.shape == features.shape
    assert torch.allclose(step_through(memory, features), window, atol=1e-5)
    assert torch.allclose(step_through(memory, features, memory.initial(BATCH)), window, atol=1e-5)


@torch.inference_mode()
def test_a_carried_state_goes_on_where_it_was(memory: Memory, features: torch.Tensor) -> None:
    whole = step_through(memory, features)
    first, state = memory(features[:, :2])
    rest, _ = memory(features[:, 2:], state)
    assert torch.allclose(torch.cat((first, rest), dim=1), whole, atol=1e-5)


@torch.inference_mode()
def test_the_future_does_not_change_the_past(memory: Memory, features: torch.Tensor) -> None:
    changed = features.clone()
    changed[:, 3:] += 1
    assert torch.equal(memory(features)[0][:, :3], memory(changed)[0][:, :3])


@torch.inference_mode()
def test_episodes_of_a_batch_do_not_meet(memory: Memory, features: torch.Tensor) -> None:
    changed = features.clone()
    changed[0] *= -1
    assert torch.allclose(memory(features)[0][1:], memory(changed)[0][1:], atol=1e-6)


@torch.inference_mode()
def test_an_episode_is_restarted_by_zeros(memory: Memory, features: torch.Tensor) -> None:
    _, state = memory(features)
    assert all(len(tensor) == BATCH for tensor in state)
    for tensor in state:
        tensor[1] = 0
    again, _ = memory(features, state)
    assert torch.allclose(again[1], step_through(memory, features)[1], atol=1e-5)
