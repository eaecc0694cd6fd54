"""Evaluation: policies fly or drive in worlds they have never seen; and how sure one can be of the result."""

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

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.scenarios import (
    EpisodeResult,
    Scenario,
    ScenarioMix,
    load_result,
    result_path,
    task_of,
)
from forestpilot.policies.evaluation.intervals import paired_difference, rate_interval, wilson_interval
from forestpilot.policies.evaluation.pilots import (
    BASELINES,
    PRETRAINED,
    pilot_factory,
    policy_names,
    require_pilot,
    split_name,
)
from forestpilot.sim.envs.drive import INTERVENTIONS
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.seeds import seeds_of

OUTCOME_FIELDS = (
    "policy", "seed", "outcome", "success", "progress_m", "time_s", "min_clearance_m", "mean_speed_mps",
    "distance_m", "interventions", "off_line_s", "density", "speed", "preset",
)  # fmt: skip
INTERVENTION_S = 6.0
"""What an intervention costs in PilotNet's autonomy: the time a human needs to take over, recenter and hand back
(Bojarski et al. 2016, arXiv:1604.07316, section 7.1), seconds."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Fly or drive policies through test worlds; killed or interrupted, the same command goes on where it stopped."""

    policy: tuple[str, ...] = ("pretrained",)
    """Folder of a checkpoint (NAME=FOLDER names it), pretrained, blind, reactive or expert; several are compared on
    the same worlds."""
    out: str = "runs/evaluation"
    """Folder for outcomes.csv, summary.json and the episodes that `replay` repeats."""
    task: str = "drone"
    """What to do: drone or drive."""
    split: str = "test"
    """Worlds to report on: validation or test."""
    episodes: int = 100
    """Number of worlds for each policy."""
    seed_offset: int = 0
    """Skip this many worlds of the split."""
    speed: float | None = None
    """Speed set point in m/s, 1 to 12 (drone) or 20 (drive); by default 5 (drone) or 10 (drive)."""
    density: float = 0.04
    """Drone: trees per square metre; published: 0.0204, 0.0278, 0.04."""
    preset: str = ""
    """Forest: default (trunks 0.24-0.70 m) or loquercio (0.6 m). Road: winding, easy, junctions or obstacles. Empty
    for the first of these."""
    interventions: str = "line"
    """Drive: put the car back, and count it, when it is more than 1 m off its line or collides (line), when it is off
    the road or collides (road), or never: the episode ends (none)."""
    length: float | None = None
    """Drive: length of the road in metres, by default 600."""
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
        if self.episodes < 1 or self.seed_offset < 0 or not self.policy:
            raise ValueError("give at least one policy and one episode, and no negative seed_offset")
        self._require_task()
        seeds_of(self.split, self.episodes, self.seed_offset)

    def _require_task(self) -> None:
        """Raise ValueError where an argument is out of the task's range."""
        task = task_of(self.task)
        if self.preset and self.preset not in task.presets:
            raise ValueError(f"preset is {self.preset!r}; allowed: {', '.join(task.presets)}")
        if not 1.0 <= self.speed_mps <= task.max_speed_mps:
            raise ValueError(f"speed is {self.speed} m/s; allowed: 1 to {task.max_speed_mps:g}")
        if self.interventions not in INTERVENTIONS:
            raise ValueError(f"interventions is {self.interventions!r}; allowed: {', '.join(INTERVENTIONS)}")
        if self.length is not None and self.task != "drive":
            raise ValueError(f"length is {self.length}; only roads have one (--task drive)")
        for policy in self.policy:
            require_pilot(split_name(policy, self.task)[1], self.task)

    @property
    def speed_mps(self) -> float:
        """The speed set point: the one given, or the task's ordinary one."""
        return task_of(self.task).speed_mps if self.speed is None else float(self.speed)

    @property
    def worlds(self) -> str:
        """The preset: the one given, or the task's ordinary one."""
        return self.preset or task_of(self.task).presets[0]

    @property
    def counts_interventions(self) -> bool:
        """Whether episodes go on after a mistake, which is counted."""
        return self.task == "drive" and self.interventions != "none"


@dataclass(frozen=True)
class Score:
    """What a policy's episodes came to."""

    policy: str
    """Name of the policy."""
    episodes: int
    """Number of episodes n."""
    successes: int
    """Episodes that reached the goal, without any intervention."""
    low: float
    """Lower end of the 95 % Wilson interval of the success rate."""
    high: float
    """Upper end."""
    collisions: int
    """Episodes that ended at an obstacle or on the ground."""
    out_of_bounds: int
    """Episodes that left the flight area or the road."""
    timeouts: int
    """Episodes that ran out of time."""
    mean_progress_m: float
    """Mean distance made good towards the goal in metres."""
    mean_speed_mps: float
    """Mean speed in m/s."""
    median_clearance_m: float
    """Median over the episodes of the least clearance in metres."""
    distance_km: float
    """Length of the way that was covered in all episodes, in kilometres."""
    interventions: int = 0
    """How often a car was put back on its line."""
    autonomy: float | None = None
    """PilotNet's figure: 1 - 6 s x interventions / time, 0 at least; None where interventions are not counted."""
    autonomy_low: float | None = None
    """Lower end of its 95 % interval: see `forestpilot.policies.evaluation.intervals.rate_interval`."""
    autonomy_high: float | None = None
    """Upper end."""
    interventions_per_km: float | None = None
    """Interventions per kilometre; None where they are not counted."""
    interventions_per_km_low: float | None = None
    """Lower end of its 95 % interval."""
    interventions_per_km_high: float | None = None
    """Upper end."""


def evaluate(config: EvaluateConfig, progress: Progress | None = None, pool: RolloutPool | None = None) -> list[Score]:
    """Send every policy through the same worlds; writes outcomes.csv, summary.json and episodes/.

    Returns:
        One score per policy, in the order given.

    Raises:
        CheckpointError: a checkpoint cannot be loaded.
        ForestPilotError: a policy is neither a baseline nor a folder, or is of another task.
    """
    progress = progress or SilentProgress()
    targets = [split_name(policy, config.task)[1] for policy in config.policy]
    # All are looked at before the first one starts: a wrong name must not wait behind an hour of episodes.
    ways = [_env_kwargs(config, target, progress) for target in targets]
    rows: list[dict[str, Any]] = []
    own = pool or RolloutPool(min(config.workers, config.episodes))
    with own if pool is None else _Borrowed():
        for target, way, name in zip(targets, ways, policy_names(config.policy), strict=True):
            finished = _run_policy(config, target, name, way, own, progress)
            rows += [result.row(name) for result in finished]
    return write_results(Path(config.out), rows, config.counts_interventions)


def write_results(folder: Path, rows: Sequence[dict[str, Any]], counts_interventions: bool = False) -> list[Score]:
    """Write outcomes.csv and summary.json; returns the scores."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, OUTCOME_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_new_file(folder / "outcomes.csv", [text.getvalue().encode()])
    names = list(dict.fromkeys(row["policy"] for row in rows))
    scores = [score([row for row in rows if row["policy"] == name], counts_interventions) for name in names]
    summary = {"scores": [vars(s) for s in scores], "paired": [compare(rows, names[0], name) for name in names[1:]]}
    write_new_file(folder / "summary.json", [json.dumps(summary, indent=2).encode()])
    return scores


def score(rows: Sequence[dict[str, Any]], counts_interventions: bool = False) -> Score:
    """The score of one policy's rows of outcomes.csv.

    Args:
        rows: one per episode.
        counts_interventions: whether the episodes were made with interventions, so that there is an autonomy.
    """
    outcomes = [row["outcome"] for row in rows]
    successes = sum(row["success"] for row in rows)
    low, high = wilson_interval(successes, len(rows))
    return Score(
        policy=rows[0]["policy"], episodes=len(rows), successes=successes, low=low, high=high,
        collisions=outcomes.count("collision"), out_of_bounds=outcomes.count("out_of_bounds"),
        timeouts=outcomes.count("timeout"),
        mean_progress_m=float(np.mean([row["progress_m"] for row in rows])),
        mean_speed_mps=float(np.mean([row["mean_speed_mps"] for row in rows])),
        median_clearance_m=float(np.median([row["min_clearance_m"] for row in rows])),
        distance_km=sum(row["distance_m"] for row in rows) / 1000,
        interventions=sum(_count_interventions(row) for row in rows) if counts_interventions else 0,
        **(_autonomy(rows) if counts_interventions else {}),
    )  # fmt: skip


def _count_interventions(row: dict[str, Any]) -> int:
    """Interventions of an episode; one that ran out of time would have needed another, or crawling would be autonomy."""
    return int(row["interventions"]) + (row["outcome"] == "timeout")


def _autonomy(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The figures of `Score` that are per time and per distance, with their intervals over the worlds."""
    counts = [_count_interventions(row) for row in rows]
    # An episode that was over at once covers no distance, and a rate needs some.
    per_km, *km_ends = rate_interval(counts, [max(row["distance_m"], 1e-3) / 1000 for row in rows])
    per_s, *s_ends = rate_interval(counts, [row["time_s"] for row in rows])
    best, middle, worst = (max(0.0, 1.0 - INTERVENTION_S * rate) for rate in (s_ends[0], per_s, s_ends[1]))
    return {
        "autonomy": middle, "autonomy_low": worst, "autonomy_high": best,
        "interventions_per_km": per_km, "interventions_per_km_low": km_ends[0], "interventions_per_km_high": km_ends[1],
    }  # fmt: skip


def compare(rows: Sequence[dict[str, Any]], first: str, second: str) -> dict[str, Any]:
    """Two policies over the worlds that both ran: difference in success rate with its 95 % interval."""
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


def _run_policy(
    config: EvaluateConfig,
    policy: str,
    name: str,
    way: tuple[dict[str, Any], str],
    pool: RolloutPool,
    progress: Progress,
) -> list[EpisodeResult]:
    """All episodes of one policy; those that an interrupted run has stored are not run again."""
    kwargs, fingerprint = way
    scenarios = [Scenario(seed, kwargs) for seed in seeds_of(config.split, config.episodes, config.seed_offset)]
    folder = Path(config.out) / "episodes"
    done: dict[int, EpisodeResult] = {}
    for scenario in scenarios:
        path = result_path(folder, name, scenario.seed)
        stored = load_result(path) if path.exists() else None
        if stored is not None and stored.scenario == scenario and stored.fingerprint == fingerprint:
            done[scenario.seed] = stored
    rest = tuple(scenario for scenario in scenarios if scenario.seed not in done)
    if rest:
        job = Job(
            config.task, rest, pilot_factory(policy, name, config.task), results_folder=str(folder),
            policy=policy if policy in BASELINES else str(Path(policy).resolve()), fingerprint=fingerprint,
        )  # fmt: skip
        done |= {finished.scenario.seed: finished for finished in pool.run(job, progress, f"evaluate {name}")}
    return [done[scenario.seed] for scenario in scenarios]


def _env_kwargs(config: EvaluateConfig, policy: str, progress: Progress) -> tuple[dict[str, Any], str]:
    """Arguments of the environment for a policy, and the fingerprint of its weights."""
    if policy in BASELINES:
        return _kwargs(config, config.renderer or "raycast", config.control_hz, config.width, config.height), policy
    if not Path(policy).is_dir():
        raise ForestPilotError(
            f"policy {policy!r} is neither a folder nor one of {PRETRAINED}, {', '.join(BASELINES)}; name a run folder"
        )
    from forestpilot.policies.networks.checkpoint import describe_policy

    description = describe_policy(policy)
    spec = description["task_spec"]
    if spec["task"] != config.task:
        raise ForestPilotError(
            f"{policy} was trained for the task {spec['task']!r}, not for {config.task!r}; "
            f"forestpilot evaluate --task {spec['task']} runs it"
        )
    renderer = config.renderer or spec["renderer"]
    if renderer != spec["renderer"]:
        progress.note(f"warning: {policy} learned from {spec['renderer']!r} pictures and runs on {renderer!r} ones")
    size = spec["image_width"], spec["image_height"]
    return _kwargs(config, renderer, spec["control_hz"], *size), description["policy_id"]


def _kwargs(config: EvaluateConfig, renderer: str, control_hz: int, width: int, height: int) -> dict[str, Any]:
    """Arguments of the environment; the same in every world of an evaluation."""
    mix = ScenarioMix(
        presets=(config.worlds,), densities=(config.density,), speeds=(config.speed_mps, config.speed_mps),
        control_hz=control_hz, width=width, height=height, renderer=renderer, interventions=config.interventions,
        length=ScenarioMix.length if config.length is None else config.length,
    )  # fmt: skip
    return mix.scenario(0, config.task).env_kwargs


def results_table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Rows of text for a table of scores, the header first; with interventions where they were counted."""
    if any(s.autonomy is not None for s in scores):
        return _autonomy_table(scores)
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
            s.policy, f"{s.successes}/{s.episodes}", f"{100 * s.low:.0f}-{100 * s.high:.0f} %", str(s.collisions),
            str(s.out_of_bounds), str(s.timeouts), f"{s.mean_progress_m:.1f} m", f"{s.mean_speed_mps:.1f} m/s",
            f"{s.median_clearance_m:.2f} m",
        )
        for s in scores
    ]  # fmt: skip
    return [header, *body]


def _autonomy_table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    header = (
        "policy",
        "autonomy",
        "95 % interval",
        "interventions",
        "per km (95 %)",
        "roads without any",
        "timeout",
        "distance",
        "speed",
    )
    body = [
        (
            s.policy, _percent(s.autonomy), f"{_percent(s.autonomy_low, '')}-{_percent(s.autonomy_high)}",
            str(s.interventions),
            f"{s.interventions_per_km:.3f} ({s.interventions_per_km_low:.3f}-{s.interventions_per_km_high:.3f})",
            f"{s.successes}/{s.episodes}", str(s.timeouts), f"{s.distance_km:.1f} km", f"{s.mean_speed_mps:.1f} m/s",
        )
        for s in scores
    ]  # fmt: skip
    return [header, *body]


def _percent(share: float | None, unit: str = " %") -> str:
    """Two decimals, which 99.9 % autonomy needs; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.2f}{unit}"
