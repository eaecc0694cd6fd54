"""A veil hides causes from a policy: see `forestpilot.policies.networks.causes`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from forestpilot.policies.networks.causes import hidden_parts
from forestpilot.policies.networks.config import ViewConfig
from forestpilot.policies.networks.views import OUTSIDE_GREY
from forestpilot.sim.envs.task_spec import TaskSpec


class Veil:
    """Hides causes from batches of views and states.

    Args:
        names: of the causes.
        spec: the task.
        view: what the policy sees.

    Raises:
        InvalidArgumentError: the task has no such cause.
    """

    def __init__(self, names: Sequence[str], spec: TaskSpec, view: ViewConfig) -> None:
        parts = hidden_parts(tuple(names), spec, view)
        self._state = torch.from_numpy(parts.state.astype(np.float32))
        self._pixels = torch.from_numpy(parts.pixels.astype(np.float32))

    def hide(self, views: Tensor, state: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Views with grey and states with 0 where a cause is hidden.

        Args:
            views: (B, T, C, h, w, 3) uint8.
            state: (B, T, S) float32.
            shown: (B, K) float32, 1 where a cause is shown, 0 where it is hidden.
        """
        hidden = 1 - shown
        covered = (hidden @ self._pixels.to(hidden.device).flatten(1)) > 0
        if covered.any():
            covered = covered.view(hidden.shape[0], 1, 1, *self._pixels.shape[1:], 1)
            views = torch.where(covered, torch.tensor(OUTSIDE_GREY, dtype=torch.uint8), views)
        return views, state * ((hidden @ self._state.to(hidden.device)) == 0)[:, None]
