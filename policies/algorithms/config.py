"""Config of an algorithm that learns in rounds; each algorithm adds its own fields in a subclass."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.data_collection.rollouts.pools import PoolConfig, pool_field
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, PROCESSES, ROUNDS, SEEDS, STEPS, Range, require_ranges
from forestpilot.sim.registry import name_of
from forestpilot.sim.seeds import TRAIN_SEEDS, seeds_of
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS

MEMBER_SEEDS = 1000
"""Between the seeds of two members of an ensemble."""


@dataclass(frozen=True)
class AlgorithmConfig:
    """Demonstrate, learn, and go on in rounds; the same command goes on where it stopped."""

    out: str = not_the_result("runs/algorithm")
    """Run folder."""
    task: str = field(default=DEFAULT_TASK, metadata=name_of("forestpilot.sim.tasks:TASKS"))
    """Task to learn, for example drone or drive."""
    seed: Annotated[int, SEEDS] = 0
    """Seed of the first weights and of sampling."""
    first_world: Annotated[int, Range(0, TRAIN_SEEDS - 1)] = 0
    """First training world; each episode takes the next one."""
    rounds: Annotated[int, ROUNDS] = 6
    """Rounds after the first, which is behavioural cloning of the demonstrations."""
    expert_episodes: Annotated[int, Range(0, TRAIN_SEEDS)] = 60
    """Episodes of the expert in round 0."""
    episodes: Annotated[int, EPISODES] = 60
    """Episodes of each later round."""
    demonstrations: tuple[str, ...] = of_this_machine(())
    """Datasets to clone in round 0 besides (or, with --expert-episodes 0, instead of) the expert's episodes, for
    example a human's."""
    first_steps: Annotated[int, STEPS] = 1200
    """Gradient steps in round 0."""
    steps: Annotated[int, STEPS] = 900
    """Gradient steps in each later round."""
    last_steps: Annotated[int, STEPS] = 1800
    """Gradient steps in the last round."""
    stop_when: Annotated[float | None, Range(0, 1, above=True)] = None
    """Share of the validation worlds, 0 to 1 (on roads: without an intervention). The first round that completes as
    many makes the next one the last, which trains last_steps. By default all rounds are run."""
    least_rounds: Annotated[int, ROUNDS] = 0
    """With stop_when: rounds after the first that are run however good they are; if there are as many."""
    retrain: bool = False
    """Start each round from fresh weights instead of those of the round before."""
    validation_episodes: Annotated[int, EPISODES] = 40
    """Validation worlds run to choose the checkpoint."""
    validate_from: Annotated[int, ROUNDS] = 0
    """First round whose policy is run on the validation worlds; round 0 and the last one always are."""
    validate_every: Annotated[int, Range(1, 10_000)] = 1
    """From then on, every so many rounds are."""
    mix: ScenarioMix = ScenarioMix()
    """Worlds and speeds of training and validation."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How each round is trained; its data, out, seed and steps are set by the run."""
    workers: Annotated[int, PROCESSES] = not_the_result(default_factory=usable_cores)
    """Number of processes that run episodes, and at most that compute gradients (see train.shards); by default one per
    core that it may use."""
    pool: PoolConfig = pool_field()
    """Who runs the episodes: processes of this machine (`local`), or the cores of a Ray cluster (`ray`)."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "demonstrations", tuple(self.demonstrations))
        object.__setattr__(self, "mix", self.mix.for_task(TASKS.get(self.task)))
        self._require_demonstrations()
        self.seeds(self.rounds)

    def _require_demonstrations(self) -> None:
        """Raise InvalidArgumentError where there is nothing to clone."""
        if not self.expert_episodes and not self.demonstrations:
            raise InvalidArgumentError(
                "expert_episodes must be at least 1, or 0 where --demonstrations names datasets to clone"
            )

    @property
    def needs_human(self) -> bool:
        """True where a human drives in the rounds after the first."""
        return False

    @property
    def takes_turns(self) -> bool:
        """True where the policy and a helper take turns within an episode."""
        return False

    @property
    def worlds_per_round(self) -> int:
        """Training worlds set aside for each later round."""
        return self.episodes

    def seeds(self, round_number: int) -> list[int]:
        """Training worlds of a round; no world is used twice.

        Raises:
            ValueError: there are not so many training worlds.
        """
        if round_number == 0:
            return seeds_of("train", self.expert_episodes, self.first_world)
        offset = self.first_world + self.expert_episodes + (round_number - 1) * self.worlds_per_round
        return seeds_of("train", self.worlds_per_round, offset)

    def held_out_scenarios(self, split: str, episodes: int) -> list[Scenario]:
        """The first worlds of a split, as policies of this run are judged there; in test worlds without what only
        training is for, as in evaluations.

        Args:
            split: validation or test.
            episodes: how many worlds.
        """
        task = TASKS.get(self.task)
        options = self.mix.options
        options = options.for_validation() if split == "validation" else options.for_evaluation()
        mix = dataclasses.replace(self.mix, options=options)
        return [mix.scenario(seed, task) for seed in seeds_of(split, episodes)]

    def is_validated(self, round_number: int, last_round: int | None = None) -> bool:
        """True for rounds whose policy is run on the validation worlds.

        Args:
            round_number: the round.
            last_round: number of the last one, where the rounds end early.
        """
        if round_number in (0, self._last(last_round)):
            return True
        since = round_number - self.validate_from
        return since >= 0 and since % self.validate_every == 0

    def is_good_enough(self, round_number: int, success: float | None) -> bool:
        """True where the rounds may end: the next one is then the last.

        Args:
            round_number: the round.
            success: share of the validation worlds that its policy completed; None where it was not run.
        """
        if self.stop_when is None or success is None or round_number + 1 < self.least_rounds:
            return False
        return success >= self.stop_when

    def round_training(self, round_number: int, member: int = 0, last_round: int | None = None) -> TrainConfig:
        """The training of a round, of one member of an ensemble.

        Args:
            round_number: the round.
            member: which of the policies that are trained side by side.
            last_round: number of the last one, where the rounds end early.
        """
        steps = self.steps
        if round_number == 0:
            steps = self.first_steps
        elif round_number == self._last(last_round):
            steps = self.last_steps
        return dataclasses.replace(self.train, out=self.out, data=(), seed=self.seed_of(member), steps=steps)

    def _last(self, last_round: int | None) -> int:
        return self.rounds if last_round is None else last_round

    def seed_of(self, member: int) -> int:
        """Seed of the first weights and of the batches of a member of an ensemble."""
        return self.seed + MEMBER_SEEDS * member
