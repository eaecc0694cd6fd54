"""What encoders have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from forestpilot.policies.networks.encoders import EncoderConfig


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of what an encoder reads and of what it makes."""

    view_height: int
    """Rows of a view."""
    view_width: int
    """Columns of a view."""
    num_cameras: int
    """Views per step."""
    num_inputs: int
    """Elements of state and goal that join the views."""
    features: int
    """Size of the result."""


class Encoder(nn.Module, ABC):
    """A network that reads one step.

    A subclass is made with its options and an `EncoderShape`, and registered in
    `forestpilot.policies.networks.encoders.ENCODERS`.
    """

    Config: ClassVar[type[EncoderConfig]]
    """Its options."""

    def __init__(self, config: EncoderConfig, shape: EncoderShape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """Encode N steps, each by itself.

        Args:
            views: (N, C, h, w, 3) uint8; 128 where the camera did not look.
            inputs: (N, I) float32, scaled state and goal.

        Returns:
            (N, features) float32.
        """
