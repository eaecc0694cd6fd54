"""Evaluation: policies fly or drive in worlds they have never seen; and how sure one can be of the result."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, borrowed
from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.scenarios import (
    EpisodeResult,
    Scenario,
    ScenarioMix,
    load_result,
    result_path,
    task_of,
)
from forestpilot.policies.evaluation.pilots import (
    BASELINES,
    PRETRAINED,
    pilot_factory,
    policy_names,
    require_pilot,
    split_name,
)
from forestpilot.policies.evaluation.scores import OutcomeRow, Score, write_results
from forestpilot.sim.envs.drive import INTERVENTIONS
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.seeds import seeds_of

COMMON_ARGUMENTS = ("preset", "speed", "control_hz", "width", "height", "renderer", "domain_randomisation")
"""Arguments of every environment; the others are the task's options."""


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
    rows: list[OutcomeRow] = []
    with borrowed(pool, min(config.workers, config.episodes)) as own:
        for target, way, name in zip(targets, ways, policy_names(config.policy), strict=True):
            finished = _run_policy(config, target, name, way, own, progress)
            rows += [_row(config.task, name, result) for result in finished]
    return write_results(Path(config.out), rows, config.counts_interventions)


def _row(task: str, policy: str, result: EpisodeResult) -> OutcomeRow:
    """An episode as it stands in outcomes.csv."""
    kwargs = result.scenario.env_kwargs
    options = {name: value for name, value in kwargs.items() if name not in COMMON_ARGUMENTS}
    told = {"task": task, "rule": kwargs.get("interventions"), "renderer": kwargs.get("renderer")}
    return OutcomeRow.from_values(options | result.row(policy) | told)


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
