"""The planner's cost-to-go as a value: what only an expert can give that sees the geometry and answers at any state.

Two uses of the same numbers, the planner's cost of each candidate turn, asked at every state that the learner comes to:

- As a potential (THOR: Sun, Bagnell & Boots 2018, arXiv:1805.11240). The least cost is what the planner expects to pay
  from here on. Its difference from step to step is added to the reward, and the learner then looks a few steps ahead
  only: what lies beyond is in the potential. Over the whole way nothing would change (Ng, Harada & Russell 1999); over
  a short one the learner is as good as the planner's costs are right, and never has to find out by itself what comes
  later. A discount takes the place of THOR's sharp horizon (Cheng, Kolobov & Swaminathan 2021, arXiv:2106.02757).
- As the actor's own objective (AggreVaTe: Ross & Bagnell 2014, arXiv:1406.5979; differentiated as by Sun et al. 2017,
  arXiv:1703.01030): the turn that it would take is charged what the planner says of it. Mixed with the critics' value
  this is LOLS (Chang et al. 2015, arXiv:1502.02206), which can become better than its expert.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forestpilot.policies.reinforcement.replay_buffer import ReplayBuffer, RowReward, recorded_reward
from forestpilot.policies.reinforcement.shares import COSTS


class CostToGo:
    """The recorded reward, and what the planner's cost-to-go has become less by: a `RowReward`.

    Args:
        weight: reward that a unit of cost counts.
        most: the most that a state is charged.
        discount: of the rewards, not that of the learner's shorter horizon.
        earned: what it is added to.
    """

    def __init__(self, weight: float, most: float, discount: float, earned: RowReward = recorded_reward) -> None:
        self.weight = weight
        self.most = most
        self.discount = discount
        self.earned = earned

    def potential(self, costs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) minus the least of the costs (n, K), as a reward."""
        least = np.float32(self.weight) * costs.min(axis=-1)
        return -np.minimum(least, np.float32(self.most))

    def __call__(self, buffer: ReplayBuffer, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `RowReward`."""
        costs = buffer.observations[COSTS]
        before = self.potential(costs[rows])
        after = self.potential(costs[buffer.next_row[rows]])
        gained = self.discount * np.where(buffer.terminated[rows], 0.0, after) - before
        return self.earned(buffer, rows) + gained.astype(np.float32)


def horizon_discount(discount: float, horizon_s: float, control_hz: int) -> float:
    """The learner's discount for a horizon of so many seconds, never above its own; 0 looks one step ahead.

    A discount looks 1 / (1 - discount) steps ahead on average.
    """
    steps = max(1.0, horizon_s * control_hz)
    return min(discount, 1.0 - 1.0 / steps)


def cost_of_turn(costs: Tensor, turns: Tensor, turn: Tensor) -> Tensor:
    """What the planner charges for turns between its candidates, with the slope between them as gradient.

    Args:
        costs: (B, K) of the candidates.
        turns: (K,) the candidates, ascending.
        turn: (B,) in the same unit; beyond the outermost it costs what they do.

    Returns:
        (B,) costs.
    """
    inside = turn.clamp(float(turns[0]), float(turns[-1]))
    right = torch.searchsorted(turns, inside.detach().contiguous()).clamp(1, len(turns) - 1)
    left = right - 1
    share = (inside - turns[left]) / (turns[right] - turns[left])
    at = torch.arange(len(costs))
    return costs[at, left] * (1 - share) + costs[at, right] * share


def charged(costs: Tensor, weight: float, most: float) -> Tensor:
    """(B, K) what each candidate costs above the cheapest, as a reward and at most so much."""
    above = costs - costs.min(dim=-1, keepdim=True).values
    return (weight * above).clamp(max=most)
