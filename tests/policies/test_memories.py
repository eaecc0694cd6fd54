"""Memories: step by step equals the window, at any phase; nothing leaks from the future or from another episode."""

from __future__ import annotations

import pytest
import torch

from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.memories.base import Memory
from forestpilot.policies.networks.memories.options import StackedConfig, TCNConfig
from forestpilot.policies.networks.memories.stacked import StackedMemory
from forestpilot.policies.networks.memories.tcn import TCNMemory
from forestpilot.policies.networks.memories.transformer import TransformerConfig, TransformerMemory
from tests.helpers.made_up import step_through

FEATURES, WINDOW = 16, 6
REMEMBERING = [name for name in MEMORIES if name != "none"]


def make_memory(name: str, layers: int = 1, features: int = FEATURES) -> Memory:
    part = MEMORIES.get(name)
    config = TransformerConfig(layers=layers) if name == "transformer" else part.Config()
    return part(config, features, WINDOW)


def make_trained(name: str, layers: int = 1) -> Memory:
    """A memory whose output is no longer zero."""
    torch.manual_seed(0)
    memory = make_memory(name, layers).eval()
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return memory


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", MEMORIES)
@torch.inference_mode()
def test_stepping_gives_the_numbers_of_the_window(name: str, layers: int) -> None:
    memory = make_trained(name, layers)
    features = torch.randn(3, WINDOW, FEATURES)
    assert torch.allclose(step_through(memory, features), memory(features)[0], atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
@torch.inference_mode()
def test_transformer_in_flight_sees_the_window_that_ends_now_at_any_phase(layers: int) -> None:
    memory = make_trained("transformer", layers)
    episode = torch.randn(2, 4 * WINDOW, FEATURES)
    finished = step_through(memory, episode)
    for now in range(4 * WINDOW):
        begin = max(0, now - WINDOW + 1)
        window = memory(episode[:, begin : now + 1])[0]
        assert torch.allclose(finished[:, now], window[:, -1], atol=1e-5)


@torch.inference_mode()
def test_transformer_over_a_long_stretch_equals_stepping() -> None:
    memory = make_trained("transformer", 2)
    episode = torch.randn(2, 3 * WINDOW, FEATURES)
    assert torch.allclose(memory(episode)[0], step_through(memory, episode), atol=1e-5)


@pytest.mark.parametrize("name", REMEMBERING)
@torch.inference_mode()
def test_carried_state_continues_a_window(name: str) -> None:
    memory = make_trained(name)
    features = torch.randn(3, 9, FEATURES)
    whole = step_through(memory, features)
    first, state = memory(features[:, :4])
    rest, _ = memory(features[:, 4:], state)
    assert torch.allclose(torch.cat((first, rest), dim=1), whole, atol=1e-5)


@pytest.mark.parametrize("name", MEMORIES)
@torch.inference_mode()
def test_the_future_does_not_change_the_past(name: str) -> None:
    memory = make_trained(name)
    features = torch.randn(1, WINDOW, FEATURES)
    changed = features.clone()
    changed[:, 3:] += 1
    before, after = memory(features)[0], memory(changed)[0]
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@pytest.mark.parametrize("name", REMEMBERING)
@torch.inference_mode()
def test_the_past_matters_once_trained(name: str) -> None:
    memory = make_trained(name)
    features = torch.randn(1, WINDOW, FEATURES)
    changed = features.clone()
    changed[:, -3] *= -1  # a shift would not do: layer normalisation takes it out
    assert not torch.allclose(memory(features)[0][:, -1], memory(changed)[0][:, -1])


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_new_memory_adds_nothing_but_learns(name: str) -> None:
    memory = make_memory(name)
    features = torch.randn(2, WINDOW, FEATURES)
    output = memory(features)[0]
    assert torch.equal(output, features)
    output.square().sum().backward()
    assert memory.out.weight.grad is not None
    assert memory.out.weight.grad.abs().sum() > 0


@torch.inference_mode()
def test_an_lstm_carried_for_a_long_episode_stays_bounded() -> None:
    torch.manual_seed(0)
    memory = make_memory("lstm")
    _, (hidden, cell) = memory(torch.ones(1, 2000, FEATURES))
    assert hidden.abs().max() <= 1
    assert cell.abs().max() < 10


def test_transformer_with_a_window_of_one_step_sees_itself() -> None:
    memory = TransformerMemory(TransformerConfig(), FEATURES, 1)
    features = torch.randn(2, 1, FEATURES)
    output, state = memory(features)
    assert torch.allclose(memory(features, state)[0], output, atol=1e-6)


def test_features_must_divide_among_heads() -> None:
    with pytest.raises(ValueError, match=r"multiple of memory\.heads"):
        make_memory("transformer", features=10)


@pytest.mark.parametrize(
    "memory",
    [
        TCNMemory(TCNConfig(kernel=3), FEATURES, WINDOW + 1),
        TCNMemory(TCNConfig(layers=1, kernel=6), FEATURES, WINDOW),
        StackedMemory(StackedConfig(frames=3, spacing=2), FEATURES, WINDOW),
        StackedMemory(StackedConfig(frames=1), FEATURES, 1),
    ],
    ids=["tcn-3", "tcn-6", "stacked", "stacked-1"],
)
@torch.inference_mode()
def test_of_a_long_episode_it_sees_the_last_window_also_after_a_restart_within_the_batch(memory: Memory) -> None:
    torch.manual_seed(0)
    for parameter in memory.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    memory.eval()
    steps, restarted_at, reach = 4 * WINDOW, 9, WINDOW + 1
    episode = torch.randn(2, steps, FEATURES)
    state = memory.initial(2)
    for now in range(steps):
        if now == restarted_at:
            for tensor in state:
                tensor[1] = 0
        stepped, state = memory(episode[:, now : now + 1], state)
        for row, start in ((0, 0), (1, restarted_at if now >= restarted_at else 0)):
            window = episode[row : row + 1, max(start, now - reach + 1) : now + 1]
            assert torch.allclose(stepped[row, 0], memory(window)[0][0, -1], atol=1e-5)


def test_a_tcn_looks_back_on_as_many_steps_as_a_window_holds() -> None:
    assert [TCNMemory(TCNConfig(), FEATURES, window).reach for window in (2, 6, 8, 16)] == [2, 4, 8, 16]
    memory = TCNMemory(TCNConfig(), FEATURES, 8)
    torch.nn.init.ones_(memory.out.weight)
    features = torch.randn(1, 12, FEATURES, requires_grad=True)
    memory(features)[0][0, -1].sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad[0].abs().sum(-1) > 0, torch.arange(12) >= 4)


@pytest.mark.parametrize(
    ("part", "config", "window"),
    [
        (TCNMemory, TCNConfig(layers=4), 8),
        (TCNMemory, TCNConfig(), 1),
        (StackedMemory, StackedConfig(frames=4, spacing=3), 9),
    ],
)
def test_a_memory_that_looks_back_further_than_a_window_is_refused(part: type, config: object, window: int) -> None:
    with pytest.raises(ValueError, match=rf"policy\.window has {window}; lengthen the window"):
        part(config, FEATURES, window)


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (StackedConfig, {"frames": 0}),
        (StackedConfig, {"spacing": 0}),
        (TCNConfig, {"kernel": 1}),
        (TCNConfig, {"layers": 0}),
        (TCNConfig, {"dropout": 1.0}),
        (TCNConfig, {"dropout": -0.1}),
    ],
)
def test_bad_options_are_refused(config: type, values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        config(**values)
