"""SAC on the planner's cost-to-go: a potential over a short horizon (THOR), and a part of the actor's aim (LOLS).

What the two mean is told in `forestpilot.policies.reinforcement.cost_to_go`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.reinforcement import LearnerConfig
from forestpilot.policies.reinforcement.cost_to_go import CostToGo, charged, cost_of_turn, horizon_discount
from forestpilot.policies.reinforcement.envs import ForestVecEnv
from forestpilot.policies.reinforcement.learner import Start
from forestpilot.policies.reinforcement.sac import Engine, SACLearner
from forestpilot.policies.reinforcement.sac_options import ThorConfig
from forestpilot.policies.reinforcement.shares import COSTS


class ThorLearner(SACLearner):
    """SAC whose rewards are shaped by the planner's cost-to-go, and which looks a short way ahead."""

    Config: ClassVar[type[LearnerConfig]] = ThorConfig

    def __init__(self, start: Start, config: ThorConfig, envs: ForestVecEnv) -> None:
        scale = envs.rewards.scale
        self.cost_to_go = CostToGo(scale * config.cost_m, scale * config.most_m, config.discount)
        self.own_reward = self.cost_to_go
        self.demonstration_reward = self.cost_to_go
        super().__init__(start, config, envs)

    def make_engine(self) -> ThorEngine:
        """See `SACLearner.make_engine`."""
        return ThorEngine(self)


class ThorEngine(Engine):
    """SAC's gradient step, with the planner's costs in the actor's aim.

    Args:
        learner: whose it is.
    """

    def __init__(self, learner: ThorLearner) -> None:
        super().__init__(learner)
        config: ThorConfig = learner.config
        spec = learner.policy.spec
        self.looks = horizon_discount(config.discount, config.horizon_s, spec.control_hz)
        self._turns = torch.tensor(spec.candidate_turns_rad, dtype=torch.float32) / spec.max_turn_rad
        self._share = config.expert_share
        self._cost_to_go = learner.cost_to_go

    def aim(self, seen: dict[str, Tensor], features: Tensor, actions: Tensor) -> Tensor:
        """(B,) the critics' value, and minus what the planner charges for the turn, in their shares."""
        value = super().aim(seen, features, actions)
        if not self._share:
            return value
        costs = charged(seen[COSTS], self._cost_to_go.weight, self._cost_to_go.most)
        paid = cost_of_turn(costs, self._turns, actions[:, 0])
        self.note(planner_cost=paid.mean())
        return (1 - self._share) * value - self._share * paid
