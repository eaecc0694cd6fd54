"""Outcomes of an episode: the words that are stored, which of them end it, what it returns, what a reader is told."""

from __future__ import annotations

from typing import Final


class Outcome:
    """The words, plain strings: they stand in `info`, in episode files and in tables of results."""

    RUNNING: Final = "running"
    """Neither over nor decided; a stored episode that says so was stopped early."""
    SUCCESS: Final = "success"
    """The goal was reached; where a vehicle was put back on the way, see `succeeded`."""
    COLLISION: Final = "collision"
    """It touched a trunk or an obstacle."""
    OUT_OF_BOUNDS: Final = "out_of_bounds"
    """It left the world, or its road."""
    TIMEOUT: Final = "timeout"
    """Time ran out."""


ENDS = (Outcome.SUCCESS, Outcome.COLLISION, Outcome.OUT_OF_BOUNDS, Outcome.TIMEOUT)
"""Words of episodes that are over."""
OUTCOMES = (Outcome.RUNNING, *ENDS)
"""All words."""
TERMINAL = (Outcome.SUCCESS, Outcome.COLLISION, Outcome.OUT_OF_BOUNDS)
"""Words of episodes that ended by what happened in them, Gymnasium's `terminated`; a timeout truncates them."""
CRASHES = (Outcome.COLLISION, Outcome.OUT_OF_BOUNDS)
"""Words of episodes that went wrong, as against those that took too long."""
COLLISION_PENALTY = 10.0
"""Reward that a crash costs, and so does an intervention, in metres of progress."""

ASSISTED = "arrived with help"
"""What a reader is told where the goal was reached only because the vehicle was put back on its way."""
_TOLD = {
    Outcome.RUNNING: "stopped early",
    Outcome.SUCCESS: "success",
    Outcome.COLLISION: "collision",
    Outcome.OUT_OF_BOUNDS: "out of bounds",
    Outcome.TIMEOUT: "out of time",
}


def succeeded(outcome: str, interventions: int = 0) -> bool:
    """Tell if the goal was reached, and without being put back on the way."""
    return outcome == Outcome.SUCCESS and not interventions


def episode_return(outcome: str, progress_m: float, interventions: int = 0) -> float:
    """Return of a whole episode, the sum of its rewards: metres of progress, less 10 for a crash and for every
    intervention. All that it takes stands in every table of results, also in those of version 0.1.
    """
    return progress_m - COLLISION_PENALTY * ((outcome in CRASHES) + interventions)


def told(outcome: str, interventions: int = 0) -> str:
    """The outcome in a reader's words; to arrive with somebody's help is no success.

    Raises:
        ValueError: there is no such outcome.
    """
    if outcome not in _TOLD:
        raise ValueError(f"outcome is {outcome!r}; allowed: {', '.join(OUTCOMES)}")
    if outcome == Outcome.SUCCESS and interventions:
        return ASSISTED
    return _TOLD[outcome]
