"""Who drives: one small state machine, for a human at the keyboard and for every rule that stands in for one.

The policy drives until somebody takes over, that helper until handing back (HG-DAgger: Kelly et al. 2019,
arXiv:1810.02890). What makes somebody take over is no business of this module: keys say so, or a gate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_POLICY


class Takeover:
    """Who drives one episode, step by step.

    Args:
        helper: who takes over, `ACTOR_EXPERT` or `ACTOR_HUMAN`.
        calm_steps: steps in a row that must ask for handing back before it is done.
    """

    def __init__(self, helper: int, calm_steps: int = 1) -> None:
        if helper == ACTOR_POLICY or calm_steps < 1:
            raise ValueError(
                f"helper is {helper} and calm_steps {calm_steps}; a helper is no policy, calm takes a step"
            )
        self._helper = helper
        self._calm_steps = calm_steps
        self.restart()

    def restart(self) -> None:
        """A new episode begins: the policy drives."""
        self._helping = False
        self._calm = 0

    def step(self, take: bool, give: bool) -> int:
        """Who drives this step.

        Args:
            take: somebody wants to take over; a helper who drives already stays, and counts calm steps anew.
            give: the helper wants to hand back; where both are wanted, the helper drives.

        Returns:
            `ACTOR_POLICY` or the helper.
        """
        if take:
            self._helping = True
            self._calm = 0
        elif self._helping:
            self._calm = self._calm + 1 if give else 0
            self._helping = self._calm < self._calm_steps
        return self._helper if self._helping else ACTOR_POLICY


class Handovers(NamedTuple):
    """Counts of the takeovers in some episodes."""

    intervention_steps: int
    """Steps that the helper drove."""
    takeovers: int
    """How often the helper took over, first steps included."""
    context_switches: int
    """Changes of the driver in the middle of an episode."""


def count_handovers(actors: Iterable[np.ndarray]) -> Handovers:
    """Count over episodes that a policy set out to drive, each given as its `Episode.actor` (T,)."""
    intervention_steps = takeovers = switches = 0
    for actor in actors:
        helped = actor != ACTOR_POLICY
        changes = np.flatnonzero(helped[1:] != helped[:-1]) + 1
        intervention_steps += int(helped.sum())
        switches += len(changes)
        takeovers += int(helped[0]) + int(helped[changes].sum())
    return Handovers(intervention_steps, takeovers, switches)
