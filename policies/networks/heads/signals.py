"""Heads that learn from more of the expert's answer: how it would choose among all turns, or costs and action at once.

A teacher's soft distribution says more than its one choice (Hinton et al. 2015, arXiv:1503.02531), also where the
teacher is a planner or an agent with privileges (Roach: Zhang et al. 2021, arXiv:2108.08265, section 4.2).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, Head, Target, go_error, small_network
from forestpilot.policies.networks.heads.categorical import CategoricalHead
from forestpilot.policies.networks.heads.exploring import Explorer
from forestpilot.policies.networks.heads.options import CategoricalConfig
from forestpilot.policies.networks.heads.signal_options import CostsAndActionConfig, SoftTurnsConfig
from forestpilot.policies.networks.heads.turn_costs import TurnCostsHead
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError


class SoftTurnsHead(CategoricalHead):
    """Cross-entropy to softmax(-cost / temperature) over the candidate turns; acts around the likeliest.

    It is the categorical head with the candidates as bins, so that the two differ in what they are taught alone.
    """

    Config: ClassVar[type[HeadConfig]] = SoftTurnsConfig
    needs_costs = True
    predicts_chunks = False

    def __init__(self, config: SoftTurnsConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(CategoricalConfig(bins=spec.num_candidates), features, spec, chunk)
        self.temperature = config.temperature
        self.centres.copy_(torch.tensor(spec.candidate_turns_rad, dtype=torch.float32) / spec.max_turn_rad)

    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """Cross-entropy of the turn, squared error of go; raises ValueError without costs."""
        if target.costs is None:
            raise InvalidArgumentError(
                "the soft-turns head learns from the planner's costs, and this data has none; choose another head"
            )
        wanted = (-target.costs / self.temperature).softmax(-1)
        logits, go = prediction.squeeze(-2).split((len(self.centres), 1), dim=-1)
        entropy = -(wanted * logits.log_softmax(-1)).sum(-1)
        return entropy + go_error(go.squeeze(-1), target.actions.squeeze(-2))


class CostsAndActionHead(TurnCostsHead):
    """Costs of the candidate turns and the turn itself: the costs say which way, the action says how far.

    Acting: the cheapest turn, as the turn-costs head finds it; where the regressed turn is near it, the regressed one,
    which is finer. Where there are two ways the regressed turn is their mean, far from both, and counts for nothing.
    Predictions are (..., C + 2); the last two are go and the turn.
    """

    Config: ClassVar[type[HeadConfig]] = CostsAndActionConfig

    def __init__(self, config: CostsAndActionConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk)
        self.action_weight = config.action_weight
        self.agreement = config.agreement
        self.network = small_network(features, spec.num_candidates + 2)

    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """The loss of the costs and of go, and the squared error of the turn; raises ValueError without costs."""
        costs, turn = self._parts(prediction)
        wanted = target.actions.squeeze(-2)[..., 0]
        return super().loss(costs, target, generator) + self.action_weight * (turn - wanted).square()

    def costs(self, prediction: Tensor) -> Tensor:
        """Predicted costs (..., C) in the expert's units, clipped as the targets were."""
        return super().costs(self._parts(prediction)[0])

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """The regressed turn where it agrees with the cheapest one, else the cheapest; one action."""
        costs, turn = self._parts(prediction)
        cheapest, go = super().act(costs, context, generator)[..., 0, :].unbind(-1)
        agrees = (turn - cheapest).abs() <= self.agreement
        return torch.stack((torch.where(agrees, turn, cheapest), go), dim=-1).unsqueeze(-2)

    def explorer(self, std: float) -> Explorer:
        """Refused: where it acts by the regressed turn, nothing would be learned from what the candidates come to."""
        return Head.explorer(self, std)

    def diagnostics(self, prediction: Tensor, target: Target, mask: Tensor) -> dict[str, float]:
        """Those of the costs, and the share of steps at which both agree."""
        costs, turn = self._parts(prediction)
        cheapest = super().act(costs)[..., 0, 0]
        agrees = (turn - cheapest).abs() <= self.agreement
        return {**super().diagnostics(costs, target, mask), "agreement": float(agrees[mask].float().mean())}

    def _parts(self, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """What the turn-costs head would predict (..., C + 1), and the regressed turn (...)."""
        own = len(self.turns) + 1
        return prediction[..., :own], torch.tanh(prediction[..., -1])
