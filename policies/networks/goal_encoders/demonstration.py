"""Demonstrations: attention over what a demonstrator saw, of which each step asks for its own part."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from forestpilot.policies.networks.encoders.base import as_images
from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView, shown_in
from forestpilot.policies.networks.goal_encoders.options import DemonstrationGoalConfig
from forestpilot.policies.networks.goal_encoders.order import PLACE, SHARPNESS, Progress
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import LAST_NUMBERS

PATCH = 4
"""Side of a patch in pixels of the halved picture."""
HALF = 2
"""A demonstration is read at half the size of what is flown by."""


class DemonstrationGoal(GoalEncoder):
    """A small CNN reads each picture of a demonstration; attention chooses among them (Duan et al. 2017, section 4.2).

    What is looked for follows from how far one has come, where it is found from how far the demonstrator had: attention
    begins at the pictures of the same distance from the goal, and learns to look elsewhere. So one row's colour can be
    learned of by itself, whatever those of the other rows are.
    """

    Config: ClassVar[type[GoalEncoderConfig]] = DemonstrationGoalConfig
    reads_demonstration = True

    def __init__(self, config: DemonstrationGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        height, width = shape.view_height // HALF, shape.view_width // HALF
        if min(height, width) < PATCH:
            raise InvalidArgumentError(
                f"half a view of {shape.view_width}x{shape.view_height} has no patch of {PATCH}x{PATCH} pixels; make "
                "policy.view larger"
            )
        first, second = config.channels
        self.size = PLACE + config.features
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=PATCH, stride=PATCH),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, 3, height, width)).numel()
        self.read = nn.Sequential(nn.Linear(flat, config.hidden), nn.ReLU())
        self.tell = nn.Linear(config.hidden, config.features)
        self.progress = Progress()
        self.look = nn.Parameter(torch.eye(Progress.size))

    def attention(self, goal: Tensor, goal_view: GoalView) -> tuple[Tensor, Tensor]:
        """Shares of attention (B, T, F), and what each picture tells (B, F, features)."""
        views, steps = shown_in(goal_view)
        batch, frames = views.shape[:2]
        pictures = avg_pool2d(as_images(views.flatten(0, 1)[:, None]), HALF)
        flat = self.convolutions(pictures).permute(0, 2, 3, 1).reshape(batch * frames, -1)
        seen = self.read(flat).view(batch, frames, -1)
        then = self.progress(steps[..., -LAST_NUMBERS:])
        scores = SHARPNESS * self.progress(goal) @ self.look @ then.transpose(1, 2)
        return torch.softmax(scores, dim=-1), torch.tanh(self.tell(seen))

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """(B, T, 3) and pictures (B, F, h, w, 3) uint8 to (B, T, 3 + features): direction, distance, what is found."""
        weights, told = self.attention(goal, goal_view)
        return torch.cat((goal[..., :PLACE], weights @ told), dim=-1)
