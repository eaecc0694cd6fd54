"""Evaluation: fly policies through worlds they have never seen, and say how sure one can be of the result."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_collection.files import write_new_file
from data_collection.progress import Progress, SilentProgress
from data_collection.rollout import Job, RolloutPool
from data_collection.trips import FinishedTrip, Trip, load_trip, trip_path
from policies.intervals import paired_difference, wilson_interval
from policies.pilots import BASELINES, PRETRAINED, pilot_factory, policy_names, split_name
from sim.errors import ForestPilotError
from sim.worlds.forest import PRESETS
from sim.worlds.world import seeds_of

OUTCOME_FIELDS = (
    "policy", "seed", "outcome", "success", "progress_m", "time_s", "min_clearance_m", "mean_speed_mps",
    "density", "speed", "preset",
)  # fmt: skip


@dataclass(frozen=True)
class EvaluateConfig:
    """Fly policies through test worlds; killed or interrupted, the same command goes on where it stopped."""

    policy: tuple[str, ...] = ("pretrained",)
    """Folder of a checkpoint (NAME=FOLDER names it), pretrained, blind, reactive or expert; several are compared on
    the same worlds."""
    out: str = "runs/evaluation"
    """Folder for outcomes.csv, summary.json and the trips that `replay` repeats."""
    task: str = "drone"
    """Task to fly: drone."""
    split: str = "test"
    """Worlds to report on: validation or test."""
    episodes: int = 100
    """Number of worlds for each policy."""
    seed_offset: int = 0
    """Skip this many worlds of the split."""
    speed: float = 5.0
    """Speed set point in m/s, 1 to 12."""
    density: float = 0.04
    """Trees per square metre; published: 0.0204, 0.0278, 0.04."""
    preset: str = "default"
    """Forest preset: default (trunks 0.24-0.70 m) or loquercio (0.6 m)."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes; by default one per core."""
    renderer: str = ""
    """Renderer: raycast, tiny or egl; empty for the one the policy was trained on."""
    width: int = 64
    """Width of each camera image in pixels, for the baselines; a checkpoint brings its own."""
    height: int = 48
    """Height of each camera image in pixels, for the baselines."""
    control_hz: int = 10
    """Actions per second, for the baselines."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", tuple(self.policy))
        if self.split not in ("validation", "test"):
            raise ValueError(
                f"split is {self.split!r}; allowed: validation, test. Results on training worlds mean nothing"
            )
        if self.preset not in PRESETS:
            raise ValueError(f"preset is {self.preset!r}; allowed: {', '.join(PRESETS)}")
        if self.episodes < 1 or self.seed_offset < 0 or not self.policy:
            raise ValueError("give at least one policy and one episode, and no negative seed_offset")
        if not 1.0 <= self.speed <= 12.0:
            raise ValueError(f"speed is {self.speed} m/s; allowed: 1 to 12")
        seeds_of(self.split, self.episodes, self.seed_offset)


@dataclass(frozen=True)
class Score:
    """What a policy's trips came to."""

    policy: str
    """Name of the policy."""
    trips: int
    """Number of trips n."""
    successes: int
    """Trips that reached the goal."""
    low: float
    """Lower end of the 95 % Wilson interval of the success rate."""
    high: float
    """Upper end."""
    collisions: int
    """Trips that ended at a trunk or on the ground."""
    out_of_bounds: int
    """Trips that left the flight area."""
    timeouts: int
    """Trips that ran out of time."""
    mean_progress_m: float
    """Mean distance made good towards the goal in metres."""
    mean_speed_mps: float
    """Mean speed in m/s."""
    median_clearance_m: float
    """Median over the trips of the least clearance in metres."""


def evaluate(config: EvaluateConfig, progress: Progress | None = None, pool: RolloutPool | None = None) -> list[Score]:
    """Fly every policy through the same worlds; writes outcomes.csv, summary.json and trips/.

    Returns:
        One score per policy, in the order given.

    Raises:
        CheckpointError: a checkpoint cannot be loaded.
        ValueError: a policy is neither a baseline nor a folder.
    """
    progress = progress or SilentProgress()
    rows: list[dict[str, Any]] = []
    own = pool or RolloutPool(min(config.workers, config.episodes))
    with own if pool is None else _Borrowed():
        for policy, name in zip(config.policy, policy_names(config.policy), strict=True):
            finished = _fly_policy(config, split_name(policy)[1], name, own, progress)
            rows += [trip.row(name) for trip in finished]
    scores = write_results(Path(config.out), rows)
    return scores


def write_results(folder: Path, rows: Sequence[dict[str, Any]]) -> list[Score]:
    """Write outcomes.csv and summary.json; returns the scores."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, OUTCOME_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_new_file(folder / "outcomes.csv", [text.getvalue().encode()])
    names = list(dict.fromkeys(row["policy"] for row in rows))
    scores = [score([row for row in rows if row["policy"] == name]) for name in names]
    summary = {"scores": [vars(s) for s in scores], "paired": [compare(rows, names[0], name) for name in names[1:]]}
    write_new_file(folder / "summary.json", [json.dumps(summary, indent=2).encode()])
    return scores


def score(rows: Sequence[dict[str, Any]]) -> Score:
    """The score of one policy's rows of outcomes.csv."""
    outcomes = [row["outcome"] for row in rows]
    successes = outcomes.count("success")
    low, high = wilson_interval(successes, len(rows))
    return Score(
        policy=rows[0]["policy"], trips=len(rows), successes=successes, low=low, high=high,
        collisions=outcomes.count("collision"), out_of_bounds=outcomes.count("out_of_bounds"),
        timeouts=outcomes.count("timeout"),
        mean_progress_m=float(np.mean([row["progress_m"] for row in rows])),
        mean_speed_mps=float(np.mean([row["mean_speed_mps"] for row in rows])),
        median_clearance_m=float(np.median([row["min_clearance_m"] for row in rows])),
    )  # fmt: skip


def compare(rows: Sequence[dict[str, Any]], first: str, second: str) -> dict[str, Any]:
    """Two policies over the worlds that both flew: difference in success rate with its 95 % interval."""
    success = {name: {r["seed"]: r["success"] for r in rows if r["policy"] == name} for name in (first, second)}
    seeds = sorted(set(success[first]) & set(success[second]))
    if not seeds:
        raise ValueError(f"{first} and {second} share no world in common")
    only_first = sum(success[first][s] > success[second][s] for s in seeds)
    only_second = sum(success[first][s] < success[second][s] for s in seeds)
    difference, low, high = paired_difference(only_first, only_second, len(seeds))
    return {"first": first, "second": second, "worlds": len(seeds), "difference": difference, "low": low, "high": high}


class _Borrowed:
    """Stands in for a pool that somebody else opened and will close."""

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def _fly_policy(
    config: EvaluateConfig, policy: str, name: str, pool: RolloutPool, progress: Progress
) -> list[FinishedTrip]:
    """All trips of one policy; those that an interrupted run has stored are not run again."""
    kwargs, fingerprint = _env_kwargs(config, policy, progress)
    trips = [Trip(seed, kwargs) for seed in seeds_of(config.split, config.episodes, config.seed_offset)]
    folder = Path(config.out) / "trips"
    done: dict[int, FinishedTrip] = {}
    for trip in trips:
        stored = load_trip(trip_path(folder, name, trip.seed)) if trip_path(folder, name, trip.seed).exists() else None
        if stored is not None and stored.trip == trip and stored.fingerprint == fingerprint:
            done[trip.seed] = stored
    rest = tuple(trip for trip in trips if trip.seed not in done)
    if rest:
        job = Job(
            config.task, rest, pilot_factory(policy, name), trips_folder=str(folder),
            policy=policy if policy in BASELINES else str(Path(policy).resolve()), fingerprint=fingerprint,
        )  # fmt: skip
        done |= {finished.trip.seed: finished for finished in pool.run(job, progress, f"evaluate {name}")}
    return [done[trip.seed] for trip in trips]


def _env_kwargs(config: EvaluateConfig, policy: str, progress: Progress) -> tuple[dict[str, Any], str]:
    """Arguments of the environment for a policy, and the fingerprint of its weights."""
    base = {
        "preset": config.preset,
        "density": config.density,
        "speed": float(config.speed),
        "domain_randomisation": True,
    }
    if policy in BASELINES:
        own = {"control_hz": config.control_hz, "width": config.width, "height": config.height}
        return {**base, **own, "renderer": config.renderer or "raycast"}, policy
    if not Path(policy).is_dir():
        raise ForestPilotError(
            f"policy {policy!r} is neither a folder nor one of {PRETRAINED}, {', '.join(BASELINES)}; name a run folder"
        )
    from policies.checkpoint import describe_policy

    description = describe_policy(policy)
    spec = description["task_spec"]
    if spec["task"] != config.task:
        raise ForestPilotError(f"{policy} was trained for the task {spec['task']!r}, not for {config.task!r}")
    renderer = config.renderer or spec["renderer"]
    if renderer != spec["renderer"]:
        progress.note(f"warning: {policy} learned from {spec['renderer']!r} pictures and flies on {renderer!r} ones")
    own = {"control_hz": spec["control_hz"], "width": spec["image_width"], "height": spec["image_height"]}
    return {**base, **own, "renderer": renderer}, description["policy_id"]


def results_table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Rows of text for a table of scores, the header first."""
    header = (
        "policy",
        "success",
        "95 % interval",
        "collision",
        "out of bounds",
        "timeout",
        "progress",
        "speed",
        "clearance",
    )
    body = [
        (
            s.policy, f"{s.successes}/{s.trips}", f"{100 * s.low:.0f}-{100 * s.high:.0f} %", str(s.collisions),
            str(s.out_of_bounds), str(s.timeouts), f"{s.mean_progress_m:.1f} m", f"{s.mean_speed_mps:.1f} m/s",
            f"{s.median_clearance_m:.2f} m",
        )
        for s in scores
    ]  # fmt: skip
    return [header, *body]
