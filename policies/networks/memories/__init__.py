"""Memories: nothing, a recurrent state, or the last steps: side by side, convolved, attended. A file each."""

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
MEMORIES.register("stacked", f"{_HERE}.stacked:StackedMemory", "the features of the last steps side by side")
MEMORIES.register("tcn", f"{_HERE}.tcn:TCNMemory", "dilated causal convolutions over the last steps")
