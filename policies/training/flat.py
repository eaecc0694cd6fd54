"""A policy's parameters and gradients side by side in memory: one call changes all, and processes can share them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ALIGNMENT = 16
"""Each parameter begins at a multiple of so many floats, 64 bytes: products of matrices are quicker from there."""


class FlatLayout:
    """Where each parameter of a module that learns lies in a row of floats, those first whose weights decay.

    Args:
        module: its parameters are float32.
    """

    def __init__(self, module: nn.Module) -> None:
        # Decay is for matrices and kernels, not for biases and norms.
        learning = [(n, p) for n, p in enumerate(module.parameters()) if p.requires_grad]
        numbered = sorted(learning, key=lambda item: item[1].ndim <= 1)
        self.parameters = [parameter for _, parameter in numbered]
        self.numbers = [number for number, _ in numbered]
        """Which of the module's parameters each of them is."""
        self.starts: list[int] = []
        self.size = 0
        """Floats in a row, gaps included."""
        self.num_decaying = 0
        """Floats at the start of a row that belong to parameters whose weights decay."""
        for parameter in self.parameters:
            self.starts.append(self.size)
            self.size += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
            if parameter.ndim > 1:
                self.num_decaying = self.size

    def parts(self, row: Tensor) -> list[Tensor]:
        """Each parameter's part of a row (P,), in the parameter's shape and memory layout."""
        parts = []
        for start, parameter in zip(self.starts, self.parameters, strict=True):
            parts.append(row[start:].as_strided(parameter.shape, parameter.stride()))
        return parts

    def decaying(self, row: Tensor) -> Tensor:
        """The part of a row (P,) that belongs to parameters whose weights decay."""
        return row[: self.num_decaying]

    def live_in(self, weights: Tensor, keep: bool = True) -> None:
        """Let the module's parameters live in a row (P,).

        Args:
            weights: the row.
            keep: whether they keep their values, or take on those that stand there.
        """
        for part, parameter in zip(self.parts(weights), self.parameters, strict=True):
            if keep:
                part.copy_(parameter.detach())
            parameter.data = part

    def collect_in(self, gradients: Tensor) -> None:
        """Let the next backward pass write into a row (P,), which becomes zero first."""
        gradients.zero_()
        for part, parameter in zip(self.parts(gradients), self.parameters, strict=True):
            parameter.grad = part

    def release(self) -> None:
        """Give each parameter memory of its own again, and no gradient."""
        for parameter in self.parameters:
            parameter.data = parameter.detach().clone(memory_format=torch.preserve_format)
            parameter.grad = None
