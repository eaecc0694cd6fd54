"""Goals as they are told: direction, distance, route command."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView
from forestpilot.policies.networks.goal_encoders.options import ToldGoalConfig


class ToldGoal(GoalEncoder):
    """Passes on what is told."""

    Config: ClassVar[type[GoalEncoderConfig]] = ToldGoalConfig

    def __init__(self, config: ToldGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        self.size = shape.goal_size

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """The goal itself."""
        return goal
