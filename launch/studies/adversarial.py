"""How few demonstrations does imitation need, and what does it ask for instead (Ho & Ermon 2016)?

    cloning   nothing: the demonstrations alone
    DAgger    the expert's label at every state that the learner comes to
    GAIL      steps in the environment, rewarded by a discriminator of frames and actions
    AIRL      the same, rewarded by a reward of the state that explains the expert (Fu et al. 2018)
    SQIL      the same, rewarded for the expert's steps in its replay buffer and for none of its own (Reddy et al. 2020)

All begin with the same clone of the same flights; those of a smaller number are a part of those of a larger one. Each
is then flown through the same test forests: success, and the imitation gap, the expert's return less the policy's. What
it took is counted up to the round that did best on validation worlds: steps in the environment after the
demonstrations, and labels of the expert's, those of the demonstrations included.

3 seeds, 1 to 64 flights: about 60 minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.names import safe_name
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.reading.study_results import Panel, StudyResult
from forestpilot.launch.studies.cells import LEAST_TO_LARGEST, Cell, cells_at, make_points, seed_range, stack
from forestpilot.launch.studies.demonstrations import demonstrate_first
from forestpilot.launch.studies.forests import success_panel
from forestpilot.launch.studies.gap import GAP_LABEL, GAP_MEANING, expert_returns, gap_in, gap_interval
from forestpilot.launch.studies.statistics import BOOTSTRAP_NOTE, difference_words, mean_interval
from forestpilot.launch.studies.study import Arm, Bench, Study, StudyConfig
from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.rounds import RoundResult, best_round
from forestpilot.policies.evaluation.evaluate import EvaluateConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads.options import GaussianConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.reinforcement.adversaries import AdversaryConfig
from forestpilot.policies.reinforcement.adversaries.options import AIRLConfig, GAILConfig, SQILConfig
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.reinforcement.sac_options import SACConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, ROUNDS, SPEEDS_MPS, STEPS, Range
from forestpilot.sim.tasks.drone import DroneOptions

TASK = "drone"


@dataclass(frozen=True)
class ImitationArm(Arm):
    """A way of imitation."""

    adversary: AdversaryConfig | None = None
    """What it is rewarded by; None for a way that is not."""
    learner: Literal["ppo", "sac"] = "ppo"
    """Field of the study's config that says how it learns from that."""
    asks: bool = False
    """Whether the expert is asked where the learner flies."""


CLONING = ImitationArm("cloning", "the demonstrations alone")
ARMS = (
    CLONING,
    ImitationArm("DAgger", "the expert labels what the learner comes to", asks=True),
    ImitationArm("GAIL", "rewarded for what passes for the expert's", GAILConfig()),
    ImitationArm("AIRL", "rewarded by a reward of the state that explains the expert", AIRLConfig()),
    ImitationArm("SQIL", "rewarded for the expert's steps, not for its own", SQILConfig(), "sac"),
)


def _training() -> TrainConfig:
    policy = PolicyConfig(memory=NoMemoryConfig(), window=1, head=GaussianConfig())
    return TrainConfig(policy=policy, batch_windows=96, tensorboard=False)


@dataclass(frozen=True)
class Config(StudyConfig):
    """Cloning, DAgger, GAIL, AIRL and SQIL by number of demonstrated flights: gap, steps in the environment, labels."""

    out: str = not_the_result("runs/study-adversarial")
    """Run folder; the same command goes on where it was interrupted."""
    flights: Annotated[tuple[int, ...], EPISODES] = (1, 4, 16, 64)
    """Demonstrated flights, ascending."""
    clone_steps: Annotated[int, STEPS] = 600
    """Gradient steps of cloning, with which every arm begins."""
    rounds: Annotated[int, ROUNDS] = 3
    """Rounds of GAIL, AIRL and SQIL."""
    steps: Annotated[int, STEPS] = 8192
    """Steps in the environment of each of them."""
    ppo: PPOConfig = PPOConfig(warm_up=4, learning_rate=3e-4)
    """How GAIL and AIRL learn."""
    sac: SACConfig = SACConfig(updates=1)
    """How SQIL learns."""
    dagger_rounds: Annotated[int, ROUNDS] = 3
    """Rounds of DAgger."""
    dagger_flights: Annotated[int, EPISODES] = 16
    """Flights of each of them."""
    dagger_steps: Annotated[int, STEPS] = 300
    """Gradient steps in each of them."""
    validation_worlds: Annotated[int, EPISODES] = 24
    """Validation forests by which the best round is chosen."""
    test_worlds: Annotated[int, Range(2, 1_000_000)] = 60
    """Test forests that every policy flies through."""
    density: Annotated[float, Range(0, 0.25)] = 0.04
    """Trees per square metre."""
    speed: Annotated[float, SPEEDS_MPS] = 5.0
    """Speed set point in m/s."""
    train: TrainConfig = field(default_factory=_training)
    """The policy's shape, and how it is cloned; data, out, seed and steps are set by the study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "flights", tuple(self.flights))
        if not self.flights or list(self.flights) != sorted(set(self.flights)):
            raise InvalidArgumentError(f"flights is {self.flights}; give each number once, ascending")
        self.require_training_worlds(self.flights[-1] + self.dagger_rounds * self.dagger_flights)

    def mix(self) -> ScenarioMix:
        """The forests."""
        return ScenarioMix(speeds=(self.speed, self.speed), options=DroneOptions((self.density,)))


class AdversarialStudy(Study[Config, ImitationArm]):
    """What imitation asks for, by number of demonstrations."""

    name = "adversarial"
    question = "How few demonstrations does imitation need, and what does it ask for instead?"
    minutes = 60
    full = Config()
    quick = Config(
        out="runs/study-adversarial-quick",
        seeds=1,
        flights=(1, 2),
        clone_steps=10,
        rounds=1,
        steps=64,
        ppo=PPOConfig(environments=4, rollout=16, batch=32),
        sac=SACConfig(environments=4, first_steps=48, batch=8, warm_up=0),
        dagger_rounds=1,
        dagger_flights=1,
        dagger_steps=5,
        validation_worlds=1,
        test_worlds=2,
    )

    def arms(self) -> Sequence[ImitationArm]:
        """Ways of imitation."""
        return ARMS

    def xs(self) -> Sequence[float]:
        """Numbers of demonstrated flights."""
        return self.config.flights

    def run_cell(self, arm: ImitationArm, x: float, seed: int, bench: Bench) -> Cell:
        """Imitate so many flights, and fly the best round's policy through the test forests."""
        config = self.config
        out = self._folder(arm, x, seed, bench)
        results = self._learn(arm, x, seed, bench)
        best = best_round(results)
        evaluation = EvaluateConfig(
            policy=(f"{safe_name(arm.name)}={out}",),
            out=str(bench.folder / "evaluations" / out.name),
            task=TASK,
            episodes=config.test_worlds,
            speed=config.speed,
            options=DroneOptions((config.density,)),
            workers=config.workers,
        )
        expert = expert_returns(evaluation, bench)
        rows = []
        for row in bench.evaluate(evaluation):
            rows.append({"seed": int(row["seed"]), "success": int(row["success"]), "gap": gap_in(row, expert)})
        return Cell(arm.name, x, seed, rows, best.labels, {"learned_steps": float(best.visited)})

    def _folder(self, arm: ImitationArm, x: float, seed: int, bench: Bench) -> Path:
        """Run folder of an arm's algorithm."""
        return bench.folder / "runs" / f"{arm.name}-{x:g}-seed-{seed}"

    def _learn(self, arm: ImitationArm, x: float, seed: int, bench: Bench) -> list[RoundResult]:
        """The rounds of an arm, run where they are not done yet."""
        from forestpilot.policies.algorithms.adversarial.loop import Adversarial
        from forestpilot.policies.algorithms.behavioural_cloning import BehaviouralCloning, BehaviouralCloningConfig
        from forestpilot.policies.algorithms.dagger.loop import Dagger

        shared = self._shared(arm, x, seed, bench)
        if arm.adversary is not None:
            self._learn(CLONING, x, seed, bench)
            clone = self._folder(CLONING, x, seed, bench)
            rewarded = Adversarial(self._adversarial(shared, arm, clone), bench.progress)
            return rewarded.run(bench.pool, shard_pool=bench.shards)
        if arm.asks:
            return Dagger(self._dagger(shared), bench.progress).run(bench.pool, shard_pool=bench.shards)
        cloning = BehaviouralCloning(BehaviouralCloningConfig(**shared, rounds=0), bench.progress)
        return cloning.run(bench.pool, shard_pool=bench.shards)

    def _shared(self, arm: ImitationArm, x: float, seed: int, bench: Bench) -> dict[str, Any]:
        """Settings of the algorithms of all arms: the same flights, the same clone, the same validation."""
        config = self.config
        first = config.first_world(seed)
        worlds = range(first, first + int(x))
        parts = demonstrate_first(f"seed-{seed}", TASK, config.mix(), worlds, config.flights, config.workers, bench)
        return {
            "out": str(self._folder(arm, x, seed, bench)),
            "task": TASK,
            "seed": seed,
            "first_world": first + config.flights[-1],
            "expert_episodes": 0,
            "demonstrations": tuple(str(part.folder) for part in parts),
            "first_steps": config.clone_steps,
            "validation_episodes": config.validation_worlds,
            "mix": config.mix(),
            "train": config.train,
            "workers": config.workers,
        }

    def _adversarial(self, shared: dict[str, Any], arm: ImitationArm, clone: Path) -> AdversarialConfig:
        config = self.config
        assert arm.adversary is not None
        return AdversarialConfig(
            **shared,
            start=str(clone),
            adversary=arm.adversary,
            method=getattr(config, arm.learner),
            rounds=config.rounds,
            steps=config.steps,
        )

    def _dagger(self, shared: dict[str, Any]) -> DaggerConfig:
        config = self.config
        steps = config.dagger_steps
        return DaggerConfig(
            **shared, rounds=config.dagger_rounds, episodes=config.dagger_flights, steps=steps, last_steps=steps
        )

    def summarise(self, cells: Sequence[Cell]) -> StudyResult:
        """Success, gap, steps and labels of each arm, and what each gains over cloning."""
        config = self.config
        steps = make_points(cells, lambda group: seed_range(group, lambda cell: cell.figures["learned_steps"]))
        labels = make_points(cells, lambda group: seed_range(group, lambda cell: cell.labels))
        told = "up to the round that did best on validation worlds"
        return StudyResult(
            title=f"Imitation by number of flights, {config.speed:g} m/s, {config.density:g} trees/m2",
            x_label="demonstrated flights",
            log_x=True,
            panels=(
                success_panel(cells),
                Panel("imitation_gap", GAP_LABEL, make_points(cells, gap_interval), GAP_MEANING),
                Panel(
                    "env_steps", "steps in the environment", steps, f"After the demonstrations, {told}.",
                    bars=LEAST_TO_LARGEST,
                ),
                Panel(
                    "labels", "labels of the expert", labels, f"Demonstrations included, {told}.", log_y=True,
                    bars=LEAST_TO_LARGEST,
                ),
            ),
            notes=(BOOTSTRAP_NOTE.format(worlds="forests"), *_differences(cells, config.flights)),
        )  # fmt: skip


def _differences(cells: Sequence[Cell], flights: Sequence[int]) -> list[str]:
    """Sentences on what each arm gains over cloning, at each number of flights."""
    sentences = []
    for arm in ARMS:
        if arm == CLONING:
            continue
        gains = []
        for number in flights:
            here = cells_at(cells, number)
            own, clone = (
                100 * stack([c for c in here if c.arm == name], "success") for name in (arm.name, CLONING.name)
            )
            gains.append(f"{difference_words(mean_interval(own - clone))} at {number}")
        sentences.append(
            f"{arm.name} against cloning, points of success (paired by forest and training seed), by flights: "
            + "; ".join(gains)
        )
    return sentences
