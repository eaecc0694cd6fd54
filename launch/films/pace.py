"""Which instants of an episode a film shows, and how slowly its time runs there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Tick(NamedTuple):
    """One frame of a film."""

    time_s: float
    """The instant of the episode that it shows, in seconds."""
    slow: float
    """How many times slower than in truth time runs here."""


def ticks(start_s: float, pieces: Sequence[tuple[float, float]], fps: float) -> list[Tick]:
    """The frames of a film.

    Args:
        start_s: instant of the first frame, seconds.
        pieces: (until when, how many times slower), one after the other; the last frame shows the end of the last.
        fps: frames per second of the film.

    Raises:
        ValueError: time would run backwards, faster than in truth, or not at all.
    """
    if fps <= 0 or any(slow < 1.0 for _, slow in pieces):
        raise ValueError(
            f"fps is {fps} and the pieces are {pieces}; fps must be positive, and time 1 or more times slow"
        )
    ends = [start_s, *(end for end, _ in pieces)]
    if any(b < a for a, b in pairwise(ends)):
        raise ValueError(
            f"the pieces of a film end at {ends[1:]} s, but start at {start_s} s; each must end after the last"
        )
    found: list[Tick] = []
    film_s, piece_film_s, piece_s = 0.0, 0.0, start_s
    for end_s, slow in pieces:
        piece_end_film_s = piece_film_s + (end_s - piece_s) * slow
        # Counted, not summed, so that a long film does not drift.
        while (film_s := len(found) / fps) < piece_end_film_s - 1e-6:
            found.append(Tick(piece_s + (film_s - piece_film_s) / slow, slow))
        piece_film_s, piece_s = piece_end_film_s, end_s
    return [*found, Tick(ends[-1], pieces[-1][1])]


def speed_badge(slow: float) -> str:
    """What tells the viewer that time runs slowly; empty where it does not."""
    return f"1/{slow:g} speed" if slow > 1.0 else ""
