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

from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress, Stage
from forestpilot.data_collection.rollouts.replay import StoredEpisode, load_stored_episode, replay_episode
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.launch.films.video import parse_size
from forestpilot.launch.reading.outcomes import (
    Outcome,
    ReplayError,
    choose_episodes,
    choose_near_misses,
    choose_worlds,
    read_outcomes,
)
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb

if TYPE_CHECKING:
    from forestpilot.launch.films.episode_video import EpisodeScene
    from forestpilot.launch.pictures.colors import Image

SIZE, WIDE_SIZE = "960x540", "1280x540"
"""Ordinary size of a film, and of one that shows episodes side by side."""
REEL_SLOW = 4.0
"""How many times slower the reel runs near its moments if nothing else is asked for."""


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
        for name, low, high in (
            ("fps", 1, 120), ("gif_width", 160, 1280), ("gif_fps", 2, 30), ("moments", 3, 60), ("reel_clips", 1, 100),
            ("slow", 1.0, 50.0),
        ):  # fmt: skip
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
        films, sheet, reel = self.video or self.gif, self.contact_sheet, self.reel
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
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the films in pixels."""
        return parse_size(self.size or (WIDE_SIZE if self.side_by_side else SIZE))

    @property
    def only_reel(self) -> bool:
        """True if nothing but the reel is wanted."""
        return self.reel is not None and not (self.video or self.gif or self.contact_sheet)


@dataclass(frozen=True)
class Replayed:
    """Episodes that were repeated, and what was made of them."""

    outcomes: tuple[Outcome, ...]
    """Their rows of outcomes.csv; several where they are shown together."""
    files: tuple[Path, ...] = ()
    """What was written."""
    told: str = ""
    """What there is to say of the files besides."""

    def __str__(self) -> str:
        """The facts in a line."""
        policies, seeds = (
            ", ".join(dict.fromkeys(str(getattr(row, name)) for row in self.outcomes)) for name in ("policy", "seed")
        )
        ends = [row.end for row in self.outcomes]
        end = ", ".join(ends) if len(set(ends)) > 1 else ends[0]
        parts = [policies, f"world {seeds}", end, "reproduced step by step", *map(str, self.files), self.told]
        return "  ".join(part for part in parts if part)


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
    choice = config.worst, config.best, config.seed, config.policy
    worlds = choose_worlds(outcomes, *choice) if config.side_by_side else []
    episodes = [] if config.side_by_side or config.only_reel else choose_episodes(outcomes, *choice)
    near_misses = (
        choose_near_misses(outcomes, config.reel_clips, config.seed, config.policy) if config.reel else ([], 0)
    )
    for folder in (config.video, config.gif, config.contact_sheet, config.reel and config.reel.parent):
        if folder is not None:
            _require_writable(folder)
    for number, rows in enumerate(worlds, start=1):
        yield _side_by_side(config, rows, progress, f"world {number}/{len(worlds)}")
    for number, row in enumerate(episodes, start=1):
        yield _one_episode(config, row, progress, f"replay {number}/{len(episodes)}")
    if config.reel:
        yield _reel(config, config.reel, *near_misses, progress)


def _one_episode(config: ReplayConfig, row: Outcome, progress: Progress, name: str) -> Replayed:
    """Replay an episode, once for each product; once without any."""
    episode = _load(config, row)
    products = [folder for folder in (config.video, config.gif, config.contact_sheet) if folder is not None]
    total = max(1, len(products)) * (len(episode.actions) + 1)
    stem, files, told = f"{row.policy}-{row.seed}-{row.end}", [], ""
    with progress.stage(f"{name}: {row.policy}, world {row.seed}", total=total) as stage:
        if not products:
            for _ in replay_episode(episode):
                stage.advance()
        if config.video is not None:
            from forestpilot.launch.films.episode_video import write_episode_video

            files.append(config.video / f"{stem}.mp4")
            write_episode_video(
                files[-1], episode, config.frame_size, config.fps, config.costs, stage, config.slow, config.last
            )
        if config.gif is not None:
            from forestpilot.launch.films.episode_video import EpisodeScene, episode_frames

            files.append(config.gif / f"{stem}.gif")
            with EpisodeScene(episode, config.costs, stage=stage) as scene:
                frames = episode_frames(scene, config.frame_size, config.gif_fps, config.slow, config.last)
                told = _gif(config, files[-1], frames)
        if config.contact_sheet is not None:
            from forestpilot.launch.films.contact_sheet import write_contact_sheet

            files.append(config.contact_sheet / f"{stem}.png")
            write_contact_sheet(files[-1], episode, config.moments, config.last, stage)
    return Replayed((row,), tuple(files), told)


def _side_by_side(config: ReplayConfig, rows: Sequence[Outcome], progress: Progress, name: str) -> Replayed:
    """Show the episodes of several policies through a world together."""
    from forestpilot.launch.films.side_by_side import side_by_side_frames, write_side_by_side

    episodes = [_load(config, row) for row in rows]
    stem, files, told = f"side-by-side-{rows[0].seed}", [], ""
    total = ((config.video is not None) + (config.gif is not None)) * sum(
        len(episode.actions) + 1 for episode in episodes
    )
    with progress.stage(f"{name}: {', '.join(row.policy for row in rows)}", total=total) as stage:
        if config.video is not None:
            files.append(config.video / f"{stem}.mp4")
            with ExitStack() as stack:
                scenes = _scenes(stack, episodes, stage)
                write_side_by_side(files[-1], scenes, config.frame_size, config.fps, config.slow, config.last)
        if config.gif is not None:
            files.append(config.gif / f"{stem}.gif")
            with ExitStack() as stack:
                scenes = _scenes(stack, episodes, stage)
                frames = side_by_side_frames(scenes, config.frame_size, config.gif_fps, config.slow, config.last)
                told = _gif(config, files[-1], frames)
    return Replayed(tuple(rows), tuple(files), told)


def _scenes(stack: ExitStack, episodes: Sequence[StoredEpisode], stage: Stage) -> list[EpisodeScene]:
    """Scenes of all episodes, closed with the stack."""
    from forestpilot.launch.films.episode_video import EpisodeScene

    return [stack.enter_context(EpisodeScene(episode, expert=False, stage=stage)) for episode in episodes]


def _gif(config: ReplayConfig, path: Path, frames: Iterator[Image]) -> str:
    """Write a GIF; returns its size and shape in words."""
    from forestpilot.launch.films.gif import write_gif

    return str(write_gif(path, frames, config.gif_fps, config.gif_width, config.gif_mb))


def _reel(config: ReplayConfig, path: Path, rows: Sequence[Outcome], successes: int, progress: Progress) -> Replayed:
    """Make the highlight reel: each episode is replayed twice, to find its moment and to film it."""
    from forestpilot.launch.films.reel import closest_moment, write_reel

    episodes = [_load(config, row) for row in rows]
    with progress.stage("reel", total=2 * sum(len(episode.actions) + 1 for episode in episodes)) as stage:
        near_misses = [closest_moment(episode, stage) for episode in episodes]
        slow = config.slow if config.slow > 1.0 else REEL_SLOW
        size = parse_size(config.size or SIZE)
        write_reel(path, near_misses, size, config.fps, slow, successes, stage)
    return Replayed(tuple(rows), (path,), f"{len(rows)} clips, the closest {near_misses[0].caption}")


def _load(config: ReplayConfig, row: Outcome) -> StoredEpisode:
    return load_stored_episode(result_path(config.evaluation / "episodes", row.policy, row.seed))


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
