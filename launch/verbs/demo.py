"""`forestpilot demo`: learn to fly and to drive in one command: demonstrations, cloning, DAgger, evaluation, videos."""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress
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
from forestpilot.policies.algorithms.rounds import RoundResult, best_round, round_folder
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.scores import OutcomeRow, Score, results_table
from forestpilot.policies.training.run import Run
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions

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
    train=TrainConfig(policy=DRIVE_POLICY, batch_windows=192),
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
    videos: int = not_the_result(2)
    """Videos of successful flights, and as many of failures; and one of a drive if this is not 0."""
    size: str = not_the_result("960x540")
    """Width and height of the videos in pixels."""
    workers: int = not_the_result(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes; by default one per core."""
    dagger: DaggerConfig = DAGGER_PRESETS["demo"]
    """How the drone's policy is trained; its out and workers are those of the demo."""
    drive: DaggerConfig = DRIVE
    """How the car's policy is trained, likewise."""

    def __post_init__(self) -> None:
        if self.videos < 0 or self.episodes < 1 or self.roads < 0:
            raise ValueError("videos and roads must be 0 or more and episodes at least 1")


@dataclass(frozen=True)
class Part:
    """Results of learning one task."""

    folder: Path
    """Run folder."""
    dagger: DaggerConfig
    """How it was learned."""
    rounds: list[RoundResult]
    """Results of DAgger's rounds."""
    scores: list[Score]
    """Results on the test worlds."""
    title: str
    """What the test worlds were."""
    plot: Path
    """Picture of the success by round."""
    videos: list[Path]
    """Films of some test episodes."""


def run(config: DemoConfig) -> None:
    """Run the demo and print what came out of it and where it lies."""
    started = time.perf_counter()
    progress = make_progress()
    out = Path(config.out)
    claimed = Run.claim(out, "demo", config)
    with RolloutPool(config.workers) as pool:
        parts = [_learn(config, config.dagger, out, ("blind",), config.episodes, progress, pool, claimed)]
        if config.roads:
            parts.append(_learn(config, config.drive, out / "drive", (), config.roads, progress, pool))
    claimed.record()
    for part in parts:
        _report(part)
    print(f"{time.perf_counter() - started:.0f} s in all")


def _learn(
    config: DemoConfig, dagger: DaggerConfig, out: Path, baselines: tuple[str, ...], episodes: int,
    progress: Progress, pool: RolloutPool, claimed: Run | None = None,
) -> Part:  # fmt: skip
    """Learn one task, run the cloned and the mended policy through the same test worlds, and film some of it."""
    dagger = dataclasses.replace(dagger, out=str(out), workers=config.workers)
    rounds = run_dagger(dagger, progress, pool, run=claimed)
    task = TASKS.get(dagger.task)
    mix = dagger.mix.complete(task)
    evaluation = EvaluateConfig(
        policy=(*baselines, f"bc={round_folder(out, 0)}", f"dagger={out}"), out=str(out / "evaluation"),
        task=dagger.task, episodes=episodes, speed=mix.speeds[1], preset=mix.presets[0],
        options=mix.options.for_validation(), workers=config.workers,
    )  # fmt: skip
    scores = evaluate(evaluation, progress, pool)
    flies = dagger.task == "drone"
    title = f"{dagger.task}, where nobody has trained: {evaluation.describe()}"
    plot = plot_rounds(rounds, out / "success_by_round.png", best_round(rounds).round)
    chosen = choose_to_film(read_outcomes(out / "evaluation"), config.videos if flies else min(1, config.videos))
    videos = _film(config, out, chosen if flies else chosen[:1], progress)
    return Part(out, dagger, rounds, scores, title, plot, videos)


def _film(config: DemoConfig, out: Path, chosen: list[OutcomeRow], progress: Progress) -> list[Path]:
    """A video of each of these episodes."""
    paths: list[Path] = []
    for outcome in chosen:
        replay = ReplayConfig(
            out / "evaluation",
            seed=(outcome.seed,),
            policy=(outcome.policy,),
            video=out / "videos",
            size=config.size,
            fps=20,
        )
        paths += [path for replayed in replay_evaluation(replay, progress) for path in replayed.files]
    return paths


def choose_to_film(outcomes: list[OutcomeRow], count: int) -> list[OutcomeRow]:
    """`count` successes of DAgger, the tightest first, and `count` failures, DAgger's before those of cloning."""
    successes = [o for o in outcomes if o.policy == "dagger" and o.succeeded]
    failures = [o for policy in ("dagger", "bc") for o in outcomes if o.policy == policy and not o.succeeded]
    return sorted(successes, key=lambda o: o.min_clearance_m)[:count] + failures[:count]


def _report(part: Part) -> None:
    """The table of results, and where everything lies."""
    out, last = part.folder, part.rounds[-1]
    print_table(results_table(part.scores), title=part.title)
    print(f"{last.labels} labelled states in {last.episodes} training episodes\n")
    places = {
        "policy": str(out),
        "episodes with the expert's labels": f"{out}/dataset",
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
