"""What `forestpilot tune` can tune: every registered algorithm, and `train`; each is run as an algorithm.

`tune` has the options of what it tunes, and its own: those of the trials that are not searched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.algorithms import ALGORITHMS
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.behavioural_cloning import BehaviouralCloning, BehaviouralCloningConfig
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, PROCESSES, Range
from forestpilot.sim.registry import UnknownNameError, closest, name_of
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS


@dataclass(frozen=True)
class TuneOptions:
    """Options of the search itself."""

    search: tuple[str, ...] = ()
    """What is searched, FIELD=VALUES, as often as wanted. VALUES are a range LOW:HIGH, one with steps LOW:HIGH:STEP, a
    logarithmic one log:LOW:HIGH, or a list A,B,C of values or of names of parts; those of a field that is itself a
    list stand in brackets, [3,5],[3,12]. An option of a part is drawn where that part was."""
    trials: Annotated[int, Range(1, 1_000_000)] = not_the_result(30)
    """Trials in all; the same command with more goes on."""
    first_trials: Annotated[int, Range(1, 1_000_000)] = 10
    """Trials that are drawn at random before the sampler (TPE) learns from them; and none is ended early before so many
    have come to their end."""
    prune: bool = True
    """End a trial that, on the validation worlds, is behind the median of those before it at the same point."""
    looks: Annotated[int, Range(0, 1000)] = 3
    """Points, evenly over the training, at which a run without further rounds is tried on the validation worlds to see
    whether it should be ended; a run with rounds is judged after each of them."""
    report_test: Annotated[int, Range(0, EPISODES.high)] = not_the_result(0)
    """At the end, compare the best with the settings as they are without the search in so many test worlds, once: a
    second time is refused. 0 for not at all."""


@dataclass(frozen=True)
class _Judged:
    """How trials of `train` are judged, which by itself judges nothing."""

    task: str = field(default=DEFAULT_TASK, metadata=name_of("forestpilot.sim.tasks:TASKS"))
    """Task of the datasets, for example drone or drive."""
    mix: ScenarioMix = ScenarioMix()
    """Worlds and speeds of validation."""
    validation_episodes: Annotated[int, EPISODES] = 40
    """Validation worlds run to judge a trial."""
    workers: Annotated[int, PROCESSES] = not_the_result(default_factory=usable_cores)
    """Number of processes that run episodes, and at most that compute gradients; by default one per core that it may
    use."""


class Target:
    """Something that can be tuned.

    Args:
        name: what it is asked for by; also the verb that takes the best config.
        algorithm: what a trial runs.
    """

    def __init__(self, name: str, algorithm: type[Algorithm[Any]]) -> None:
        self.name = name
        self.algorithm = algorithm

    @property
    def Settings(self) -> type[Any]:
        """Config class of what can be searched, and of the best config."""
        return self.algorithm.Config

    @property
    def presets(self) -> Mapping[str, Any]:
        """Named settings to start from."""
        return self.algorithm.PRESETS

    @property
    def judged(self) -> tuple[type[Any], ...]:
        """Config classes with further options, which say how trials are judged; they are not searched."""
        return ()

    def run_config(self, settings: Any, config: Any, out: str) -> AlgorithmConfig:
        """The run that tries some settings.

        Args:
            settings: of `Settings`.
            config: what `tune` was asked for.
            out: run folder.
        """
        run: AlgorithmConfig = dataclasses.replace(settings, out=out)
        return run


class TrainTarget(Target):
    """`forestpilot train`: cloning of datasets that are there, as a run of `bc` that records nothing of its own."""

    Settings = TrainConfig
    presets: Mapping[str, Any] = {}
    judged = (_Judged,)

    def run_config(self, settings: Any, config: Any, out: str) -> AlgorithmConfig:
        """The run of `bc` that trains the same policy."""
        if not settings.data:
            raise InvalidArgumentError("data names no dataset; give at least one folder, for example --data DATASET")
        return BehaviouralCloningConfig(
            out=out,
            task=config.task,
            seed=settings.seed,
            expert_episodes=0,
            demonstrations=settings.data,
            first_steps=settings.steps,
            validation_episodes=config.validation_episodes,
            mix=config.mix.for_task(TASKS.get(config.task)),
            train=settings,
            workers=config.workers,
        )


OTHERS: Mapping[str, Target] = {"train": TrainTarget("train", BehaviouralCloning)}
"""What can be tuned besides the registered algorithms."""


def target_names() -> tuple[str, ...]:
    """All that can be tuned."""
    return (*ALGORITHMS.names(), *OTHERS)


def target_of(name: str) -> Target:
    """What is tuned under a name.

    Raises:
        UnknownNameError: nothing is.
    """
    if name in OTHERS:
        return OTHERS[name]
    if name not in ALGORITHMS and ":" not in name:
        raise UnknownNameError(f"{name!r} cannot be tuned; {closest(name, target_names())}")
    return Target(name, ALGORITHMS.get(name))


def config_class(target: Target) -> type[Any]:
    """The options of `tune` for a target: its own settings, and those of the search."""
    own: Any = target.Settings
    out: Any = not_the_result(f"runs/tune-{target.name}")
    doc = (
        f"Search settings of `{target.name}`, trial by trial; killed or interrupted, the same command goes on, and "
        "started twice, two processes share the trials."
    )
    return dataclasses.make_dataclass(
        f"Tune{own.__name__}",
        [("out", str, out)],
        bases=(own, *target.judged, TuneOptions),  # the last one's options are told first
        namespace={"__doc__": doc, "__module__": own.__module__},
        frozen=True,
        kw_only=True,
    )


def presets_of(target: Target, asked: type[Any]) -> dict[str, Any]:
    """The target's presets, as options of `tune`."""
    presets = {}
    for name, values in target.presets.items():
        own = {**vars(values)}
        del own["out"]
        presets[name] = asked(**own)
    return presets


def settings_of(target: Target, config: Any) -> Any:
    """The settings without those of the search: what a trial changes."""
    return target.Settings(**{each.name: getattr(config, each.name) for each in dataclasses.fields(target.Settings)})
