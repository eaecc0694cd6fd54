"""Looks at a policy in the middle of its training, which change nothing of what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forestpilot.policies.training.state import TrainingState


@dataclass(frozen=True)
class Looks:
    """Who looks, and when."""

    steps: frozenset[int]
    """After so many gradient steps of the round."""
    look: Callable[[int], None]
    """Given that number, while the policy has the weights that act; what it raises ends the training, which goes on
    from there when it is called again."""

    def see(self, training: TrainingState) -> None:
        """Look, if it is time. A training that was killed meanwhile goes on with the same look."""
        if training.step not in self.steps or not training.step:
            return
        training.save()
        with training.acting():
            self.look(training.step)
