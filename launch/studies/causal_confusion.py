"""Does a policy that sees its own brake light brake for the light, or for what is on the road?

The dashboard has a lamp that shows the brake of the step before (de Haan, Jayaraman & Levine 2019, "Causal Confusion in
Imitation Learning", arXiv:1905.11979). Along the demonstrated drives it tells nearly always what comes next: who brakes
goes on braking. Some of the drivers brake early and gently, others late and hard, and no single picture shows whether
this one has begun: the lamp does. All arms have the same drives and the same network, and but for the last three the
same number of gradient steps:

    no-lamp          cloning; the lamp is covered, in the pictures and in the state
    lamp             cloning; the lamp is seen
    dropout          cloning; the lamp is covered in half of the windows of training, and seen on the test roads
    keyframes        cloning with the lamp; steps at which the expert's action changes most are drawn five times as much
    intervene-drive  a policy with the lamp and one without, in one network; which one to use is found by driving
    intervene-ask    the same, found by asking the expert where the two are most apart
    dagger           the learner drives, seeing the lamp, and the expert says what it should have done

Theory: with the lamp the error along held-out demonstrations falls, and driving gets worse, for on one's own way the
lamp shows the own mistakes. Whoever intervenes on the lamp finds out that it is no cause.

The measures: collisions per kilometre of test roads, which end at the first; mean squared error of the brake and gas
along demonstrations in validation worlds; how much of brake and gas depends on the lamp alone: the mean change when it
is switched on in these pictures; and the share of the roads that are driven to their end.

21 policies: about 25 minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Interval, Panel, StudyResult
from forestpilot.launch.studies.cells import Cell, make_points, stack
from forestpilot.launch.studies.demonstrations import demonstrate, hold_out
from forestpilot.launch.studies.roads import RATE_NOTE, TASK
from forestpilot.launch.studies.statistics import (
    difference_words,
    mean_interval,
    paired_difference,
    rate_interval,
    t_interval,
)
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import Dagger
from forestpilot.policies.algorithms.intervention import Intervention, InterventionConfig
from forestpilot.policies.evaluation.pilots import PolicyFactory
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads.options import RegressionConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.training.input_noise import HideConfig, InputNoiseConfig, NoInputNoiseConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.envs.dashboards import BRAKE_LIGHT, DARK_COLOR, LIT_COLOR, masks
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.moody import MoodyConfig
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.ranges import EPISODES, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.registry import part_of
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy

LAMP = "lamp"
SEEN = ("forward_mps", "speed_set_point_mps", BRAKE_LIGHT)
"""What of the state is seen. Where the wheels point already is left out: who sees it learns to keep them there."""
CAUSES = (LAMP,)
"""What may be no cause. With the speed among them as well the policies of all masks drive worse."""
DRIVERS = MoodyConfig(aside_m=(0.0, 0.0), pace=(1.0, 1.0), braking=(0.08, 0.8), gap_m=(1.0, 2.0))
"""All drive on the same line at the same speed; they brake with 0.08 to 0.8 of the grip, and stop 1 to 2 m before what
is in the way."""
LEAST_DISTANCE_M = 1.0
SEEDS_NOTE = "95 % t interval over training seeds"


@dataclass(frozen=True)
class LampArm(Arm):
    """A way to learn with the lamp, or without it."""

    hidden: tuple[str, ...] = ()
    """`PolicyConfig.hidden`."""
    causes: tuple[str, ...] = ()
    """`PolicyConfig.causes`."""
    noise: InputNoiseConfig = NoInputNoiseConfig()
    """`TrainConfig.noise`."""
    keyframe_weight: float = 1.0
    """`TrainConfig.keyframe_weight`."""
    by: Literal["", "driving", "asking"] = ""
    """How the mask is found; empty where there is none."""
    in_loop: bool = False
    """Whether it is DAgger."""


NO_LAMP = LampArm("no-lamp", "cloning, the lamp covered", hidden=(LAMP,))
WITH_LAMP = LampArm("lamp", "cloning, the lamp seen")
CURES = (
    LampArm("dropout", "the lamp covered in half of the windows", noise=HideConfig(causes=(LAMP,))),
    LampArm("keyframes", "steps at which the expert's action changes are drawn oftener", keyframe_weight=5.0),
    LampArm("intervene-drive", "a policy for each mask, the mask found by driving", causes=CAUSES, by="driving"),
    LampArm("intervene-ask", "a policy for each mask, the mask found by asking", causes=CAUSES, by="asking"),
    LampArm("dagger", "the learner drives, the expert says what it should have done", in_loop=True),
)


def _training(steps: int) -> TrainConfig:
    policy = PolicyConfig(state_inputs=SEEN, memory=NoMemoryConfig(), window=1, head=RegressionConfig())
    return TrainConfig(policy=policy, steps=steps, batch_windows=128, learning_rate=2e-3, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """The brake light: with and without it, and five cures."""

    out: str = not_the_result("runs/study-causal-confusion")
    """Run folder; the same command goes on where it was interrupted."""
    demonstrations: Annotated[int, EPISODES] = 60
    """Demonstrated drives of each training seed."""
    held_out: Annotated[int, EPISODES] = 12
    """Demonstrated drives in validation worlds."""
    roads: str = "easy"
    """Preset of the roads: easy, winding, junctions or obstacles."""
    length: Annotated[float, Range(100, 3000)] = 170.0
    """Length of each road in metres."""
    hazards: Annotated[int, Range(1, 100)] = 4
    """Hazards along each road."""
    hazard_kinds: tuple[str, ...] = ("crossing",)
    """Kinds of hazards; empty for all. Of a deer beside the road nobody can see whether it will cross."""
    demonstrator: ExpertConfig = field(default=DRIVERS, metadata=part_of("forestpilot.sim.experts:EXPERTS"))
    """Who demonstrates, and is asked."""
    speed: Annotated[float, SPEEDS_MPS] = 6.0
    """Speed set point in m/s."""
    side_cameras: str = "random"
    """Where the side cameras of the demonstrations stand, whose labels show the way back to the line."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 120
    """Test roads that every policy drives."""
    rounds: Annotated[int, Range(1, 100)] = 3
    """Rounds of DAgger, and of looking for the mask."""
    drives: Annotated[int, EPISODES] = 20
    """Drives of each round."""
    round_steps: Annotated[int, STEPS] = 1000
    """Gradient steps of each round of DAgger."""
    mask_steps: Annotated[int, Range(1, 100)] = 2
    """How many times as many gradient steps a policy gets that is one for each of two masks."""
    train: TrainConfig = field(default_factory=lambda: _training(2000))
    """How each policy is trained; data, out, seed, noise, policy.hidden and policy.causes are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mix().complete(TASKS.get(TASK))
        self.require_training_worlds(self.demonstrations + self.rounds * self.drives)

    def mix(self, side_cameras: str = "", interventions: str = "none") -> ScenarioMix:
        """The roads, with hazards and lamp; in fair weather."""
        options = DriveOptions(
            length=self.length,
            side_cameras=side_cameras or self.side_cameras,
            interventions=interventions,
            hazards=self.hazards,
            hazard_kinds=self.hazard_kinds,
            dashboard="brake-light",
        )
        speeds = (self.speed, self.speed)
        return ScenarioMix((self.roads,), speeds, options, domain_randomisation=False, expert=self.demonstrator)


class CausalConfusion(Study[Config, LampArm]):
    """Ways to learn with the lamp; one place on the x axis."""

    name = "causal-confusion"
    question = "Does a policy that sees its own brake light brake for the light, or for what is on the road?"
    minutes = 25
    full = Config()
    quick = Config(
        out="runs/study-causal-confusion-quick",
        length=100.0,
        hazards=1,
        seeds=1,
        demonstrations=3,
        held_out=2,
        test_worlds=2,
        rounds=1,
        drives=2,
        round_steps=5,
        train=dataclasses.replace(_training(20), batch_windows=8),
    )

    def arms(self) -> Sequence[LampArm]:
        """Without the lamp, with it, and the cures."""
        return (NO_LAMP, WITH_LAMP, *CURES)

    def xs(self) -> Sequence[float]:
        """The number of demonstrations."""
        return (self.config.demonstrations,)

    def run_cell(self, arm: LampArm, x: float, seed: int, bench: Bench) -> Cell:
        """Demonstrate (once for each seed), learn, look at the lamp, drive."""
        from forestpilot.policies.networks.checkpoint import load_policy

        config = self.config
        worlds = range(config.first_world(seed), config.first_world(seed) + config.demonstrations)
        data = demonstrate(f"seed-{seed}", TASK, config.mix(), worlds, config.workers, bench)
        held_out = hold_out("held-out", TASK, config.mix("fixed"), config.held_out, bench)
        folder = self._policy(arm, data, seed, bench)
        return Cell(
            arm.name,
            x,
            seed,
            self._drive(folder, bench),
            data.total_steps,
            lamp_figures(load_policy(folder), held_out),
        )

    def _policy(self, arm: LampArm, data: Dataset, seed: int, bench: Bench) -> Path:
        """Folder of the policy of an arm and seed, made if need be."""
        config = self.config
        shape = dataclasses.replace(config.train.policy, hidden=arm.hidden, causes=arm.causes)
        training = dataclasses.replace(
            config.train, policy=shape, noise=arm.noise, seed=seed, keyframe_weight=arm.keyframe_weight
        )
        if not (arm.by or arm.in_loop):
            out = bench.folder / "policies" / f"{arm.name}-seed-{seed}"
            bench.clone(dataclasses.replace(training, data=(str(data.folder),), out=str(out)))
            return out
        algorithm = self._algorithm(arm, training, data, seed, bench)
        algorithm.run(bench.pool, shard_pool=bench.shards)
        return algorithm.member_folder(config.rounds)

    def _algorithm(self, arm: LampArm, training: TrainConfig, data: Dataset, seed: int, bench: Bench) -> Algorithm[Any]:
        """The run of rounds that an arm is; it begins with the same demonstrations as the others."""
        config = self.config
        rounds: dict[str, Any] = {
            "out": str(bench.folder / "runs" / f"{arm.name}-seed-{seed}"),
            "task": TASK,
            "seed": seed,
            "first_world": config.first_world(seed) + config.demonstrations,
            "rounds": config.rounds,
            "expert_episodes": 0,
            "demonstrations": (str(data.folder),),
            "episodes": config.drives,
            "first_steps": training.steps * (config.mask_steps if arm.by else 1),
            "steps": config.round_steps,
            "last_steps": config.round_steps,
            "validation_episodes": 1,
            "validate_from": config.rounds,
            "mix": config.mix(interventions="none" if arm.by else "road"),
            "train": training,
            "workers": config.workers,
        }
        if arm.by:
            return Intervention(InterventionConfig(by=arm.by, **rounds), bench.progress)
        return Dagger(DaggerConfig(**rounds), bench.progress)

    def _drive(self, folder: Path, bench: Bench) -> list[dict[str, Any]]:
        """Drive a policy over the test roads; one row for each."""
        task = TASKS.get(TASK)
        mix = self.config.mix("fixed")
        scenarios = tuple(mix.scenario(world, task) for world in seeds_of("test", self.config.test_worlds))
        job = Job(TASK, scenarios, PolicyFactory(str(folder), folder.name))
        return [
            {
                "seed": result.scenario.seed,
                "outcome": result.outcome,
                "distance_m": result.distance_m,
                "success": int(result.succeeded),
            }
            for result in bench.pool.run(job, bench.progress, "drive test roads")
        ]

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Collisions, error along demonstrations, and what the lamp does; each cure against the lamp."""
        config = self.config
        return StudyResult(
            title=f"The brake light, {config.demonstrations} drives, {config.roads} roads at {config.speed:g} m/s",
            x_label="demonstrated drives",
            log_x=False,
            panels=(
                Panel(
                    "collisions_per_km",
                    "collisions per km",
                    make_points(cells, collisions_per_km),
                    "How often a drive along a test road ended in a collision.",
                ),
                _figure_panel(
                    cells, "go_error", "squared error of brake and gas", "Along demonstrations in validation worlds."
                ),
                _figure_panel(
                    cells,
                    "lamp_effect",
                    "brake and gas: what the lamp alone changes",
                    "Mean change along these demonstrations when the lamp is switched on; -2 is all there is.",
                ),
                Panel(
                    "success",
                    "roads driven to their end, %",
                    make_points(cells, lambda own: mean_interval(100 * stack(own, "success"))),
                    "Share of the test roads.",
                ),
            ),
            notes=(RATE_NOTE, *_sentences(cells, self.arms())),
        )


def lamp_figures(policy: VisuomotorPolicy, held_out: Dataset) -> dict[str, float]:
    """What a policy makes of demonstrations that it has not learned from, and of the lamp in them.

    Returns:
        go_error: mean squared error of brake and gas, action units.
        lamp_effect: mean change of brake and gas when the lamp is switched on, action units.
    """
    from forestpilot.policies.evaluation.offline import BATCH, follow

    keys = policy.observation_keys
    errors: list[np.ndarray] = []
    effects: list[np.ndarray] = []
    headers = held_out.episodes
    for first in range(0, len(headers), BATCH):
        episodes = [load_episode(header.path, keys) for header in headers[first : first + BATCH]]
        lessons = [episode.labels.lesson(policy.spec.control_hz) for episode in episodes]
        wanted = np.zeros((BATCH, max(episode.num_steps for episode in episodes), 2), np.float32)
        known = np.zeros(wanted.shape[:2], bool)
        for row, lesson in enumerate(lessons):
            known[row, : len(lesson.known)] = lesson.known
            wanted[row, : len(lesson.known)] = np.where(lesson.known[:, None], lesson.actions, 0.0)
        said = follow(policy, episodes, wanted)[0]
        errors.append(np.square(said - wanted)[known][:, 1])
        lit, dark = (
            follow(policy, [_switched(policy, e, is_lit) for e in episodes], wanted)[0] for is_lit in (True, False)
        )
        effects.append((lit - dark)[known][:, 1])
    return {
        "go_error": float(np.concatenate(errors).mean(dtype=np.float64)),
        "lamp_effect": float(np.concatenate(effects).mean(dtype=np.float64)),
    }


def _switched(policy: VisuomotorPolicy, episode: Episode, is_lit: bool) -> Episode:
    """An episode with the lamp switched on or off, in all pictures and in the state."""
    spec = policy.spec
    lamp = masks(spec.image_height, spec.image_width)[1]
    observations = {name: values.copy() for name, values in episode.observations.items()}
    for name in policy.camera_names:
        observations[name][:, lamp] = LIT_COLOR if is_lit else DARK_COLOR
    observations["state"][:, spec.index(BRAKE_LIGHT)] = is_lit
    return dataclasses.replace(episode, observations=observations)


def collisions_per_km(cells: Sequence[Cell]) -> Interval:
    """Collisions per kilometre over cells that differ in their training seed only."""
    collided = np.array([[row["outcome"] == Outcome.COLLISION for row in cell.rows] for cell in cells], float)
    return rate_interval(collided, np.maximum(stack(cells, "distance_m"), LEAST_DISTANCE_M) / 1000)


def _figure_panel(cells: Sequence[Cell], name: str, label: str, meaning: str) -> Panel:
    """A figure that was computed for each policy."""

    def measure(own: Sequence[Cell]) -> Interval:
        values = [cell.figures[name] for cell in own]
        return t_interval(values) if len(values) > 1 else Interval(values[0], values[0], values[0])

    return Panel(name, label, make_points(cells, measure), meaning, bars=SEEDS_NOTE)


def _sentences(cells: Sequence[Cell], arms: Sequence[LampArm]) -> list[str]:
    """What the lamp does, and what each cure comes to, in ratios of collisions and differences of error."""
    by_arm = {arm.name: [cell for cell in cells if cell.arm == arm.name] for arm in arms}
    without = collisions_per_km(by_arm[NO_LAMP.name]).mean
    sentences = []
    for arm in arms[1:]:
        rate = collisions_per_km(by_arm[arm.name]).mean
        times = f"{rate / without:.2f} times as many" if without else "where there are none"
        sentence = f"{arm.name} against {NO_LAMP.name}: {rate:.2f} collisions per km instead of {without:.2f}, {times}"
        more = paired_difference(cells, NO_LAMP.name, arm.name, lambda cell: collisions_per_km([cell]).mean)
        if more is not None:
            sentence += f" ({difference_words(more[0])} per km, paired by {more[1]} training seeds)"
        error = paired_difference(cells, NO_LAMP.name, arm.name, lambda cell: 1000 * cell.figures["go_error"])
        if error is not None:
            sentence += f"; squared error of brake and gas {difference_words(error[0])} thousandths"
        sentences.append(sentence)
    return sentences
