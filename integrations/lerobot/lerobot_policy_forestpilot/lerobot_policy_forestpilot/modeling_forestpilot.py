"""A policy of ForestPilot's as LeRobot's rollouts ask one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor

from forestpilot.data_collection.episodes.plain import from_plain
from forestpilot.data_collection.rollouts.pool import SLOTS
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import Carry, VisuomotorPolicy
from forestpilot.sim.envs.task_spec import TaskSpec
from lerobot_policy_forestpilot.configuration_forestpilot import ForestPilotConfig

PIXELS = "observation.images."


class ForestPilotPolicy(PreTrainedPolicy):
    """Acts as it does in ForestPilot: the same pictures, the same memory, the same actions."""

    config_class = ForestPilotConfig
    name = "forestpilot"

    def __init__(self, config: ForestPilotConfig, **kwargs: Any) -> None:
        super().__init__(config)
        policy = from_plain(PolicyConfig, json.loads(config.policy), "policy")
        self.network = VisuomotorPolicy(policy, TaskSpec.from_dict(json.loads(config.task_spec)))
        self._carries: dict[int, Carry] = {}

    def reset(self) -> None:
        """Episodes begin."""
        self._carries = {}

    def get_optim_params(self) -> dict[str, Any]:
        """All weights."""
        return {"params": self.network.parameters()}

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any] | None]:
        """No training here.

        Raises:
            NotImplementedError: always; says what trains it.
        """
        raise NotImplementedError("policies of ForestPilot are trained by `forestpilot train`, on its own datasets")

    def predict_action_chunk(self, batch: dict[str, Tensor], **kwargs: Any) -> Tensor:
        """(B, 1, 2): one action."""
        return self.select_action(batch)[:, None]

    def select_action(self, batch: dict[str, Tensor], **kwargs: Any) -> Tensor:
        """(B, 2) of the next step, of pictures (B, 3, H, W) from 0 to 1."""
        seen = {
            "state": batch["observation.state"],
            "goal": batch["observation.environment_state"],
        }
        for camera in self.network.camera_names:
            pictures = (batch[f"{PIXELS}{camera}"] * 255).round().to(torch.uint8)
            seen[camera] = pictures.permute(0, 2, 3, 1)
        count = len(batch["observation.state"])
        parts = []
        with torch_threads(1):
            for first in range(0, count, SLOTS):
                rows = {name: _filled_up(values[first : first + SLOTS]) for name, values in seen.items()}
                actions, self._carries[first] = self.network.act(rows, self._carries.get(first))
                parts.append(actions)
        return torch.from_numpy(np.concatenate(parts)[:count])


def _filled_up(values: Tensor) -> np.ndarray:
    """Values (B, ...) and zeros, as many rows as `forestpilot evaluate` has: the last digits of a product depend on how
    many there are, and an episode would end elsewhere."""
    rows = values.contiguous().cpu().numpy()
    filled = np.zeros((SLOTS, *rows.shape[1:]), rows.dtype)
    filled[: len(rows)] = rows
    return filled
