"""What heads have in common that make an action out of noise, and the network of those that do so in several steps."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.even_linear import EvenLinear
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, Head, Target, small_network
from forestpilot.policies.networks.heads.options import DenoisingConfig, GenerativeConfig
from forestpilot.sim.envs.task_spec import TaskSpec

NEAR = 0.1
"""Samples are near each other where they differ by so much, in units of an action."""
FREQUENCIES = 8
"""Cosines, and as many sines, that tell a network the time."""


class GenerativeHead(Head):
    """A head whose actions are made of its prediction and of standard normal noise.

    A prediction (..., W) is what the features say to the networks that do so; all else is theirs. Without noise and
    without a generator it acts on noise of zeros, the middle of what it could draw. Where it draws several samples, it
    acts on the likeliest of them.

    Args:
        config: says how wide a prediction is, and when noise is drawn.
        features: size F of a feature vector.
        spec: task.
        chunk: actions K.
        noise_shape: N, of the noise that becomes an action, or a chunk of them.
    """

    draws_noise = True

    def __init__(
        self,
        config: GenerativeConfig,
        features: int,
        spec: TaskSpec,
        chunk: int,
        *,
        noise_shape: tuple[int, ...],
    ) -> None:
        super().__init__(config, features, spec, chunk)
        self.network = small_network(features, config.width)
        self.noise_shape = (config.samples, *noise_shape)
        self.keeps_noise = config.draw_each == "episode"

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., F) to predictions (..., W)."""
        prediction: Tensor = self.network(features)
        return prediction

    @abstractmethod
    def generate(self, prediction: Tensor, noise: Tensor) -> Tensor:
        """Actions (..., K, 2), which may lie outside [-1, 1], of predictions (..., W) and noise (..., *N)."""

    def sample(self, prediction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions (..., K, 2) drawn from what was learned; one may lie outside [-1, 1]."""
        return self.generate(prediction, self._draw(prediction, self.noise_shape[1:], generator))

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """Actions (..., K, 2) made of the context's noise (..., S, *N), or of what the generator draws."""
        noise = context.noise
        if noise is None and generator is not None:
            noise = self._draw(prediction, self.noise_shape, generator)
        if noise is None:
            noise = prediction.new_zeros(*prediction.shape[:-1], *self.noise_shape)
        samples = prediction[..., None, :].expand(*prediction.shape[:-1], self.noise_shape[0], -1)
        return likeliest(self.generate(samples, noise).clamp(-1.0, 1.0))

    def _draw(self, prediction: Tensor, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        noise = torch.randn(*prediction.shape[:-1], *shape, generator=generator, dtype=prediction.dtype)
        return noise.to(prediction.device)


def likeliest(samples: Tensor) -> Tensor:
    """Of samples (..., S, K, 2) the one (..., K, 2) with the most others near it.

    Diffusion-KDE chooses so (Pearce et al. 2023, arXiv:2301.10677).

    The estimate of their density has a normal kernel of standard deviation `NEAR`, over the root mean square difference
    of a chunk's actions.
    """
    differences = samples[..., :, None, :, :] - samples[..., None, :, :, :]
    squared = differences.square().sum(-1).mean(-1)
    density = torch.exp(squared / (-2 * NEAR**2)).sum(-1)
    chosen = density.argmax(-1)[..., None, None, None].expand(*samples.shape[:-3], 1, *samples.shape[-2:])
    return samples.gather(-3, chosen)[..., 0, :, :]


class Denoiser(nn.Module):
    """What to do to noisy actions at a time: an MLP of two hidden layers that each see the prediction.

    Args:
        chunk: actions K.
        width: units W of each hidden layer.
    """

    frequencies: Tensor

    def __init__(self, chunk: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * chunk + 2 * FREQUENCIES, width)
        self.second = nn.Linear(width, width)
        self.last = EvenLinear(width, 2 * chunk)
        self.register_buffer("frequencies", math.pi * torch.arange(1, FREQUENCIES + 1), persistent=False)

    def forward(self, noisy: Tensor, time: Tensor, prediction: Tensor) -> Tensor:
        """(..., K, 2) for noisy actions (..., K, 2) at times (...) from 0 to 1, given predictions (..., W)."""
        angles = time[..., None] * self.frequencies
        inputs = torch.cat((noisy.flatten(-2), torch.cos(angles), torch.sin(angles)), dim=-1)
        hidden = nn.functional.silu(self.first(inputs) + prediction)
        hidden = nn.functional.silu(self.second(hidden) + prediction) + hidden
        output: Tensor = self.last(hidden)
        return output.unflatten(-1, noisy.shape[-2:])


class DenoisingHead(GenerativeHead):
    """A head that makes its actions of noise of their shape, in several steps of a denoiser."""

    def __init__(self, config: DenoisingConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, noise_shape=(chunk, 2))
        self.denoiser = Denoiser(chunk, config.width)


def known_actions(target: Target) -> Tensor:
    """Actions (..., K, 2) of a target; zero where nobody knows them, which may be anything, and not even a number."""
    return target.actions.where(target.known[..., None], 0.0)


def mean_over_known(losses: Tensor, target: Target) -> Tensor:
    """Mean (...) of the losses (..., K) of those actions that are known."""
    known = target.known.to(losses.dtype)
    return (losses * known).sum(-1) / known.sum(-1).clamp_min(1.0)
