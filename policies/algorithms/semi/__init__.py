"""Semi-supervised imitation: few episodes with labels, and many without, by name of what is made of these.

A method is a subclass of `forestpilot.policies.algorithms.semi.method.Method` and a line here; `forestpilot semi
--method NAME` takes it, and its options with `--method.OPTION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.algorithms.semi.method import Method

__all__ = ["SEMI_METHODS", "MethodConfig"]


@dataclass(frozen=True)
class MethodConfig(PartConfig):
    """Options of a method; each has a subclass of its own."""

    learns_actions: ClassVar[bool] = False
    """Whether the policy learns actions that nobody told, so that its head must learn from actions."""
    needs_actions: ClassVar[bool] = False
    """Whether what has no labels must have actions: demonstrations of which nobody knows how good they are."""


_HERE = "forestpilot.policies.algorithms.semi"
SEMI_METHODS: Registry[type[Method[Any]]] = Registry("semi-supervised method", f"{_HERE}:SEMI_METHODS")
SEMI_METHODS.register(
    "pseudo-labels",
    f"{_HERE}.pseudo_labels:PseudoLabels",
    "actions of videos inferred by an inverse model of the labelled episodes, then cloned",
)
SEMI_METHODS.register(
    "consistency",
    f"{_HERE}.consistency:Consistency",
    "the policy's own answers, where it is sure, learned for spoilt views of the same (FixMatch)",
)
SEMI_METHODS.register(
    "masked",
    f"{_HERE}.masked:Masked",
    "the encoder learns from videos to draw what is hidden of a picture, then cloning (masked autoencoder)",
)
SEMI_METHODS.register(
    "weighted",
    f"{_HERE}.weighted:Weighted",
    "demonstrations of unknown quality, each step weighed by a discriminator (ISW-BC)",
)
