"""Adam (Kingma & Ba 2015, arXiv:1412.6980) on one row of weights.

`torch.optim.Adam` comes to the same, bit for bit. But the first one that a process makes imports torch's compiler, and
for that second every training would wait.
"""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Adam:
    """What Adam remembers of some weights, and its step.

    Args:
        weights: (P,) float32, changed in place by `update`.

    Attributes:
        step: () float32, updates so far.
        moments: running mean of the gradient (`exp_avg`) and of its square (`exp_avg_sq`), (P,) float32 each.
    """

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights.detach()
        self.step = torch.zeros((), device=self._weights.device)
        self.moments = {"exp_avg": torch.zeros_like(self._weights), "exp_avg_sq": torch.zeros_like(self._weights)}

    def update(self, gradient: Tensor, rate: float) -> None:
        """One step.

        Args:
            gradient: (P,) float32.
            rate: learning rate.
        """
        self.step += 1
        torch._fused_adam_(
            [self._weights],
            [gradient],
            [self.moments["exp_avg"]],
            [self.moments["exp_avg_sq"]],
            [],
            [self.step],
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
