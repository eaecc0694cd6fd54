"""The last steps seen through a Transformer."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.policies.networks.memories.base import Memory, State
from forestpilot.policies.networks.memories.options import TransformerConfig
from forestpilot.sim.errors import InvalidArgumentError


class TransformerMemory(Memory):
    """Causal self-attention over the last `window` steps, with a learned bias for how long ago a step was.

    On an episode the features of the last `window` steps are carried and attended anew at each step. The answer
    therefore depends on those steps alone, whatever the phase of the episode, and equals that of a training window
    which ends there. (A cache of keys and values would not: from the second layer on its entries remember steps that no
    training window could have seen.)
    """

    Config: ClassVar[type[MemoryConfig]] = TransformerConfig

    def __init__(self, config: TransformerConfig, features: int, window: int) -> None:
        if features % config.heads:
            raise InvalidArgumentError(
                f"features must be a multiple of memory.heads, got {features} and {config.heads}"
            )
        super().__init__(config, features, window)
        self.window = window
        self.features = features
        self.blocks = nn.ModuleList(_Block(features, window, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(features)
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def initial(self, batch: int) -> State:
        """No steps yet: the features of the last window - 1 steps (B, W - 1, F), and which exist (B, W - 1)."""
        past = self.out.weight.new_zeros(batch, self.window - 1, self.features)
        return past, torch.zeros(batch, self.window - 1, dtype=torch.bool, device=past.device)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, F) and the carried steps to (B, T, F) and the steps to carry on; each sees the last W."""
        batch, steps, _ = features.shape
        past, known = self.initial(batch) if state is None else state
        everything = torch.cat((past, features), dim=1)
        exists = torch.cat((known, known.new_ones(batch, steps)), dim=1)
        carried = everything[:, steps:], exists[:, steps:]
        if state is None and steps <= self.window:
            return features + self._attend(features, None), carried
        outputs = []
        for step in range(steps):
            seen = slice(step, step + self.window)
            outputs.append(self._attend(everything[:, seen], exists[:, seen])[:, -1])
        return features + torch.stack(outputs, dim=1), carried

    def _attend(self, features: Tensor, exists: Tensor | None) -> Tensor:
        for block in self.blocks:
            features = block(features, exists)
        return self.out(self.norm(features))


class _Block(nn.Module):
    """One pre-norm Transformer layer; see Vaswani et al. 2017, and Raffel et al. 2020 for the relative bias.

    Attention is written out: torch's `scaled_dot_product_attention` has no fast kernel where the bias is learned, takes
    0.94-1.06 of the time, and answers otherwise in the last digits, with which stored policies would act otherwise.
    """

    lag: Tensor
    future: Tensor

    def __init__(self, features: int, window: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(features)
        self.query_key_value = nn.Linear(features, 3 * features)
        self.mix = nn.Linear(features, features)
        self.norm_network = nn.LayerNorm(features)
        self.network = nn.Sequential(nn.Linear(features, 2 * features), nn.GELU(), nn.Linear(2 * features, features))
        self.lag_bias = nn.Parameter(torch.zeros(heads, window))
        lag = torch.arange(window)[:, None] - torch.arange(window)[None, :]
        self.register_buffer("lag", lag.clamp(min=0), persistent=False)
        self.register_buffer("future", lag < 0, persistent=False)

    def forward(self, features: Tensor, exists: Tensor | None) -> Tensor:
        batch, steps, size = features.shape
        qkv = self.query_key_value(self.norm_attention(features)).view(batch, steps, 3, self.heads, size // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(size // self.heads)
        scores = scores + self.lag_bias[:, self.lag[:steps, :steps]]
        hidden = self.future[:steps, :steps]
        if exists is not None:
            # A missing step attends to itself, or its softmax would have nothing to stand on; nobody else sees it.
            itself = (self.lag[:steps, :steps] == 0) & ~hidden
            hidden = (hidden | ~exists[:, None, None, :]) & ~itself
        weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
        attended = (weights @ value).transpose(1, 2).reshape(batch, steps, size)
        features = features + self.mix(attended)
        return features + self.network(self.norm_network(features))
