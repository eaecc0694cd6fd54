"""Config of an algorithm that learns in rounds; each algorithm adds its own fields in a subclass."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.training.train_config import TrainConfig
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
    retrain: bool = False
    """Start each round from fresh weights instead of those of the round before."""
    validation_episodes: int = 40
    """Validation worlds run to choose the checkpoint."""
    validate_from: int = 0
    """First round whose policy is run on the validation worlds; round 0 and the last one always are."""
    mix: ScenarioMix = ScenarioMix()
    """Worlds and speeds of training and validation."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How each round is trained; its data, out, seed and steps are set by the run."""
    workers: int = not_the_result(default_factory=lambda: os.cpu_count() or 1)
    """Number of rollout processes, and of threads in training; by default one per core."""

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
        self.seeds(self.rounds)

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

    def is_validated(self, round_number: int) -> bool:
        """True for rounds whose policy is run on the validation worlds."""
        return round_number in (0, self.rounds) or round_number >= self.validate_from

    def round_training(self, round_number: int, member: int = 0) -> TrainConfig:
        """The training of a round, of one member of an ensemble."""
        steps = self.steps
        if round_number == 0:
            steps = self.first_steps
        elif round_number == self.rounds:
            steps = self.last_steps
        return dataclasses.replace(self.train, out=self.out, data=(), seed=self.seed_of(member), steps=steps)

    def seed_of(self, member: int) -> int:
        """Seed of the first weights and of the batches of a member of an ensemble."""
        return self.seed + MEMBER_SEEDS * member
