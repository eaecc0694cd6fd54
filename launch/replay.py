"""`forestpilot replay`: simulate stored trips again, check every state, and draw them at any size.

What is stored of a trip is its world's seed and its actions, not its pictures. The simulation is deterministic, so
the same actions lead through the same states; the hash of each is compared with the stored one, and a replay that
diverges is an error.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro.conf

from data_collection.progress import Progress, SilentProgress
from data_collection.replay import load_stored_trip, replay_trip
from data_collection.trips import trip_path
from launch.progress import make_progress
from launch.video import parse_size
from sim.errors import ForestPilotError


class ReplayError(ForestPilotError):
    """A stored trip cannot be read or found."""


@dataclass(frozen=True)
class ReplayConfig:
    """Simulate stored trips again, check the state at every step, and write videos of them."""

    evaluation: Annotated[Path, tyro.conf.Positional]
    """Folder that `forestpilot evaluate` wrote: outcomes.csv and trips/."""
    worst: int = 0
    """Number of worst trips: failures first, the most interventions first, then the smallest clearance."""
    best: int = 0
    """Number of best trips: successes with the largest clearance."""
    seed: tuple[int, ...] = ()
    """World seeds to replay. Without --worst, --best and --seed every trip is checked."""
    policy: str | None = None
    """Only trips of the policy of this name."""
    video: Path | None = None
    """Folder to write videos into; without it the trips are only checked."""
    size: str = "960x540"
    """Width and height of the videos in pixels, 320x180 to 3840x2160."""
    fps: int = 30
    """Frames per second of the videos, rounded to a multiple of the control rate; time runs at its true pace."""
    costs: Literal["expert", "policy", "none"] = "expert"
    """Whose costs of the candidate turns to draw as a fan; `policy` loads the checkpoint that acted, and
    falls back to the expert's for baselines."""

    def __post_init__(self) -> None:
        if self.worst < 0 or self.best < 0:
            raise ValueError(f"worst is {self.worst} and best is {self.best}; both must be 0 or more")
        if self.fps < 1:
            raise ValueError(f"fps is {self.fps}, but must be positive")
        parse_size(self.size)


Config = ReplayConfig


@dataclass(frozen=True)
class Outcome:
    """One row of outcomes.csv."""

    policy: str
    """Name of the policy."""
    seed: int
    """Seed of the world."""
    outcome: str
    """success, collision, out_of_bounds or timeout."""
    min_clearance_m: float
    """Least distance to a tree or obstacle in metres."""
    progress_m: float
    """Distance made good towards the goal in metres."""
    interventions: int = 0
    """How often a car was put back."""

    @property
    def succeeded(self) -> bool:
        """Whether the goal was reached, and without help."""
        return self.outcome == "success" and self.interventions == 0

    @property
    def end(self) -> str:
        """The outcome in a word; to arrive with somebody's help is no success."""
        return "helped" if self.outcome == "success" and self.interventions else self.outcome


def run(config: ReplayConfig) -> None:
    """Replay and print one line per trip on standard output."""
    for path, outcome in replay_evaluation(config, make_progress()):
        where = f"  {path}" if path is not None else ""
        print(f"{outcome.policy}  world {outcome.seed}  {outcome.end}  reproduced step by step{where}")


def replay_evaluation(config: ReplayConfig, progress: Progress | None = None) -> Iterator[tuple[Path | None, Outcome]]:
    """Replay the chosen trips of an evaluation folder, one after the other.

    Yields:
        The video's path (None without videos) and the row of outcomes.csv, for each trip.

    Raises:
        ReplayError: the folder or a trip is missing or unreadable, or nothing matches the choice.
        ReplayDivergedError: a state, or the end, differs from the stored one.
    """
    progress = progress or SilentProgress()
    chosen = choose_trips(read_outcomes(config.evaluation), config.worst, config.best, config.seed, config.policy)
    for number, outcome in enumerate(chosen, start=1):
        trip = load_stored_trip(trip_path(config.evaluation / "trips", outcome.policy, outcome.seed))
        name = f"replay {number}/{len(chosen)}: {outcome.policy}, world {outcome.seed}"
        with progress.stage(name, total=len(trip.actions) + 1) as stage:
            path = None
            if config.video is None:
                for _ in replay_trip(trip):
                    stage.advance()
            else:
                from launch.trip_video import write_trip_video

                path = config.video / f"{outcome.policy}-{outcome.seed}-{outcome.end}.mp4"
                write_trip_video(path, trip, parse_size(config.size), config.fps, config.costs, stage)
        yield path, outcome


def read_outcomes(folder: Path) -> list[Outcome]:
    """The rows of `folder/outcomes.csv`.

    Raises:
        ReplayError: the file is missing or lacks a column.
    """
    path = folder / "outcomes.csv"
    if not path.is_file():
        raise ReplayError(f"there is no {path}; give the folder that `forestpilot evaluate` wrote")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_read_row(row) for row in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError) as error:
        raise ReplayError(f"{path} cannot be read: {type(error).__name__} {error}") from error


def _read_row(row: dict[str, str]) -> Outcome:
    clearance_m, progress_m = float(row["min_clearance_m"]), float(row["progress_m"])
    interventions = int(row.get("interventions") or 0)
    return Outcome(row["policy"], int(row["seed"]), row["outcome"], clearance_m, progress_m, interventions)


def choose_trips(
    outcomes: Sequence[Outcome], worst: int = 0, best: int = 0, seeds: Sequence[int] = (), policy: str | None = None
) -> list[Outcome]:
    """The trips asked for, each once: the worst first, then the best, then the seeds; all if nothing is asked for.

    Raises:
        ReplayError: a policy or seed is not among the outcomes.
    """
    policies = sorted({row.policy for row in outcomes})
    if policy is not None and policy not in policies:
        raise ReplayError(f"no trips of policy {policy!r}; there are trips of {', '.join(policies) or 'none'}")
    rows = [row for row in outcomes if policy is None or row.policy == policy]
    missing = sorted(set(seeds) - {row.seed for row in rows})
    if missing:
        raise ReplayError(f"no trip through world {missing[0]}; there are worlds {_ranges([row.seed for row in rows])}")
    if not (worst or best or seeds):
        return rows
    by_badness = sorted(rows, key=lambda row: (row.succeeded, -row.interventions, row.min_clearance_m, row.seed))
    successes = [row for row in reversed(by_badness) if row.succeeded]
    chosen = [*by_badness[:worst], *successes[:best], *(row for row in rows if row.seed in seeds)]
    return list(dict.fromkeys(chosen))


def _ranges(seeds: Sequence[int]) -> str:
    return f"{min(seeds)} to {max(seeds)}" if seeds else "none"
