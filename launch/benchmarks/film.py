"""How long films take: of a flight and of a drive, this checkout's and another one's in turns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.replay import load_stored_episode
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.launch.benchmarks.commands import Used, checkouts, in_turns, run_command
from forestpilot.launch.benchmarks.demo import Checkout
from forestpilot.launch.films.jobs import FilmJob, film_jobs
from forestpilot.launch.films.pace import HOLD_S, FilmConfig
from forestpilot.sim.scratch import scratch
from forestpilot.sim.tasks import TASKS

SEED = 2_000_000
"""World that is filmed."""
SECONDS = 10.0
"""The last so many seconds of an episode through `SEED` are filmed."""
MOST_S = 5.0
"""Seconds of the film that other checkouts are compared by."""
FPS = (20, 30)
"""Frames per second: the demo's, and those of `forestpilot replay`."""
SIZE = (960, 540)


def bench_film(against: Path | None = None, turns: int = 3) -> dict[str, Any]:
    """Film the end of a flight and of a drive of the pretrained policies.

    Args:
        against: another checkout, whose films take turns with this one's, as commands.
        turns: how many times.

    Returns:
        For each task and frame rate how many times faster than real time a core makes the film (its pictures, not the
        still end), `times_real_time`, and the size of a minute, `mb_a_minute`; with `against` also the times of
        so many seconds of film, see `in_turns`.
    """
    runs = checkouts(against)
    tasks = [name for name in TASKS.names() if TASKS.get(name).pretrained is not None]
    with scratch("bench") as folder:
        for key, checkout in runs.items():
            for task in tasks:
                options = ("--task", task, "--policy", "pretrained", "--episodes", "1", "--workers", "1")
                run_command(checkout, folder, "evaluate", *options, "--out", f"{key}-{task}")
        figures: dict[str, Any] = {}
        for task in tasks:
            for fps in FPS:
                figures[f"{task}, {fps} fps"] = _film(folder / f"here-{task}", SECONDS, fps, turns)
        if against is None:
            return figures

        def measure(key: str, checkout: Checkout) -> dict[str, Used]:
            return {f"{MOST_S:g} s of {task}": _command(checkout, folder, f"{key}-{task}") for task in tasks}

        return {**figures, **in_turns(runs, measure, turns)}


def _film(evaluation: Path, seconds: float, fps: int, turns: int) -> dict[str, float]:
    """Make a film in this process, once for the kernels and then some times, of which the fastest counts."""
    path = evaluation / "film.mp4"
    stored = load_stored_episode(result_path(evaluation / "episodes", "pretrained", SEED))
    job = FilmJob(path, stored, FilmConfig(SIZE, fps, last_s=seconds))
    fastest_s = float("inf")
    with RolloutPool(1) as pool:
        for _ in range(turns + 1):
            started = time.process_time()
            film_jobs([job], pool)[0].result()
            fastest_s = min(fastest_s, time.process_time() - started)
    moving_s = (len(job.ticks) - 1) / fps
    minute_mb = path.stat().st_size / 1e6 / (moving_s + HOLD_S) * 60
    return {"times_real_time": round(moving_s / fastest_s, 2), "mb_a_minute": round(minute_mb, 1)}


def _command(checkout: Checkout, folder: Path, evaluation: str) -> Used:
    """What `MOST_S` seconds of film take, start-up and the still end left out."""
    options = ("--seed", str(SEED), "--video", "videos", "--size", f"{SIZE[0]}x{SIZE[1]}", "--fps", str(FPS[0]))

    def replay(seconds: float) -> Used:
        return run_command(checkout, folder, "replay", evaluation, *options, "--last", str(seconds))

    least_s = 0.5
    return replay(least_s + MOST_S).without(replay(least_s))
