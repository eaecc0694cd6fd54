"""Progress of another process: `SentProgress` there, what `shown_by` makes here, and an `ask` between the two.

Tasks of `forestpilot.data_collection.rollouts.workers` have such an `ask`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from forestpilot.data_collection.episodes.progress import Progress, Stage

TELL_EVERY_S = 0.5
"""Between two words about the same stage; each makes this process wait for an answer."""


class _Started(NamedTuple):
    """A progress begins; whatever is shown of an earlier one, whose process died, is over."""


class _Begun(NamedTuple):
    """A stage begins."""

    name: str
    total: int | None


class _Advanced(NamedTuple):
    """The innermost stage is further."""

    steps: int
    fields: dict[str, object]


class _Ended(NamedTuple):
    """The innermost stage is over."""


class _Noted(NamedTuple):
    """A line that stays."""

    message: str


class SentProgress:
    """A progress that is shown in another process.

    Args:
        ask: sends a value there and waits for the answer.
    """

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self._ask = ask
        ask(_Started())

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """A stage; stages nest."""
        self._ask(_Begun(name, total))
        stage = _SentStage(self._ask)
        try:
            yield stage
        finally:
            stage.tell()
            self._ask(_Ended())

    def note(self, message: str) -> None:
        """One line that stays."""
        self._ask(_Noted(message))


class _SentStage:
    """Counts, and tells now and then."""

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self._ask = ask
        self._count = 0
        self._fields: dict[str, object] = {}
        self._told = time.monotonic()

    def advance(self, count: int = 1, **fields: object) -> None:
        """Count, and tell if that is long enough ago."""
        self._count += count
        self._fields.update(fields)
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Tell what has not been told."""
        if self._count or self._fields:
            self._ask(_Advanced(self._count, self._fields))
        self._count = 0
        self._fields = {}
        self._told = time.monotonic()


def shown_by(progress: Progress, prefix: str = "") -> Callable[[Any], None]:
    """The answer to what a `SentProgress` says: all of it is shown by `progress`, each name with a prefix."""
    stages: list[tuple[ExitStack, Stage]] = []

    def hear(said: Any) -> None:
        match said:
            case _Started():
                while stages:
                    stages.pop()[0].close()
            case _Begun(name, total):
                ends = ExitStack()
                stages.append((ends, ends.enter_context(progress.stage(prefix + name, total))))
            case _Advanced(steps, fields):
                stages[-1][1].advance(steps, **fields)
            case _Ended():
                stages.pop()[0].close()
            case _Noted(message):
                progress.note(prefix + message)

    return hear
