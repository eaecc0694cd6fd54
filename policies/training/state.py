"""What a round of training remembers between its steps, and how that survives the end of the process."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.fingerprint import told
from forestpilot.data_collection.episodes.migration import migrate_config
from forestpilot.data_collection.episodes.plain import from_plain
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.training.adam import Adam
from forestpilot.policies.training.flat import FlatLayout
from forestpilot.policies.training.shards import Lesson
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError


class DivergedError(ForestPilotError):
    """A training whose loss is no longer a number."""


class TrainingState:
    """The numbers that change as a round goes on, and how they are kept on disk.

    Args:
        lesson: the round.
        layout: where each parameter of the policy lies in a row of floats.
        weights: (P,) row in which the policy's parameters live.
        gradient: (P,) row in which their gradient stands when `update` is called.
        path: file of the stored state; a round that stands there is gone on with.
        data: fingerprint of the episodes that the round learns from; empty where nobody knows.

    Attributes:
        metrics: content of metrics.csv so far.
    """

    def __init__(
        self,
        lesson: Lesson,
        layout: FlatLayout,
        weights: Tensor,
        gradient: Tensor,
        path: Path,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.policy = lesson.policy
        self.config = lesson.config
        self.round = lesson.round
        self.path = path
        self.step = 0
        self.total_steps_before = 0
        self.figures: dict[str, float] = {}
        self.data = dict(data or {})
        self.metrics = ""
        self.layout = layout
        self.weights = nn.Parameter(weights)
        self.weights.grad = gradient
        # Decay stands beside it (Loshchilov & Hutter 2019, algorithm 2, line 12), for only part of the row decays.
        self.optimizer = Adam(weights)
        self.average = weights.clone() if self.config.ema_decay else None
        self.running_loss = torch.zeros(())
        self.gradient_norm = torch.zeros(())
        self.left_out = 0
        if path.exists():
            self._resume()

    def update(self, loss: float) -> None:
        """One gradient step.

        Args:
            loss: of the batch whose gradient stands in the row.
        """
        rate = self.config.learning_rate_at(self.step)
        assert self.weights.grad is not None
        self.gradient_norm = clip(self.weights.grad, self.config.grad_clip)
        if self.config.precision == "fp16" and not torch.isfinite(self.gradient_norm):
            self.step += 1
            self.left_out += 1
            return
        self.layout.decaying(self.weights.detach()).mul_(1 - rate * self.config.weight_decay)
        self.optimizer.update(self.weights.grad, rate)
        self.running_loss += loss
        self.step += 1
        if self.average is not None:
            # Early on the average follows closely, or the random first weights would linger in it.
            decay = min(self.config.ema_decay, self.step / (self.step + 10))
            self.average.lerp_(self.weights.detach(), 1 - decay)

    @property
    def total_steps(self) -> int:
        """Gradient steps of all rounds so far."""
        return self.total_steps_before + self.step

    def summary(self) -> dict[str, float]:
        """Figures of the steps since the last summary.

        Returns:
            loss: mean over the steps since the last summary.
            gradient_norm: norm of the last gradient before clipping.
            learning_rate: of the last step.

        Raises:
            DivergedError: the loss is not finite.
        """
        steps = (self.step - 1) % self.config.log_every + 1 - self.left_out
        loss = float(self.running_loss) / steps if steps > 0 else math.nan
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss is {loss} at step {self.step} of round {self.round}: the training has diverged. Lower "
                f"learning_rate (now {self.config.learning_rate}), or check the data for values that are not finite"
            )
        self.running_loss.zero_()
        self.left_out = 0
        rate = self.config.learning_rate_at(self.step - 1)
        return {"loss": loss, "gradient_norm": float(self.gradient_norm), "learning_rate": rate}

    @contextmanager
    def saved_when_left_by(self, kind: type[Exception]) -> Iterator[None]:
        """Save where an error of this kind, raised between two steps, ends the `with` block."""
        try:
            yield
        except kind:
            if self.step:
                self.save()
            raise

    @contextmanager
    def acting(self) -> Iterator[None]:
        """In the `with` block the policy has the weights that act: the averaged ones, where there is an average."""
        if self.average is None:
            yield
            return
        learning = self.weights.detach().clone()
        self.weights.detach().copy_(self.average)
        try:
            yield
        finally:
            self.weights.detach().copy_(learning)

    def finish(self) -> None:
        """Put the averaged weights into the policy and keep the finished state."""
        if self.average is not None:
            self.weights.detach().copy_(self.average)
        self.save()

    def save(self) -> None:
        """Write everything that a resumed process needs, atomically."""
        tensors = {f"policy/{name}": tensor for name, tensor in self.policy.state_dict().items()}
        tensors["running_loss"] = self.running_loss
        rows = {f"optimizer/{{}}/{name}": row for name, row in self.optimizer.moments.items()}
        if self.average is not None:
            rows["average/{}"] = self.average
        for name, row in rows.items():
            for number, part in zip(self.layout.numbers, self.layout.parts(row), strict=True):
                tensors[name.format(number)] = part
        tensors |= {f"optimizer/{number}/step": self.optimizer.step.clone() for number in self.layout.numbers}
        facts = {
            "round": self.round,
            "step": self.step,
            "total_steps_before": self.total_steps_before,
            "figures": self.figures,
            "config": self._identity(),
            "data": self.data,
            "metrics": self.metrics,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_state(self.path, tensors, facts)

    def _identity(self) -> dict[str, Any]:
        """The part of the config that changes the numbers."""
        return result_values(self.config)

    def _resume(self) -> None:
        tensors, facts = load_state(self.path)
        if facts["round"] > self.round:
            raise CheckpointError(
                f"{self.path} stands at round {facts['round']}, asked for round {self.round}: use a fresh run folder"
            )
        self.metrics = facts.get("metrics", "")
        if facts["round"] < self.round:
            self.total_steps_before = facts["total_steps_before"] + facts["step"]
            if self.config.keep_optimizer:
                self._load_optimizer(tensors)
            return
        self._require_same_config(facts["config"])
        self._require_same_data(facts.get("data"))
        self.step = facts["step"]
        self.total_steps_before = facts["total_steps_before"]
        self.figures = facts["figures"]
        own_tensors = {
            name.removeprefix("policy/"): tensor for name, tensor in tensors.items() if name.startswith("policy/")
        }
        load_tensors(self.policy, own_tensors, self.path)
        self._load_optimizer(tensors)
        self.running_loss.copy_(tensors["running_loss"])
        if self.average is not None:
            self._load_row(tensors, "average/{}", self.average)

    def _require_same_config(self, stored: dict[str, Any]) -> None:
        """Raise CheckpointError where a setting that changes the numbers is not as it was stored."""
        # Options that did not exist yet have the values they were born with.
        kept = result_values(from_plain(TrainConfig, migrate_config(stored), str(self.path)))
        different = []
        for key, value in self._identity().items():
            if kept.get(key) != value:
                different.append(f"{key} (was {kept.get(key)}, now {value})")
        if different:
            raise CheckpointError(
                f"{self.path} is of a run with another config: {'; '.join(different)}. Repeat that config to go on, "
                "or choose another run folder to start over"
            )

    def _require_same_data(self, stored: dict[str, Any] | None) -> None:
        """Raise CheckpointError where the episodes are not those that the round began with, as far as that is known."""
        if stored and self.data and stored != self.data:
            raise CheckpointError(
                f"{self.path} is of a training that began with other episodes ({told(stored)} then, {told(self.data)} "
                "now). Put back what was there to go on, choose another run folder, or delete the file to start this "
                "training over with what is there now"
            )

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        for name, row in self.optimizer.moments.items():
            self._load_row(tensors, f"optimizer/{{}}/{name}", row)
        self.optimizer.step.copy_(tensors[f"optimizer/{self.layout.numbers[0]}/step"])

    def _load_row(self, tensors: dict[str, Tensor], name: str, row: Tensor) -> None:
        """Fill a row (P,) with what is stored for each parameter under a name with its number."""
        for number, part in zip(self.layout.numbers, self.layout.parts(row), strict=True):
            stored = tensors.get(name.format(number))
            if stored is None or stored.shape != part.shape:
                raise CheckpointError(
                    f"{self.path} has no {name.format(number)} that fits the policy: delete it to start the round over"
                )
            part.copy_(stored)


def clip(gradient: Tensor, limit: float) -> Tensor:
    """Shorten a gradient (P,) to `limit`, 0 for none, to the same bits as `torch.nn.utils.clip_grad_norm_`.

    That one multiplies also where there is nothing to shorten, which is most of the time.

    Returns:
        () the norm it had.
    """
    norm = torch.linalg.vector_norm(gradient)
    share = limit / (norm + 1e-6)
    if limit and share < 1.0:
        gradient.mul_(share)
    return norm
