"""Orders of colours: of a name that tells the colour of every row, the colour that matters here."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView
from forestpilot.policies.networks.goal_encoders.options import OrderGoalConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import GOAL_MIRRORS, HALF_WAY_M, ORDER, ORDER_COLOURS, ORDER_ROWS, REMOTENESS, VECTOR
from forestpilot.sim.worlds.coloured import ROWS_M

PLACE = len(GOAL_MIRRORS[VECTOR])
"""Elements that tell direction and distance."""
FLIGHT_M = 40.0
"""Distance from the start to the goal, in metres."""
WAY = (0.3, 0.82)
"""What distances from 4 to 45 m are told as."""
SHARPNESS = 5.0
"""What scores of attention are multiplied by, so that it can soon be on one thing alone."""


class Progress(nn.Module):
    """How far one has come, as numbers that attention can tell apart: one of them near 1 for each stretch of the way.

    A distance to the goal d is told as d / (d + 10 m), which hardly changes from one row of gates to the next.
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
    """(n, rows) one for the row that comes next at distances from the goal, told as shares (n,); zeros for others."""
    distance_m = HALF_WAY_M * told / (1 - told)
    ends_m = torch.tensor([FLIGHT_M - row for row in ROWS_M])
    number = (distance_m[:, None] < ends_m).sum(dim=1).clamp(max=ORDER_ROWS - 1)
    return torch.nn.functional.one_hot(number, ORDER_ROWS).float()


class OrderGoal(GoalEncoder):
    """Attention over the rows of a told order (Duan et al. 2017, section 4.2): the distance of the goal says which
    row's colour is passed on."""

    Config: ClassVar[type[GoalEncoderConfig]] = OrderGoalConfig

    def __init__(self, config: OrderGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        if shape.goal_size != len(GOAL_MIRRORS[ORDER]):
            raise InvalidArgumentError(
                f"the goal encoder order reads the {len(GOAL_MIRRORS[ORDER])} numbers of goals of kind {ORDER}, and "
                f"goals here have {shape.goal_size}; give another policy.goal-encoder"
            )
        self.size = PLACE + ORDER_COLOURS
        self.progress = Progress()
        self.look = nn.Linear(Progress.size, ORDER_ROWS)
        # Attention begins at the row that comes next; from anywhere else it goes astray among few tasks.
        with torch.no_grad():
            self.look.weight.copy_(next_rows(self.progress.centers).T)
            self.look.bias.zero_()

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """(B, T, 12) to (B, T, 6): direction, distance, and the colours in shares of attention."""
        place = goal[..., :PLACE]
        weights = torch.softmax(SHARPNESS * self.look(self.progress(place)), dim=-1)
        rows = goal[..., PLACE:].unflatten(-1, (ORDER_ROWS, ORDER_COLOURS))
        colour = (weights[..., None] * rows).sum(dim=-2)
        return torch.cat((place, colour), dim=-1)
