"""`forestpilot replay`: simulate stored episodes again, check every state, and draw them at any size.

What is stored of an episode is its world's seed and its actions, not its pictures. The simulation is deterministic, so
the same actions lead through the same states; the hash of each is compared with the stored one, and a replay that
diverges is an error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro.conf

from forestpilot.data_collection.episodes.progress import Progress, SilentProgress, Stage
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

if TYPE_CHECKING:
    from forestpilot.data_collection.rollouts.replay import StoredEpisode
    from forestpilot.launch.films.scene import EpisodeScene
    from forestpilot.launch.pictures.colors import Image

SIZE = "960x540"
"""Ordinary size of a film."""
WIDE_SIZE = "1280x540"
"""Ordinary size of a film that shows episodes side by side."""
REEL_SLOW = 4.0
"""How many times slower the reel runs near its moments if nothing else is asked for."""
RANGES = {
    "fps": (1, 120),
    "gif_width": (160, 1280),
    "gif_fps": (2, 30),
    "moments": (3, 60),
    "reel_clips": (1, 100),
    "slow": (1.0, 50.0),
}
"""Least and largest value of options."""


@dataclass(frozen=True)
class ReplayConfig:
    """Simulate stored episodes again, check the state at every step, and make films and pictures of them."""

    evaluation: Annotated[Path, tyro.conf.Positional]
    """Folder that `forestpilot evaluate` wrote: outcomes.csv and episodes/."""
    worst: int = 0
    """Number of worst episodes: failures first, the most interventions first, then the smallest clearance."""
    best: int = 0
    """Number of best episodes: successes with the largest clearance."""
    seed: tuple[int, ...] = ()
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
    gif_width: int = 480
    """Width of GIFs in pixels."""
    gif_fps: int = 10
    """Frames per second of GIFs."""
    gif_mb: float = 8.0
    """Largest size of a GIF in MB; width, then frame rate, are lowered until it fits."""
    contact_sheet: Path | None = None
    """Folder to write contact sheets (PNG) into: moments of an episode in a grid, and the map."""
    moments: int = 9
    """Moments on a contact sheet; the last two are the one before the end, and the end."""
    reel: Path | None = None
    """MP4 file to write a highlight reel into: the successes with the smallest clearance, the closest first."""
    reel_clips: int = 8
    """Clips in the reel."""
    slow: float = 1.0
    """How many times slower time runs in the films, for example 4; in the reel near its moments, 4 if this is 1."""
    last: float | None = None
    """Show only so many seconds at the end of each episode; side by side, from so long before the first one ends."""
    size: str = ""
    """Width and height of the films in pixels, 320x180 to 3840x2160; by default 960x540, side by side 1280x540."""
    fps: int = 30
    """Frames per second of the videos; time runs at its true pace."""
    costs: Literal["expert", "policy", "none"] = "expert"
    """Whose costs of the candidate turns to draw as a fan; `policy` loads the checkpoint that acted, and
    falls back to the expert's for baselines."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", tuple(self.policy))
        if self.worst < 0 or self.best < 0:
            raise ValueError(f"worst is {self.worst} and best is {self.best}; both must be 0 or more")
        self._require_ranges()
        self._require_use()

    def _require_ranges(self) -> None:
        """Raise ValueError where a number is out of range."""
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name):g}; allowed: {low:g} to {high:g}")
        if self.gif_mb <= 0 or (self.last is not None and self.last <= 0):
            raise ValueError(f"gif_mb is {self.gif_mb} and last is {self.last}; both must be positive")
        if self.reel is not None and self.reel.suffix.lower() != ".mp4":
            raise ValueError(f"reel is {str(self.reel)!r}; name an MP4 file, for example reel.mp4")
        if self.size:
            parse_size(self.size)

    def _require_use(self) -> None:
        """Raise ValueError where an option would have no effect."""
        films = self.video or self.gif
        sheet = self.contact_sheet
        reel = self.reel
        if self.side_by_side and (not films or sheet):
            raise ValueError(
                "side_by_side makes films of several episodes: give --video or --gif, and no --contact-sheet"
            )
        if self.slow != 1.0 and not (films or reel):
            raise ValueError("slow has no effect without --video, --gif or --reel")
        if self.last is not None and not (films or sheet):
            raise ValueError("last has no effect without --video, --gif or --contact-sheet")
        if reel and not (films or sheet) and (self.worst or self.best):
            raise ValueError("the reel chooses its own episodes: say how many with --reel-clips, not --worst or --best")

    @property
    def choice(self) -> Choice:
        """Episodes that are meant."""
        return Choice(self.worst, self.best, self.seed, self.policy)

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
        return tuple(filter(None, (self.video, self.gif, self.contact_sheet)))

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
        print(replayed)


def replay_evaluation(config: ReplayConfig, progress: Progress | None = None) -> Iterator[Replayed]:
    """Replay the chosen episodes of an evaluation folder, one after the other, and make what is asked for.

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
    for number, rows in enumerate(worlds, start=1):
        yield _side_by_side(config, rows, progress, f"world {number}/{len(worlds)}")
    for number, row in enumerate(episodes, start=1):
        yield _one_episode(config, row, progress, f"replay {number}/{len(episodes)}")
    if config.reel:
        yield _reel(config, config.reel, near_misses, successes, progress)


def _one_episode(config: ReplayConfig, row: OutcomeRow, progress: Progress, name: str) -> Replayed:
    """Replay an episode, once for each product; once without any."""
    episode = _load(config, row)
    total = max(1, len(config.products)) * (len(episode.actions) + 1)
    stem = f"{row.policy}-{row.seed}-{row.end.replace(' ', '_')}"
    files: list[Path] = []
    told = ""
    with progress.stage(f"{name}: {row.policy}, world {row.seed}", total=total) as stage:
        if not config.products:
            _check(episode, stage)
        if config.video is not None:
            from forestpilot.launch.films.episode_video import write_episode_video

            files.append(config.video / f"{stem}.mp4")
            write_episode_video(files[-1], episode, config.film(config.fps), config.costs, stage)
        if config.gif is not None:
            files.append(config.gif / f"{stem}.gif")
            told = _gif_of_episode(config, files[-1], episode, stage)
        if config.contact_sheet is not None:
            from forestpilot.launch.films.contact_sheet import write_contact_sheet

            files.append(config.contact_sheet / f"{stem}.png")
            write_contact_sheet(files[-1], episode, config.moments, config.last, stage)
    return Replayed((row,), tuple(files), told)


def _check(episode: StoredEpisode, stage: Stage) -> None:
    """Replay an episode, and make nothing of it."""
    from forestpilot.data_collection.rollouts.replay import replay_episode

    for _ in replay_episode(episode):
        stage.advance()


def _gif_of_episode(config: ReplayConfig, path: Path, episode: StoredEpisode, stage: Stage) -> str:
    """Write an episode's GIF; returns its size and shape in words."""
    from forestpilot.launch.films.episode_video import episode_frames
    from forestpilot.launch.films.scene import EpisodeScene

    with EpisodeScene(episode, config.costs, stage=stage) as scene:
        return _gif(config, path, episode_frames(scene, config.film(config.gif_fps)))


def _side_by_side(config: ReplayConfig, rows: Sequence[OutcomeRow], progress: Progress, name: str) -> Replayed:
    """Show the episodes of several policies through a world together."""
    from forestpilot.launch.films.side_by_side import side_by_side_frames, write_side_by_side

    episodes = _load_all(config, rows)
    stem = f"side-by-side-{rows[0].seed}"
    files: list[Path] = []
    told = ""
    policies = _joined([row.policy for row in rows])
    with progress.stage(f"{name}: {policies}", total=len(config.products) * _states(episodes)) as stage:
        if config.video is not None:
            files.append(config.video / f"{stem}.mp4")
            with ExitStack() as stack:
                scenes = _scenes(stack, episodes, stage)
                write_side_by_side(files[-1], scenes, config.film(config.fps))
        if config.gif is not None:
            files.append(config.gif / f"{stem}.gif")
            with ExitStack() as stack:
                scenes = _scenes(stack, episodes, stage)
                told = _gif(config, files[-1], side_by_side_frames(scenes, config.film(config.gif_fps)))
    return Replayed(tuple(rows), tuple(files), told)


def _states(episodes: Sequence[StoredEpisode]) -> int:
    """Number of states of all episodes together."""
    return sum(len(episode.actions) + 1 for episode in episodes)


def _scenes(stack: ExitStack, episodes: Sequence[StoredEpisode], stage: Stage) -> list[EpisodeScene]:
    """Scenes of all episodes, closed with the stack."""
    from forestpilot.launch.films.scene import EpisodeScene

    return [stack.enter_context(EpisodeScene(episode, expert=False, stage=stage)) for episode in episodes]


def _gif(config: ReplayConfig, path: Path, frames: Iterator[Image]) -> str:
    """Write a GIF; returns its size and shape in words."""
    from forestpilot.launch.films.gif import write_gif

    return str(write_gif(path, frames, config.gif_fps, config.gif_width, config.gif_mb))


def _reel(config: ReplayConfig, path: Path, rows: Sequence[OutcomeRow], successes: int, progress: Progress) -> Replayed:
    """Make the highlight reel: each episode is replayed twice, to find its moment and to film it."""
    from forestpilot.launch.films.reel import closest_moment, write_reel

    episodes = _load_all(config, rows)
    with progress.stage("reel", total=2 * _states(episodes)) as stage:
        near_misses = [closest_moment(episode, stage) for episode in episodes]
        write_reel(path, near_misses, config.reel_film, successes, stage)
    return Replayed(tuple(rows), (path,), f"{len(rows)} clips, the closest {near_misses[0].caption}")


def _load(config: ReplayConfig, row: OutcomeRow) -> StoredEpisode:
    from forestpilot.data_collection.episodes.migration import episodes_folder
    from forestpilot.data_collection.rollouts.replay import load_stored_episode
    from forestpilot.data_collection.rollouts.results import result_path

    return load_stored_episode(result_path(episodes_folder(config.evaluation), row.policy, row.seed))


def _load_all(config: ReplayConfig, rows: Sequence[OutcomeRow]) -> list[StoredEpisode]:
    return [_load(config, row) for row in rows]


def _require_writable(folder: Path) -> None:
    """Make a folder.

    Raises:
        ReplayError: it cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ReplayError(f"cannot write into {folder} ({error.strerror or error}); name another folder") from error


VERB = Verb(ReplayConfig, run)
