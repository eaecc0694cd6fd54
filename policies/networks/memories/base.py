"""What memories have in common.

Every memory answers in two ways that give the same numbers: over a whole window when it trains, and step by step with
a carried state when it acts. Those that come with ForestPilot are added to the features of the current step, and start
as zero, so they can only help.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from forestpilot.policies.networks.memories import MemoryConfig

State = tuple[Tensor, ...]
"""What a memory carries from step to step; batch first in every tensor, so that one episode of a batch can be
restarted, which sets its rows to zero.
"""


class Memory(nn.Module, ABC):
    """A network that joins the features of a step with those before it.

    A subclass is made with its options, the size of the features and the length of a training window, and registered
    in `forestpilot.policies.networks.memories.MEMORIES`.
    """

    Config: ClassVar[type[MemoryConfig]]
    """Its options."""

    def __init__(self, config: MemoryConfig, features: int, window: int) -> None:
        super().__init__()

    @abstractmethod
    def initial(self, batch: int) -> State:
        """The state before the first step of `batch` episodes: zeros, batch first."""

    @abstractmethod
    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, F) and the state before them (None at the start) to (B, T, F) and the state after them."""
