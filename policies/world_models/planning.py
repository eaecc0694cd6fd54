"""Planning inside a model of the world: imagine what some courses of action would come to, and begin the best.

The courses are few and told apart by what they do first: turn so much for so long, then hold that heading for so long
or not, then fly at the goal. All of them are imagined side by side, for every episode in the air, and the first action
of the best is done; at the next step everything is planned anew (model-predictive control).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from forestpilot.policies.world_models.base import Carry, WorldModel, danger
from forestpilot.sim.ranges import Range, require_ranges

TURNS = (-1.0, -0.6, -0.35, -0.18, -0.08, 0.08, 0.18, 0.35, 0.6, 1.0)
"""First turns, as shares of the largest, beside none and flying at the goal."""
LASTING = (1, 3, 6)
"""Steps that a first turn lasts."""


@dataclass(frozen=True)
class PlanConfig:
    """How courses are imagined and compared."""

    horizon: Annotated[int, Range(2, 200)] = 14
    """Steps that are imagined."""
    danger: Annotated[float, Range(0, 1000)] = 4.0
    """What a step in full danger costs, in steps of full progress."""
    change: Annotated[float, Range(0, 1000)] = 0.3
    """What it costs to turn otherwise than at the step before, for the largest turn, likewise."""

    def __post_init__(self) -> None:
        require_ranges(self)


class Courses(NamedTuple):
    """K courses of action over H steps."""

    turns: Tensor
    """(K, H) what is done, from -1 to 1."""
    to_goal: Tensor
    """(K, H) bool: where the goal is flown at instead."""


def courses(horizon: int) -> Courses:
    """All courses that are compared."""
    turns = [torch.zeros(horizon)]
    to_goal = [torch.ones(horizon, dtype=torch.bool)]
    for turn in TURNS:
        for lasting in LASTING:
            for held in (0, lasting + 2):
                row = torch.zeros(horizon)
                row[:lasting] = turn
                turns.append(row)
                to_goal.append(torch.arange(horizon) >= lasting + held)
    turns.append(torch.zeros(horizon))  # straight on
    to_goal.append(torch.arange(horizon) >= horizon // 2)
    return Courses(torch.stack(turns), torch.stack(to_goal))


class Planner:
    """Plans with a model.

    Args:
        model: in evaluation mode.
        config: how.
    """

    def __init__(self, model: WorldModel, config: PlanConfig = PlanConfig()) -> None:
        self._model = model
        self._config = config
        self._courses = courses(config.horizon)

    @torch.no_grad()
    def plan(self, carry: Carry, last_turn: Tensor) -> Tensor:
        """The best turn of each of n episodes.

        Args:
            carry: what the model believes, of n episodes.
            last_turn: (n,) what was done before, from -1 to 1.

        Returns:
            (n,) from -1 to 1.
        """
        number = len(last_turn)
        count = len(self._courses.turns)
        believed = Carry(*(part.repeat_interleave(count, 0) for part in carry))
        turns = self._courses.turns.repeat(number, 1)
        to_goal = self._courses.to_goal.repeat(number, 1)
        gained = torch.zeros(number * count)
        first = torch.zeros(number * count)
        for step in range(self._config.horizon):
            turn = torch.where(to_goal[:, step], self._turn_to_goal(believed), turns[:, step])
            if step == 0:
                first = turn
            believed = self._model.advance(believed, torch.stack([turn, torch.ones_like(turn)], dim=1))
            gained += self._gain(believed)
        changed = (first - last_turn.repeat_interleave(count)).abs()
        gained -= self._config.change * changed
        best = gained.reshape(number, count).argmax(1)
        return first.reshape(number, count)[torch.arange(number), best]

    def _turn_to_goal(self, carry: Carry) -> Tensor:
        """(B,) the turn that heads for the goal."""
        goal = carry.vector[:, self._model.spec.state_size :]
        return (torch.atan2(goal[:, 1], goal[:, 0]) / self._model.spec.max_turn_rad).clamp(-1, 1)

    def _gain(self, carry: Carry) -> Tensor:
        """(B,) what a step is worth: progress, minus danger at this planner's price."""
        nearest = self._model.nearest(carry)
        progress = self._model.reward(carry.vector, torch.zeros_like(nearest))
        return progress - self._config.danger * danger(nearest)
