"""What ways of training a model have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from forestpilot.policies.world_models import LearnerConfig
from forestpilot.policies.world_models.base import WorldModel
from forestpilot.policies.world_models.sequences import Windows

GRAD_CLIP = 1.0


class Resumable(ABC):
    """What learns, and goes on where it was killed."""

    @abstractmethod
    def parts(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """What changes as it learns, by name."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed process needs."""
        found: dict[str, Tensor] = {}
        for name, (module, optimizer) in self.parts().items():
            found |= {f"{name}/{key}": value.clone() for key, value in module.state_dict().items()}
            for number, parameter in enumerate(module.parameters()):
                for key, value in optimizer.state[parameter].items():
                    found[f"{name}-optimizer/{number}/{key}"] = value.clone()
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        for name, (module, optimizer) in self.parts().items():
            own = f"{name}/"
            module.load_state_dict({key[len(own) :]: value for key, value in tensors.items() if key.startswith(own)})
            for number, parameter in enumerate(module.parameters()):
                of_it = f"{name}-optimizer/{number}/"
                state = {key[len(of_it) :]: value for key, value in tensors.items() if key.startswith(of_it)}
                if state:
                    optimizer.state[parameter] = state


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
