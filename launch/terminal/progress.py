"""Progress on standard error: bars where it is a terminal; where it is not, a plain line soon after the start and then
every ten seconds, whether something was finished in between or not.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from forestpilot.data_collection.episodes.progress import Progress, Stage

PLAIN_INTERVAL_S = 10.0
"""Between two lines of a stage."""
PLAIN_FIRST_S = 1.0
"""Until the first line of a stage that is not over by then."""


STALL_S = 10.0
"""A clock that is looked at every two seconds, and was not for so long, belongs to a process that was stopped."""
LOOK_S = 2.0


class AwakeClock:
    """Seconds in which this process ran: time in which it was stopped (`kill -STOP`, a frozen container) does not
    count, nor, on Linux, does time in which the computer sleeps. It must be looked at every few seconds.

    Args:
        monotonic: tells the time; nobody sets it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self._left_out_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since some moment; never goes back."""
        with self._lock:
            now = self._monotonic()
            if now - self._last > STALL_S:
                self._left_out_s += now - self._last
            self._last = now
            return now - self._left_out_s


def make_progress(stream: TextIO | None = None) -> Progress:
    """Bars when the stream (standard error by default) is a terminal, plain lines when it is not."""
    if stream is None:
        stream = sys.stderr
    if stream.isatty():
        return BarProgress()
    return PlainProgress(stream)


def format_fields(fields: dict[str, object]) -> str:
    """`success 0.97  loss 0.013` of the fields; floats get three significant digits."""
    texts = []
    for name, value in fields.items():
        shown = f"{value:.3g}" if isinstance(value, float) else value
        texts.append(f"{name} {shown}")
    return "  ".join(texts)


class BarProgress:
    """Rich bars on standard error; nested stages stand below one another and vanish when they end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._clock = AwakeClock()
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}", style="dim"),
            console=Console(stderr=True),
            refresh_per_second=4,
            get_time=self._clock.now,
        )
        self._open = 0

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """A bar of `total` steps; a finished outermost stage leaves one line with its time and last fields."""
        if self._open == 0:
            self._bars.start()
        self._open += 1
        self._clock.now()  # nobody has looked at it since the last stage
        started = self._clock.now()
        task = self._bars.add_task("  " * (self._open - 1) + name, total=total, shown="")
        stage = _BarStage(self._bars, task)
        try:
            yield stage
        finally:
            self._bars.remove_task(task)
            self._open -= 1
            if self._open == 0:
                self._bars.stop()
                self._bars.console.print(
                    _summary(name, stage, self._clock.now() - started), markup=False, highlight=False
                )

    def note(self, message: str) -> None:
        """One line above the bars."""
        self._bars.console.print(message, markup=False, highlight=False)


class _BarStage:
    """One bar."""

    def __init__(self, bars: object, task: object) -> None:
        self._bars = bars
        self._task = task
        self.done = 0
        self.fields: dict[str, object] = {}

    def advance(self, count: int = 1, **fields: object) -> None:
        """Move the bar and show the fields beside it; a field once shown stays until it is overwritten."""
        self.done += count
        self.fields.update(fields)
        self._bars.update(self._task, advance=count, shown=format_fields(self.fields))  # type: ignore[attr-defined]


class PlainProgress:
    """A line now and then, for logs.

    Args:
        stream: where lines go.
        interval_s: seconds between two lines of a stage.
        first_s: seconds until its first line.
    """

    def __init__(self, stream: TextIO, interval_s: float = PLAIN_INTERVAL_S, first_s: float = PLAIN_FIRST_S) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._first_s = first_s
        self._clock = AwakeClock()

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """A stage that writes a line every `interval_s` seconds and one at its end."""
        self._clock.now()  # nobody has looked at it since the last stage
        started = self._clock.now()
        stage = _PlainStage(self._stream, name, total, self._interval_s, self._clock)
        over = threading.Event()
        clock = threading.Thread(target=self._tell, args=(stage, over), daemon=True)
        clock.start()
        try:
            yield stage
        finally:
            over.set()
            clock.join()
            self.note(_summary(name, stage, self._clock.now() - started))

    def note(self, message: str) -> None:
        """One line."""
        print(message, file=self._stream, flush=True)

    def _tell(self, stage: _PlainStage, over: threading.Event) -> None:
        """Write lines while nothing is finished, too: compiling or one long step must not look like a standstill."""
        due = self._clock.now() + self._first_s
        while not over.wait(min(LOOK_S, max(0.0, due - self._clock.now()))):
            if self._clock.now() >= due:
                due = self._clock.now() + stage.tell_if_due()


class _PlainStage:
    """Counts, and writes a line when the last one is old enough."""

    def __init__(self, stream: TextIO, name: str, total: int | None, interval_s: float, clock: AwakeClock) -> None:
        self._stream = stream
        self._name = name
        self._total = total
        self._interval_s = interval_s
        self._clock = clock
        self._started = clock.now()
        self._last: float | None = None
        self._lock = threading.Lock()
        self.done = 0
        self.fields: dict[str, object] = {}

    def advance(self, count: int = 1, **fields: object) -> None:
        """Count, remember the fields, write if it is time."""
        with self._lock:
            self.done += count
            self.fields.update(fields)
            last = self._started if self._last is None else self._last
            if self._clock.now() - last >= self._interval_s:
                self._tell()

    def tell_if_due(self) -> float:
        """Write a line if there was none yet or the last one is old; returns the seconds until the next is due."""
        with self._lock:
            if self._last is None or self._clock.now() - self._last >= self._interval_s:
                self._tell()
            assert self._last is not None
            return max(0.1, self._last + self._interval_s - self._clock.now())

    def _tell(self) -> None:
        self._last = self._clock.now()
        of = str(self.done)
        if self._total is not None:
            of += f"/{self._total}"
        line = f"{self._name} {of}  {self._last - self._started:.0f} s  {format_fields(self.fields)}"
        print(line.rstrip(), file=self._stream, flush=True)


def _summary(name: str, stage: _BarStage | _PlainStage, seconds: float) -> str:
    return f"{name}: {stage.done} in {seconds:.1f} s  {format_fields(stage.fields)}".rstrip()
