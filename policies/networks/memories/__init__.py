"""Memories: nothing, an LSTM's state, or the last steps seen through a Transformer. A file each; registered here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.networks.memories.base import Memory


@dataclass(frozen=True)
class MemoryConfig(PartConfig):
    """Options of a memory; each has a subclass of its own."""


_HERE = "forestpilot.policies.networks.memories"
MEMORIES: Registry[type[Memory]] = Registry("memory", f"{_HERE}:MEMORIES")
MEMORIES.register("none", f"{_HERE}.none:NoMemory", "nothing is remembered")
MEMORIES.register("lstm", f"{_HERE}.lstm:LSTMMemory", "a recurrent state, as long as the episode")
MEMORIES.register("transformer", f"{_HERE}.transformer:TransformerMemory", "attention over the last steps")
