"""`forestpilot demo`: learn to fly and to drive in one command: demonstrations, cloning, DAgger, evaluation, videos."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.pictures.plots import plot_rounds
from forestpilot.launch.reading.outcomes import read_outcomes
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.launch.verbs.replay import ReplayConfig, replay_evaluation
from forestpilot.policies.algorithms.dagger.config import DRIVE_POLICY, DaggerConfig
from forestpilot.policies.algorithms.dagger.config import PRESETS as DAGGER_PRESETS
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.rounds import RoundResult, best_round, read_rounds, round_folder
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.scores import OutcomeRow, Score, results_table
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions

FPS = 20
"""Frames per second of the videos."""
DATA = "dataset"
"""Folder of a run's episodes."""
DRIVE = DaggerConfig(
    task="drive",
    rounds=2,
    expert_episodes=12,
    episodes=8,
    first_steps=300,
    steps=200,
    last_steps=300,
    validation_episodes=4,
    mix=ScenarioMix(
        speeds=(8.0, 8.0),
        options=DriveOptions(length=200.0, side_cameras="random-speed", interventions="road"),
    ),
    train=TrainConfig(policy=DRIVE_POLICY, batch_windows=96),
)
"""How the demo learns to drive: enough to see it done."""


@dataclass(frozen=True)
class DemoConfig:
    """See imitation learning work, break and be mended, in the air and on the road; the same command goes on where it
    was interrupted."""

    out: str = not_the_result("runs/demo")
    """Run folder for everything the demo makes."""
    episodes: int = not_the_result(100)
    """Test forests that behavioural cloning and DAgger are evaluated in."""
    roads: int = not_the_result(8)
    """Test roads that they are evaluated on; 0 leaves driving out."""
    videos: int = not_the_result(1)
    """Videos of successful flights, and as many of failures; and one of a drive if this is not 0."""
    seconds: float = not_the_result(10.0)
    """A video shows the last so many seconds of its episode."""
    size: str = not_the_result("960x540")
    """Width and height of the videos in pixels."""
    keep_data: Literal["yes", "no"] = not_the_result("yes")
    """Whether the episodes with their pictures and labels stay once their policy is trained; nearly all of the disk
    that the demo takes is theirs."""
    workers: int = not_the_result(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes; by default one per core."""
    dagger: DaggerConfig = DAGGER_PRESETS["demo"]
    """How the drone's policy is trained; its out and workers are those of the demo."""
    drive: DaggerConfig = DRIVE
    """How the car's policy is trained, likewise."""

    def __post_init__(self) -> None:
        if self.videos < 0 or self.episodes < 1 or self.roads < 0:
            raise ValueError("videos and roads must be 0 or more and episodes at least 1")
        if self.seconds <= 0:
            raise ValueError(f"seconds is {self.seconds:g}, but must be positive")


@dataclass(frozen=True)
class Lesson:
    """A task to learn, and how much of it to look at."""

    dagger: DaggerConfig
    """How it is learned."""
    folder: Path
    """Run folder."""
    episodes: int
    """Test worlds."""
    videos: int
    """Videos of successes, and as many of failures."""
    most_videos: int | None = None
    """Videos at most; None for all."""
    baselines: tuple[str, ...] = ()
    """Pilots that are evaluated besides."""


@dataclass
class Part:
    """Results of learning one task."""

    lesson: Lesson
    """What was learned."""
    rounds: list[RoundResult]
    """Results of DAgger's rounds."""
    scores: list[Score]
    """Results on the test worlds."""
    title: str
    """What the test worlds were."""
    plot: Path
    """Picture of the success by round."""
    pictures: list[Future[list[Path]]] = field(default_factory=list)
    """Films of some test episodes, and the plot, which are made while the next task is learned."""

    @property
    def videos(self) -> list[Path]:
        """The films, when they are there."""
        return [path for future in self.pictures for path in future.result()]


def run(config: DemoConfig) -> None:
    """Run the demo and print what came out of it and where it lies."""
    started = time.perf_counter()
    progress = make_progress()
    out = Path(config.out)
    claimed = Run.claim(out, "demo", config)
    progress.note(f"learning to fly{' and to drive' * bool(config.roads)}, everything goes into {out}")
    with RolloutPool(config.workers) as pool:
        flight = Lesson(config.dagger, out, config.episodes, config.videos, baselines=("blind",))
        parts = [_learn(config, flight, progress, pool, claimed)]
        if config.roads:
            drive = Lesson(config.drive, out / "drive", config.roads, config.videos, most_videos=1)
            parts.append(_learn(config, drive, progress, pool))
        _wait_for_pictures(parts, progress)
    claimed.record()
    for part in parts:
        _report(part)
    print(f"{disk_use(out, [part.lesson.folder for part in parts])}\n")
    print(f"{time.perf_counter() - started:.0f} s in all")


def _learn(config: DemoConfig, lesson: Lesson, progress: Progress, pool: RolloutPool, run: Run | None = None) -> Part:
    """Learn one task, run the cloned and the mended policy through the same test worlds, and begin to film some."""
    out = lesson.folder
    dagger = dataclasses.replace(lesson.dagger, out=str(out), workers=config.workers)
    rounds = _rounds(dagger, progress, pool, run or Run.claim(out, "dagger", dagger))
    if config.keep_data == "no":
        shutil.rmtree(out / DATA, ignore_errors=True)
    mix = dagger.mix.complete(TASKS.get(dagger.task))
    evaluation = EvaluateConfig(
        policy=(*lesson.baselines, f"bc={round_folder(out, 0)}", f"dagger={out}"),
        out=str(out / "evaluation"),
        task=dagger.task,
        episodes=lesson.episodes,
        speed=max(mix.speeds),
        preset=mix.presets[0],
        options=mix.options.for_evaluation(),
        workers=config.workers,
    )
    scores = evaluate(evaluation, progress, pool)
    title = f"{dagger.task}, where nobody has trained: {evaluation.describe()}"
    part = Part(lesson, rounds, scores, title, out / "success_by_round.png")
    part.pictures.append(pool.submit(_plot, rounds, part.plot))
    for row in choose_to_film(read_outcomes(out / "evaluation"), lesson.videos)[: lesson.most_videos]:
        part.pictures.append(pool.submit(_film, _replay_of(config, out, row)))
    return part


def _rounds(dagger: DaggerConfig, progress: Progress, pool: RolloutPool, run: Run) -> list[RoundResult]:
    """The rounds of DAgger, run where they are not done yet; a finished run may have lost its data since."""
    out = Path(dagger.out)
    if (out / "policy.json").exists() and not (out / DATA).exists():
        return read_rounds(out)
    return run_dagger(dagger, progress, pool, run=run)


def _plot(rounds: Sequence[RoundResult], path: Path, ask: Any) -> list[Path]:
    """Draw the success by round, in a worker process; no film."""
    plot_rounds(rounds, path, best_round(rounds).round)
    return []


def _replay_of(config: DemoConfig, out: Path, row: OutcomeRow) -> ReplayConfig:
    """What makes the film of an episode."""
    return ReplayConfig(
        out / "evaluation",
        seed=(row.seed,),
        policy=(row.policy,),
        video=out / "videos",
        last=config.seconds,
        size=config.size,
        fps=FPS,
    )


def _film(replay: ReplayConfig, ask: Any) -> list[Path]:
    """Film an episode, in a worker process."""
    return [path for replayed in replay_evaluation(replay) for path in replayed.files]


def _wait_for_pictures(parts: Sequence[Part], progress: Progress) -> None:
    """Wait until all films are made."""
    pictures = [future for part in parts for future in part.pictures]
    with progress.stage("films and plots", total=len(pictures)) as stage:
        for future in pictures:
            future.result()
            stage.advance()


def choose_to_film(outcomes: list[OutcomeRow], count: int) -> list[OutcomeRow]:
    """`count` successes of DAgger, the tightest first, and `count` failures, DAgger's before those of cloning."""
    mended = [row for row in outcomes if row.policy == "dagger"]
    cloned = [row for row in outcomes if row.policy == "bc"]
    successes = sorted((row for row in mended if row.succeeded), key=lambda row: row.min_clearance_m)
    failures = [row for row in (*mended, *cloned) if not row.succeeded]
    return successes[:count] + failures[:count]


def disk_use(out: Path, runs: Sequence[Path]) -> str:
    """How much disk a demo takes, and what of it may go, in a sentence or two.

    Args:
        out: folder of the demo.
        runs: folders of its runs of DAgger.
    """
    total = f"{out} takes {folder_mb(out):.0f} MB"
    data = [run / DATA for run in runs if (run / DATA).exists()]
    if not data:
        return f"{total}; the episodes were deleted when their policies were trained."
    return (
        f"{total}, {sum(map(folder_mb, data)):.0f} MB of it episodes, which only training needs. To delete them: "
        f"rm -r {' '.join(map(str, data))}; a demo with --keep-data no does that itself."
    )


def folder_mb(folder: Path) -> float:
    """Size of all files in a folder, MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _report(part: Part) -> None:
    """The table of results, and where everything lies."""
    out = part.lesson.folder
    last = part.rounds[-1]
    print_table(results_table(part.scores), title=part.title)
    print(f"{last.labels} labelled states in {last.episodes} training episodes\n")
    places = {"policy": str(out)}
    if (out / DATA).exists():
        places["episodes with the expert's labels"] = str(out / DATA)
    places |= {
        "success by DAgger round": str(part.plot),
        "outcome of each test episode": f"{out}/evaluation/outcomes.csv",
        **{f"video of {path.stem}": str(path) for path in part.videos},
        "all of it on one page": f"forestpilot report {out}",
        "more videos": f"forestpilot replay {out}/evaluation --worst 3 --video {out}/videos",
    }
    width = max(map(len, places))
    for what, where in places.items():
        print(f"{what:<{width}}  {where}")
    print()


VERB = Verb(DemoConfig, run, resumes=True)
