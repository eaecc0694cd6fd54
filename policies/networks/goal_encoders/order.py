"""Orders: of a name that tells the choice of every row or junction, the choice that matters here."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView
from forestpilot.policies.networks.goal_encoders.options import OrderGoalConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import GOAL_MIRRORS, ORDER, ORDER_PLACES, ORDER_ROWS, REMOTENESS, VECTOR, WAY_PART

PLACE = len(GOAL_MIRRORS[VECTOR])
"""Elements that tell direction and distance."""
WAY = (0.3, 0.82)
"""What is told where from a tenth of the way to a little more than all of it is left."""
SHARPNESS = 5.0
"""What scores of attention are multiplied by, so that it can soon be on one thing alone."""


class Progress(nn.Module):
    """How far one has come, as numbers that attention can tell apart: one of them near 1 for each stretch of the way.

    A distance d of a way of length L is told as d / (d + L / 4), which hardly changes from one choice to the next.
    """

    size = 16
    """Stretches."""
    centers: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centers", torch.linspace(*WAY, self.size), persistent=False)

    def forward(self, goal: Tensor) -> Tensor:
        """(..., >= 3) goals to (..., size)."""
        spacing = (WAY[1] - WAY[0]) / (self.size - 1)
        away = (goal[..., REMOTENESS, None] - self.centers) / spacing
        return torch.exp(-0.5 * away.square())


def next_rows(told: Tensor) -> Tensor:
    """(n, rows) one for the choice that comes next at distances from the goal, as told (n,); zeros for others."""
    left = WAY_PART * told / (1 - told)
    ends = torch.tensor([1 - place for place in ORDER_PLACES])
    number = (left[:, None] < ends).sum(dim=1).clamp(max=ORDER_ROWS - 1)
    return torch.nn.functional.one_hot(number, ORDER_ROWS).float()


class OrderGoal(GoalEncoder):
    """Attention over the choices of a told order (Duan et al. 2017, section 4.2): the distance of the goal says which
    of them is passed on, a row's colour or the command at a junction."""

    Config: ClassVar[type[GoalEncoderConfig]] = OrderGoalConfig

    def __init__(self, config: OrderGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        told = shape.goal_size - PLACE
        if told <= 0 or told % ORDER_ROWS:
            raise InvalidArgumentError(
                f"the goal encoder order reads goals of kind {ORDER}, {PLACE} numbers and as many for each of "
                f"{ORDER_ROWS} choices, and goals here have {shape.goal_size}; give another policy.goal-encoder"
            )
        self.size = PLACE + told // ORDER_ROWS
        self.loudness = config.loudness
        self.progress = Progress()
        self.look = nn.Linear(Progress.size, ORDER_ROWS)
        # Attention begins at the choice that comes next; from anywhere else it goes astray among few tasks.
        with torch.no_grad():
            self.look.weight.copy_(next_rows(self.progress.centers).T)
            self.look.bias.zero_()

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """(B, T, 3 + 3 k) to (B, T, 3 + k): the place, and what is told of a choice, in shares of attention."""
        place = goal[..., :PLACE]
        weights = torch.softmax(SHARPNESS * self.look(self.progress(place)), dim=-1)
        rows = goal[..., PLACE:].unflatten(-1, (ORDER_ROWS, self.size - PLACE))
        choice = self.loudness * (weights[..., None] * rows).sum(dim=-2)
        return torch.cat((place, choice), dim=-1)
