"""Real time, kept at a control rate."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits; tests pass one that does not wait."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class RealClock:
    """The machine's own monotonic clock."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Pacer:
    """Keeps steps at their times, and counts those that come late.

    Steps that are in time follow one another by the clock, without drift. A late one moves all that follow: nobody can
    steer through steps that are made up for in a burst.

    Args:
        clock: what time it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = clock.now()
        self.late = 0
        """Steps that were not done when the next one was due."""

    def start(self) -> None:
        """A new stretch of steps starts now."""
        self._due = self._clock.now()

    def wait(self, period_s: float) -> None:
        """The step is done: wait until `period_s` after it was due."""
        self._due += period_s
        left_s = self._due - self._clock.now()
        if left_s >= 0:
            self._clock.sleep(left_s)
        else:
            self.late += 1
            self.start()
