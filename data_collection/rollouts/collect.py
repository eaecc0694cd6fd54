"""Demonstrations: an expert, or somebody at the keyboard, runs through training worlds and is recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.run import Run
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, borrowed
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import name_of
from forestpilot.sim.seeds import split_of
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS


@dataclass(frozen=True)
class CollectConfig:
    """Collect demonstrations; killed or interrupted, the same command goes on where it stopped."""

    out: str
    """Folder of the dataset."""
    task: str = field(default=DEFAULT_TASK, metadata=name_of("forestpilot.sim.tasks:TASKS"))
    """Task to demonstrate."""
    pilot: str = "expert"
    """Who demonstrates: the `expert`, or with `keyboard` you. Arrows or WASD steer, two at once if you like. Forward
    and back are a car's throttle and brake; a drone flies at half its speed set point when neither is held, forward is
    all of it, back stops."""
    episodes: int = 100
    """Number of episodes; with the keyboard stop when you like, the same command goes on."""
    seed: int = 0
    """First world seed; training worlds are 0 to 999,999."""
    workers: int = field(default_factory=usable_cores)
    """Number of processes for the expert; by default one per core that it may use."""
    mix: ScenarioMix = ScenarioMix()
    """Which worlds and speeds are run."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mix", self.mix.for_task(TASKS.get(self.task)))
        if self.pilot not in ("expert", "keyboard"):
            raise InvalidArgumentError(f"pilot is {self.pilot!r}; allowed: expert, keyboard")
        if self.episodes < 1:
            raise InvalidArgumentError(f"episodes is {self.episodes}; allowed: 1 and up")
        if split_of(self.seed) != "train" or split_of(self.seed + self.episodes - 1) != "train":
            raise InvalidArgumentError(
                f"seeds {self.seed} to {self.seed + self.episodes - 1} are not all training worlds (0 to 999,999); "
                "demonstrations in validation or test worlds would spoil the results"
            )


def collect(
    config: CollectConfig,
    progress: Progress | None = None,
    pool: RolloutPool | None = None,
    roll_in: Callable[[Job], object] | None = None,
) -> Dataset:
    """Fly or drive through `config.episodes` worlds and record each episode; config.json beside them says how.

    Args:
        config: who, where and how often.
        progress: is told of each episode of the expert's.
        pool: workers for the expert; by default some are started.
        roll_in: lets a human run the episodes of a job, of which it leaves out those already recorded; needed for the
            pilot `keyboard`.

    Returns:
        The dataset, everything in it.
    """
    if (config.pilot == "keyboard") != (roll_in is not None):
        raise InvalidArgumentError(
            f"pilot is {config.pilot!r}; somebody at a keyboard is needed for `keyboard`, and only there"
        )
    with Run(Path(config.out), "collect", config).recording():
        return _collect(config, progress, pool, roll_in)


def _collect(
    config: CollectConfig,
    progress: Progress | None,
    pool: RolloutPool | None,
    roll_in: Callable[[Job], object] | None,
) -> Dataset:
    task = TASKS.get(config.task)
    dataset = Dataset.create(config.out, task_spec_of(task, config.mix), task.bare_env_id)
    seeds = range(config.seed, config.seed + config.episodes)
    scenarios = tuple(config.mix.scenario(seed, task) for seed in seeds)
    missing = tuple(scenario for scenario in scenarios if not dataset.has(0, scenario.seed))
    job = Job(config.task, missing, ExpertPilot, dataset=config.out)
    if missing and roll_in is not None:
        roll_in(dataclasses.replace(job, scenarios=scenarios))
    elif missing:
        with borrowed(pool, min(config.workers, len(missing))) as own:
            own.run(job, progress, "collect")
    dataset.refresh()
    return dataset
