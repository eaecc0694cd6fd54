"""`forestpilot demo`: demonstrations, cloning, DAgger, evaluation and videos in one command and a few minutes."""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from data_collection.progress import Progress
from data_collection.rollout import RolloutPool
from launch.config import recorded
from launch.plots import plot_rounds
from launch.progress import make_progress
from launch.replay import Outcome, ReplayConfig, read_outcomes, replay_evaluation
from launch.tables import format_density, print_table
from policies.dagger import PRESETS as DAGGER_PRESETS
from policies.dagger import DaggerConfig, RoundResult, round_folder, run_dagger
from policies.evaluation import EvaluateConfig, Score, evaluate, results_table

__all__ = ["Config", "run"]


@dataclass(frozen=True)
class DemoConfig:
    """See imitation learning work, break and be mended; the same command goes on where it was interrupted."""

    out: str = "runs/demo"
    """Run folder for everything the demo makes."""
    episodes: int = 100
    """Test worlds that behavioural cloning and DAgger are evaluated on."""
    videos: int = 2
    """Videos of successes, and as many of failures."""
    size: str = "960x540"
    """Width and height of the videos in pixels."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes; by default one per core."""
    dagger: DaggerConfig = DAGGER_PRESETS["demo"]
    """How the policy is trained; its out and workers are those of the demo."""

    def __post_init__(self) -> None:
        if self.videos < 0 or self.episodes < 1:
            raise ValueError("videos must be 0 or more and episodes at least 1")


Config = DemoConfig


def run(config: DemoConfig) -> None:
    """Run the demo and print what came out of it and where it lies."""
    started = time.perf_counter()
    progress = make_progress()
    out = Path(config.out)
    with recorded(config, out), RolloutPool(config.workers) as pool:
        dagger = dataclasses.replace(config.dagger, out=config.out, workers=config.workers)
        rounds = run_dagger(dagger, progress, pool)
        scores = _evaluate(config, dagger, progress, pool)
    plot = plot_rounds(rounds, out / "success_by_round.png")
    videos = _film(config, out, progress)
    _report(config, dagger, rounds, scores, plot, videos, time.perf_counter() - started)


def _evaluate(config: DemoConfig, dagger: DaggerConfig, progress: Progress, pool: RolloutPool) -> list[Score]:
    """Fly blind, cloned and mended policy through the same test worlds."""
    mix = dagger.mix.complete(dagger.task)
    evaluation = EvaluateConfig(
        policy=("blind", f"bc={round_folder(Path(config.out), 0)}", f"dagger={config.out}"),
        out=str(Path(config.out) / "evaluation"), task=dagger.task, episodes=config.episodes,
        speed=mix.speeds[1], density=mix.densities[0], preset=mix.presets[0], workers=config.workers,
    )  # fmt: skip
    return evaluate(evaluation, progress, pool)


def _film(config: DemoConfig, out: Path, progress: Progress) -> list[Path]:
    """Videos of DAgger's successes, and of failures: DAgger's own first, then those of behavioural cloning."""
    outcomes = read_outcomes(out / "evaluation")
    chosen = _choose(outcomes, config.videos)
    paths: list[Path] = []
    for outcome in chosen:
        replay = ReplayConfig(
            out / "evaluation", seed=(outcome.seed,), policy=outcome.policy, video=out / "videos", size=config.size
        )
        paths += [path for path, _ in replay_evaluation(replay, progress) if path is not None]
    return paths


def _choose(outcomes: list[Outcome], count: int) -> list[Outcome]:
    """`count` successes of DAgger, the tightest first, and `count` failures, DAgger's before those of cloning."""
    successes = [o for o in outcomes if o.policy == "dagger" and o.succeeded]
    failures = [o for policy in ("dagger", "bc") for o in outcomes if o.policy == policy and not o.succeeded]
    return sorted(successes, key=lambda o: o.min_clearance_m)[:count] + failures[:count]


def _report(
    config: DemoConfig, dagger: DaggerConfig, rounds: list[RoundResult], scores: list[Score],
    plot: Path, videos: list[Path], seconds: float,
) -> None:  # fmt: skip
    """The table of results, and where everything lies."""
    mix = dagger.mix.complete(dagger.task)
    density = format_density(mix.densities[0])
    worlds = f"{config.episodes} test worlds nobody has trained on, {mix.speeds[1]:g} m/s, {density} trees/m2"
    print_table(results_table(scores), title=worlds)
    print(f"{rounds[-1].labels} labelled states in {rounds[-1].trips} training trips; {seconds:.0f} s in all\n")
    places = {
        "policy": config.out,
        "trips with the expert's labels": f"{config.out}/dataset",
        "success by DAgger round": str(plot),
        "outcome of each test trip": f"{config.out}/evaluation/outcomes.csv",
        **{f"video of {path.stem}": str(path) for path in videos},
        "more videos": f"forestpilot replay {config.out}/evaluation --worst 3 --video {config.out}/videos",
    }
    width = max(map(len, places))
    for what, where in places.items():
        print(f"{what:<{width}}  {where}")
