"""Reinforcement learning: environments side by side, rewards by named terms, learners of Stable-Baselines3 by name.

A learner is a subclass of `forestpilot.policies.reinforcement.learner.Learner` and one line here;
`forestpilot reinforce --method NAME` takes it, and its options with `--method.OPTION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.reinforcement.learner import Learner

__all__ = ["LEARNERS", "LearnerConfig"]


@dataclass(frozen=True)
class LearnerConfig(PartConfig):
    """Options of a learner; each has a subclass of its own."""

    keeps_demonstrations: ClassVar[bool] = False
    """Whether it goes on learning from demonstrations, where the run has any."""
    asks_planner: ClassVar[bool] = False
    """Whether it is told what the planner says of each candidate turn, at every step."""

    discount: Annotated[float, Range(0, 1, below=True)] = 0.97
    """What a reward one step later is worth; at 10 steps a second 0.97 looks about three seconds ahead."""

    def __post_init__(self) -> None:
        require_ranges(self)


_HERE = "forestpilot.policies.reinforcement"
LEARNERS: Registry[type[Learner]] = Registry("learner", f"{_HERE}:LEARNERS")
LEARNERS.register("ppo", f"{_HERE}.ppo:PPOLearner", "proximal policy optimisation: learns from what it just did")
LEARNERS.register(
    "sac", f"{_HERE}.sac:SACLearner", "soft actor-critic: learns from all that it ever did, and from demonstrations"
)
LEARNERS.register(
    "thor", f"{_HERE}.thor:ThorLearner", "soft actor-critic that looks a short way ahead, and asks the planner beyond"
)
