"""Who watches a run while it learns: is told how good its policy is on the validation worlds, and may end the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from forestpilot.policies.algorithms.rounds import RoundResult
    from forestpilot.policies.algorithms.validation import Validation


class Watcher(Protocol):
    """Told of one run; whatever it raises ends the run, which can be gone on with.

    A run that goes on where it was killed tells some of it again.
    """

    def looks(self, round_number: int, steps: int) -> Sequence[int]:
        """Gradient steps of a round after which its unfinished policy is run on the validation worlds as well.

        Args:
            round_number: the round.
            steps: that it trains in all.
        """

    def looked(self, round_number: int, step: int, seen: Validation) -> None:
        """Told how good the unfinished policy is after so many steps of a round."""

    def finished(self, result: RoundResult) -> None:
        """Told what a round came to, after it was written down."""
