"""Reinforcement learning: environments side by side, rewards by named terms, learners of Stable-Baselines3 by name.

A learner is a subclass of `forestpilot.policies.reinforcement.learner.Learner` and one line here;
`forestpilot reinforce --method NAME` takes it, and its options with `--method.OPTION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.reinforcement.learner import Learner

__all__ = ["LEARNERS", "LearnerConfig"]


@dataclass(frozen=True)
class LearnerConfig(PartConfig):
    """Options of a learner; each has a subclass of its own."""

    discount: Annotated[float, Range(0, 1, below=True)] = 0.97
    """What a reward one step later is worth; at 10 steps a second 0.97 looks about three seconds ahead."""

    def __post_init__(self) -> None:
        require_ranges(self)


_HERE = "forestpilot.policies.reinforcement"
LEARNERS: Registry[type[Learner]] = Registry("learner", f"{_HERE}:LEARNERS")
LEARNERS.register("ppo", f"{_HERE}.ppo:PPOLearner", "proximal policy optimisation: learns from what it just did")
