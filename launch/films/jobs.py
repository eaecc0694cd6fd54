"""Films as jobs of a rollout pool: in parts of some seconds, so that several films and several parts of one film are
made side by side. The pictures are the same whoever makes the parts.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.episode_video import episode_ticks, frames_at
from forestpilot.launch.films.pace import HOLD_S, FilmConfig, Tick, with_hold
from forestpilot.launch.films.scene import EpisodeScene
from forestpilot.launch.films.video import encode_part, join_parts
from forestpilot.launch.pictures.colors import Image
from forestpilot.sim.envs.seeing import Seeing

PART_S = 5.0
"""A film is cut into parts of at most so many seconds; each begins with a whole picture, which costs 60 kB."""
TOLD_PICTURES = 10
"""A worker says how far it is after so many pictures."""


@dataclass(frozen=True)
class FilmJob:
    """A film of an episode."""

    path: Path
    """The MP4 file to write; folders are made."""
    episode: StoredEpisode
    """What was stored of the episode."""
    film: FilmConfig = field(default_factory=FilmConfig)
    """Size and pace."""
    costs: str = "expert"
    """Whose costs to draw: `expert`, `policy` or `none`."""

    @property
    def ticks(self) -> list[Tick]:
        """The frames, without those for which the last one stands."""
        control_hz = self.episode.env_kwargs.get("control_hz", Seeing.control_hz)
        return episode_ticks(len(self.episode.actions) / control_hz, self.film)

    @property
    def parts(self) -> list[list[Tick]]:
        """The frames, part by part."""
        ticks = self.ticks
        count = math.ceil(len(ticks) / (PART_S * self.film.fps))
        ends = [len(ticks) * number // count for number in range(count + 1)]
        return [ticks[first:last] for first, last in pairwise(ends)]


def film_jobs(
    jobs: Sequence[FilmJob], pool: RolloutPool, advance: Callable[[int], object] | None = None
) -> list[Future[Path]]:
    """Begin to make films; what is more urgent in the pool goes first.

    Args:
        jobs: the films.
        pool: makes them; with one worker they are there when this returns.
        advance: is told of so many pictures more, of `sum(len(job.ticks) for job in jobs)`.

    Returns:
        For each film its path, once it is written; ReplayDivergedError where an episode cannot be repeated, and then
        there is no file.
    """
    return [_film_job(job, pool, advance) for job in jobs]


def _film_job(job: FilmJob, pool: RolloutPool, advance: Callable[[int], object] | None) -> Future[Path]:
    numbers = range(len(job.parts))
    # Whoever makes all of them need not simulate the way to each.
    runs = [numbers] if pool.workers == 1 else [numbers[number : number + 1] for number in numbers]
    return joined(job.path, [pool.submit(_make_parts, job, run, answer=advance) for run in runs])


def joined(path: Path, runs: Sequence[Future[list[bytes]]]) -> Future[Path]:
    """The film of some runs of parts, written when the last of them is there."""
    whole: Future[Path] = Future()
    missing = len(runs)
    lock = threading.Lock()

    def done(_: Future[list[bytes]]) -> None:
        nonlocal missing
        with lock:
            missing -= 1
            if missing:
                return
        try:
            join_parts(path, [part for run in runs for part in run.result()])
            whole.set_result(path)
        except BaseException as error:
            whole.set_exception(error)

    for run in runs:
        run.add_done_callback(done)
    return whole


def _make_parts(job: FilmJob, numbers: range, ask: Callable[[int], Any]) -> list[bytes]:
    """Some parts of a film that follow one another, in a worker process."""
    parts = job.parts
    before = [tick.time_s for part in parts[: numbers.start] for tick in part]
    ticks = [tick for number in numbers for tick in parts[number]]
    made: list[bytes] = []
    with EpisodeScene(job.episode, job.costs) as scene:
        frames = telling(frames_at(scene, job.film, ticks, before), ask)
        for number in numbers:
            shown: Iterator[Image] = islice(frames, len(parts[number]))
            if number == len(parts) - 1:
                shown = with_hold(shown, round(HOLD_S * job.film.fps))
            made.append(encode_part(shown, job.film.fps))
        deque(frames, maxlen=0)  # the rest is told
    return made


def telling(frames: Iterable[Image], ask: Callable[[int], Any]) -> Iterator[Image]:
    """The frames; `ask` is told of every few that differ from the one before."""
    told = 0
    last: Image | None = None
    for frame in frames:
        yield frame
        told += frame is not last
        last = frame
        if told == TOLD_PICTURES:
            ask(told)
            told = 0
    if told:
        ask(told)
