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


@dataclass(frozen=True)
class OrderGoalConfig(GoalEncoderConfig):
    """Options of the reader of told orders."""

    part: ClassVar[str] = "order"

    loudness: Annotated[float, Range(0, 1000, above=True)] = 1.0
    """What is told of a choice is multiplied by this: the louder, the sooner it is heard beside the rest of the
    state."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class DemonstrationGoalConfig(GoalEncoderConfig):
    """Options of the encoder of demonstrations."""

    part: ClassVar[str] = "demonstration"

    channels: Annotated[tuple[int, int], Range(1, 1024)] = (24, 24)
    """Numbers that tell a patch of 4x4 pixels, and output channels of the convolution over patches."""
    hidden: Annotated[int, Range(1, 1024)] = 48
    """Units that read a picture."""
    features: Annotated[int, Range(1, 1024)] = 8
    """Numbers that tell what was found."""
    motion: bool = False
    """Whether it also reads how the demonstrator moved and what it did at each picture: its state and action."""
    naming: Annotated[float, Range(0, 1000)] = 0.3
    """How much it weighs, beside the policy's own loss, that the order's name can be told from what was found; only
    training knows the name."""

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(frozen=True)
class AdaptedGoalConfig(GoalEncoderConfig):
    """Options of the adaptation to a demonstration by one gradient step."""

    part: ClassVar[str] = "maml"

    features: Annotated[int, Range(1, 1024)] = 16
    """Numbers that the step changes."""
    rate: Annotated[float, Range(0, 10_000, above=True)] = 50.0
    """What the step's gradient is multiplied by at first; training changes it."""

    def __post_init__(self) -> None:
        require_ranges(self)
