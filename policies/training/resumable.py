"""Trainings of what is no policy, which go on where they were killed: embeddings, models of the world.

What is drawn for a step follows from (seed, step) alone, so weights, the optimizers' moments and the number of the step
are all there is to keep, and a training that was killed ends at the same numbers as one that was not (on the same
machine).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from forestpilot.data_collection.episodes.fingerprint import told
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.run import RunError
from forestpilot.policies.networks.checkpoint import load_state, save_state
from forestpilot.policies.training.metrics import MetricsLog
from forestpilot.policies.training.state import DivergedError

STATE_FILE = "checkpoints/training.safetensors"
"""Where in the run folder an unfinished training stands."""
LAST_RATE = 0.1
"""Share of the learning rate that is left at the end."""


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


class Stepwise(Resumable):
    """What learns by gradient steps, one after the other."""

    @abstractmethod
    def step(self, step: int, rate: float) -> dict[str, float]:
        """One gradient step; returns figures by name, `loss` among them.

        Args:
            step: its number; what is drawn follows from it.
            rate: learning rate.
        """


@dataclass(frozen=True)
class Schedule:
    """How long a training goes on, and what it leaves behind meanwhile."""

    folder: Path
    """The run folder."""
    steps: int
    """Gradient steps."""
    learning_rate: float
    """Of the first step."""
    log_every: int
    """Gradient steps between rows of metrics.csv."""
    checkpoint_every: int
    """Gradient steps between saved states."""

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a cosine down to a tenth (Loshchilov & Hutter 2017, equation 5)."""
        share = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.learning_rate * (LAST_RATE + (1 - LAST_RATE) * share)


def train_stepwise(
    learner: Stepwise, schedule: Schedule, data: dict[str, Any], progress: Progress, title: str
) -> dict[str, float]:
    """Take all steps, or those that an interrupted training has left; returns the last figures.

    Args:
        learner: changed in place.
        schedule: how long, and where the unfinished training lies.
        data: fingerprint of what it learns from.
        progress: who watches.
        title: what they see meanwhile.

    Raises:
        DivergedError: the loss is no number.
        RunError: the unfinished training is of other episodes.
    """
    state = schedule.folder / STATE_FILE
    state.parent.mkdir(parents=True, exist_ok=True)
    first, known = _resume(state, learner, data)
    log = MetricsLog(schedule.folder, (0, first), None, known)
    figures: dict[str, float] = {}
    with closing(log), progress.stage(title, schedule.steps) as stage:
        stage.advance(first)
        for step in range(first, schedule.steps):
            figures = learner.step(step, schedule.rate_at(step))
            done = step + 1
            if done % schedule.log_every == 0 or done == schedule.steps:
                _require_finite(figures, done, schedule)
                log.write(0, done, done, figures)
                stage.advance(0, **{name: figures[name] for name in ("loss", "found") if name in figures})
            if done % schedule.checkpoint_every == 0 and done < schedule.steps:
                save_state(state, learner.tensors(), {"step": done, "data": data, "metrics": log.text})
            stage.advance(1)
    return figures


def require_same_data(what: str, there: dict[str, Any], data: dict[str, Any]) -> None:
    """Raise RunError where something was learned from other episodes than now.

    Args:
        what: names it: `runs/embed holds an embedding`.
        there: fingerprint of those that it was learned from.
        data: of those that are to be learned from.
    """
    if there != data:
        raise RunError(
            f"{what} that was learned from other episodes ({told(there)} then, {told(data)} now); give another --out"
        )


def _resume(path: Path, learner: Stepwise, data: dict[str, Any]) -> tuple[int, str]:
    """The step to go on from, and what metrics.csv holds there."""
    if not path.exists():
        return 0, ""
    tensors, facts = load_state(path)
    require_same_data(f"{path} holds a training", facts["data"], data)
    learner.restore(tensors)
    return int(facts["step"]), str(facts["metrics"])


def _require_finite(figures: dict[str, float], step: int, schedule: Schedule) -> None:
    if not math.isfinite(figures["loss"]):
        raise DivergedError(
            f"the loss is {figures['loss']} at step {step}: the training has diverged. Lower learning-rate (now "
            f"{schedule.learning_rate})"
        )
