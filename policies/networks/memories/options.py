"""Options of the memories that come with ForestPilot, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class NoMemoryConfig(MemoryConfig):
    """A policy without memory has no options for it."""

    part: ClassVar[str] = "none"


@dataclass(frozen=True)
class LSTMConfig(MemoryConfig):
    """The LSTM has no options: its state is as large as the features."""

    part: ClassVar[str] = "lstm"


@dataclass(frozen=True)
class TransformerConfig(MemoryConfig):
    """Options of the Transformer; it looks back as many steps as a training window has."""

    part: ClassVar[str] = "transformer"

    layers: Annotated[int, Range(1, 64)] = 1
    """Layers."""
    heads: Annotated[int, Range(1, 256)] = 4
    """Attention heads; the features are divided among them."""

    def __post_init__(self) -> None:
        require_ranges(self)
