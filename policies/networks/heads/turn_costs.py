"""The planner's cost of each candidate turn (AggreVaTe, Ross & Bagnell 2014)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, Head, Target, go_error, small_network
from forestpilot.policies.networks.heads.exploring import ChoiceExplorer, Explorer
from forestpilot.policies.networks.heads.options import TurnCostsConfig
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError


class TurnCostsHead(Head):
    """Regresses the planner's cost of each of the C candidate turns and takes the cheapest.

    Target: cost above the cheapest candidate, clipped, compressed and scaled, smooth-L1. Where left and right are
    equally good both stay cheap and the middle stays dear, so nothing is averaged away. Acting: predicted cost plus a
    little for leaving the last commanded heading, argmin, then the vertex of the parabola through it and its
    neighbours. Predictions are (..., C + 1); the last one is go.

    Raises:
        ValueError: go is not to be learned, in a task where always going is not safe.
    """

    Config: ClassVar[type[HeadConfig]] = TurnCostsConfig
    needs_costs = True
    predicts_chunks = False
    turns: Tensor
    """(C,) candidate turns in action units, evenly spaced, ascending."""

    def __init__(self, config: TurnCostsConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk)
        if not config.predict_go and not spec.turn.full_go_is_safe:
            raise InvalidArgumentError(
                f"policy.head.predict_go is False, which is full throttle all the way in the task {spec.task!r}; set "
                "it to True"
            )
        self.config = config
        self.network = small_network(features, spec.num_candidates + 1)
        turns = torch.tensor(spec.candidate_turns_rad, dtype=torch.float32) / spec.max_turn_rad
        self.register_buffer("turns", turns, persistent=False)
        self.hysteresis = config.hysteresis_per_rad * spec.max_turn_rad
        """Cost per action unit of turn away from the last one."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., F) to predictions (..., C + 1)."""
        prediction: Tensor = self.network(features)
        return prediction

    def loss(self, prediction: Tensor, target: Target, generator: torch.Generator | None = None) -> Tensor:
        """Smooth-L1 of the candidates' costs, squared error of go; raises ValueError without costs."""
        if target.costs is None:
            raise InvalidArgumentError(
                "the turn-costs head learns from the planner's costs, and this data has none; choose another head"
            )
        wanted = self.scaled(target.costs)
        costs, go = prediction.split((len(self.turns), 1), dim=-1)  # in one go: gradients of slices are whole tensors
        loss = F.smooth_l1_loss(costs, wanted, reduction="none").mean(-1)
        if self.config.predict_go:
            loss = loss + go_error(go.squeeze(-1), target.actions.squeeze(-2))
        return loss

    def scaled(self, costs: Tensor) -> Tensor:
        """Targets of the network for the planner's costs (..., C)."""
        relative = self._above_cheapest(costs)
        if self.config.curve == "sqrt":
            relative = relative.sqrt()
        return relative / self.config.scale

    def costs(self, prediction: Tensor) -> Tensor:
        """Predicted costs (..., C) in the expert's units, clipped as the targets were."""
        scaled = prediction[..., :-1] * self.config.scale
        if self.config.curve == "linear":
            return scaled
        # Odd-symmetric square: a prediction slightly below zero must stay below its neighbours.
        return scaled * scaled.abs()

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """The cheapest turn, one action."""
        costs = self.costs(prediction)
        if context.previous_turn is not None:
            away = (self.turns - context.previous_turn[..., None]).abs()
            costs = costs + torch.nan_to_num(self.hysteresis * away, nan=0.0)
        turn = self._lowest(costs)
        return torch.stack((turn, self._go(prediction)), dim=-1).unsqueeze(-2)

    def explorer(self, std: float) -> Explorer:
        """One of the candidates, by a softmax of minus their costs as the network tells them, leaving the last heading
        included; on that scale costs are spread by `curve`, so that gradients do not end where a candidate is best."""
        return ChoiceExplorer(self._preference, self.turns, self._go, std, std)

    def _preference(self, prediction: Tensor, previous: Tensor) -> Tensor:
        """(N, C) minus the cost of each candidate on the network's scale, for the turn commanded last (N,)."""
        away = (self.turns - previous[:, None]).abs()
        return -prediction[..., : len(self.turns)] - torch.nan_to_num(
            self.hysteresis / self.config.scale * away, nan=0.0
        )

    def _go(self, prediction: Tensor) -> Tensor:
        return torch.tanh(prediction[..., -1]) if self.config.predict_go else torch.ones_like(prediction[..., -1])

    def smooth_turn(self, prediction: Tensor) -> Tensor:
        """The mean of the candidates, the cheap ones weighing most: the cheapest itself jumps."""
        return (self.costs(prediction).neg().softmax(-1) * self.turns).sum(-1)

    def diagnostics(self, prediction: Tensor, target: Target, mask: Tensor) -> dict[str, float]:
        """Share of choices that are the planner's or next to it, and what they cost."""
        if target.costs is None:
            return {}
        chosen = prediction[..., :-1].argmin(-1, keepdim=True)
        near = (chosen.squeeze(-1) - target.costs.argmin(-1)).abs() <= 1
        regret = self._above_cheapest(target.costs).gather(-1, chosen).squeeze(-1)
        return {"argmin_agreement": float(near[mask].float().mean()), "regret": float(regret[mask].mean())}

    def _above_cheapest(self, costs: Tensor) -> Tensor:
        return (costs - costs.amin(-1, keepdim=True)).clamp_max(self.config.clip)

    def _lowest(self, costs: Tensor) -> Tensor:
        """The turn (...) at which a curve through the costs (..., C) is lowest."""
        best = costs.argmin(-1, keepdim=True)
        middle = best.clamp(1, len(self.turns) - 2)
        before, at, after = costs.gather(-1, torch.cat((middle - 1, middle, middle + 1), dim=-1)).unbind(-1)
        curvature = (before - 2 * at + after).clamp_min(1e-6)
        shift = (0.5 * (before - after) / curvature).clamp(-0.5, 0.5)
        # At either end there is no parabola: the end itself is the answer.
        shift = torch.where((best == middle).squeeze(-1), shift, torch.zeros_like(shift))
        turn = self.turns[best.squeeze(-1)] + shift * (self.turns[1] - self.turns[0])
        return turn.clamp(-1.0, 1.0)
