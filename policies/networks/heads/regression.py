"""Mean squared error on the action."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, ActionsHead
from forestpilot.policies.networks.heads.exploring import Explorer, NormalExplorer
from forestpilot.policies.networks.heads.options import RegressionConfig
from forestpilot.sim.envs.task_spec import TaskSpec


class RegressionHead(ActionsHead):
    """Mean squared error on the action: simple, and averages left and right."""

    Config: ClassVar[type[HeadConfig]] = RegressionConfig

    def __init__(self, config: RegressionConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=2)

    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Squared error, summed over turn and go."""
        return (torch.tanh(prediction) - actions).square().sum(-1)

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """The prediction, bounded."""
        return torch.tanh(prediction)

    def explorer(self, std: float) -> Explorer:
        """Normal distributions around its action."""
        return NormalExplorer(lambda prediction: self.act(prediction)[:, 0], std)
