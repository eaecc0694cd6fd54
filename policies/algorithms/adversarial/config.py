"""Config of adversarial imitation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from forestpilot.data_collection.episodes.config_fields import not_the_result, of_this_machine
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.algorithms.reinforce.config import ReinforceConfig
from forestpilot.policies.reinforcement import LearnerConfig
from forestpilot.policies.reinforcement.adversaries import AdversaryConfig
from forestpilot.policies.reinforcement.adversaries.options import FilmsConfig, GAILConfig
from forestpilot.policies.reinforcement.options import PPOConfig, RewardConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range
from forestpilot.sim.registry import part_of
from forestpilot.sim.seeds import TRAIN_SEEDS


@dataclass(frozen=True)
class AdversarialConfig(ReinforceConfig):
    """Learn to be taken for the expert, by its demonstrations alone; the same command goes on where it stopped."""

    out: str = not_the_result("runs/adversarial")
    """Run folder."""
    adversary: AdversaryConfig = field(
        default=GAILConfig(), metadata=part_of("forestpilot.policies.reinforcement.adversaries:ADVERSARIES")
    )
    """What compares the learner with the expert, and its options. It alone rewards: what the environment rewards is not
    read."""
    method: LearnerConfig = field(
        default=PPOConfig(warm_up=4, learning_rate=3e-4),
        metadata=part_of("forestpilot.policies.reinforcement:LEARNERS"),
    )
    """How it learns, and its options."""
    start: str = of_this_machine("")
    """Run folder of a policy to begin with. Empty to clone the demonstrations in round 0 and begin with that, as is
    usual, or, with first_steps 0, with random weights."""
    worlds: Literal["new", "demonstrated"] = "new"
    """Where the learner acts: in training worlds that are drawn anew, or in those that were demonstrated, which a
    discriminator cannot take the learner's frames for its own by."""
    expert_episodes: Annotated[int, Range(0, TRAIN_SEEDS)] = 16
    """Episodes of the expert's that are imitated, recorded in round 0."""
    first_steps: Annotated[int, Range(0, 1_000_000_000)] = 600
    """Gradient steps of cloning in round 0, where there is no `start`; 0 to begin with random weights."""

    def __post_init__(self) -> None:
        if isinstance(self.adversary, FilmsConfig):
            # Nothing is recorded and nothing cloned: of a film nobody knows what was done.
            object.__setattr__(self, "expert_episodes", 0)
            object.__setattr__(self, "first_steps", 0)
        super().__post_init__()
        if self.reward != RewardConfig() or self.shaping:
            raise InvalidArgumentError(
                "reward and shaping have no effect: the adversary alone rewards; `forestpilot reinforce` takes them"
            )

    def _require_demonstrations(self) -> None:
        """Raise InvalidArgumentError where there is nobody to imitate."""
        if not isinstance(self.adversary, FilmsConfig):
            AlgorithmConfig._require_demonstrations(self)
        elif self.demonstrations or self.worlds != "new":
            raise InvalidArgumentError(
                f"the adversary {self.adversary.part} compares with --adversary.films; leave out demonstrations and "
                "worlds, which are for adversaries that compare with demonstrations"
            )

    def _require_lessons(self) -> None:
        """Demonstrations are imitated, whether they are cloned or not."""
