"""Linear layers with few outputs, of which every row of a batch is computed alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST_OUTPUTS = 4
"""MKL adds up the products of two or three outputs in another order in every second row."""


class EvenLinear(nn.Linear):
    """A linear layer of which a row does not depend on its place in the batch, where nobody needs gradients.

    While it learns, or is exported, it is `torch.nn.Linear`; where a policy acts, an episode must come to the same
    whichever place of the batch it was given.
    """

    is_even = True
    """False in policies that were made before rows were even; see PolicyConfig.even_rows."""

    def forward(self, values: Tensor) -> Tensor:
        """(..., outputs) of (..., inputs)."""
        if not self.is_even or self.out_features >= LEAST_OUTPUTS:
            return super().forward(values)
        if torch.is_grad_enabled() or torch.onnx.is_in_onnx_export():
            return super().forward(values)
        # Every row in an even place.
        return super().forward(values.repeat_interleave(2, dim=0))[::2]
