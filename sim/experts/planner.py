"""The rollout planner: candidate turns, each rolled out with the vehicle's own motion model against privileged
geometry.

For each of K candidate turns a planner tries continuations and sums what they cost; the cost of a candidate is that of
its best continuation. The vector of costs is what a policy can learn (cost-to-go as the target, as in AggreVaTe: Ross &
Bagnell 2014, arXiv:1406.5979). What a rollout costs is told by the vehicle: see `forestpilot.sim.experts.flight` and
`forestpilot.sim.experts.driving`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from forestpilot.sim.worlds.clearance import ClearanceMap

COLLISION_COST = 200.0


class Ground(NamedTuple):
    """Where a clearance map lies, in metres."""

    x_min: float
    y_min: float
    cell: float
    """Size of a cell in metres."""

    @classmethod
    def of(cls, clearance: ClearanceMap) -> Ground:
        """The place of a world's map."""
        return cls(clearance.x_min, clearance.y_min, clearance.cell_m)


@dataclass(frozen=True)
class Advice:
    """Answer of the expert: the turn and the cost of each candidate turn."""

    turn_rad: float
    """Heading change, or steering angle, in radians, left positive."""
    costs: np.ndarray
    """(K,) float32 cost of each candidate turn."""


class RolloutPlanner(ABC):
    """Plans by rolling out candidate turns; answers at any state.

    Args:
        turns_rad: (K,) candidate turns in radians, ascending.
        refinements_rad: steps to both sides by which the best candidate is refined, one after the other.
    """

    def __init__(self, turns_rad: np.ndarray, refinements_rad: tuple[float, ...]) -> None:
        self.turns_rad = turns_rad
        self._refinements = refinements_rad

    @abstractmethod
    def costs(self, turns_rad: np.ndarray, *state: Any) -> np.ndarray:
        """(n,) float64 costs of any turns (n,) at a state of the vehicle."""

    def advise(self, *state: Any) -> Advice:
        """The best turn, refined, and the cost of every candidate, at a state as `costs` takes it."""
        costs = self.costs(self.turns_rad, *state)
        best = int(np.argmin(costs))
        turn = float(self.turns_rad[best])
        least = float(costs[best])
        for step in self._refinements:
            around = np.clip(np.array([turn - step, turn + step]), self.turns_rad[0], self.turns_rad[-1])
            refined = self.costs(around, *state)
            k = int(np.argmin(refined))
            if refined[k] < least:
                turn = float(around[k])
                least = float(refined[k])
        return Advice(turn, costs.astype(np.float32))
