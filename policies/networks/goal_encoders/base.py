"""What goal encoders have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import NO_CHOICE


class Demonstrated(NamedTuple):
    """What is shown of B demonstrations, F moments of each."""

    views: Tensor
    """(B, F, h, w, 3) uint8, what the demonstrators saw."""
    steps: Tensor
    """(B, F, S + 3 + 2) float32, their states, direction and distance of their goals, their actions."""


GoalView = Tensor | Demonstrated | None
"""What is seen of goals: (B, h, w, 3) uint8, the view there; a demonstration of how to get there; or nothing."""


def repeated(goal_view: GoalView, rows: int) -> GoalView:
    """What is seen of the goal of one window, as often as asked."""
    if isinstance(goal_view, Demonstrated):
        return Demonstrated(*(values.expand(rows, *values.shape[1:]) for values in goal_view))
    return None if goal_view is None else goal_view.expand(rows, *goal_view.shape[1:])


def shown_in(goal_view: GoalView) -> Demonstrated:
    """What is demonstrated.

    Raises:
        InvalidArgumentError: nothing is.
    """
    if not isinstance(goal_view, Demonstrated):
        raise InvalidArgumentError("this goal encoder needs a demonstration, and none is given")
    return goal_view


@dataclass(frozen=True)
class GoalShape:
    """Sizes of what a goal encoder reads."""

    goal_size: int
    """Numbers by which a goal is told."""
    view_height: int
    """Rows of a view."""
    view_width: int
    """Columns of a view."""
    state_scale: tuple[float, ...] = ()
    """(S,) typical size of each element of the state, for who reads a demonstrator's."""


class GoalEncoder(nn.Module, ABC):
    """A network that reads the goal.

    A subclass is made with its options and a `GoalShape`, and registered in
    `forestpilot.policies.networks.goal_encoders.GOAL_ENCODERS`.
    """

    Config: ClassVar[type[GoalEncoderConfig]]
    """Its options."""
    reads_picture: ClassVar[bool] = False
    """Whether it reads the picture at the goal, for goals of kind `image`, or the numbers that are told, for others."""
    reads_demonstration: ClassVar[bool] = False
    """Whether it reads a demonstration, for goals of kind `demonstration`."""
    size: int
    """How many numbers it makes of a goal."""
    names: Tensor | None = None
    """(B, 3, 3) what it took each choice of the orders to be that were demonstrated last, as logits; None where it does
    not say, or does not learn."""
    naming: float = 0.0
    """How much naming them rightly weighs beside the policy's own loss."""

    def __init__(self, config: GoalEncoderConfig, shape: GoalShape) -> None:
        super().__init__()

    def naming_loss(self, orders: Tensor) -> Tensor:
        """What was named wrongly of the demonstrations that it has just read.

        Args:
            orders: (B, 3) int64, numbers of the choices that were demonstrated, `NO_CHOICE` where nobody says.

        Returns:
            (B,) float32, weighted by `naming`; zeros where it names nothing.
        """
        if self.names is None or not self.naming:
            return torch.zeros(len(orders), device=orders.device)
        names, self.names = self.names, None
        wrong = cross_entropy(names.transpose(1, 2), orders, ignore_index=NO_CHOICE, reduction="none")
        return self.naming * wrong.mean(dim=-1)

    @abstractmethod
    def forward(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """Encode the goals of B windows of T steps.

        Args:
            goal: (B, T, G) float32, as it is told at each step.
            goal_view: (B, h, w, 3) uint8, the view at the goal, or a demonstration; None where goals are neither.

        Returns:
            (B, T, size) float32.
        """
