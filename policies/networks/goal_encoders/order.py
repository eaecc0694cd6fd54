"""Orders of colours: of a name that tells the colour of every row, the colour that matters here."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView
from forestpilot.policies.networks.goal_encoders.options import OrderGoalConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import GOAL_MIRRORS, ORDER, ORDER_COLOURS, ORDER_ROWS, VECTOR

PLACE = len(GOAL_MIRRORS[VECTOR])
"""Elements that tell direction and distance."""


def attention_network(hidden: int, outputs: int) -> nn.Sequential:
    """From direction and distance of the goal, which tell how far one has come, to what is looked for there."""
    return nn.Sequential(nn.Linear(PLACE, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class OrderGoal(GoalEncoder):
    """Attention over the rows of a told order (Duan et al. 2017, section 4.2): direction and distance of the goal say
    which row's colour is passed on."""

    Config: ClassVar[type[GoalEncoderConfig]] = OrderGoalConfig

    def __init__(self, config: OrderGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        if shape.goal_size != len(GOAL_MIRRORS[ORDER]):
            raise InvalidArgumentError(
                f"the goal encoder order reads the {len(GOAL_MIRRORS[ORDER])} numbers of goals of kind {ORDER}, and "
                f"goals here have {shape.goal_size}; give another policy.goal-encoder"
            )
        self.size = PLACE + ORDER_COLOURS
        self.look = attention_network(config.hidden, ORDER_ROWS)

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """(B, T, 12) to (B, T, 6): direction, distance, and the colours in shares of attention."""
        place = goal[..., :PLACE]
        weights = torch.softmax(self.look(place), dim=-1)
        rows = goal[..., PLACE:].unflatten(-1, (ORDER_ROWS, ORDER_COLOURS))
        colour = (weights[..., None] * rows).sum(dim=-2)
        return torch.cat((place, colour), dim=-1)
