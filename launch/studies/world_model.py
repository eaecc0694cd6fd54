"""Can the environment be imitated too, and is what is imagined good enough to act on (Xu, Li & Yu 2020)?

A model of the world is a policy of the world's: given what is seen and done, it says what comes next. It can be learned
as a policy is. Four models learn from the same flights of an expert whose hands tremble:

    strip-cloned       state, goal and a strip of depths; transitions cloned by maximum likelihood
    strip-adversarial  the same, against a discriminator of transitions that the model has imagined
    image-cloned       the policy's view in a latent space, with a memory; cloned
    image-adversarial  the same, against a discriminator of views

Theory (arXiv:2010.11876): the error of a value that is computed inside a cloned model grows with the square of the
horizon H at worst, inside an adversarial one with H.

And two policies learn inside the strip models, by DAgger: they fly in imagination, the planner labels.

    dagger-strip-cloned       inside strip-cloned
    dagger-strip-adversarial  inside strip-adversarial

The measures: along flights in validation forests each model is told a step (images: three) and imagines H more along
what was done. How far the value is off, the sum of progress minus danger, and how far the distance to the nearest thing
is off after H steps; with the slopes of both on logarithmic axes. And the success, in test forests, of a pilot that
plans inside the model at every step and of the policies that were learned inside, beside blind flight and beside a
policy that was cloned from the same flights. The strip is read from the depths of three cameras, in training and in
flight; the image models and the cloned policy see the center camera alone, but training tells the image models how near
the nearest thing is.

12 models, 6 policies that were learned inside and 3 cloned ones: about 12 minutes on two cores, 17 of one core's work.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.noises.action import ActionNoiseConfig, NoisyExpertFactory
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.launch.reading.study_results import StudyResult
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.forests import TASK, crossing, fly
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.launch.studies.world_model_tables import differences, panels_of, slopes
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.policies.world_models import LearnerConfig, WorldModelConfig
from forestpilot.policies.world_models.dreams.options import DreamConfig, ImaginedDaggerConfig
from forestpilot.policies.world_models.options import (
    AdversarialConfig,
    ClonedConfig,
    ImageConfig,
    ImagineConfig,
    StripConfig,
)
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions

if TYPE_CHECKING:
    from forestpilot.policies.world_models.training import Imagined

SPARE = 1.25
"""Validation flights that are recorded for each that is looked at: some end before the horizon."""
LONGEST_CONTEXT = 3
"""Most steps that a model is told before it imagines."""
DECIMALS = 5


@dataclass(frozen=True)
class WorldArm(Arm):
    """A kind of model, how it is trained, and what flies by it."""

    model: WorldModelConfig
    """`ImagineConfig.model`."""
    learner: LearnerConfig
    """`ImagineConfig.learner`."""
    inside: bool = False
    """Whether a policy is learned inside; else one plans at every step."""

    @property
    def of_model(self) -> str:
        """Name of the arm whose model it is."""
        return f"{self.model.part}-{self.learner.part}"


ARMS = (
    WorldArm("strip-cloned", "planning by state and strip of depths, cloned", StripConfig(), ClonedConfig()),
    WorldArm(
        "strip-adversarial",
        "planning by state and strip of depths, against a discriminator",
        StripConfig(),
        AdversarialConfig(),
    ),
    WorldArm("image-cloned", "planning by views in a latent space, cloned", ImageConfig(), ClonedConfig()),
    WorldArm(
        "image-adversarial",
        "planning by views in a latent space, against a discriminator",
        ImageConfig(),
        AdversarialConfig(),
    ),
    WorldArm("dagger-strip-cloned", "a policy learned inside strip-cloned", StripConfig(), ClonedConfig(), True),
    WorldArm(
        "dagger-strip-adversarial",
        "a policy learned inside strip-adversarial",
        StripConfig(),
        AdversarialConfig(),
        True,
    ),
)


def _training() -> TrainConfig:
    """Without memory, as the strip models have none."""
    policy = PolicyConfig(memory=NoMemoryConfig(), window=1)
    return TrainConfig(policy=policy, steps=800, batch_windows=96, learning_rate=2e-3, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Models of the world: cloned or adversarial, of depths or of images."""

    out: str = not_the_result("runs/study-world-model")
    """Run folder; the same command goes on where it was interrupted."""
    flights: Annotated[int, EPISODES] = 48
    """Flights that each training seed learns from."""
    noise: Annotated[float, Range(0, 2)] = 0.3
    """Standard deviation of the noise on what the expert does, of turn and go from -1 to 1: a model that has seen
    nothing but the expert's own way does not know what else would come to."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 24
    """Test forests that every pilot crosses, and validation forests along whose flights models imagine."""
    horizon: Annotated[int, Range(2, 1000)] = 40
    """Largest number of steps that are imagined."""
    shortest: Annotated[int, Range(1, 1000)] = 2
    """Smallest number of steps that is shown, and from which on slopes are fitted."""
    horizons: Annotated[int, Range(2, 100)] = 7
    """Numbers of steps from the smallest to the largest, evenly spaced on a logarithmic axis."""
    steps: Annotated[int, STEPS] = 500
    """Gradient steps of each model."""
    batch: Annotated[int, Range(1, 65_536)] = 16
    """Windows of each of them."""
    window: Annotated[int, Range(2, 1024)] = 10
    """Steps of a window."""
    dream: DreamConfig = DreamConfig()
    """How policies are learned inside; world, data, out and seed are set by the study."""
    train: TrainConfig = field(default_factory=_training)
    """How the policy is cloned that they are held against; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mix().complete(TASKS.get(TASK))
        self.require_training_worlds(self.flights)
        if self.shortest >= self.horizon:
            raise InvalidArgumentError(
                f"shortest is {self.shortest} and horizon {self.horizon} steps; shortest must be below horizon"
            )

    def mix(self) -> ScenarioMix:
        """The forests."""
        return ScenarioMix(speeds=(self.speed, self.speed), options=DroneOptions((self.density,)))

    def shown(self) -> NDArray[np.int64]:
        """The numbers of imagined steps that are shown, ascending."""
        return np.unique(np.geomspace(self.shortest, self.horizon, self.horizons).round().astype(np.int64))


class WorldModelStudy(Study[Config, WorldArm]):
    """Imitating the environment."""

    name = "world-model"
    question = "Can the environment be imitated, how far can imagination be trusted, and is it good enough to fly by?"
    minutes = 12
    full = Config()
    quick = Config(
        out="runs/study-world-model-quick",
        seeds=1,
        flights=3,
        test_worlds=2,
        horizon=12,
        steps=6,
        batch=4,
        window=5,
        dream=DreamConfig(rounds=2, dreamer=ImaginedDaggerConfig(states=8, flights=8, length=2, steps=3, batch=4)),
        train=TrainConfig(steps=5, batch_windows=4, tensorboard=False),
    )

    def arms(self) -> Sequence[WorldArm]:
        """Models and ways to learn them."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """The number of flights."""
        return (self.config.flights,)

    def run_cell(self, arm: WorldArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed), learn a model, imagine along validation flights or learn inside, fly."""
        from forestpilot.policies.world_models.dreams.training import dream
        from forestpilot.policies.world_models.training import imagine

        config = self.config
        data = self._demonstrate(seed, bench)
        run = bench.folder / "models" / f"{arm.of_model}-seed-{seed}"
        imagined = imagine(self.learning(arm, seed, data, run, bench), bench.progress)
        if arm.inside:
            policy = bench.folder / "policies" / f"{arm.name}-seed-{seed}"
            learning = dataclasses.replace(
                config.dream, world=str(run), data=(str(data.folder),), out=str(policy), seed=seed
            )
            dream(learning, bench.progress)
            flown = fly(crossing(config, f"dreamed:{policy}", policy / "evaluation"), bench)
            rows: list[dict[str, Any]] = [{} for _ in flown]
        else:
            rows = self._errors(imagined)
            flown = fly(crossing(config, f"imagined:{run}", run / "evaluation"), bench)
        for row, done, blind, cloned in zip(rows, flown, *self._compared(data, seed, bench), strict=True):
            row |= {**done, "blind": blind["success"], "cloned": cloned["success"]}
        return Cell(arm.name, x, seed, rows, data.total_steps)

    def learning(self, arm: WorldArm, seed: int, data: Dataset, out: Path, bench: Bench) -> ImagineConfig:
        """How an arm's model is learned."""
        config = self.config
        return ImagineConfig(
            data=(str(data.folder),),
            held_out=(str(self._hold_out(bench).folder),),
            out=str(out),
            model=arm.model,
            learner=arm.learner,
            seed=seed,
            steps=config.steps,
            batch=config.batch,
            window=config.window,
            horizon=config.horizon,
        )

    def _demonstrate(self, seed: int, bench: Bench) -> Dataset:
        config = self.config
        collecting = CollectConfig(
            str(bench.folder / "demonstrations" / f"seed-{seed}"),
            TASK,
            episodes=config.flights,
            seed=config.first_world(seed),
            workers=config.workers,
            mix=config.mix(),
            noise=ActionNoiseConfig(level=config.noise),
        )
        return collect(collecting, bench.progress, bench.pool)

    def _hold_out(self, bench: Bench) -> Dataset:
        """The same expert's flights in validation forests."""
        config = self.config
        task = TASKS.get(TASK)
        folder = bench.folder / "held-out"
        dataset = Dataset.create(folder, task_spec_of(task, config.mix()), task.bare_env_id)
        worlds = seeds_of("validation", int(SPARE * config.test_worlds) + 1)
        missing = [world for world in worlds if not dataset.has(0, world)]
        if missing:
            scenarios = tuple(config.mix().scenario(world, task) for world in missing)
            pilot = NoisyExpertFactory(((config.noise**2, 0.0), (0.0, config.noise**2)))
            bench.pool.run(Job(TASK, scenarios, pilot, dataset=str(folder)), bench.progress, "demonstrate")
            dataset.refresh()
        return dataset

    def _errors(self, learned: Imagined) -> list[dict[str, Any]]:
        """A row of errors for each validation flight, step by step."""
        config = self.config
        least = config.horizon + LONGEST_CONTEXT - 1
        long_enough = {seen.seed for seen in learned.held_out if seen.num_steps >= least}
        rows = [
            {
                "value_error": [round(error, DECIMALS) for error in learned.errors.value[number].tolist()],
                "nearest_error": [round(error, DECIMALS) for error in learned.errors.nearest_m[number].tolist()],
            }
            for number, seed in enumerate(learned.errors.seeds)
            if seed in long_enough
        ]
        if len(rows) < config.test_worlds:
            raise DatasetError(
                f"{len(rows)} validation flights have {least} steps, and {config.test_worlds} are looked at; give a "
                "smaller --horizon"
            )
        return rows[: config.test_worlds]

    def _compared(self, data: Dataset, seed: int, bench: Bench) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
        """What blind flight and a policy that was cloned from the same flights come to; once for each seed."""
        policy = bench.folder / "policies" / f"cloned-seed-{seed}"
        bench.clone(dataclasses.replace(self.config.train, data=(str(data.folder),), out=str(policy), seed=seed))
        blind = fly(crossing(self.config, "blind", bench.folder / "blind"), bench)
        return blind, fly(crossing(self.config, f"cloned={policy}", policy / "evaluation"), bench)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Errors by horizon beside the slopes of the theory, and success by planning and by what was learned inside."""
        config = self.config
        steps = config.shown()
        inside = {arm.name for arm in self.arms() if arm.inside}
        models = [cell for cell in cells if cell.arm not in inside]
        return StudyResult(
            title=f"Models of the world, {config.flights} flights, 1 tree per {1 / config.density:g} m2, "
            f"{config.speed:g} m/s",
            x_label="imagined steps H",
            log_x=True,
            panels=panels_of(cells, models, steps),
            notes=(BOOTSTRAP_NOTE.format(worlds="forests"), *slopes(models, steps), *differences(cells)),
        )
