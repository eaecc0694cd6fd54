"""Goals as pictures: a small CNN reads what is to be seen at the goal."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders.base import as_images
from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView
from forestpilot.policies.networks.goal_encoders.options import PictureGoalConfig
from forestpilot.sim.errors import InvalidArgumentError

PATCH = 4
"""Side of a patch in pixels."""


class PictureGoal(GoalEncoder):
    """Patches of 4x4 pixels, a convolution over them, and a layer to some numbers; once for a window.

    A picture does not say where the goal is. Whoever reads it has to recognise what is seen from afar, or nearby.
    """

    Config: ClassVar[type[GoalEncoderConfig]] = PictureGoalConfig
    reads_picture = True

    def __init__(self, config: PictureGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        if min(shape.view_height, shape.view_width) < PATCH:
            raise InvalidArgumentError(
                f"a view of {shape.view_width}x{shape.view_height} has no patch of {PATCH}x{PATCH} pixels; make "
                "policy.view larger"
            )
        first, second = config.channels
        self.size = config.features
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=PATCH, stride=PATCH),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, 3, shape.view_height, shape.view_width)).numel()
        self.tell = nn.Linear(flat, config.features)

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """(B, h, w, 3) uint8 to (B, T, features) float32, not negative."""
        if not isinstance(goal_view, Tensor):
            raise InvalidArgumentError("the goal encoder picture needs the view at the goal, and none is given")
        picture = self.convolutions(as_images(goal_view[:, None])).permute(0, 2, 3, 1).reshape(goal_view.shape[0], -1)
        return torch.relu(self.tell(picture))[:, None].expand(-1, goal.shape[1], -1)
