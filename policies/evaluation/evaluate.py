"""Evaluation: policies fly or drive in worlds they have never seen; and how sure one can be of the result."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, borrowed
from forestpilot.data_collection.rollouts.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.results import EpisodeResult, load_result, result_path
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix
from forestpilot.policies.evaluation.entrants import Entrant, make_entrant, policy_names, require_pilot
from forestpilot.policies.evaluation.scores import COMMON_ARGUMENTS, OutcomeRow, Score, write_results
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS, Task, TaskOptions
from forestpilot.sim.tasks.drive import INTERVENTIONS


@dataclass(frozen=True)
class EvaluateConfig:
    """Fly or drive policies through test worlds; killed or interrupted, the same command goes on where it stopped."""

    policy: tuple[str, ...] = ("pretrained",)
    """Folder of a checkpoint, pretrained, one of the task's baselines (blind, expert, ...), or package.module:factory
    for a pilot of your own; NAME= before it names it. Several are compared on the same worlds."""
    out: str = "runs/evaluation"
    """Folder for outcomes.csv, summary.json and the episodes that `replay` repeats."""
    task: str = "drone"
    """What to do, for example drone or drive."""
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
            raise InvalidArgumentError(
                f"split is {self.split!r}; allowed: validation, test. Results on training worlds mean nothing"
            )
        if self.episodes < 1 or self.seed_offset < 0 or not self.policy:
            raise InvalidArgumentError("give at least one policy and one episode, and no negative seed_offset")
        self._require_task()
        seeds_of(self.split, self.episodes, self.seed_offset)

    def _require_task(self) -> None:
        """Raise ValueError where an argument is out of the task's range."""
        task = TASKS.get(self.task)
        if self.preset and self.preset not in task.presets:
            raise InvalidArgumentError(f"preset is {self.preset!r}; allowed: {', '.join(task.presets)}")
        if not 1.0 <= self.speed_mps <= task.max_speed_mps:
            raise InvalidArgumentError(f"speed is {self.speed} m/s; allowed: 1 to {task.max_speed_mps:g}")
        if self.interventions not in INTERVENTIONS:
            raise InvalidArgumentError(f"interventions is {self.interventions!r}; allowed: {', '.join(INTERVENTIONS)}")
        if self.length is not None and self.task != "drive":
            raise InvalidArgumentError(f"length is {self.length}; only roads have one (--task drive)")
        for policy in self.policy:
            require_pilot(policy, TASKS.get(self.task))

    @property
    def speed_mps(self) -> float:
        """The speed set point: the one given, or the task's ordinary one."""
        return TASKS.get(self.task).speed_mps if self.speed is None else float(self.speed)

    @property
    def worlds(self) -> str:
        """The preset: the one given, or the task's ordinary one."""
        return self.preset or TASKS.get(self.task).presets[0]

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
        ForestPilotError: a policy is neither a baseline nor a folder nor a factory, or is of another task.
    """
    progress = progress or SilentProgress()
    task = TASKS.get(config.task)
    names = policy_names(config.policy)
    # All are looked at before the first one starts: a wrong name must not wait behind an hour of episodes.
    entrants = [make_entrant(policy, task, name) for policy, name in zip(config.policy, names)]
    arguments = {entrant.name: _env_kwargs(config, entrant, progress) for entrant in entrants}
    rows: list[OutcomeRow] = []
    with borrowed(pool, min(config.workers, config.episodes)) as own:
        for entrant in entrants:
            results = _run_entrant(config, entrant, arguments[entrant.name], own, progress)
            rows += [_row(config.task, entrant.name, result) for result in results]
    return write_results(Path(config.out), rows, config.counts_interventions, _about(config, entrants, arguments))


def _row(task: str, policy: str, result: EpisodeResult) -> OutcomeRow:
    """An episode as it stands in outcomes.csv."""
    return OutcomeRow.of_episode(result.row(policy) | {"task": task}, result.scenario.env_kwargs)


def _run_entrant(
    config: EvaluateConfig, entrant: Entrant, env_kwargs: dict[str, Any], pool: RolloutPool, progress: Progress
) -> list[EpisodeResult]:
    """All episodes of one policy; those that an interrupted run has stored are not run again."""
    seeds = seeds_of(config.split, config.episodes, config.seed_offset)
    scenarios = [Scenario(seed, env_kwargs) for seed in seeds]
    folder = Path(config.out) / "episodes"
    done: dict[int, EpisodeResult] = {}
    for scenario in scenarios:
        path = result_path(folder, entrant.name, scenario.seed)
        stored = load_result(path) if path.exists() else None
        if stored is not None and stored.scenario == scenario and stored.fingerprint == entrant.fingerprint:
            done[scenario.seed] = stored
    rest = tuple(scenario for scenario in scenarios if scenario.seed not in done)
    if rest:
        job = Job(
            config.task,
            rest,
            entrant.factory,
            results_folder=str(folder),
            policy=entrant.target,
            fingerprint=entrant.fingerprint,
        )
        for result in pool.run(job, progress, f"evaluate {entrant.name}"):
            done[result.scenario.seed] = result
    return [done[scenario.seed] for scenario in scenarios]


def _env_kwargs(config: EvaluateConfig, entrant: Entrant, progress: Progress) -> dict[str, Any]:
    """Arguments of the environment for a policy, the same in every world: a checkpoint brings its camera."""
    spec = entrant.spec
    if spec is None:
        return _kwargs(config, config.renderer or "raycast", config.control_hz, config.width, config.height)
    renderer = config.renderer or spec.renderer
    if renderer != spec.renderer:
        progress.note(
            f"warning: {entrant.target} learned from {spec.renderer!r} pictures and runs on {renderer!r} ones"
        )
    return _kwargs(config, renderer, spec.control_hz, spec.image_width, spec.image_height)


def _about(
    config: EvaluateConfig, entrants: Sequence[Entrant], arguments: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What an evaluation was of, for summary.json."""
    first = arguments[entrants[0].name]
    policies = [
        {
            "name": entrant.name,
            "policy": entrant.target,
            "fingerprint": entrant.fingerprint,
            "renderer": arguments[entrant.name]["renderer"],
        }
        for entrant in entrants
    ]
    return {
        "version": package_version(),
        "task": config.task,
        "split": config.split,
        "preset": config.worlds,
        "speed_mps": config.speed_mps,
        "rule": first.get("interventions", ""),
        "counts_interventions": config.counts_interventions,
        "options": {name: value for name, value in first.items() if name not in COMMON_ARGUMENTS},
        "policies": policies,
    }


def _kwargs(config: EvaluateConfig, renderer: str, control_hz: int, width: int, height: int) -> dict[str, Any]:
    """Arguments of the environment; the same in every world of an evaluation."""
    task = TASKS.get(config.task)
    mix = ScenarioMix(
        presets=(config.worlds,),
        speeds=(config.speed_mps, config.speed_mps),
        options=_options(config, task),
        control_hz=control_hz,
        width=width,
        height=height,
        renderer=renderer,
    )
    return mix.scenario(0, task).env_kwargs


def _options(config: EvaluateConfig, task: Task) -> TaskOptions:
    """The task's own options, as far as the config says them."""
    given: dict[str, Any] = {"density": (config.density,), "interventions": config.interventions}
    if config.length is not None:
        given["length"] = config.length
    own = {option.name for option in dataclasses.fields(task.Options)}
    return dataclasses.replace(task.evaluation_options, **{name: given[name] for name in given if name in own})
