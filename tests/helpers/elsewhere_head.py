"""A head of somebody else's, which no registry knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from forestpilot.policies.networks.heads import HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, ActionsHead
from forestpilot.sim.envs.task_spec import TaskSpec


@dataclass(frozen=True)
class ElsewhereConfig(HeadConfig):
    part: ClassVar[str] = "tests.helpers.elsewhere_head:ElsewhereHead"

    bias: float = 0.0


class ElsewhereHead(ActionsHead):
    Config: ClassVar[type[HeadConfig]] = ElsewhereConfig

    def __init__(self, config: ElsewhereConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=2)
        self.bias = config.bias

    def action_loss(self, prediction: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return (prediction + self.bias - actions).abs().sum(-1)

    def act(
        self, prediction: torch.Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        return (prediction + self.bias).clamp(-1.0, 1.0)
