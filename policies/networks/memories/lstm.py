"""An LSTM's state as a memory (Hochreiter & Schmidhuber 1997)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.policies.networks.memories.base import Memory, State
from forestpilot.policies.networks.memories.options import LSTMConfig


class LSTMMemory(Memory):
    """A recurrent state that lives as long as the episode.

    It is trained from a zero state on windows and carried much further on an episode. That holds because the forget
    gate opens with sigmoid(1) = 0.73: what is older than a window has faded to 0.73 ** 8 = 8 % before training has its
    say.
    """

    Config: ClassVar[type[MemoryConfig]] = LSTMConfig

    def __init__(self, config: LSTMConfig, features: int, window: int) -> None:
        super().__init__(config, features, window)
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
