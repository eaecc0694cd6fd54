"""What do rewards add to a clone, and what does a clone add to rewards?

The same network learns to fly in eight ways, by number of steps in the environment:

    scratch      PPO from random weights
    clone        PPO from a clone of a few flights
    shaped-low   the same, with 0.03 log pi_clone(a|s) beside the reward (metres of progress per nat)
    shaped-mid   0.1
    shaped-high  0.3
    close        PPO from the clone, held within some nats a step of it
    rlpd         SAC from random weights, half of each batch demonstrations (Ball et al. 2023, arXiv:2302.02948)
    dagger       no rewards: the learner flies, the expert says what it should have done

`clone`, `shaped` and `close` begin with one and the same policy of a training seed, `rlpd` and `dagger` have the
demonstrations that it was cloned from. Test forests are flown through after the same numbers of steps. How long a way
takes depends on the machine: the time of a round is the median over a run's rounds, so that a run that was killed and
gone on with counts as long as one that was not.

24 runs and 72 policies: about 30 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Interval, Panel, Point, StudyResult
from forestpilot.launch.studies.cells import (
    LEAST_TO_LARGEST,
    Cell,
    cells_at,
    group_by_arm_and_x,
    make_points,
    seed_range,
    stack,
)
from forestpilot.launch.studies.demonstrations import demonstrate
from forestpilot.launch.studies.forests import fly, success, success_panel
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.algorithms.reinforce.config import SCRATCH, ReinforceConfig
from forestpilot.policies.algorithms.reinforce.loop import Reinforce
from forestpilot.policies.algorithms.rounds import RoundResult, round_folder
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.reinforcement.sac_options import SACConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.tasks.drone import DroneOptions

TASK = "drone"
LEARNED = 0.8
"""Share of a round's training flights that arrive, from which on a policy counts as one that can fly."""


@dataclass(frozen=True)
class LearningArm(Arm):
    """A way to learn."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ReinforceConfig`, and their values; of arms that learn from rewards."""
    starts: str = "nothing"
    """What it begins with: `nothing`, the seed's `clone`, or the `demonstrations` that the clone was made of."""
    has_rewards: bool = True
    """Whether it learns from rewards, or from the expert's answers."""


SCRATCH_ARM = LearningArm("scratch", "PPO from random weights")
CLONE_ARM = LearningArm("clone", "PPO from a clone", starts="clone")
DAGGER_ARM = LearningArm(
    "dagger", "no rewards: the expert labels what the learner sees", starts="demonstrations", has_rewards=False
)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Success and crashes by steps in the environment: PPO from scratch, from a clone and held to it; RLPD; DAgger."""

    out: str = not_the_result("runs/study-reinforce")
    """Run folder; the same command goes on where it was interrupted."""
    rounds: Annotated[tuple[int, ...], Range(1, 10_000)] = (1, 2, 4)
    """Numbers of rounds after which policies are compared, ascending."""
    round_steps: Annotated[int, STEPS] = 10_240
    """Steps in the environment of a round of PPO, all environments together."""
    flights: Annotated[int, EPISODES] = 20
    """Flights of the expert's that are cloned."""
    dagger_flights: Annotated[int, EPISODES] = 128
    """Flights of a round of DAgger; as many as have the steps of a round of PPO."""
    dagger_steps: Annotated[int, STEPS] = 500
    """Gradient steps of a round of DAgger."""
    shaping: Annotated[tuple[float, float, float], Range(0, 1000)] = (0.03, 0.1, 0.3)
    """Weights of log pi_clone(a|s), in metres of progress per nat."""
    keep_close: Annotated[float, Range(0, 1000, above=True)] = 0.2
    """How far from the clone `close` stays, in nats a step."""
    ppo: PPOConfig = PPOConfig()
    """How PPO learns."""
    sac: SACConfig = SACConfig()
    """How SAC learns."""
    test_worlds: Annotated[int, EPISODES] = 60
    """Test forests that every policy flies through."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point, m/s."""
    train: TrainConfig = field(
        default_factory=lambda: dataclasses.replace(SCRATCH, batch_windows=96, steps=600, tensorboard=False)
    )
    """The policy, and how it is cloned; data, out and seed are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rounds", tuple(self.rounds))
        if not self.rounds or list(self.rounds) != sorted(set(self.rounds)):
            raise InvalidArgumentError(f"rounds must be ascending numbers, got {self.rounds}")
        self.require_training_worlds(self.flights + self.rounds[-1] * self.dagger_flights)

    def mix(self) -> ScenarioMix:
        """The training forests."""
        return ScenarioMix(speeds=(self.speed, self.speed), options=DroneOptions(density=(self.density,)))


class ReinforceStudy(Study[Config, LearningArm]):
    """Rewards, with and without a clone to begin with, by steps in the environment."""

    name = "reinforce"
    question = "What do rewards add to a clone, and what does a clone add to rewards?"
    minutes = 30
    full = Config()
    quick = Config(
        out="runs/study-reinforce-quick",
        seeds=2,
        rounds=(1,),
        round_steps=32,
        flights=1,
        dagger_flights=1,
        dagger_steps=2,
        ppo=PPOConfig(environments=2, rollout=16, batch=16, epochs=1, warm_up=0),
        sac=SACConfig(environments=2, first_steps=8, random_steps=8, batch=4, updates=1, buffer_mb=10.0),
        test_worlds=2,
        train=dataclasses.replace(SCRATCH, batch_windows=4, steps=2, tensorboard=False),
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._learned: dict[tuple[str, int], list[RoundResult]] = {}

    def arms(self) -> Sequence[LearningArm]:
        """PPO from scratch, from a clone, held to the clone in two ways; SAC beside demonstrations; and DAgger."""
        config = self.config
        shaped = [
            LearningArm(f"shaped-{name}", f"the same, {weight:g} m for a nat of likeness", {"shaping": weight}, "clone")
            for name, weight in zip(("low", "mid", "high"), config.shaping, strict=True)
        ]
        close = LearningArm(
            "close",
            f"PPO from the clone, held within {config.keep_close:g} nats of it",
            {"keep_close": config.keep_close},
            "clone",
        )
        rlpd = LearningArm(
            "rlpd",
            "SAC from random weights, half of each batch demonstrations",
            {"method": config.sac, "first_steps": 0},
            "demonstrations",
        )
        return (SCRATCH_ARM, CLONE_ARM, *shaped, close, rlpd, DAGGER_ARM)

    def xs(self) -> Sequence[float]:
        """Steps in the environment."""
        return [number * self.config.round_steps for number in self.config.rounds]

    def run_cell(self, arm: LearningArm, x: float, seed: int, bench: Bench) -> Cell:
        """Learn for so many steps, and fly through the test forests."""
        config = self.config
        results = self._results(arm, seed, bench)
        number = self._round_at(arm, int(x), results)
        run = self._folder(arm, seed, bench)
        evaluation = EvaluateConfig(
            policy=(f"{arm.name}={round_folder(run, number)}",),
            out=str(bench.folder / "evaluations" / f"{arm.name}-{x:g}-seed-{seed}"),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=DroneOptions(density=(config.density,)),
            workers=config.workers,
        )
        figures = {
            "steps": float(results[number].visited),
            "crashes": float(results[number].crashes),
            "minutes": number * _round_minutes(run, results),
            **_learned_at(results),
        }
        labels = results[number].labels
        if arm.has_rewards and arm.starts != "nothing":
            labels = sum(header.num_labels for header in self._demonstrations(seed, bench).episodes)
        return Cell(arm.name, x, seed, fly(evaluation, bench), labels, figures)

    def _round_at(self, arm: LearningArm, steps: int, results: Sequence[RoundResult]) -> int:
        """The last round that so many steps are enough for; DAgger's flights have not all the same length."""
        if arm.has_rewards:
            return steps // self.config.round_steps
        return max(result.round for result in results[1:] if result.visited <= steps or result.round == 1)

    def _folder(self, arm: LearningArm, seed: int, bench: Bench) -> Path:
        return bench.folder / "runs" / f"{arm.name}-seed-{seed}"

    def _results(self, arm: LearningArm, seed: int, bench: Bench) -> list[RoundResult]:
        """All rounds of an arm and seed, run where they are not done yet."""
        key = (arm.name, seed)
        if key not in self._learned:
            learn = self._reinforced if arm.has_rewards else self._dagger
            self._learned[key] = learn(arm, seed, bench)
        return self._learned[key]

    def _demonstrations(self, seed: int, bench: Bench) -> Dataset:
        """The flights of a training seed."""
        config = self.config
        first = config.first_world(seed)
        worlds = range(first, first + config.flights)
        return demonstrate(f"seed-{seed}", TASK, config.mix(), worlds, config.workers, bench)

    def _clone(self, seed: int, bench: Bench) -> str:
        """The clone of a training seed."""
        out = str(bench.folder / "clones" / f"seed-{seed}")
        data = (str(self._demonstrations(seed, bench).folder),)
        bench.clone(dataclasses.replace(self.config.train, data=data, out=out, seed=seed))
        return out

    def _beginning(self, arm: LearningArm, seed: int, bench: Bench) -> dict[str, Any]:
        """Settings of what an arm begins with."""
        if arm.starts == "clone":
            return {"start": self._clone(seed, bench)}
        if arm.starts == "demonstrations":
            return {"demonstrations": (str(self._demonstrations(seed, bench).folder),)}
        return {}

    def _reinforced(self, arm: LearningArm, seed: int, bench: Bench) -> list[RoundResult]:
        config = self.config
        settings = {"method": config.ppo, **arm.settings, **self._beginning(arm, seed, bench)}
        asked = ReinforceConfig(
            out=str(self._folder(arm, seed, bench)),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed) + config.flights,
            rounds=config.rounds[-1],
            steps=config.round_steps,
            validation_episodes=1,
            validate_from=config.rounds[-1],
            mix=config.mix(),
            train=config.train,
            workers=config.workers,
            **settings,
        )
        return Reinforce(asked, bench.progress).run(bench.pool, shard_pool=bench.shards)

    def _dagger(self, arm: LearningArm, seed: int, bench: Bench) -> list[RoundResult]:
        config = self.config
        asked = DaggerConfig(
            out=str(self._folder(arm, seed, bench)),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed) + config.flights,
            rounds=config.rounds[-1],
            expert_episodes=0,
            demonstrations=(str(self._demonstrations(seed, bench).folder),),
            episodes=config.dagger_flights,
            first_steps=config.train.steps,
            steps=config.dagger_steps,
            last_steps=config.dagger_steps,
            validation_episodes=1,
            validate_from=config.rounds[-1],
            mix=config.mix(),
            train=config.train,
            workers=config.workers,
        )
        return run_dagger(asked, bench.progress, bench.pool, shard_pool=bench.shards)

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success and crashes by steps, success by minutes, and what a clone spares."""
        config = self.config
        last = cells_at(cells, self.xs()[-1])
        return StudyResult(
            title=f"Rewards and clones, {config.speed:g} m/s, {config.density:g} trees/m2",
            x_label="steps in the environment",
            log_x=True,
            panels=(
                success_panel(cells),
                Panel(
                    "crashes",
                    "crashes while training",
                    make_points(cells, _figure("crashes")),
                    "Training flights so far that ended in a collision or out of bounds.",
                    bars=LEAST_TO_LARGEST,
                ),
                Panel(
                    "by time",
                    "success on test forests, %",
                    _by_minutes(cells),
                    "The same success by the time that learning has taken, on this machine.",
                    x_label="minutes",
                ),
            ),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests"),
                *_clone_words(last),
                *(_learned_words(arm.name, last) for arm in self.arms()),
                _label_words(last),
            ),
        )


def _figure(name: str) -> Callable[[Sequence[Cell]], Interval]:
    """Mean of a figure over the training seeds."""
    return lambda cells: seed_range(cells, lambda cell: cell.figures[name])


def _by_minutes(cells: Sequence[Cell]) -> list[Point]:
    """Success of each arm at the time that its rounds take, on average over the training seeds."""
    points = []
    for group in group_by_arm_and_x(cells):
        minutes = statistics.mean(cell.figures["minutes"] for cell in group)
        points.append(Point(group[0].arm, round(minutes, 2), len(group), len(group[0].rows), success(group)))
    return points


def _round_minutes(run: Path, results: Sequence[RoundResult]) -> float:
    """How long a round takes, by when the policies of a run were written; its median."""
    written_s = [(round_folder(run, result.round) / "policy.json").stat().st_mtime for result in results]
    return statistics.median(after - before for before, after in itertools.pairwise(written_s)) / 60


def _learned_at(results: Sequence[RoundResult]) -> dict[str, float]:
    """Steps and crashes until so many of a round's training flights arrive as `LEARNED` says; nothing if never."""
    for result in results[1:]:
        if result.rollout_success >= LEARNED:
            return {"learned_steps": float(result.visited), "learned_crashes": float(result.crashes)}
    return {}


def _clone_words(last: Sequence[Cell]) -> list[str]:
    """What each arm gains over PPO from the clone, after the last round."""
    found = {cell.arm: 100 * stack([c for c in last if c.arm == cell.arm], "success") for cell in last}
    base = found[CLONE_ARM.name]
    return [
        f"{name} against {CLONE_ARM.name}: {difference_words(mean_interval(values - base))} points of success (paired "
        f"by forest and training seed), at {last[0].x:g} steps"
        for name, values in found.items()
        if name != CLONE_ARM.name
    ]


def _learned_words(name: str, last: Sequence[Cell]) -> str:
    """When the training flights of an arm arrived."""
    cells = [cell for cell in last if cell.arm == name]
    told = [
        f"{cell.figures['learned_crashes']:.0f} crashes in {cell.figures['learned_steps']:.0f} steps"
        for cell in cells
        if "learned_steps" in cell.figures
    ]
    never = len(cells) - len(told)
    if never:
        told.append(f"not within {last[0].x:g} steps with {never} of {len(cells)} training seeds")
    return f"{name}, until {100 * LEARNED:g} % of a round's training flights arrive: {'; '.join(told)}"


def _label_words(last: Sequence[Cell]) -> str:
    """How many answers of the expert's each arm has learned from."""
    labels: dict[str, list[int]] = {}
    for cell in last:
        labels.setdefault(cell.arm, []).append(cell.labels)
    told = ", ".join(f"{name} {statistics.mean(counts):.0f}" for name, counts in labels.items())
    return f"labels of the expert's: {told}"
