"""Planning inside a model of the world: imagine what some courses of action would come to, and begin the best.

The courses are few and told apart by what they do first: turn so much for so long, then hold that heading for so long
or not, then fly at the goal. All of them are imagined side by side, for every episode in the air, and the first action
of the best is done; at the next step everything is planned anew (model-predictive control).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forestpilot.policies.world_models.base import Carry, WorldModel, danger
from forestpilot.policies.world_models.options import PlanConfig
from forestpilot.sim.envs.task_spec import TaskSpec

TURNS = (-1.0, -0.6, -0.35, -0.18, -0.08, 0.08, 0.18, 0.35, 0.6, 1.0)
"""First turns, as shares of the largest, beside none and flying at the goal."""
LASTING = (1, 3, 6)
"""Steps that a first turn lasts."""
FIRST_TURNS = (*TURNS, 0.0)
"""What courses begin with; or with flying at the goal, which is one more: see `first_turns`."""


class Courses(NamedTuple):
    """K courses of action over H steps."""

    turns: Tensor
    """(K, H) what is done, from -1 to 1."""
    to_goal: Tensor
    """(K, H) bool: where the goal is flown at instead."""
    first: Tensor
    """(K,) which of the first turns each begins with."""


def courses(horizon: int) -> Courses:
    """All courses that are compared."""
    straight = torch.zeros(horizon)
    turns = [straight]
    to_goal = [torch.ones(horizon, dtype=torch.bool)]
    first = [len(FIRST_TURNS)]
    for number, turn in enumerate(TURNS):
        for lasting in LASTING:
            for held in (0, lasting + 2):
                row = torch.zeros(horizon)
                row[:lasting] = turn
                turns.append(row)
                to_goal.append(torch.arange(horizon) >= lasting + held)
                first.append(number)
    turns.append(straight)
    to_goal.append(torch.arange(horizon) >= horizon // 2)
    first.append(FIRST_TURNS.index(0.0))
    return Courses(torch.stack(turns), torch.stack(to_goal), torch.tensor(first))


def turn_to_goal(vector: Tensor, spec: TaskSpec) -> Tensor:
    """(B,) the turn that heads for the goal, from -1 to 1, by state and goal (B, V)."""
    goal = vector[:, spec.state_size :]
    return (torch.atan2(goal[:, 1], goal[:, 0]) / spec.max_turn_rad).clamp(-1, 1)


def first_turns(vector: Tensor, spec: TaskSpec) -> Tensor:
    """(B, len(FIRST_TURNS) + 1) the turns that courses begin with, at state and goal (B, V)."""
    fixed = torch.tensor(FIRST_TURNS).expand(len(vector), -1)
    return torch.cat([fixed, turn_to_goal(vector, spec)[:, None]], dim=1)


class Planner:
    """Plans with a model.

    Args:
        model: in evaluation mode.
        config: how; by default as usual.
    """

    def __init__(self, model: WorldModel, config: PlanConfig | None = None) -> None:
        self._model = model
        self._config = config or PlanConfig()
        self._courses = courses(self._config.horizon)

    def plan(self, carry: Carry, last_turn: Tensor) -> Tensor:
        """The best turn of each of n episodes.

        Args:
            carry: what the model believes, of n episodes.
            last_turn: (n,) what was done before, from -1 to 1.

        Returns:
            (n,) from -1 to 1.
        """
        best = self._courses.first[self._gained(carry, last_turn).argmax(1)]
        return first_turns(carry.vector, self._model.spec).gather(1, best[:, None])[:, 0]

    def values(self, carry: Carry, last_turn: Tensor) -> Tensor:
        """(n, len(FIRST_TURNS) + 1) what the best course comes to that begins with each of the `first_turns`; arguments
        as for `plan`."""
        gained = self._gained(carry, last_turn)
        values = gained.new_full((len(gained), len(FIRST_TURNS) + 1), -math.inf)
        return values.scatter_reduce(1, self._courses.first.expand_as(gained), gained, "amax")

    @torch.no_grad()
    def _gained(self, carry: Carry, last_turn: Tensor) -> Tensor:
        """(n, K) what each course comes to."""
        number = len(last_turn)
        count = len(self._courses.turns)
        spec = self._model.spec
        believed = Carry(*(part.repeat_interleave(count, 0) for part in carry))
        turns = self._courses.turns.repeat(number, 1)
        to_goal = self._courses.to_goal.repeat(number, 1)
        gained = torch.zeros(number * count)
        first = torch.zeros(number * count)
        for step in range(self._config.horizon):
            turn = torch.where(to_goal[:, step], turn_to_goal(believed.vector, spec), turns[:, step])
            if step == 0:
                first = turn
            believed = self._model.advance(believed, torch.stack([turn, torch.ones_like(turn)], dim=1))
            gained += self._gain(believed)
        changed = (first - last_turn.repeat_interleave(count)).abs()
        return (gained - self._config.change * changed).reshape(number, count)

    def _gain(self, carry: Carry) -> Tensor:
        """(B,) what a step is worth: progress, minus danger at this planner's price."""
        nearest = self._model.nearest(carry)
        progress = self._model.reward(carry.vector, torch.zeros_like(nearest))
        return progress - self._config.danger * danger(nearest)
