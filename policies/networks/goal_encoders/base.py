"""What goal encoders have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig


@dataclass(frozen=True)
class GoalShape:
    """Sizes of what a goal encoder reads."""

    goal_size: int
    """Numbers by which a goal is told."""
    view_height: int
    """Rows of a view."""
    view_width: int
    """Columns of a view."""


class GoalEncoder(nn.Module, ABC):
    """A network that reads the goal.

    A subclass is made with its options and a `GoalShape`, and registered in
    `forestpilot.policies.networks.goal_encoders.GOAL_ENCODERS`.
    """

    Config: ClassVar[type[GoalEncoderConfig]]
    """Its options."""
    reads_picture: ClassVar[bool] = False
    """Whether it reads the picture at the goal, for goals of kind `image`, or the numbers that are told, for others."""
    size: int
    """How many numbers it makes of a goal."""

    def __init__(self, config: GoalEncoderConfig, shape: GoalShape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, goal: Tensor, goal_view: Tensor | None) -> Tensor:
        """Encode the goals of B windows of T steps.

        Args:
            goal: (B, T, G) float32, as it is told at each step.
            goal_view: (B, h, w, 3) uint8, the view at the goal; None where goals are no pictures.

        Returns:
            (B, T, size) float32.
        """
