"""`forestpilot demo`: learn to fly and to drive in one command: demonstrations, cloning, DAgger, evaluation, videos."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.migration import episodes_folder
from forestpilot.data_collection.episodes.processes import workers_will_need
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.rollouts.pool import RolloutPool, make_pool, require_pool
from forestpilot.data_collection.rollouts.pools import PoolConfig, pool_field
from forestpilot.data_collection.rollouts.replay import load_stored_episode
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.films.jobs import FilmJob, film_jobs
from forestpilot.launch.films.pace import FilmConfig
from forestpilot.launch.pictures.plots import plot_rounds
from forestpilot.launch.pictures.sizes import parse_size
from forestpilot.launch.reading.outcomes import read_outcomes
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.algorithms.dagger.config import DRIVE_POLICY, DaggerConfig
from forestpilot.policies.algorithms.dagger.config import PRESETS as DAGGER_PRESETS
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.rounds import RoundResult, best_round, read_rounds, round_folder
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
from forestpilot.policies.evaluation.pilots import get_ready
from forestpilot.policies.evaluation.scores import Score, results_table
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.ranges import EPISODES, PROCESSES, Range, require_ranges
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions

if TYPE_CHECKING:
    from forestpilot.policies.training.shard_pool import ShardPool

FPS = 20
"""Frames per second of the videos."""
DATA = "dataset"
"""Folder of a run's episodes."""
DRIVE = DaggerConfig(
    task="drive",
    rounds=2,
    expert_episodes=12,
    episodes=8,
    first_steps=250,
    steps=150,
    last_steps=250,
    validation_episodes=4,
    mix=ScenarioMix(
        speeds=(8.0, 8.0),
        options=DriveOptions(length=200.0, side_cameras="random-speed", interventions="road"),
    ),
    # Twice the rate and averaged weights: little more than half the windows get as far.
    train=TrainConfig(policy=DRIVE_POLICY, batch_windows=128, learning_rate=1.5e-3, ema_decay=0.98, tensorboard=False),
)
"""How the demo learns to drive: enough to see it done."""
FLY = dataclasses.replace(
    # TensorBoard takes two seconds to import, in which both cores would wait; metrics.csv has the same figures.
    DAGGER_PRESETS["demo"],
    train=dataclasses.replace(DAGGER_PRESETS["demo"].train, tensorboard=False),
)
"""How the demo learns to fly."""


@dataclass(frozen=True)
class DemoConfig:
    """See imitation learning work, break and be mended, in the air and on the road; the same command goes on where it
    was interrupted."""

    out: str = not_the_result("runs/demo")
    """Run folder for everything the demo makes."""
    episodes: Annotated[int, EPISODES] = not_the_result(100)
    """Test forests that behavioural cloning and DAgger are evaluated in."""
    roads: Annotated[int, Range(0, 1_000_000)] = not_the_result(8)
    """Test roads that they are evaluated on; 0 leaves driving out."""
    videos: Annotated[int, Range(0, 1000)] = not_the_result(1)
    """Videos of successful flights, and as many of failures; and one of a drive if this is not 0."""
    seconds: Annotated[float, Range(0, 3600, above=True)] = not_the_result(10.0)
    """A video shows the last so many seconds of its episode."""
    size: str = not_the_result("960x540")
    """Width and height of the videos in pixels."""
    keep_data: Literal["yes", "no"] = not_the_result("yes")
    """Whether the episodes with their pictures and labels stay once their policy is trained; nearly all of the disk
    that the demo takes is theirs."""
    workers: Annotated[int, PROCESSES] = not_the_result(default_factory=usable_cores)
    """Number of processes; by default one per core that it may use."""
    pool: PoolConfig = pool_field()
    """Who runs the episodes: processes of this machine (`local`), or the cores of a Ray cluster (`ray`)."""
    dagger: DaggerConfig = FLY
    """How the drone's policy is trained; its out, workers and pool are those of the demo."""
    drive: DaggerConfig = DRIVE
    """How the car's policy is trained, likewise."""

    def __post_init__(self) -> None:
        require_ranges(self)
        parse_size(self.size)


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
    films: list[Future[Path]] = field(default_factory=list)
    """Films of some test episodes, made while the next task is learned."""
    plotted: Future[None] | None = None
    """The plot, likewise."""


def run(config: DemoConfig) -> None:
    """Run the demo and print what came out of it and where it lies."""
    progress = make_progress()
    require_pool(None, config.pool)
    with written_by_one(config.out, progress):
        _run(config, progress)


def _run(config: DemoConfig, progress: Progress) -> None:
    """See `run`; nobody else writes into the folder meanwhile."""
    started = time.perf_counter()
    out = Path(config.out)
    claimed = Run.claim(out, "demo", config)
    progress.note(f"learning to fly{' and to drive' * bool(config.roads)}, everything goes into {out}")
    workers_will_need("forestpilot.policies.training.shard_pool")
    with make_pool(config.pool, config.workers) as pool:
        flight = Lesson(config.dagger, out, config.episodes, config.videos, baselines=("blind",))
        if not (out / "policy.json").exists():
            _let_workers_get_ready(config.dagger, pool)
        from forestpilot.policies.training.shard_pool import ShardPool  # imports torch, as the workers do meanwhile

        with ShardPool(config.workers) as shard_pool:
            parts = [_learn(config, flight, progress, pool, shard_pool, claimed)]
            if config.roads:
                drive = Lesson(config.drive, out / "drive", config.roads, config.videos, most_videos=1)
                parts.append(_learn(config, drive, progress, pool, shard_pool))
        _wait_for_pictures(parts, progress)
    claimed.record()
    for part in parts:
        _report(part)
    print(f"{disk_use(out, [part.lesson.folder for part in parts])}\n")
    print(f"{time.perf_counter() - started:.0f} s in all")


def _learn(
    config: DemoConfig,
    lesson: Lesson,
    progress: Progress,
    pool: RolloutPool,
    shard_pool: ShardPool,
    run: Run | None = None,
) -> Part:
    """Learn one task, run the cloned and the mended policy through the same test worlds, and begin to film some."""
    out = lesson.folder
    dagger = dataclasses.replace(lesson.dagger, out=str(out), workers=config.workers, pool=config.pool)
    rounds = _rounds(dagger, progress, pool, shard_pool, run or Run.claim(out, "dagger", dagger))
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
    chosen = choose_to_film(read_outcomes(out / "evaluation"), lesson.videos)[: lesson.most_videos]
    part.films = film_jobs([_film_job(config, out, row) for row in chosen], pool)
    part.plotted = pool.submit(_plot, rounds, part.plot)
    return part


def _let_workers_get_ready(dagger: DaggerConfig, pool: RolloutPool) -> None:
    """Let the worker processes load what their first episodes need, while this one loads what training needs."""
    task = TASKS.get(dagger.task)
    scenario = dagger.mix.scenario(dagger.seeds(0)[0], task)
    for _ in range(pool.workers):
        pool.submit(get_ready, dagger.task, scenario, urgent=True)


def _rounds(
    dagger: DaggerConfig, progress: Progress, pool: RolloutPool, shard_pool: ShardPool, run: Run
) -> list[RoundResult]:
    """The rounds of DAgger, run where they are not done yet; a finished run may have lost its data since."""
    out = Path(dagger.out)
    if (out / "policy.json").exists() and not (out / DATA).exists():
        return read_rounds(out)
    return run_dagger(dagger, progress, pool, run=run, shard_pool=shard_pool)


def _plot(rounds: Sequence[RoundResult], path: Path, ask: Any) -> None:
    """Draw the success by round, in a worker process."""
    plot_rounds(rounds, path, best_round(rounds).round)


def _film_job(config: DemoConfig, out: Path, row: OutcomeRow) -> FilmJob:
    """The film of a test episode."""
    name = f"{row.policy}-{row.seed}-{row.end.replace(' ', '_')}.mp4"
    episode = load_stored_episode(result_path(episodes_folder(out / "evaluation"), row.policy, row.seed))
    return FilmJob(out / "videos" / name, episode, FilmConfig(parse_size(config.size), FPS, last_s=config.seconds))


def _wait_for_pictures(parts: Sequence[Part], progress: Progress) -> None:
    """Wait until all films are made."""
    pictures: list[Future[Any]] = []
    for part in parts:
        pictures += filter(None, [*part.films, part.plotted])
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
        **{f"video of {film.result().stem}": str(film.result()) for film in part.films},
        "all of it on one page": f"forestpilot report {out}",
        "more videos": f"forestpilot replay {out}/evaluation --worst 3 --video {out}/videos",
    }
    width = max(map(len, places))
    for what, where in places.items():
        print(f"{what:<{width}}  {where}")
    print()


VERB = Verb(DemoConfig, run, resumes=True)
