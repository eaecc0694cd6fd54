"""Adaptation: one gradient step on one demonstration makes a policy that was trained for that.

Model-agnostic meta-learning (Finn et al. 2017, arXiv:1703.03400), and its use for imitation from one demonstration
(Finn et al. 2017, One-Shot Visual Imitation Learning via Meta-Learning, arXiv:1709.04905). What the step changes are
numbers that join the state, the bias transformation of the latter's section 4.2, and nothing else, as in Zintgraf et
al. 2019 (CAVIA, arXiv:1810.03642, section 3): then episodes of a batch share all weights. The gradient of the step is
differentiated too: this is the second-order method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.base import GoalEncoder, GoalShape, GoalView
from forestpilot.policies.networks.goal_encoders.options import AdaptedGoalConfig
from forestpilot.policies.networks.goal_encoders.order import PLACE

ImitationLoss = Callable[[Tensor], Tensor]
"""From contexts (B, features) to the loss (B,) of the policy that reads them on the demonstrations of a batch."""


class AdaptedGoal(GoalEncoder):
    """Numbers beside direction and distance: one gradient step of the policy's own loss on the demonstration away from
    where all tasks begin. Where that is, and how long the step, is learned."""

    Config: ClassVar[type[GoalEncoderConfig]] = AdaptedGoalConfig
    reads_demonstration = True

    def __init__(self, config: AdaptedGoalConfig, shape: GoalShape) -> None:
        super().__init__(config, shape)
        self.size = PLACE + config.features
        self.start = nn.Parameter(torch.zeros(config.features))
        self.log_rate = nn.Parameter(torch.full((config.features,), math.log(config.rate)))

    @property
    def rate(self) -> Tensor:
        """(features,) how long the step is: what its gradient is multiplied by."""
        return self.log_rate.exp()

    def adapted(self, loss: ImitationLoss, batch: int) -> Tensor:
        """(B, features) contexts after the step."""
        is_learning = torch.is_grad_enabled() and self.log_rate.requires_grad
        # A policy that acts keeps no gradients, and yet takes the one of this step.
        with torch.inference_mode(False), torch.enable_grad():
            context = self.start.expand(batch, -1)
            if not is_learning:
                context = context.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(context).sum(), context, create_graph=is_learning)
            step = context - self.rate * gradient
        return step if is_learning else step.detach()

    def join(self, goal: Tensor, context: Tensor) -> Tensor:
        """(B, T, 3) and (B, features) to (B, T, 3 + features)."""
        place = goal[..., :PLACE]
        return torch.cat((place, context[:, None].expand(-1, place.shape[1], -1)), dim=-1)

    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """The goal beside the context of before the step: whoever adapts calls `adapted` and `join`."""
        return self.join(goal, self.start.expand(len(goal), -1))
