"""How long commands tell how far they are: a tiny protocol, silent by default.

Library code takes a `Progress` as an argument and never prints. `forestpilot.launch.terminal.progress` has the one with
bars on standard error.

    with progress.stage("collect", total=100) as stage:
        for ...:
            stage.advance(success=0.97)
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Stage(Protocol):
    """One piece of work with a known or unknown number of steps."""

    def advance(self, count: int = 1, **fields: object) -> None:
        """Report `count` more steps done; `fields` are short values to show beside the bar, for example a loss."""


class Progress(Protocol):
    """Where a long command reports what it does."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """Start a stage of `total` steps (None: unknown) that ends with the `with` block. Stages may nest."""

    def note(self, message: str) -> None:
        """Show one line that stays, for example the size of a cache."""


class _SilentStage:
    """Swallows what it is told."""

    def advance(self, count: int = 1, **fields: object) -> None:
        """Say nothing."""


class SilentProgress:
    """The progress of library code that nobody watches."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """A stage that says nothing."""
        return nullcontext(_SilentStage())

    def note(self, message: str) -> None:
        """Say nothing."""
