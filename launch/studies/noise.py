"""Can noise take the place of a learner in the loop, with as many labels?

A clone fails where its own mistakes lead, for its expert was never there. Ten ways to spend the same number of the
expert's answers:

    none         the expert's own way: behavioural cloning
    state        the same, with noise on the state that the policy reads
    dart-low     noise of 0.1 on what the expert does, clean labels (DART: Laskey et al. 2017)
    dart-mid     noise of 0.2
    dart-high    noise of 0.35
    dart-fitted  noise with the covariance of the last learner's errors in validation forests, times 4
    poses        every so often the drone is put beside its way, turned, faster or slower
    cameras      three cameras, the expert asked at each: a state costs three labels
    failures     DAgger, and each crash begins again two seconds earlier in the expert's hands
    dagger       the learner flies, the expert says what it should have done (Ross et al. 2011)

All have the same network, the same number of gradient steps for as many labels, and (but for DAgger's two, where the
learner flies) the same forests to demonstrate in. The measure: success on test forests. The levels, and how far poses
go, were tuned on validation forests.

60 policies: about 15 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.noises import NoiseConfig
from forestpilot.data_collection.rollouts.noises.action import ActionNoiseConfig
from forestpilot.data_collection.rollouts.noises.no_noise import NoNoiseConfig
from forestpilot.data_collection.rollouts.noises.pose import PoseNoiseConfig
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.side_labels import SideLabels
from forestpilot.launch.reading.study_results import StudyResult
from forestpilot.launch.studies.cells import Cell, cells_at, stack
from forestpilot.launch.studies.forests import fly, success_panel
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.labels import count_labels, trim_labels
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.rounds import round_folder
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.evaluation.pilots import PolicyFactory
from forestpilot.policies.training.input_noise import InputNoiseConfig, NoInputNoiseConfig, StateNoiseConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import SPEEDS_MPS, STEPS, Range
from forestpilot.sim.tasks.drone import DroneOptions

TASK = "drone"
STATES_PER_FLIGHT = (10, 100)
"""Flights have at least so many states on average, so that enough forests are set aside, and seldom more."""
FLIGHTS_AT_ONCE = 4


@dataclass(frozen=True)
class NoiseArm(Arm):
    """A way to spend labels."""

    noise: NoiseConfig = NoNoiseConfig()
    """Noise in its demonstrations."""
    is_fitted: bool = False
    """Whether the noise is fitted to the policy that was trained before."""
    input_noise: InputNoiseConfig = NoInputNoiseConfig()
    """Noise in its training."""
    side_labels: SideLabels = "none"
    """What it learns from the side cameras."""
    in_loop: bool = False
    """Whether a learner flies."""
    replays: bool = False
    """Whether its failures are replayed."""

    @property
    def labels_per_state(self) -> int:
        """Answers of the expert's for one state."""
        return 1 if self.side_labels == "none" else len(CAMERA_NAMES)


NONE = NoiseArm("none", "the expert's own way")
DAGGER = NoiseArm("dagger", "the learner flies, the expert labels", in_loop=True)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Success by number of labels: noise on states, actions and poses, three cameras, failures replayed, DAgger."""

    out: str = not_the_result("runs/study-noise")
    """Run folder; the same command goes on where it was interrupted."""
    labels: Annotated[tuple[int, ...], Range(1, 1_000_000)] = (1500, 3000)
    """Numbers of labels, ascending multiples of round_labels; each includes the labels of the one before."""
    round_labels: Annotated[int, Range(1, 1_000_000)] = 500
    """Labels in each round of DAgger, the first one's demonstrations included."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 100
    """Test forests that every policy flies through."""
    round_steps: Annotated[int, STEPS] = 200
    """Gradient steps for every round_labels labels."""
    levels: Annotated[tuple[float, float, float], Range(0, 2)] = (0.1, 0.2, 0.35)
    """Levels of the noise on what the expert does, from low to high."""
    fit_scale: Annotated[float, Range(0, 10_000, above=True)] = 4.0
    """Fitted noise: factor on the covariance of the learner's errors along the expert's way."""
    fit_flights: Annotated[int, Range(1, 10_000)] = 10
    """Fitted noise: validation forests in which these errors are measured."""
    poses: PoseNoiseConfig = PoseNoiseConfig()
    """How far the drone is put from its way, and how often."""
    state: StateNoiseConfig = StateNoiseConfig()
    """Noise on the state."""
    replay_seconds: Annotated[float, Range(0, 3600, above=True)] = 2.0
    """How long before its crash a failure begins again, in seconds."""
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(learning_rate=2e-3, ema_decay=0.99, tensorboard=False)
    )
    """How each policy is trained; data, out, seed, steps, side_labels and noise are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "levels", tuple(self.levels))
        if not self.labels or list(self.labels) != sorted(set(self.labels)):
            raise InvalidArgumentError(f"labels is {self.labels}; give each number once, ascending")
        if any(count % self.round_labels or count == self.round_labels for count in self.labels):
            raise InvalidArgumentError(
                f"labels is {self.labels}; give multiples of round_labels = {self.round_labels}, from the second on"
            )
        self.require_training_worlds(2 * self.most_flights)

    @property
    def most_flights(self) -> int:
        """Forests that are set aside for demonstrations, and as many for a learner."""
        return math.ceil(self.labels[-1] / STATES_PER_FLIGHT[0])

    @property
    def bounds(self) -> tuple[int, ...]:
        """Numbers of labels at which a part of the demonstrations ends."""
        return (self.round_labels, *self.labels)

    def mix(self) -> ScenarioMix:
        """The training forests."""
        return ScenarioMix(speeds=(self.speed, self.speed), options=DroneOptions(density=(self.density,)))

    def steps(self, labels: int) -> int:
        """Gradient steps of a policy that has so many labels."""
        return self.round_steps * labels // self.round_labels


class NoiseStudy(Study[Config, NoiseArm]):
    """Ways to show more than the expert's own way, by number of labels."""

    name = "noise"
    question = "Can noise take the place of a learner in the loop, with as many labels?"
    minutes = 15
    full = Config()
    quick = Config(
        out="runs/study-noise-quick",
        seeds=2,
        labels=(120,),
        round_labels=60,
        test_worlds=3,
        round_steps=8,
        fit_flights=1,
        train=TrainConfig(batch_windows=4, tensorboard=False),
    )

    def arms(self) -> Sequence[NoiseArm]:
        """Cloning, six kinds of noise, three cameras, and two with a learner in the loop."""
        config = self.config
        low, mid, high = config.levels
        return (
            NONE,
            NoiseArm("state", "noise on the state that is read", input_noise=config.state),
            NoiseArm("dart-low", f"noise of {low:g} on what the expert does", ActionNoiseConfig(level=low)),
            NoiseArm("dart-mid", f"noise of {mid:g} on what the expert does", ActionNoiseConfig(level=mid)),
            NoiseArm("dart-high", f"noise of {high:g} on what the expert does", ActionNoiseConfig(level=high)),
            NoiseArm("dart-fitted", "noise like the learner's error on what the expert does", is_fitted=True),
            NoiseArm("poses", "the drone is put beside its way", config.poses),
            NoiseArm("cameras", "three cameras, the expert asked at each", side_labels="asked"),
            NoiseArm("failures", "DAgger, and each crash begins again", in_loop=True, replays=True),
            DAGGER,
        )

    def xs(self) -> Sequence[float]:
        """Numbers of labels."""
        return self.config.labels

    def run_cell(self, arm: NoiseArm, x: float, seed: int, bench: Bench) -> Cell:
        """Make a policy of so many labels, and fly it through the test forests."""
        config = self.config
        labels = int(x)
        make = self._in_loop if arm.in_loop else self._cloned
        policy, spent = make(arm, labels, seed, bench)
        evaluation = EvaluateConfig(
            policy=(f"{arm.name}={policy}",),
            out=str(bench.folder / "evaluations" / f"{arm.name}-{labels}-seed-{seed}"),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=DroneOptions(density=(config.density,)),
            workers=config.workers,
        )
        return Cell(arm.name, labels, seed, fly(evaluation, bench), spent)

    def _in_loop(self, arm: NoiseArm, labels: int, seed: int, bench: Bench) -> tuple[Path, int]:
        """The policy of a round of DAgger, and its labels; all rounds are run at once."""
        config = self.config
        rounds = config.labels[-1] // config.round_labels - 1
        replays = {"replay_failures": True, "replay_seconds": config.replay_seconds} if arm.replays else {}
        out = bench.folder / "runs" / f"{arm.name}-seed-{seed}"
        first, _ = self._part(NONE, 0, seed, bench)
        results = run_dagger(
            DaggerConfig(
                out=str(out),
                task=TASK,
                seed=seed,
                first_world=config.first_world(seed) + config.most_flights,
                rounds=rounds,
                expert_episodes=0,
                demonstrations=(str(first.folder),),
                episodes=FLIGHTS_AT_ONCE,
                label_budget=config.round_labels * rounds,
                most_episodes=config.most_flights // rounds,
                first_steps=config.round_steps,
                steps=config.round_steps,
                last_steps=config.round_steps,
                validation_episodes=1,
                validate_from=rounds,
                mix=config.mix(),
                train=dataclasses.replace(config.train, side_labels="none"),
                workers=config.workers,
                **replays,  # type: ignore[arg-type]
            ),
            bench.progress,
            bench.pool,
            shard_pool=bench.shards,
        )
        number = labels // config.round_labels - 1
        return round_folder(out, number), results[number].labels

    def _cloned(self, arm: NoiseArm, labels: int, seed: int, bench: Bench) -> tuple[Path, int]:
        """The policy of an arm without a learner, and its labels."""
        config = self.config
        parts = [self._part(arm, number, seed, bench) for number, bound in enumerate(config.bounds) if bound <= labels]
        out = bench.folder / "policies" / f"{arm.name}-{labels}-seed-{seed}"
        training = dataclasses.replace(
            config.train,
            data=tuple(str(dataset.folder) for dataset, _ in parts),
            out=str(out),
            seed=seed,
            steps=config.steps(labels),
            side_labels=arm.side_labels,
            noise=arm.input_noise,
        )
        bench.clone(training)
        return out, sum(spent for _, spent in parts)

    def _part(self, arm: NoiseArm, number: int, seed: int, bench: Bench) -> tuple[Dataset, int]:
        """The demonstrations up to a bound, from the one before it on, and their labels; recorded if need be.

        The forests are the same in all arms. A part ends in the middle of a flight, where its labels are spent.
        """
        config = self.config
        before = (0, *config.bounds)[number]
        states = (config.bounds[number] - before) // arm.labels_per_state
        noise = arm.noise
        learner = None
        if arm.is_fitted and number:
            last, _ = self._cloned(arm, before, seed, bench)
            told = str(last.relative_to(bench.folder))
            noise = ActionNoiseConfig(fit=told, scale=config.fit_scale, flights=config.fit_flights)
            learner = PolicyFactory(str(last), "learner")
        first = config.first_world(seed) + before // STATES_PER_FLIGHT[0]
        flights = 0
        missing = states
        while missing > 0:
            flights += max(FLIGHTS_AT_ONCE, missing // STATES_PER_FLIGHT[1])
            collecting = CollectConfig(
                out=str(bench.folder / "demonstrations" / f"{_data_name(arm)}-{number}-seed-{seed}"),
                task=TASK,
                episodes=flights,
                seed=first,
                workers=config.workers,
                mix=config.mix(),
                noise=noise,
            )
            dataset = collect(collecting, bench.progress, bench.pool, learner=learner)
            # What an interrupted command recorded beyond them does not count.
            missing = states - sum(h.num_steps for h in dataset.episodes if h.meta.seed < first + flights)
        trim_labels(dataset, dataset.episodes, states)
        return dataset, arm.labels_per_state * count_labels(dataset.episodes)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success of each arm and number of labels; what each gains, and how much of DAgger's lead that is."""
        config = self.config
        last = cells_at(cells, config.labels[-1])
        return StudyResult(
            title=f"Noise that teaches, {config.speed:g} m/s, {config.density:g} trees/m2",
            x_label="labels",
            log_x=False,
            panels=(success_panel(cells),),
            notes=(BOOTSTRAP_NOTE.format(worlds="forests"), *_differences(last, self.arms())),
        )


def _data_name(arm: NoiseArm) -> str:
    """Name of an arm's demonstrations; arms that differ in their training only share them."""
    if arm.noise == NONE.noise and arm.labels_per_state == 1 and not arm.is_fitted:
        return NONE.name
    return arm.name


def _differences(last: Sequence[Cell], arms: Sequence[NoiseArm]) -> list[str]:
    """Sentences on what each arm gains over cloning, and whether that is half of what DAgger gains."""
    success = {arm.name: 100 * stack([c for c in last if c.arm == arm.name], "success") for arm in arms}
    none = success[NONE.name]
    dagger = success[DAGGER.name]
    gap = float((dagger - none).mean())
    sentences = []
    for arm in arms:
        if arm == NONE:
            continue
        gain = mean_interval(success[arm.name] - none)
        told = f"{arm.name} against none: {difference_words(gain)} points of success"
        if not arm.in_loop and gap > 0:
            over_half = mean_interval(success[arm.name] - (none + dagger) / 2)
            told += f", {gain.mean / gap:.2f} of DAgger's gain; "
            told += f"above half of that gain by {difference_words(over_half)} points"
        sentences.append(f"{told} (paired by forest and training seed), at {last[0].x:g} labels")
    return sentences
