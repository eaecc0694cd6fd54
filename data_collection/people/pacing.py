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


STALL_S = 2.0
"""A step that is late by so much was not slow: the process was stopped, or the computer asleep."""


class RealClock:
    """The machine's own monotonic clock, which nobody sets; where there is one, that which goes on while it sleeps."""

    def now(self) -> float:
        """Seconds since some moment."""
        if _BOOT_TIME is not None:
            return time.clock_gettime(_BOOT_TIME)
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


_BOOT_TIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


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
        self.stalled_s = 0.0
        """Time in which everything stood still."""

    def start(self) -> None:
        """A new stretch of steps starts now."""
        self._due = self._clock.now()

    def wait(self, period_s: float) -> float:
        """The step is done: wait until `period_s` after it was due.

        Returns:
            Seconds for which everything stood still, by `STALL_S`; 0 otherwise. Such a step is not counted as late.
        """
        self._due += period_s
        left_s = self._due - self._clock.now()
        if left_s >= 0:
            self._clock.sleep(left_s)
            # A sleep from which the process comes back too late was one of the whole computer.
            left_s = self._due - self._clock.now()
            if -left_s <= STALL_S:
                return 0.0
        self.start()
        if -left_s > STALL_S:
            self.stalled_s -= left_s
            return -left_s
        self.late += 1
        return 0.0
