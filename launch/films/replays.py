"""Replays of stored episodes: each by itself, together with others, or for the highlight reel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.launch.films.replay_config import ReplayConfig
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow

if TYPE_CHECKING:
    from forestpilot.data_collection.rollouts.replay import StoredEpisode
    from forestpilot.launch.films.jobs import FilmJob
    from forestpilot.launch.films.reel import NearMiss
    from forestpilot.launch.films.rerun_file import Recorded


@dataclass(frozen=True)
class Replayed:
    """Episodes that were repeated, and what was made of them."""

    outcomes: tuple[OutcomeRow, ...]
    """Their rows of outcomes.csv; several where they are shown together."""
    files: tuple[Path, ...] = ()
    """What was written."""
    told: str = ""
    """What there is to say of the files besides."""

    def __str__(self) -> str:
        """The facts in a line."""
        policies, seeds, ends = zip(*((row.policy, str(row.seed), row.end) for row in self.outcomes))
        if len(set(ends)) == 1:
            ends = ends[:1]
        parts = [joined(policies), f"world {joined(seeds)}", ", ".join(ends), "reproduced step by step"]
        parts += [*map(str, self.files), self.told]
        return "  ".join(filter(None, parts))


def joined(words: Sequence[str]) -> str:
    """Each word once."""
    return ", ".join(dict.fromkeys(words))


class Task(NamedTuple):
    """Something that a worker makes of episodes."""

    path: Path | None
    """The file; None where there is none."""
    function: Callable[..., str | None]
    """Of `forestpilot.launch.films.products`; returns what there is to say of the file."""
    args: tuple[Any, ...]


class Replay(ABC):
    """Episodes that are told of in a line, and what is to be made of them.

    Args:
        config: what to make.
        rows: of outcomes.csv.

    Raises:
        EpisodeFileError: an episode is missing or damaged.
    """

    def __init__(self, config: ReplayConfig, rows: Sequence[OutcomeRow]) -> None:
        self.config = config
        self.rows = tuple(rows)
        self.episodes = [_load(config, row) for row in rows]
        self.states = sum(len(episode.actions) + 1 for episode in self.episodes)

    @property
    @abstractmethod
    def name(self) -> str:
        """What is replayed."""

    @property
    @abstractmethod
    def size(self) -> int:
        """States and pictures in all."""

    @property
    @abstractmethod
    def num_tasks(self) -> int:
        """Number of tasks that can be done side by side."""

    @abstractmethod
    def begin(self, pool: RolloutPool, advance: Callable[[int], object]) -> Callable[[], Replayed]:
        """Begin in a pool; what is returned waits for the end. `advance` is told of states and pictures."""


class TogetherReplay(Replay):
    """The episodes of several policies through a world, shown together."""

    @property
    def name(self) -> str:
        """Policies and world."""
        return f"{joined([row.policy for row in self.rows])}, world {self.rows[0].seed}"

    @property
    def size(self) -> int:
        """States of every task, and pictures of the film."""
        return self.states * len(self.tasks) + (len(self.film.ticks) if self.film else 0)

    @property
    def num_tasks(self) -> int:
        """Tasks, and parts of the film."""
        return len(self.tasks) + (len(self.film.parts) if self.film else 0)

    @property
    def film(self) -> FilmJob | None:
        """The film that is made in parts."""
        return None

    @property
    def tasks(self) -> list[Task]:
        """Everything else."""
        from forestpilot.launch.films.products import make_moving_side_by_side, make_side_by_side

        stem = f"side-by-side-{self.rows[0].seed}"
        tasks: list[Task] = []
        if self.config.video is not None:
            path = self.config.video / f"{stem}.mp4"
            tasks.append(Task(path, make_side_by_side, (path, self.config.film(self.config.fps), self.episodes)))
        for picture in self.config.moving_pictures(stem):
            tasks.append(Task(picture.path, make_moving_side_by_side, (picture, self.episodes)))
        return tasks

    def begin(self, pool: RolloutPool, advance: Callable[[int], object]) -> Callable[[], Replayed]:
        """All tasks at once."""
        from forestpilot.launch.films.jobs import film_jobs

        films = film_jobs([self.film] if self.film else [], pool, advance)
        tasks = self.tasks
        futures = [pool.submit(task.function, *task.args, answer=advance) for task in tasks]

        def finish() -> Replayed:
            files = [future.result() for future in films]
            told = [future.result() for future in futures]
            files += [task.path for task in tasks if task.path is not None]
            return Replayed(self.rows, tuple(files), "  ".join(filter(None, told)))

        return finish


class EpisodeReplay(TogetherReplay):
    """An episode by itself."""

    @property
    def film(self) -> FilmJob | None:
        """The film that is made in parts."""
        from forestpilot.launch.films.jobs import FilmJob

        if self.config.video is None:
            return None
        path = self.config.video / f"{self._stem}.mp4"
        return FilmJob(path, self.episodes[0], self.config.film(self.config.fps), self.config.costs)

    @property
    def tasks(self) -> list[Task]:
        """Everything else; the states are compared in any case."""
        from forestpilot.launch.films.products import check_states, make_moving_picture, make_sheet

        config = self.config
        (episode,) = self.episodes
        tasks: list[Task] = []
        if not config.products:
            tasks.append(Task(None, check_states, (episode,)))
        for picture in config.moving_pictures(self._stem):
            tasks.append(Task(picture.path, make_moving_picture, (picture, episode)))
        if config.contact_sheet is not None:
            path = config.contact_sheet / f"{self._stem}.png"
            tasks.append(Task(path, make_sheet, (path, episode, config.moments, config.last)))
        return tasks

    @property
    def _stem(self) -> str:
        (row,) = self.rows
        return stem_of(row)


class RecordingReplay(Replay):
    """Episodes in one file for rerun's viewer."""

    @property
    def name(self) -> str:
        """What it is."""
        return "recording"

    @property
    def size(self) -> int:
        """Each state once."""
        return self.states

    @property
    def num_tasks(self) -> int:
        """One for each episode."""
        return len(self.rows)

    def begin(self, pool: RolloutPool, advance: Callable[[int], object]) -> Callable[[], Replayed]:
        """Replay; written is what comes back, one episode after the other."""
        from forestpilot.launch.films.rerun_file import record, written

        path = self.config.rerun
        assert path is not None
        rest = deque(self.episodes)
        ahead: deque[Future[Recorded]] = deque()

        def begin_some() -> None:
            # No more than are soon written: a recorded episode takes some MB.
            while rest and len(ahead) < pool.workers:
                ahead.append(pool.submit(record, rest.popleft(), self.config.costs, answer=advance))

        def finish() -> Replayed:
            with written(path) as recording:
                for row in self.rows:
                    begin_some()
                    recording.add(stem_of(row), ahead.popleft().result())
            return Replayed(self.rows, (path,), f"{len(self.rows)} episodes: rerun {path}")

        begin_some()
        return finish


class ReelReplay(Replay):
    """The highlight reel: each episode is replayed twice, to find its moment and to film it."""

    def __init__(self, config: ReplayConfig, rows: Sequence[OutcomeRow], successes: int) -> None:
        super().__init__(config, rows)
        self._successes = successes

    @property
    def name(self) -> str:
        """What it is."""
        return "reel"

    @property
    def size(self) -> int:
        """Each state twice."""
        return 2 * self.states

    @property
    def num_tasks(self) -> int:
        """A clip of each episode."""
        return len(self.rows)

    def begin(self, pool: RolloutPool, advance: Callable[[int], object]) -> Callable[[], Replayed]:
        """Find the moments; then film them."""
        from forestpilot.launch.films.products import find_moment

        moments = [pool.submit(find_moment, episode, answer=advance) for episode in self.episodes]
        return lambda: self._film([moment.result() for moment in moments], pool, advance)

    def _film(self, near_misses: Sequence[NearMiss], pool: RolloutPool, advance: Callable[[int], object]) -> Replayed:
        from forestpilot.launch.films.products import make_clip
        from forestpilot.launch.films.reel import title_frames
        from forestpilot.launch.films.video import encode_part, join_parts

        path = self.config.reel
        assert path is not None
        film = self.config.reel_film
        clips = [
            pool.submit(make_clip, near_miss, film, f"{number}/{len(near_misses)}", answer=advance)
            for number, near_miss in enumerate(near_misses, start=1)
        ]
        title = encode_part(title_frames(near_misses, film, self._successes), film.fps)
        join_parts(path, [title, *(clip.result() for clip in clips)])
        told = f"{len(near_misses)} clips, the closest {near_misses[0].caption}"
        return Replayed(self.rows, (path,), told)


def stem_of(row: OutcomeRow) -> str:
    """What the files of an episode are called."""
    return f"{row.policy}-{row.seed}-{row.end.replace(' ', '_')}"


def _load(config: ReplayConfig, row: OutcomeRow) -> StoredEpisode:
    from forestpilot.data_collection.episodes.migration import episodes_folder
    from forestpilot.data_collection.rollouts.replay import load_stored_episode
    from forestpilot.data_collection.rollouts.results import result_path

    return load_stored_episode(result_path(episodes_folder(config.evaluation), row.policy, row.seed))
