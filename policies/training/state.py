"""What a round of training remembers between its steps, and how that survives the end of the process."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.migration import migrate_config
from forestpilot.data_collection.episodes.plain import from_plain
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError


class DivergedError(ForestPilotError):
    """A training whose loss is no longer a number."""


class TrainingState:
    """The tensors that change as a round goes on, and how they are kept on disk."""

    def __init__(self, policy: VisuomotorPolicy, config: TrainConfig, round_number: int, path: Path) -> None:
        self.policy = policy
        self.config = config
        self.round = round_number
        self.path = path
        self.step = 0
        self.total_steps_before = 0
        self.figures: dict[str, float] = {}
        self.parameters: list[Tensor] = list(policy.parameters())
        matrices = [p for p in self.parameters if p.ndim > 1]
        others = [p for p in self.parameters if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        self.average = [p.detach().clone() for p in self.parameters] if config.ema_decay else []
        self.running_loss = torch.zeros(())
        self.gradient_norm = torch.zeros(())
        if path.exists():
            self._resume()

    def update(self, loss: Tensor) -> None:
        """One gradient step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.gradient_norm = torch.nn.utils.clip_grad_norm_(
            self.parameters, self.config.grad_clip or math.inf, foreach=True
        )
        self.optimizer.step()
        self.running_loss += loss.detach()
        self.step += 1
        if self.average:
            # Early on the average follows closely, or the random first weights would linger in it.
            decay = min(self.config.ema_decay, self.step / (self.step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.parameters, 1 - decay)

    def summary(self) -> dict[str, float]:
        """Figures of the steps since the last summary.

        Returns:
            loss: mean over the steps since the last summary.
            gradient_norm: norm of the last gradient before clipping.
            learning_rate: of the last step.

        Raises:
            DivergedError: the loss is not finite.
        """
        loss = float(self.running_loss) / ((self.step - 1) % self.config.log_every + 1)
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss is {loss} at step {self.step} of round {self.round}: the training has diverged. Lower "
                f"learning_rate (now {self.config.learning_rate}), or check the data for values that are not finite"
            )
        self.running_loss.zero_()
        rate = self.config.learning_rate_at(self.step - 1)
        return {"loss": loss, "gradient_norm": float(self.gradient_norm), "learning_rate": rate}

    def finish(self) -> None:
        """Put the averaged weights into the policy and keep the finished state."""
        if self.average:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, self.average)
        self.save()

    def save(self) -> None:
        """Write everything that a resumed process needs, atomically."""
        tensors = {f"policy/{name}": tensor for name, tensor in self.policy.state_dict().items()}
        tensors["running_loss"] = self.running_loss
        for i, parameter in enumerate(self.parameters):
            tensors |= {f"optimizer/{i}/{key}": value for key, value in self.optimizer.state[parameter].items()}
        tensors |= {f"average/{i}": tensor for i, tensor in enumerate(self.average)}
        facts = {
            "round": self.round,
            "step": self.step,
            "total_steps_before": self.total_steps_before,
            "figures": self.figures,
            "config": self._identity(),
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
        if facts["round"] < self.round:
            self.total_steps_before = facts["total_steps_before"] + facts["step"]
            if self.config.keep_optimizer:
                self._load_optimizer(tensors)
            return
        self._require_same_config(facts["config"])
        self.step = facts["step"]
        self.total_steps_before = facts["total_steps_before"]
        self.figures = facts["figures"]
        own_tensors = {
            name.removeprefix("policy/"): tensor for name, tensor in tensors.items() if name.startswith("policy/")
        }
        load_tensors(self.policy, own_tensors, self.path)
        self._load_optimizer(tensors)
        self.running_loss.copy_(tensors["running_loss"])
        for i, average in enumerate(self.average):
            average.copy_(tensors[f"average/{i}"])

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

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        for i, parameter in enumerate(self.parameters):
            moments = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                stored = tensors.get(f"optimizer/{i}/{key}")
                own = torch.empty(()) if key == "step" else torch.empty_like(parameter)
                if stored is None or stored.shape != own.shape:
                    raise CheckpointError(
                        f"{self.path} has no {key} that fits parameter {i}: delete it to start the round over"
                    )
                # Copied into the parameter's own memory layout: the fused step walks both side by side.
                moments[key] = own.detach().copy_(stored)
            self.optimizer.state[parameter] = moments
