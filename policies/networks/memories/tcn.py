"""Dilated causal convolutions over the steps as a memory (WaveNet: van den Oord et al. 2016; Bai et al. 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.policies.networks.memories.base import Memory, State
from forestpilot.policies.networks.memories.options import TCNConfig
from forestpilot.sim.errors import InvalidArgumentError


class TCNMemory(Memory):
    """Gated residual blocks of dilated causal convolutions, whose skips are summed.

    Block i looks at its own inputs of `kernel` steps, 2^i apart. So L blocks look back on 1 + (kernel - 1)(2^L - 1)
    steps, which may not be more than a training window has: what lies further back would be zero in every window, and
    be there on an episode.

    On an episode each block carries the inputs that its next steps need (Le Paine et al. 2016, Fast WaveNet), which are
    zero before the first step, as in a window.
    """

    Config: ClassVar[type[MemoryConfig]] = TCNConfig

    def __init__(self, config: TCNConfig, features: int, window: int) -> None:
        super().__init__(config, features, window)
        layers = _layers_within(window, config.kernel) if config.layers is None else config.layers
        reach = _reach(layers, config.kernel)
        if layers < 1 or reach > window:
            raise InvalidArgumentError(
                f"memory.layers {max(layers, 1)} and memory.kernel {config.kernel} look back on "
                f"{_reach(max(layers, 1), config.kernel)} steps, and policy.window has {window}; lengthen the window, "
                "or take fewer layers or a smaller kernel"
            )
        self.reach = reach
        """Steps that an output depends on, its own included."""
        self.features = features
        self.carried = tuple((config.kernel - 1) * 2**i for i in range(layers))
        """Steps of each block's inputs that are carried."""
        self.blocks = nn.ModuleList(_Block(features, config.kernel, 2**i, config.dropout) for i in range(layers))
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def initial(self, batch: int) -> State:
        """No steps yet: for each block the inputs (B, (kernel - 1) 2^i, F) that are carried."""
        return tuple(self.out.weight.new_zeros(batch, steps, self.features) for steps in self.carried)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, F) and the carried inputs to (B, T, F) and the inputs to carry on."""
        state = self.initial(len(features)) if state is None else state
        inputs = features
        skips = torch.zeros_like(features)
        carried = []
        for block, past in zip(self.blocks, state, strict=True):
            inputs, skip, past = block(inputs, past)
            skips = skips + skip
            carried.append(past)
        return features + self.out(torch.relu(skips)), tuple(carried)


class _Block(nn.Module):
    """A gated residual block: tanh(filter) * sigmoid(gate) of a dilated convolution (van den Oord et al. 2016, eq. 2).

    The convolution is written as one linear layer on the taps side by side, which takes less time for so few steps.
    """

    def __init__(self, features: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.kernel = kernel
        self.dilation = dilation
        self.filter_and_gate = nn.Linear(kernel * features, 2 * features)
        self.residual_and_skip = nn.Linear(features, 2 * features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs (B, T, F) and those before them to the next block's inputs, the skip, and the inputs to carry on."""
        steps = inputs.shape[1]
        everything = torch.cat((past, inputs), dim=1)
        taps = [everything[:, tap * self.dilation :][:, :steps] for tap in range(self.kernel)]
        filtered, gate = self.filter_and_gate(torch.cat(taps, dim=-1)).chunk(2, dim=-1)
        gated = self.dropout(torch.tanh(filtered) * torch.sigmoid(gate))
        residual, skip = self.residual_and_skip(gated).chunk(2, dim=-1)
        return inputs + residual, skip, everything[:, steps:]


def _reach(layers: int, kernel: int) -> int:
    """Steps that so many blocks look back on, the present one included."""
    return int(1 + (kernel - 1) * (2**layers - 1))


def _layers_within(window: int, kernel: int) -> int:
    """The most blocks that look back on no more than a window; 0 where not even one fits."""
    layers = 0
    while _reach(layers + 1, kernel) <= window:
        layers += 1
    return layers
