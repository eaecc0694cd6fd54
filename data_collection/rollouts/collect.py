"""Demonstrations: an expert, or somebody at the keyboard, runs through training worlds and is recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.locks import Claims, written_by_one
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import CONFIG_FILE, Run, RunError, StoredRun
from forestpilot.data_collection.rollouts.noises import NOISES, Noise, NoiseConfig
from forestpilot.data_collection.rollouts.noises.no_noise import NoNoiseConfig
from forestpilot.data_collection.rollouts.noises.noise import Occasion
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, PilotFactory
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, borrowed, require_pool
from forestpilot.data_collection.rollouts.pools import PoolConfig, pool_field
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix, task_spec_of
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, PROCESSES, SEEDS, require_ranges
from forestpilot.sim.registry import name_of, part_of
from forestpilot.sim.seeds import split_of
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS
from forestpilot.sim.viewpoints.viewpoint import VehicleViewConfig, ViewpointConfig


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
    episodes: Annotated[int, EPISODES] = 100
    """Number of episodes; with the keyboard stop when you like, the same command goes on."""
    seed: Annotated[int, SEEDS] = 0
    """First world seed; training worlds are 0 to 999,999."""
    workers: Annotated[int, PROCESSES] = field(default_factory=usable_cores)
    """Number of processes for the expert; by default one per core that it may use."""
    pool: PoolConfig = pool_field()
    """Who runs the episodes: processes of this machine (`local`), or the cores of a Ray cluster (`ray`)."""
    mix: ScenarioMix = ScenarioMix()
    """Which worlds and speeds are run."""
    noise: NoiseConfig = field(
        default=NoNoiseConfig(), metadata=part_of("forestpilot.data_collection.rollouts.noises:NOISES")
    )
    """What makes the expert's demonstrations show more than its own way: `none`; `action`, noise on what it does, with
    clean labels (DART); or `pose`, the vehicle is put elsewhere every so often."""
    observations_only: bool = False
    """Record what was seen and not what was done: no actions, no labels, as a video has none. `forestpilot bco` learns
    from such episodes."""
    viewpoint: ViewpointConfig = field(
        default=VehicleViewConfig(), metadata=part_of("forestpilot.sim.viewpoints:VIEWPOINTS")
    )
    """From where else the vehicle is looked at, besides its own cameras (`vehicle`): from behind (`chase`), from a
    place beside the way (`tower`), from beside it (`side`)."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.pilot != "expert" and type(self.noise) is not NoNoiseConfig:
            raise InvalidArgumentError(f"noise is {self.noise.part}, which is for the expert; pilot is {self.pilot}")
        if self.pilot != "expert" and (self.observations_only or self.viewpoint.third_person):
            raise InvalidArgumentError(
                f"pilot is {self.pilot}; --observations-only and --viewpoint are for the expert's demonstrations"
            )
        object.__setattr__(self, "mix", self.mix.for_task(TASKS.get(self.task)))
        if self.pilot not in ("expert", "keyboard"):
            raise InvalidArgumentError(f"pilot is {self.pilot!r}; allowed: expert, keyboard")
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
    learner: PilotFactory | None = None,
) -> Dataset:
    """Fly or drive through `config.episodes` worlds and record each episode; config.json beside them says how.

    Several processes that do the same share the work: each takes what nobody else has taken.

    Args:
        config: who, where and how often.
        progress: is told of each episode of the expert's.
        pool: workers for the expert; by default some are started.
        roll_in: lets a human run the episodes of a job, of which it leaves out those already recorded; needed for the
            pilot `keyboard`.
        learner: the policy that the noise asks for: `config.noise.learner`.

    Returns:
        The dataset, everything in it.

    Raises:
        RunError: the folder holds episodes of another mix or pilot; see `claim_dataset`.
    """
    if (config.pilot == "keyboard") != (roll_in is not None):
        raise InvalidArgumentError(
            f"pilot is {config.pilot!r}; somebody at a keyboard is needed for `keyboard`, and only there"
        )
    if roll_in is None:
        require_pool(pool, config.pool)
    task = TASKS.get(config.task)
    seeds = range(config.seed, config.seed + config.episodes)
    noise = noise_of(config)
    scenarios = tuple(noise.scenario(config.mix.scenario(seed, task)) for seed in seeds)
    job = Job(
        config.task,
        scenarios,
        ExpertPilot,
        dataset=config.out,
        actions=not config.observations_only,
        viewpoint=config.viewpoint,
    )
    if roll_in is not None:
        with written_by_one(config.out, progress):
            dataset = claim_dataset(config)
            if _missing(job, dataset):
                roll_in(job)
    else:
        with written_by_one(config.out, progress, shared=True), Claims(Path(config.out)) as claims:
            with claims.setting_up():
                dataset = claim_dataset(config)
                pilot = noise.pilot(Occasion(config.task, config.mix, dataset.folder, learner))
            job = dataclasses.replace(job, pilot=pilot)
            _run_what_is_free(job, dataset, claims, config, progress or SilentProgress(), pool)
    dataset.refresh()
    return dataset


def noise_of(config: CollectConfig) -> Noise:
    """The noise of demonstrations, made from its options."""
    return NOISES.get(config.noise.part)(config.noise)


def _run_what_is_free(
    job: Job, dataset: Dataset, claims: Claims, config: CollectConfig, progress: Progress, pool: RolloutPool | None
) -> None:
    """Run the scenarios that are not on disk and that nobody else has taken, until all are there."""
    while missing := _missing(job, dataset):
        free = (scenario for scenario in missing if claims.take(scenario.seed) and not dataset.has(0, scenario.seed))
        first = next(free, None)
        if first is not None:
            with borrowed(pool, min(config.workers, len(missing)), config.pool) as own:
                own.run(dataclasses.replace(job, scenarios=missing), progress, "collect", chain([first], free))
        claims.let_go()
        if others := _missing(job, dataset):
            progress.note(f"{dataset.folder}: another process records the last {len(others)} of these; waiting for it")
            claims.wait_for(others[0].seed)


def _missing(job: Job, dataset: Dataset) -> tuple[Scenario, ...]:
    """Scenarios whose episode is not on disk."""
    return tuple(scenario for scenario in job.scenarios if not dataset.has(0, scenario.seed))


def claim_dataset(config: CollectConfig) -> Dataset:
    """The dataset, made where there is none; its config.json tells of all that is in it.

    Raises:
        RunError: the folder is another verb's, or holds episodes that this config would not have recorded.
        DatasetError: the folder holds other files, or another task.
    """
    run = Run(Path(config.out), "collect", config)
    stored = run.stored()
    there = _config_in(stored)
    if there is not None:
        _require_same_demonstrations(config, there)
    task = TASKS.get(config.task)
    dataset = Dataset.create(config.out, task_spec_of(task, config.mix), task.bare_env_id)
    _require_same_scenarios(config, dataset)
    if stored is None:
        run.record()
    elif there is not None and (whole := _joined(config, there)) is not None:
        Run(run.folder, run.verb, whole).record()
    return dataset


def _config_in(stored: StoredRun | None) -> CollectConfig | None:
    """The config that a dataset was recorded with; None where none is stored, or one that this version cannot read."""
    if stored is None:
        return None
    known = {field.name for field in dataclasses.fields(CollectConfig)}
    values = {key: value for key, value in stored.config.items() if key in known}
    try:
        return from_plain(CollectConfig, values, str(stored.path))
    except (ForestPilotError, TypeError, ValueError):
        return None


def _require_same_demonstrations(config: CollectConfig, there: CollectConfig) -> None:
    """Raise RunError where a dataset holds other demonstrations than these, or worlds between them are missing."""
    task = TASKS.get(config.task)
    different = []
    for name in ("task", "pilot"):
        if getattr(there, name) != getattr(config, name):
            different.append(f"{name}: {getattr(there, name)} there, {getattr(config, name)} asked")
    if not different:
        asked = to_plain(config.mix.complete(task))
        found = to_plain(there.mix.complete(task))
        different = [f"mix.{key}: {found[key]} there, {asked[key]} asked" for key in asked if found[key] != asked[key]]
    for name in ("noise", "viewpoint"):
        if getattr(there, name) != getattr(config, name):
            found, asked = to_plain(getattr(there, name)), to_plain(getattr(config, name))
            different.append(f"{name}: {found} there, {asked} asked")
    if there.observations_only != config.observations_only:
        different.append(f"observations_only: {there.observations_only} there, {config.observations_only} asked")
    if different:
        raise RunError(
            f"{config.out} holds other demonstrations ({'; '.join(different)}), and its {CONFIG_FILE} can tell of one "
            "kind only; give another --out: several datasets can be trained on, --data A B"
        )
    if config.seed > there.seed + there.episodes or there.seed > config.seed + config.episodes:
        raise RunError(
            f"{config.out} holds the worlds {there.seed} to {there.seed + there.episodes - 1}; go on where they end "
            f"(--seed {there.seed + there.episodes}), or give another --out: several datasets can be trained on"
        )


def _require_same_scenarios(config: CollectConfig, dataset: Dataset) -> None:
    """Raise RunError where an episode was recorded otherwise than this config would; each tells how it was."""
    task = TASKS.get(config.task)
    for header in dataset.episodes:
        if header.meta.dagger_round:
            continue
        found = header.meta.env_kwargs
        asked = config.mix.scenario(header.meta.seed, task).env_kwargs
        for key in asked.keys() & found.keys():
            if asked[key] != found[key]:
                raise RunError(
                    f"{header.path} was recorded with another mix ({key}: {found[key]} there, {asked[key]} asked); "
                    "give another --out: several datasets can be trained on, --data A B"
                )


def _joined(config: CollectConfig, there: CollectConfig) -> CollectConfig | None:
    """The config of all that is in a dataset afterwards; None where the one there tells of it already."""
    first = min(config.seed, there.seed)
    end = max(config.seed + config.episodes, there.seed + there.episodes)
    if (first, end) == (there.seed, there.seed + there.episodes):
        return None
    return dataclasses.replace(config, seed=first, episodes=end - first)
