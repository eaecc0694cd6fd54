"""The features of the last steps side by side as a memory: stacked frames (Mnih et al. 2015), after the encoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.policies.networks.memories.base import Memory, State
from forestpilot.policies.networks.memories.options import StackedConfig
from forestpilot.sim.errors import InvalidArgumentError


class StackedMemory(Memory):
    """The features of `frames` steps, `spacing` apart, the present one last, through a network of one hidden layer.

    Steps before the first one are zero, in a training window as on an episode.
    """

    Config: ClassVar[type[MemoryConfig]] = StackedConfig

    def __init__(self, config: StackedConfig, features: int, window: int) -> None:
        super().__init__(config, features, window)
        if config.reach > window:
            raise InvalidArgumentError(
                f"memory.frames {config.frames}, memory.spacing {config.spacing} apart, reach over {config.reach} "
                f"steps, and policy.window has {window}; lengthen the window, or take fewer frames"
            )
        self.frames = config.frames
        self.spacing = config.spacing
        self.features = features
        self.mix = nn.Linear(config.frames * features, features)
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def initial(self, batch: int) -> State:
        """No steps yet: the features (B, (frames - 1) * spacing, F) that are carried."""
        return (self.out.weight.new_zeros(batch, (self.frames - 1) * self.spacing, self.features),)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, F) and the carried features to (B, T, F) and the features to carry on."""
        steps = features.shape[1]
        (past,) = self.initial(len(features)) if state is None else state
        everything = torch.cat((past, features), dim=1)
        stack = [everything[:, frame * self.spacing :][:, :steps] for frame in range(self.frames)]
        hidden = torch.relu(self.mix(torch.cat(stack, dim=-1)))
        return features + self.out(hidden), (everything[:, steps:],)
