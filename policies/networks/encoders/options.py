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
