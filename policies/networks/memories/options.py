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


@dataclass(frozen=True)
class StackedConfig(MemoryConfig):
    """Options of stacked frames; together they may reach no further back than a training window."""

    part: ClassVar[str] = "stacked"

    frames: Annotated[int, Range(1, 1024)] = 4
    """Steps whose features stand side by side, the present one included."""
    spacing: Annotated[int, Range(1, 1024)] = 1
    """Steps from one of them to the next."""

    def __post_init__(self) -> None:
        require_ranges(self)

    @property
    def reach(self) -> int:
        """Steps from the oldest to the present one, both included."""
        return (self.frames - 1) * self.spacing + 1


@dataclass(frozen=True)
class TCNConfig(MemoryConfig):
    """Options of the dilated convolutions, which look back on 1 + (kernel - 1)(2^layers - 1) steps."""

    part: ClassVar[str] = "tcn"

    layers: Annotated[int | None, Range(1, 10)] = None
    """Gated blocks, each with twice the dilation of the one before; by default as many as look back on no more than
    a training window: 3 for 8 steps, 4 for 16.
    """
    kernel: Annotated[int, Range(2, 16)] = 2
    """Steps that a block looks at."""
    dropout: Annotated[float, Range(0, 1, below=True)] = 0.0
    """Share of a block's outputs that training sets to zero."""

    def __post_init__(self) -> None:
        require_ranges(self)
