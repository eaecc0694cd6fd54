"""How a film is made: its size, its pace, and which instants of an episode it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from forestpilot.launch.pictures.colors import Image

HOLD_S = 1.5
"""How long the last picture of an episode stands, in seconds."""


class Tick(NamedTuple):
    """One frame of a film."""

    time_s: float
    """The instant of the episode that it shows, in seconds."""
    slow: float
    """How many times slower than in truth time runs here."""

    @property
    def badge(self) -> str:
        """Words that tell the viewer that time runs slowly; empty where it does not."""
        return f"1/{self.slow:g} speed" if self.slow > 1.0 else ""


class Piece(NamedTuple):
    """A stretch of a film at one pace."""

    end_s: float
    """The instant of the episode that it ends at, in seconds; it begins where the one before ends."""
    slow: float = 1.0
    """How many times slower than in truth time runs in it."""


@dataclass(frozen=True)
class FilmConfig:
    """Size and pace of a film."""

    size: tuple[int, int] = (960, 540)
    """Width and height in pixels, even."""
    fps: int = 30
    """Frames per second."""
    slow: float = 1.0
    """How many times slower than in truth time runs, 1 or more."""
    last_s: float | None = None
    """Show only so many seconds before the end; None for all of it."""

    def start_s(self, end_s: float) -> float:
        """The instant that a film which ends at `end_s` begins with, in seconds."""
        if self.last_s is None:
            return 0.0
        return max(0.0, end_s - self.last_s)


def ticks(start_s: float, pieces: Sequence[Piece], fps: float) -> list[Tick]:
    """The frames of a film.

    Args:
        start_s: instant of the first frame, seconds.
        pieces: one after the other; the last frame shows the end of the last.
        fps: frames per second of the film.

    Raises:
        ValueError: time would run backwards, faster than in truth, or not at all.
    """
    _require_forward(start_s, pieces, fps)
    found: list[Tick] = []
    begin_s = start_s
    begin_film_s = 0.0
    for piece in pieces:
        end_film_s = begin_film_s + (piece.end_s - begin_s) * piece.slow
        # Counted, not summed, so that a long film does not drift.
        while (film_s := len(found) / fps) < end_film_s - 1e-6:
            found.append(Tick(begin_s + (film_s - begin_film_s) / piece.slow, piece.slow))
        begin_s = piece.end_s
        begin_film_s = end_film_s
    return [*found, Tick(*pieces[-1])]


def _require_forward(start_s: float, pieces: Sequence[Piece], fps: float) -> None:
    """Raise ValueError where time would run backwards, faster than in truth, or not at all."""
    if fps <= 0 or min(piece.slow for piece in pieces) < 1.0:
        raise ValueError(
            f"fps is {fps} and the pieces are {pieces}; fps must be positive, and time 1 or more times slow"
        )
    for begin, end in pairwise([Piece(start_s), *pieces]):
        if end.end_s < begin.end_s:
            raise ValueError(f"the pieces {pieces} of a film start at {start_s} s; each must end after the last")


def with_hold(frames: Iterable[Image], count: int) -> Iterator[Image]:
    """All frames, the last one `count` times more."""
    frame: Image | None = None
    for frame in frames:
        yield frame
    if frame is not None:
        for _ in range(count):
            yield frame
