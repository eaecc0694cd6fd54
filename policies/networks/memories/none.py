"""No memory."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.policies.networks.memories.base import Memory, State
from forestpilot.policies.networks.memories.options import NoMemoryConfig


class NoMemory(Memory):
    """Remembers nothing and passes the features on."""

    Config: ClassVar[type[MemoryConfig]] = NoMemoryConfig

    def __init__(self, config: NoMemoryConfig, features: int, window: int) -> None:
        super().__init__(config, features, window)

    def initial(self, batch: int) -> State:
        """Nothing."""
        return ()

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The features as they are."""
        return features, ()
