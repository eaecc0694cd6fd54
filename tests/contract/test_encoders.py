"""Every registered encoder: steps by themselves, gradients everywhere, the size that was asked for."""

from __future__ import annotations

import pytest
import torch

from forestpilot.policies.networks.encoders import ENCODERS
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape

SHAPE = EncoderShape(view_height=32, view_width=64, num_cameras=3, num_inputs=5, features=24)
STEPS = 4


def make(name: str) -> Encoder:
    torch.manual_seed(0)
    part = ENCODERS.get(name)
    return part(part.Config(), SHAPE)


def draw_steps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    size = (STEPS, SHAPE.num_cameras, SHAPE.view_height, SHAPE.view_width, 3)
    views = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    return views, torch.randn(STEPS, SHAPE.num_inputs, generator=generator)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_its_config_names_it(name: str) -> None:
    assert ENCODERS.get(name).Config.part == name


@pytest.mark.parametrize("name", ENCODERS.names())
def test_steps_are_encoded_each_by_itself(name: str) -> None:
    encoder = make(name).eval()
    views, inputs = draw_steps()
    with torch.inference_mode():
        together = encoder(views, inputs)
        alone = torch.cat([encoder(views[i : i + 1], inputs[i : i + 1]) for i in range(STEPS)])
    assert together.shape == (STEPS, SHAPE.features)
    assert together.dtype == torch.float32
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_views_and_inputs_matter_and_everything_learns(name: str) -> None:
    encoder = make(name)
    views, inputs = draw_steps()
    features = encoder(views, inputs)
    assert not torch.allclose(features, encoder(255 - views, inputs))
    assert not torch.allclose(features, encoder(views, -inputs))
    features.square().sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("name", ENCODERS.names())
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, second = make(name), make(name)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
