"""Config of an algorithm that learns in rounds; each algorithm adds its own fields in a subclass."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.registry import name_of
from forestpilot.sim.seeds import seeds_of
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
    seed: int = 0
    """Seed of the first weights and of sampling."""
    first_world: int = 0
    """First training world; each episode takes the next one."""
    rounds: int = 6
    """Rounds after the first, which is behavioural cloning of the demonstrations."""
    expert_episodes: int = 60
    """Episodes of the expert in round 0."""
    episodes: int = 60
    """Episodes of each later round."""
    demonstrations: tuple[str, ...] = of_this_machine(())
    """Datasets to clone in round 0 besides (or, with --expert-episodes 0, instead of) the expert's episodes, for
    example a human's."""
    first_steps: int = 1200
    """Gradient steps in round 0."""
    steps: int = 900
    """Gradient steps in each later round."""
    last_steps: int = 1800
    """Gradient steps in the last round."""
    stop_when: float | None = None
    """Share of the validation worlds, 0 to 1 (on roads: without an intervention). The first round that completes as
    many makes the next one the last, which trains last_steps. By default all rounds are run."""
    least_rounds: int = 0
    """With stop_when: rounds after the first that are run however good they are; if there are as many."""
    retrain: bool = False
    """Start each round from fresh weights instead of those of the round before."""
    validation_episodes: int = 40
    """Validation worlds run to choose the checkpoint."""
    validate_from: int = 0
    """First round whose policy is run on the validation worlds; round 0 and the last one always are."""
    validate_every: int = 1
    """From then on, every so many rounds are."""
    mix: ScenarioMix = ScenarioMix()
    """Worlds and speeds of training and validation."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How each round is trained; its data, out, seed and steps are set by the run."""
    workers: int = not_the_result(default_factory=usable_cores)
    """Number of processes that run episodes, and at most that compute gradients (see train.shards); by default one per
    core that it may use."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "demonstrations", tuple(self.demonstrations))
        object.__setattr__(self, "mix", self.mix.for_task(TASKS.get(self.task)))
        if self.rounds < 0 or min(self.episodes, self.first_steps, self.steps, self.last_steps) < 1:
            raise ValueError("rounds must be 0 or more; episodes and steps at least 1")
        least = 0 if self.demonstrations else 1
        if self.expert_episodes < least:
            raise ValueError("expert_episodes must be at least 1, or 0 where --demonstrations names datasets to clone")
        if self.validation_episodes < 1:
            raise ValueError("validation_episodes must be at least 1: the checkpoint is chosen by them")
        self._require_stop_rule()
        self.seeds(self.rounds)

    def _require_stop_rule(self) -> None:
        """Raise ValueError where the rule that ends the rounds cannot be followed."""
        if self.stop_when is not None and not 0.0 < self.stop_when <= 1.0:
            raise ValueError(
                f"stop_when is {self.stop_when:g}; it is a share of the validation worlds, above 0, up to 1"
            )
        if self.least_rounds < 0:
            raise ValueError(f"least_rounds is {self.least_rounds}; it must be 0 or more")
        if self.validate_every < 1:
            raise ValueError(f"validate_every is {self.validate_every}; at least 1 is needed")

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
