"""What a policy remembers: nothing, an LSTM's state, or the last steps seen through a Transformer.

Every memory answers in two ways that give the same numbers: over a whole window when it trains, and step by step with
a carried state when it acts. Every memory is added to the features of the current step, and starts as zero, so it
can only help.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from forestpilot.sim.errors import InvalidArgumentError

State = tuple[Tensor, ...]
"""What a memory carries from step to step; batch first in every tensor, so that one episode of a batch can be
restarted.
"""


class Memory(nn.Module):
    """What memories have in common; this one remembers nothing and passes the features on."""

    def initial(self, batch: int) -> State:
        """The state before the first step of `batch` episodes."""
        return ()

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, F) and the state before them (None at the start) to (B, T, F) and the state after them."""
        return features, ()


class LSTMMemory(Memory):
    """A recurrent state that lives as long as the episode.

    It is trained from a zero state on windows and carried much further on an episode. That holds because the forget gate
    opens with sigmoid(1) = 0.73: what is older than a window has faded to 0.73 ** 8 = 8 % before training has its
    say.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, features, batch_first=True)
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        bias = self.lstm.get_parameter("bias_ih_l0")
        nn.init.zeros_(bias)
        nn.init.zeros_(self.lstm.get_parameter("bias_hh_l0"))
        nn.init.ones_(bias.data[features : 2 * features])

    def initial(self, batch: int) -> State:
        """Zero hidden and cell state, each (B, F)."""
        zeros = self.out.weight.new_zeros(batch, self.out.in_features)
        return zeros, zeros.clone()

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, F) and the carried state to (B, T, F) and the state after the last step."""
        hidden, cell = self.initial(len(features)) if state is None else state
        outputs, (hidden, cell) = self.lstm(features, (hidden[None], cell[None]))
        return features + self.out(outputs), (hidden[0], cell[0])


class TransformerMemory(Memory):
    """Causal self-attention over the last `window` steps, with a learned bias for how long ago a step was.

    On an episode the features of the last `window` steps are carried and attended anew at each step. The answer therefore
    depends on those steps alone, whatever the phase of the episode, and equals that of a training window which ends
    there. (A cache of keys and values would not: from the second layer on its entries remember steps that no training
    window could have seen.)
    """

    def __init__(self, features: int, window: int, layers: int, heads: int) -> None:
        super().__init__()
        self.window = window
        self.features = features
        self.blocks = nn.ModuleList(_Block(features, window, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(features)
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def initial(self, batch: int) -> State:
        """No steps yet: the features of the last window - 1 steps (B, window - 1, F), and which of them exist (B,
        window - 1).
        """
        past = self.out.weight.new_zeros(batch, self.window - 1, self.features)
        return past, torch.zeros(batch, self.window - 1, dtype=torch.bool, device=past.device)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, F) and the carried steps to (B, T, F) and the steps to carry on; a step sees `window` steps, itself
        included.
        """
        batch, steps, _ = features.shape
        past, known = self.initial(batch) if state is None else state
        everything = torch.cat((past, features), dim=1)
        exists = torch.cat((known, known.new_ones(batch, steps)), dim=1)
        carried = everything[:, steps:], exists[:, steps:]
        if state is None and steps <= self.window:
            return features + self._attend(features, None), carried
        outputs = [
            self._attend(everything[:, t : t + self.window], exists[:, t : t + self.window])[:, -1]
            for t in range(steps)
        ]
        return features + torch.stack(outputs, dim=1), carried

    def _attend(self, features: Tensor, exists: Tensor | None) -> Tensor:
        for block in self.blocks:
            features = block(features, exists)
        return self.out(self.norm(features))


class _Block(nn.Module):
    """One pre-norm Transformer layer; see Vaswani et al. 2017, and Raffel et al. 2020 for the relative bias."""

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
            itself = torch.eye(steps, dtype=torch.bool, device=features.device)
            hidden = (hidden | ~exists[:, None, None, :]) & ~itself
        weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
        attended = (weights @ value).transpose(1, 2).reshape(batch, steps, size)
        features = features + self.mix(attended)
        return features + self.network(self.norm_network(features))


MEMORIES = ("none", "lstm", "transformer")
"""Names of the memories."""


def make_memory(name: str, features: int, window: int, layers: int, heads: int) -> Memory:
    """The memory of that name.

    Args:
        name: one of MEMORIES.
        features: size of the features F.
        window: steps that a Transformer attends to.
        layers: layers of a Transformer.
        heads: attention heads of a Transformer.

    Raises:
        ValueError: unknown name, or features that do not divide among the heads.
    """
    if name == "none":
        return Memory()
    if name == "lstm":
        return LSTMMemory(features)
    if name == "transformer":
        if features % heads:
            raise InvalidArgumentError(f"features must be a multiple of memory_heads, got {features} and {heads}")
        return TransformerMemory(features, window, layers, heads)
    raise InvalidArgumentError(f"memory must be one of {', '.join(MEMORIES)}, got {name!r}")
