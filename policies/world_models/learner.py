"""What ways of training a model have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.training.resumable import Resumable
from forestpilot.policies.world_models import LearnerConfig
from forestpilot.policies.world_models.base import WorldModel
from forestpilot.policies.world_models.sequences import Windows

GRAD_CLIP = 1.0


class Learner(Resumable):
    """A way of training; registered in `forestpilot.policies.world_models.WORLD_LEARNERS`.

    Args:
        config: its options.
        model: changed in place.
        total_steps: gradient steps of the whole training.
    """

    Config: ClassVar[type[LearnerConfig]]
    """Its options."""

    def __init__(self, config: LearnerConfig, model: WorldModel, total_steps: int) -> None:
        self.model = model
        self.total_steps = total_steps
        self.optimizer = torch.optim.Adam(model.parameters())

    @abstractmethod
    def update(self, windows: Windows, step: int, rate: float, generator: torch.Generator) -> dict[str, float]:
        """One gradient step; returns figures by name, the same at every step.

        Args:
            windows: drawn for this step.
            step: its number.
            rate: learning rate.
            generator: draws; follows from seed and step.
        """

    def parts(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """The model."""
        return {"model": (self.model, self.optimizer)}


def descend(loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer, rate: float) -> None:
    """A step down a loss."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), GRAD_CLIP)
    optimizer.step()
