"""Options of the encoders that come with ForestPilot, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class CNNConfig(EncoderConfig):
    """Options of the CNN."""

    part: ClassVar[str] = "cnn"

    channels: Annotated[tuple[int, int, int], Range(1, 1024)] = (16, 32, 64)
    """Output channels of the three convolutions."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class PatchConfig(EncoderConfig):
    """Options of the encoder that reads patches."""

    part: ClassVar[str] = "patch"

    channels: Annotated[tuple[int, int, int], Range(1, 1024)] = (24, 32, 64)
    """Numbers that tell a patch, and output channels of the two convolutions over patches."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class StackedConfig(EncoderConfig):
    """Options of the encoder that reads all pictures at once."""

    part: ClassVar[str] = "stacked"

    channels: Annotated[tuple[int, int, int], Range(1, 1024)] = (32, 32, 64)
    """Output channels of the three convolutions."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class FilmConfig(PatchConfig):
    """Options of the encoder of patches that state and goal modulate."""

    part: ClassVar[str] = "film"

    hidden: Annotated[int, Range(1, 1024)] = 48
    """Units that make of state and goal how channels are scaled and shifted."""
    points: Annotated[int, Range(1, 1024)] = 12
    """Things that are looked for, of each of which the mean place is told."""


@dataclass(frozen=True)
class EmbeddingShape:
    """Sizes of an embedding of pictures."""

    channels: Annotated[tuple[int, int, int], Range(1, 1024)] = (24, 32, 64)
    """Channels of its trunk, which reads patches: see the encoder `patch`."""
    features: Annotated[int, Range(1, 2048)] = 128
    """Numbers that the trunk reads of a picture."""
    size: Annotated[int, Range(2, 1024)] = 64
    """Numbers of a point."""
    frames: Annotated[int, Range(1, 16)] = 3
    """Pictures in a row that are embedded together; of one alone no speed can be told."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "channels", tuple(self.channels))


@dataclass(frozen=True)
class EmbeddingConfig(EncoderConfig):
    """Options of the encoder that is a stored embedding."""

    part: ClassVar[str] = "embedding"

    run: str = ""
    """Run folder of `forestpilot embed`, whose weights a new policy begins with; it then has them itself. Empty for
    weights that are drawn."""
    frozen: bool = False
    """The embedding stays as it is; the policy learns what to make of its points."""
    shape: EmbeddingShape = EmbeddingShape()
    """Sizes of the embedding, the same as in the run."""
