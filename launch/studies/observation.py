"""How much is it worth to know what the teacher did, when one can watch and try out oneself?

Policies learn from the same flights of the expert's, with the same number of gradient steps:

    cloning          what was done is recorded
    bco-0-few        videos, and a few own flights at random, from which what was done is inferred: BCO(0)
    bco-0            videos, and many own flights at random
    bco-alpha-few    videos, and as many own flights as bco-0-few has, two thirds of them by its own policy: BCO(alpha)
    bco-alpha        videos, and as many own flights as bco-0 has, two thirds of them by its own policy

Theory: what was done shows in what came of it, and one's own motion tells how, so that no teacher's actions are needed
(behavioural cloning from observation, Torabi, Warnell & Stone 2018). Motion at random does not come to where the
teacher flies, at speed and between trunks; one's own policy does, so that inferring should get better by rounds. With
many videos, of which there are always more than of recorded flights, BCO should come to what cloning comes to with
fewer.

Nobody tells BCO an action: its videos are made without. The inverse model reads pictures, state and goal; the state has
speeds, tilt and rates (`--inverse.reads pictures` leaves it pictures and goal). Policies have no memory, and read of
the state only speed and set point, as those of the study `hindsight`.

The measures: success on the same test forests, how far the inferred turns and go of the last round are from what the
expert did, which the study has kept apart, and how many steps of its own each policy took.

30 policies: about 20 minutes on two cores; 36 CPU minutes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode, without_actions
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Panel, StudyResult
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, figure_range, make_points, stack
from forestpilot.launch.studies.demonstrations import demonstrate_first
from forestpilot.launch.studies.forests import TASK, crossing, fly, success_panel
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval
from forestpilot.launch.studies.study import WORLDS_PER_SEED, Arm, Bench, Study, StudyConfig
from forestpilot.policies.algorithms.bco.config import BCOConfig, InverseConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads.options import MixtureConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions

STATE_INPUTS = ("forward_mps", "left_mps", "speed_set_point_mps")
"""What policies read of the state."""
ROUNDS = 2
"""Rounds of BCO(alpha) after the first; with alpha 1 each has as many own flights."""
SHARES = {0: (1.0,), ROUNDS: (0.4, 0.2, 0.4)}
"""Share of the gradient steps in round 0, in each later one, and in the last."""


@dataclass(frozen=True)
class ObservationArm(Arm):
    """What is known of the teacher's actions, and how much own motion there is."""

    rounds: int = 0
    """Rounds of BCO after the first."""
    own: str = ""
    """Which of the config's numbers of own flights it has: `few` or `many`; empty where actions are told."""


ARMS = (
    ObservationArm("cloning", "what was done is recorded"),
    ObservationArm("bco-0-few", "videos and a few own flights at random", own="few"),
    ObservationArm("bco-0", "videos and many own flights at random", own="many"),
    ObservationArm("bco-alpha-few", "videos and as many own flights, two thirds by its own policy", ROUNDS, "few"),
    ObservationArm("bco-alpha", "videos and as many own flights, two thirds by its own policy", ROUNDS, "many"),
)
PAIRS = (("cloning", "bco-0"), ("cloning", "bco-alpha"), ("bco-0", "bco-alpha"), ("bco-alpha-few", "bco-alpha"))
"""Arms whose difference is told."""


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(memory=NoMemoryConfig(), window=1, state_inputs=STATE_INPUTS, head=MixtureConfig())
    return TrainConfig(
        policy=policy,
        steps=steps,
        batch_windows=96,
        learning_rate=2e-3,
        side_labels="none",
        tensorboard=False,
    )


@dataclass(frozen=True)
class Config(StudyConfig):
    """Cloning with actions against actions inferred for videos, by number of videos and of own flights."""

    out: str = not_the_result("runs/study-observation")
    """Run folder; the same command goes on where it was interrupted."""
    videos: Annotated[tuple[int, ...], EPISODES] = (60, 256)
    """Numbers of the expert's flights."""
    few: Annotated[int, Range(6, 100_000)] = 12
    """Own flights where they are few; by motion at random one is about 140 steps long."""
    many: Annotated[int, Range(6, 100_000)] = 180
    """Own flights where they are many."""
    inverse: InverseConfig = field(default_factory=lambda: InverseConfig(steps=500))
    """The inverse model."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    validation_worlds: Annotated[int, EPISODES] = 12
    """Validation forests by which BCO(alpha) chooses its round."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 50
    """Test forests that every policy flies through."""
    steps: Annotated[int, STEPS] = 1200
    """Gradient steps of each policy, all rounds together."""
    train: TrainConfig = field(default_factory=lambda: _training(1200))
    """How each policy is trained; data, out, seed and steps are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "videos", tuple(self.videos))
        if not self.videos or list(self.videos) != sorted(set(self.videos)):
            raise InvalidArgumentError(f"videos is {self.videos}; give each number once, ascending")
        self.mix().complete(TASKS.get(TASK))
        self.require_training_worlds(self.videos[-1] + max(self.few, self.many))

    def mix(self) -> ScenarioMix:
        """The forests."""
        return ScenarioMix(speeds=(self.speed, self.speed), options=DroneOptions(density=(self.density,)))

    def own_flights(self, arm: ObservationArm) -> int:
        """Own flights of an arm, all rounds together."""
        return {"few": self.few, "many": self.many, "": 0}[arm.own]


class Observation(Study[Config, ObservationArm]):
    """Videos and one's own motion in place of the teacher's actions."""

    name = "observation"
    question = "How much is it worth to know what the teacher did, when one can watch and try out oneself?"
    minutes = 20
    full = Config()
    quick = Config(
        out="runs/study-observation-quick",
        seeds=2,
        videos=(2, 3),
        few=6,
        many=9,
        inverse=InverseConfig(steps=10, batch=16),
        validation_worlds=1,
        test_worlds=2,
        steps=10,
        train=dataclasses.replace(_training(10), batch_windows=16),
    )

    def arms(self) -> Sequence[ObservationArm]:
        """What is known of actions, and how much own motion there is."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of the expert's flights."""
        return self.config.videos

    def run_cell(self, arm: ObservationArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed), film that, learn from either, fly."""
        config = self.config
        worlds = range(config.first_world(seed), config.first_world(seed) + int(x))
        name = f"seed-{seed}"
        done = demonstrate_first(name, TASK, config.mix(), worlds, config.videos, config.workers, bench)
        policy = bench.folder / "policies" / f"{arm.name}-{int(x)}-seed-{seed}"
        figures = {"turn_error_deg": 0.0, "go_error": 0.0, "steps": 0.0}
        if arm.own:
            figures = self._observe(arm, seed, done, policy, bench)
        else:
            told = tuple(str(data.folder) for data in done)
            bench.clone(dataclasses.replace(config.train, data=told, out=str(policy), seed=seed, steps=config.steps))
        labels = sum(data.total_steps for data in done)
        flown = fly(crossing(config, f"policy={policy}", policy / "evaluation"), bench)
        return Cell(arm.name, x, seed, flown, labels, figures)

    def _observe(
        self, arm: ObservationArm, seed: int, done: Sequence[Dataset], out: Path, bench: Bench
    ) -> dict[str, float]:
        """Learn from videos of what was done; returns errors of the last round's inferred actions, and own steps."""
        from forestpilot.policies.algorithms.bco.inverse import errors_of
        from forestpilot.policies.algorithms.bco.loop import BCO, inferred_against

        videos = tuple(str(filmed(data, bench.folder / "videos").folder) for data in done)
        algorithm = BCO(self.bco(arm, seed, videos, out), bench.progress)
        last = algorithm.run(bench.pool, shard_pool=bench.shards)[-1].round
        inferred, true = inferred_against(Dataset.open(out / "inferred" / f"round-{last:02d}"), done)
        errors = errors_of(inferred, true, done[0].task_spec)
        own_steps = Dataset.open(out / "dataset").total_steps
        return {"turn_error_deg": errors.turn_error_deg, "go_error": errors.go_error, "steps": float(own_steps)}

    def bco(self, arm: ObservationArm, seed: int, videos: tuple[str, ...], out: Path) -> BCOConfig:
        """How an arm learns from videos."""
        config = self.config
        first, *later = (max(1, round(share * config.steps)) for share in SHARES[arm.rounds])
        return BCOConfig(
            out=str(out),
            task=TASK,
            seed=seed,
            first_world=config.first_world(seed) + WORLDS_PER_SEED // 2,
            rounds=arm.rounds,
            expert_episodes=0,
            demonstrations=videos,
            episodes=config.own_flights(arm) // (1 + arm.rounds),
            alpha=1.0 if arm.rounds else 0.0,
            first_steps=first,
            steps=later[0] if later else first,
            last_steps=later[-1] if later else first,
            validation_episodes=config.validation_worlds,
            mix=config.mix(),
            train=config.train,
            inverse=config.inverse,
            workers=config.workers,
        )

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success, errors of inferred actions, own steps, and the differences between arms."""
        config = self.config
        counted = {
            "turn_error_deg": (
                "inferred turn off by, degrees",
                "Mean distance of the inferred turns from",
            ),
            "go_error": ("inferred go off by, of -1 to 1", "Mean distance of the inferred go from"),
        }
        panels = [success_panel(cells)]
        for key, (label, meaning) in counted.items():
            points = make_points(cells, partial(figure_range, key))
            told = f"{meaning} what the expert did, in the last round; 0 for cloning, which is told."
            panels.append(Panel(key, label, points, told, bars=LEAST_TO_LARGEST))
        steps = make_points(cells, partial(figure_range, "steps"))
        panels.append(
            Panel("own_steps", "own steps", steps, "Steps that the learner took itself.", bars=LEAST_TO_LARGEST)
        )
        return StudyResult(
            title=f"Learning from observation, 1 tree per {1 / config.density:g} m2, {config.speed:g} m/s",
            x_label="flights of the expert's",
            log_x=True,
            panels=tuple(panels),
            notes=(
                BOOTSTRAP_NOTE.format(worlds="forests") + "; differences are paired by seed and forest",
                *differences(cells),
            ),
        )


def filmed(data: Dataset, folder: Path) -> Dataset:
    """The episodes of a dataset without actions and answers, in a dataset of their own in `folder`."""
    videos = Dataset.create(folder / data.folder.name, data.task_spec, data.env_id)
    for header in data.episodes:
        if not videos.has(header.meta.dagger_round, header.meta.seed, header.rerun.take):
            videos.add(without_actions(load_episode(header.path)))
    return videos


def differences(cells: Sequence[Cell]) -> list[str]:
    """Sentences on the differences in success between arms, at each number of flights and across them."""
    found: dict[tuple[str, float], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.arm, cell.x), []).append(cell)
    xs = sorted({cell.x for cell in cells})
    sentences = []
    for first, second in PAIRS:
        told = [_difference(found[first, x], found[second, x], f"{x:g}") for x in xs]
        sentences.append(f"{second} against {first}, points of success: {', '.join(told)} flights")
    for x in xs[:-1]:
        told_once = _difference(found["cloning", x], found["bco-alpha", xs[-1]], f"{xs[-1]:g} videos")
        sentences.append(f"bco-alpha against cloning from {x:g} flights: {told_once}")
    return sentences


def _difference(first: Sequence[Cell], second: Sequence[Cell], where: str) -> str:
    """How much more often the second succeed, in points, paired by seed and forest."""
    gain = stack(second, "success") - stack(first, "success")
    return f"{difference_words(mean_interval(100 * gain))} at {where}"
