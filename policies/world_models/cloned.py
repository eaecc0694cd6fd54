"""Transitions cloned by maximum likelihood: behavioural cloning, of the world instead of the expert.

The error of a value that is computed with such a model grows with the square of the horizon (Xu, Li & Yu 2020, "Error
bounds of imitating policies and environments", arXiv:2010.11876, lemma 5): each small error leads to a state of which
no episode tells how it goes on.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from forestpilot.policies.world_models import LearnerConfig
from forestpilot.policies.world_models.base import WorldModel
from forestpilot.policies.world_models.learner import Learner, descend
from forestpilot.policies.world_models.options import ClonedConfig
from forestpilot.policies.world_models.sequences import Windows, unroll


class Cloned(Learner):
    """Maximum likelihood of what came next."""

    Config: ClassVar[type[LearnerConfig]] = ClonedConfig

    def __init__(self, config: ClonedConfig, model: WorldModel, total_steps: int) -> None:
        super().__init__(config, model, total_steps)
        self._free_steps = config.free_steps

    def update(self, windows: Windows, step: int, rate: float, generator: torch.Generator) -> dict[str, float]:
        """One step down the likelihood's negative logarithm."""
        loss = negative_log_likelihood(self.model, windows, windows.num_steps - self._free_steps)
        descend(loss, self.model, self.optimizer, rate)
        return {"loss": float(loss.detach())}


def negative_log_likelihood(model: WorldModel, windows: Windows, told: int) -> Tensor:
    """() mean over the steps that the model may be judged by: those before which it was told enough."""
    first = min(model.context, windows.num_steps) - 1
    return model.loss_of(*unroll(model, windows, told).rows(first))
