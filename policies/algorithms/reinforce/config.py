"""Config of reinforcement learning."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.heads.options import GaussianConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.reinforcement import LearnerConfig
from forestpilot.policies.reinforcement.options import PPOConfig, RewardConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, ROUNDS, STEPS, Range
from forestpilot.sim.registry import part_of
from forestpilot.sim.seeds import TRAIN_SEEDS

SCRATCH = TrainConfig(policy=PolicyConfig(memory=NoMemoryConfig(), window=1, head=GaussianConfig()))


@dataclass(frozen=True)
class ReinforceConfig(AlgorithmConfig):
    """Learn by rewards, from scratch or from a cloned policy; the same command goes on where it stopped."""

    out: str = not_the_result("runs/reinforce")
    """Run folder."""
    method: LearnerConfig = field(default=PPOConfig(), metadata=part_of("forestpilot.policies.reinforcement:LEARNERS"))
    """How it learns, and its options."""
    start: str = of_this_machine("")
    """Run folder of a policy to begin with, for example one cloned by `forestpilot bc`; empty to begin with random
    weights, or with a policy cloned in round 0 where there are demonstrations."""
    reward: RewardConfig = RewardConfig()
    """What is rewarded."""
    shaping: Annotated[float, Range(0, 1000)] = 0.0
    """Add so many times log pi(a|s) of the policy that it began with to the reward, in metres of progress."""
    keep_close: Annotated[float, Range(0, 1000)] = 0.0
    """Hold the mean divergence from the policy that it began with at so many nats a step, by a price on it that goes up
    and down; 0 for no such price."""
    first_world: Annotated[int, Range(0, TRAIN_SEEDS - 1)] = 0
    """First training world that may be drawn; demonstrations take those from it on."""
    episodes: Annotated[int, EPISODES] = 60
    """Without effect: a round is so many steps long, whatever episodes they make."""
    retrain: bool = False
    """Refused: every round goes on from the one before."""
    rounds: Annotated[int, ROUNDS] = 12
    """Rounds after the first, which is the policy that it begins with."""
    steps: Annotated[int, STEPS] = 20_480
    """Steps in the environment of each round, all environments together; rounded up to whole rollouts."""
    last_steps: Annotated[int, Range(0, 1_000_000_000)] = 0
    """The same in the last round; 0 for as many as in the others."""
    expert_episodes: Annotated[int, Range(0, TRAIN_SEEDS)] = 0
    """Episodes of the expert's in round 0, to clone from where there is no `start`."""
    first_steps: Annotated[int, Range(0, 1_000_000_000)] = 1200
    """Gradient steps of cloning in round 0, where there are demonstrations and no `start`; 0 to clone nothing, where
    the method itself learns from demonstrations."""
    train: TrainConfig = field(default_factory=lambda: SCRATCH)
    """The policy's shape where there is no `start`, and how it is cloned in round 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.retrain:
            raise InvalidArgumentError("retrain has no effect: every round goes on from the one before")
        self._require_lessons()
        if self.shaping and self.keep_close:
            raise InvalidArgumentError("shaping and keep_close both hold on to the first policy; give one of them")

    def _require_lessons(self) -> None:
        """Raise InvalidArgumentError where demonstrations would teach nothing."""
        is_shown = bool(self.expert_episodes or self.demonstrations)
        if is_shown and not (self.clones or self.method.keeps_demonstrations):
            raise InvalidArgumentError(
                f"nothing would be learned from the demonstrations: {self.method.part} does not keep them, and there "
                "is nothing to clone with a start or with first_steps 0; leave out expert_episodes and demonstrations"
            )

    @property
    def clones(self) -> bool:
        """True where round 0 clones."""
        return bool((self.expert_episodes or self.demonstrations) and self.first_steps and not self.start)

    def _require_demonstrations(self) -> None:
        """None are needed."""

    def steps_of(self, round_number: int, last_round: int) -> int:
        """Steps in the environment of a round."""
        if round_number == last_round and self.last_steps:
            return self.last_steps
        return self.steps

    def left_before(self, round_number: int, last_round: int) -> float:
        """Share of the rounds that is left before one, 1 to 0."""
        return 1 - (round_number - 1) / max(1, last_round)


def of_policy(config: ReinforceConfig, policy: PolicyConfig) -> ReinforceConfig:
    """The config with the shape of the policy that it starts from.

    Raises:
        InvalidArgumentError: another shape was asked for.
    """
    asked = config.train.policy
    if asked not in (policy, SCRATCH.policy):
        raise InvalidArgumentError(
            f"train.policy is another shape than that of the policy in {config.start}, with which it begins; leave "
            "--train.policy out, or --start"
        )
    return dataclasses.replace(config, train=dataclasses.replace(config.train, policy=policy))
