"""Options of the goal encoders that come with ForestPilot, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class ToldGoalConfig(GoalEncoderConfig):
    """Goals that are told in numbers need no options."""

    part: ClassVar[str] = "told"


@dataclass(frozen=True)
class PictureGoalConfig(GoalEncoderConfig):
    """Options of the encoder of goals that are pictures."""

    part: ClassVar[str] = "picture"

    channels: Annotated[tuple[int, int], Range(1, 1024)] = (24, 32)
    """Numbers that tell a patch of 4x4 pixels, and output channels of the convolution over patches."""
    features: Annotated[int, Range(1, 1024)] = 32
    """Numbers that tell the goal."""

    def __post_init__(self) -> None:
        require_ranges(self)
