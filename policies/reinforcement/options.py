"""Options of the learners and of the reward, apart from their networks: help needs them, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from forestpilot.policies.reinforcement import LearnerConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges

WEIGHT = Range(-1e6, 1e6)
"""Weights of terms of a reward."""
Critic = Literal["shared", "detached", "own"]
"""Through what a value network sees."""
CRITICS: tuple[Critic, ...] = ("shared", "detached", "own")


@dataclass(frozen=True)
class PPOConfig(LearnerConfig):
    """Options of proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347)."""

    part: ClassVar[str] = "ppo"

    environments: Annotated[int, Range(1, 4096)] = 16
    """Environments side by side, over all processes; how many processes there are does not change the result."""
    rollout: Annotated[int, Range(2, 1_000_000)] = 128
    """Steps of each environment between two updates."""
    batch: Annotated[int, Range(2, 1_000_000)] = 512
    """Steps per gradient step."""
    epochs: Annotated[int, Range(1, 1000)] = 4
    """How often each step is learned from."""
    learning_rate: Annotated[float, Range(0, 10)] = 0.0
    """Adam's step size for the policy, which falls linearly to a tenth of it over the rounds; 0 for 1e-4 from a policy
    that is given, 3e-4 from scratch. What a step changes is measured in standard deviations of what is tried, and a
    policy that is given has a quarter of them."""
    value_learning_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    """The same for the value network."""
    gae: Annotated[float, Range(0, 1)] = 0.95
    """Lambda of generalised advantage estimation (Schulman et al. 2016): 1 trusts returns, 0 the value network."""
    clip: Annotated[float, Range(0, 10, above=True)] = 0.2
    """How far the ratio of new to old probabilities may go from 1 before its gradient ends."""
    entropy: Annotated[float, Range(0, 100)] = 0.0
    """Weight of the entropy in the loss, which keeps it trying things."""
    grad_clip: Annotated[float, Range(0, 1e9, above=True)] = 0.5
    """Bound of the gradient's norm."""
    most_kl: Annotated[float, Range(0, 100)] = 0.03
    """An update ends early where the policy has moved so far from the one that acted, in nats; 0 for no bound."""
    std: Annotated[float, Range(0, 2)] = 0.0
    """Standard deviation of what is tried around the policy's actions at the beginning, in units of the action; 0 for
    0.15 from a policy that is given, 0.6 from scratch."""
    warm_up: Annotated[int, Range(-1, 100_000)] = -1
    """Updates in which only the value network learns, before the policy moves; -1 for 4 from a policy that is given,
    and none from scratch."""
    critic: Critic = "shared"
    """What the value network sees through: the policy's encoder, which then learns for both (`shared`), that encoder
    without changing it (`detached`), or one of its `own`, which begins as the policy's and costs half as much again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.critic not in CRITICS:
            raise InvalidArgumentError(f"critic is {self.critic!r}; allowed: {', '.join(CRITICS)}")

    def std_of(self, is_given: bool) -> float:
        """Standard deviation at the beginning, of a policy that is given or one of random weights."""
        return self.std or (0.15 if is_given else 0.6)

    def rate_of(self, is_given: bool) -> float:
        """Adam's step size for the policy in the first round."""
        return self.learning_rate or (1e-4 if is_given else 3e-4)

    def warm_up_of(self, is_given: bool) -> int:
        """Updates in which only the value network learns."""
        if self.warm_up >= 0:
            return self.warm_up
        return 4 if is_given else 0


@dataclass(frozen=True)
class RewardConfig:
    """Weights of the reward's terms, in metres of progress; the sum is multiplied by `scale`."""

    progress: Annotated[float, WEIGHT] = 1.0
    """Of each metre nearer to the goal."""
    crash: Annotated[float, WEIGHT] = 1.0
    """Of the environment's penalty for a crash, 10 m."""
    intervention: Annotated[float, WEIGHT] = 1.0
    """Of the environment's penalty for being put back on the road, 10 m."""
    success: Annotated[float, WEIGHT] = 0.0
    """Of reaching the goal, once, in metres."""
    time: Annotated[float, WEIGHT] = 0.0
    """What each second costs, in metres."""
    clearance: Annotated[float, WEIGHT] = 0.0
    """Of a potential that falls by so many metres from `clearance_within` to contact; being a potential (Ng, Harada &
    Russell 1999) it changes how fast is learned, and not which policy is best."""
    clearance_within: Annotated[float, Range(0, 1000, above=True)] = 1.0
    """From which distance to what stands or moves that potential falls, in metres."""
    scale: Annotated[float, Range(0, 1e6, above=True)] = 0.1
    """Multiplies the sum: value networks learn fastest where returns are about 1."""

    def __post_init__(self) -> None:
        require_ranges(self)
