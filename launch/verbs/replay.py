"""`forestpilot replay`: simulate stored episodes again, check every state, and draw them at any size.

What is stored of an episode is its world's seed and its actions, not its pictures. The simulation is deterministic, so
the same actions lead through the same states; the hash of each is compared with the stored one, and a replay that
diverges is an error.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import tyro.conf

from forestpilot.data_collection.episodes.files import remove_stale_temporaries
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.pool import RolloutPool, borrowed
from forestpilot.launch.films.pace import FilmConfig
from forestpilot.launch.pictures.sizes import parse_size
from forestpilot.launch.reading.outcomes import (
    Choice,
    ReplayError,
    choose_episodes,
    choose_near_misses,
    choose_worlds,
    read_outcomes,
)
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.policies.evaluation.scores import OutcomeRow
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import PROCESSES, SEEDS, Range, require_ranges

if TYPE_CHECKING:
    from forestpilot.data_collection.rollouts.replay import StoredEpisode
    from forestpilot.launch.films.jobs import FilmJob
    from forestpilot.launch.films.products import MovingPicture
    from forestpilot.launch.films.reel import NearMiss

SIZE = "960x540"
"""Ordinary size of a film."""
WIDE_SIZE = "1280x540"
"""Ordinary size of a film that shows episodes side by side."""
REEL_SLOW = 4.0
"""How many times slower the reel runs near its moments if nothing else is asked for."""
STATES_WORTH_A_PROCESS = 2000
"""Comparing so many states takes about as long as starting a process."""


@dataclass(frozen=True)
class ReplayConfig:
    """Simulate stored episodes again, check the state at every step, and make films and pictures of them."""

    evaluation: Annotated[Path, tyro.conf.Positional]
    """Folder that `forestpilot evaluate` wrote: outcomes.csv and episodes/."""
    worst: Annotated[int, Range(0, 1_000_000)] = 0
    """Number of worst episodes: failures first, the most interventions first, then the smallest clearance."""
    best: Annotated[int, Range(0, 1_000_000)] = 0
    """Number of best episodes: successes with the largest clearance."""
    seed: Annotated[tuple[int, ...], SEEDS] = ()
    """World seeds to replay. Without --worst, --best and --seed every episode is checked."""
    policy: tuple[str, ...] = ()
    """Only episodes of the policies of these names; side by side they stand in this order."""
    video: Path | None = None
    """Folder to write videos (MP4) into; without any product the episodes are only checked."""
    side_by_side: bool = False
    """Show the episodes of all policies (or those of --policy) through a world next to each other in one film, by one
    clock. --worst and --best then choose worlds by the first policy."""
    gif: Path | None = None
    """Folder to write the same films into as animated GIFs, for a README."""
    webp: Path | None = None
    """Folder to write them into as animated WebP: smaller and sharper than a GIF, and GitHub and browsers show it."""
    gif_width: Annotated[int, Range(160, 1280)] = 480
    """Width of GIFs and WebPs in pixels."""
    gif_fps: Annotated[int, Range(2, 30)] = 10
    """Frames per second of GIFs and WebPs."""
    gif_mb: Annotated[float, Range(0, 1000, above=True)] = 8.0
    """Largest size of a GIF or WebP in MB; of a GIF width, then frame rate, are lowered until it fits, of a WebP the
    quality."""
    contact_sheet: Path | None = None
    """Folder to write contact sheets (PNG) into: moments of an episode in a grid, and the map."""
    moments: Annotated[int, Range(3, 60)] = 9
    """Moments on a contact sheet; the last two are the one before the end, and the end."""
    reel: Path | None = None
    """MP4 file to write a highlight reel into: the successes with the smallest clearance, the closest first."""
    reel_clips: Annotated[int, Range(1, 100)] = 8
    """Clips in the reel."""
    slow: Annotated[float, Range(1, 50)] = 1.0
    """How many times slower time runs in the films, for example 4; in the reel near its moments, 4 if this is 1."""
    last: Annotated[float | None, Range(0, 3600, above=True)] = None
    """Show only so many seconds at the end of each episode; side by side, from so long before the first one ends."""
    size: str = ""
    """Width and height of the films in pixels, 320x180 to 3840x2160; by default 960x540, side by side 1280x540."""
    fps: Annotated[int, Range(1, 120)] = 30
    """Frames per second of the videos; time runs at its true pace."""
    costs: Literal["expert", "policy", "none"] = "expert"
    """Whose costs of the candidate turns to draw as a fan; `policy` loads the checkpoint that acted, and
    falls back to the expert's for baselines."""
    workers: Annotated[int, PROCESSES] = field(default_factory=usable_cores)
    """Number of processes that make films and compare states side by side; by default one per core that it may use."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", tuple(self.policy))
        require_ranges(self)
        if self.reel is not None and self.reel.suffix.lower() != ".mp4":
            raise InvalidArgumentError(f"reel is {str(self.reel)!r}; name an MP4 file, for example reel.mp4")
        if self.size:
            parse_size(self.size)
        self._require_use()

    def _require_use(self) -> None:
        """Raise ValueError where an option would have no effect."""
        films = self.video or self.gif or self.webp
        sheet = self.contact_sheet
        reel = self.reel
        if self.side_by_side and (not films or sheet):
            raise InvalidArgumentError(
                "side_by_side makes films of several episodes: give --video or --gif or --webp, and no --contact-sheet"
            )
        if self.slow != 1.0 and not (films or reel):
            raise InvalidArgumentError("slow has no effect without --video, --gif, --webp or --reel")
        if self.last is not None and not (films or sheet):
            raise InvalidArgumentError("last has no effect without --video, --gif, --webp or --contact-sheet")
        if reel and not (films or sheet) and (self.worst or self.best):
            raise InvalidArgumentError(
                "the reel chooses its own episodes: say how many with --reel-clips, not --worst or --best"
            )

    @property
    def choice(self) -> Choice:
        """Episodes that are meant."""
        return Choice(self.worst, self.best, self.seed, self.policy)

    def moving_pictures(self, stem: str) -> list[MovingPicture]:
        """The animations of a film, whose files are called `stem`."""
        from forestpilot.launch.films.products import MovingPicture

        film = self.film(self.gif_fps)
        pictures: list[MovingPicture] = []
        for folder, suffix in ((self.gif, "gif"), (self.webp, "webp")):
            if folder is not None:
                path = folder / f"{stem}.{suffix}"
                pictures.append(MovingPicture(path, film, self.costs, self.gif_width, self.gif_mb))
        return pictures

    def film(self, fps: int) -> FilmConfig:
        """Size and pace of the films."""
        size = self.size or (WIDE_SIZE if self.side_by_side else SIZE)
        return FilmConfig(parse_size(size), fps, self.slow, self.last)

    @property
    def reel_film(self) -> FilmConfig:
        """Size and pace of the reel, which is slow near its moments."""
        slow = self.slow if self.slow > 1.0 else REEL_SLOW
        return FilmConfig(parse_size(self.size or SIZE), self.fps, slow)

    @property
    def products(self) -> tuple[Path, ...]:
        """Folders that something is to be written into for each episode or world."""
        return tuple(filter(None, (self.video, self.gif, self.webp, self.contact_sheet)))

    @property
    def only_reel(self) -> bool:
        """True if nothing but the reel is wanted."""
        return self.reel is not None and not self.products


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
        parts = [_joined(policies), f"world {_joined(seeds)}", ", ".join(ends), "reproduced step by step"]
        parts += [*map(str, self.files), self.told]
        return "  ".join(filter(None, parts))


def _joined(words: Sequence[str]) -> str:
    """Each word once."""
    return ", ".join(dict.fromkeys(words))


def run(config: ReplayConfig) -> None:
    """Replay and print one line per episode, or film of several, on standard output."""
    for replayed in replay_evaluation(config, make_progress()):
        print(replayed, flush=True)


def replay_evaluation(
    config: ReplayConfig, progress: Progress | None = None, pool: RolloutPool | None = None
) -> Iterator[Replayed]:
    """Replay the chosen episodes of an evaluation folder, side by side, and make what is asked for.

    Args:
        config: which episodes, and what to make of them.
        progress: is told how far it is.
        pool: who does it; by default `config.workers` processes.

    Yields:
        For each episode, or for those that are shown together, its rows of outcomes.csv and the files.

    Raises:
        ReplayError: the folder or an episode is missing or unreadable, nothing matches the choice, or the files cannot
            be written where they should be.
        ReplayDivergedError: a state, or the end, differs from the stored one.
    """
    progress = progress or SilentProgress()
    outcomes = read_outcomes(config.evaluation)
    # All is chosen before the first episode is replayed: what cannot be done must not wait behind an hour of films.
    worlds: list[list[OutcomeRow]] = []
    episodes: list[OutcomeRow] = []
    near_misses: list[OutcomeRow] = []
    if config.side_by_side:
        worlds = choose_worlds(outcomes, config.choice)
    elif not config.only_reel:
        episodes = choose_episodes(outcomes, config.choice)
    if config.reel:
        near_misses, successes = choose_near_misses(outcomes, config.reel_clips, config.choice)
    for folder in config.products:
        _require_writable(folder)
    if config.reel:
        _require_writable(config.reel.parent)
    work: list[_Together | _Episode | _Reel] = [_Together(config, rows) for rows in worlds]
    work += [_Episode(config, [row]) for row in episodes]
    if config.reel:
        work.append(_Reel(config, near_misses, successes))
    busy = min(config.workers, _most_workers(config, work))
    name = work[0].name if len(work) == 1 else f"replay {len(work)} times"
    with borrowed(pool, busy) as own, progress.stage(name, total=sum(each.size for each in work)) as stage:
        begun = (each.begin(own, stage.advance) for each in work)
        # With processes all begin at once; in this one, each when what came of the one before has been told.
        for finish in begun if own.workers == 1 else list(begun):
            yield finish()
    for folder in config.products:  # what the disk would not let go of
        remove_stale_temporaries(folder)


def _most_workers(config: ReplayConfig, work: Sequence[_Work]) -> int:
    """Number of processes that would have something to do; comparing a few states is not worth starting any."""
    if not config.products and not config.reel and sum(each.size for each in work) < STATES_WORTH_A_PROCESS:
        return 1
    return max(1, sum(each.num_tasks for each in work))


class _Task(NamedTuple):
    """Something that a worker makes of episodes."""

    path: Path | None
    """The file; None where there is none."""
    function: Callable[..., str | None]
    """Of `forestpilot.launch.films.products`; returns what there is to say of the file."""
    args: tuple[Any, ...]


class _Work(ABC):
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


class _Together(_Work):
    """The episodes of several policies through a world, shown together."""

    @property
    def name(self) -> str:
        return f"{_joined([row.policy for row in self.rows])}, world {self.rows[0].seed}"

    @property
    def size(self) -> int:
        return self.states * len(self.tasks) + (len(self.film.ticks) if self.film else 0)

    @property
    def num_tasks(self) -> int:
        return len(self.tasks) + (len(self.film.parts) if self.film else 0)

    @property
    def film(self) -> FilmJob | None:
        """The film that is made in parts."""
        return None

    @property
    def tasks(self) -> list[_Task]:
        """Everything else."""
        from forestpilot.launch.films.products import make_moving_side_by_side, make_side_by_side

        stem = f"side-by-side-{self.rows[0].seed}"
        tasks: list[_Task] = []
        if self.config.video is not None:
            path = self.config.video / f"{stem}.mp4"
            tasks.append(_Task(path, make_side_by_side, (path, self.config.film(self.config.fps), self.episodes)))
        for picture in self.config.moving_pictures(stem):
            tasks.append(_Task(picture.path, make_moving_side_by_side, (picture, self.episodes)))
        return tasks

    def begin(self, pool: RolloutPool, advance: Callable[[int], object]) -> Callable[[], Replayed]:
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


class _Episode(_Together):
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
    def tasks(self) -> list[_Task]:
        """Everything else; the states are compared in any case."""
        from forestpilot.launch.films.products import check_states, make_moving_picture, make_sheet

        config = self.config
        (episode,) = self.episodes
        tasks: list[_Task] = []
        if not config.products:
            tasks.append(_Task(None, check_states, (episode,)))
        for picture in config.moving_pictures(self._stem):
            tasks.append(_Task(picture.path, make_moving_picture, (picture, episode)))
        if config.contact_sheet is not None:
            path = config.contact_sheet / f"{self._stem}.png"
            tasks.append(_Task(path, make_sheet, (path, episode, config.moments, config.last)))
        return tasks

    @property
    def _stem(self) -> str:
        (row,) = self.rows
        return f"{row.policy}-{row.seed}-{row.end.replace(' ', '_')}"


class _Reel(_Work):
    """The highlight reel: each episode is replayed twice, to find its moment and to film it."""

    def __init__(self, config: ReplayConfig, rows: Sequence[OutcomeRow], successes: int) -> None:
        super().__init__(config, rows)
        self._successes = successes

    @property
    def name(self) -> str:
        return "reel"

    @property
    def size(self) -> int:
        return 2 * self.states

    @property
    def num_tasks(self) -> int:
        return len(self.rows)

    def begin(self, pool: RolloutPool, advance: Callable[[int], object]) -> Callable[[], Replayed]:
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


def _load(config: ReplayConfig, row: OutcomeRow) -> StoredEpisode:
    from forestpilot.data_collection.episodes.migration import episodes_folder
    from forestpilot.data_collection.rollouts.replay import load_stored_episode
    from forestpilot.data_collection.rollouts.results import result_path

    return load_stored_episode(result_path(episodes_folder(config.evaluation), row.policy, row.seed))


def _require_writable(folder: Path) -> None:
    """Make a folder, without what was left there of films that were never finished.

    Raises:
        ReplayError: it cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        remove_stale_temporaries(folder)
    except OSError as error:
        raise ReplayError(f"cannot write into {folder} ({error.strerror or error}); name another folder") from error


VERB = Verb(ReplayConfig, run)
