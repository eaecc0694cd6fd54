"""Options of the encoders that come with ForestPilot, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.sim.errors import InvalidArgumentError


@dataclass(frozen=True)
class CNNConfig(EncoderConfig):
    """Options of the CNN."""

    part: ClassVar[str] = "cnn"

    channels: tuple[int, int, int] = (16, 32, 64)
    """Output channels of the three convolutions."""

    def __post_init__(self) -> None:
        if min(self.channels) < 1:
            raise InvalidArgumentError(f"channels must be at least 1, got {self.channels}")


@dataclass(frozen=True)
class PatchConfig(EncoderConfig):
    """Options of the encoder that reads patches."""

    part: ClassVar[str] = "patch"

    channels: tuple[int, int, int] = (24, 32, 64)
    """Numbers that tell a patch, and output channels of the two convolutions over patches."""

    def __post_init__(self) -> None:
        if min(self.channels) < 1:
            raise InvalidArgumentError(f"channels must be at least 1, got {self.channels}")
