"""Adversarial imitation: rewards that come of comparing the learner with an expert, by name.

Such a reward is a subclass of `forestpilot.policies.reinforcement.adversaries.imitation.ImitationReward` and a line
here; `forestpilot adversarial --adversary NAME` takes it, and its options with `--adversary.OPTION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.reinforcement.adversaries.imitation import ImitationReward

__all__ = ["ADVERSARIES", "AdversaryConfig"]


@dataclass(frozen=True)
class AdversaryConfig(PartConfig):
    """Options of an adversary; each has a subclass of its own."""


_HERE = "forestpilot.policies.reinforcement.adversaries"
ADVERSARIES: Registry[type[ImitationReward]] = Registry("adversary", f"{_HERE}:ADVERSARIES")
ADVERSARIES.register(
    "gail", f"{_HERE}.reward:GAILReward", "GAIL: rewards frames and actions that pass for the expert's"
)
ADVERSARIES.register("airl", f"{_HERE}.reward:AIRLReward", "AIRL: a reward of the state alone that explains the expert")
ADVERSARIES.register(
    "sqil", f"{_HERE}.sqil:SQILReward", "SQIL: the expert's steps in the replay buffer earn one, its own nothing"
)
ADVERSARIES.register(
    "embedding",
    f"{_HERE}.films:EmbeddingReward",
    "films: rewards coming nearer to where they lead, by an embedding",
)
ADVERSARIES.register(
    "domain-confused", f"{_HERE}.films:DomainConfusedReward", "films: an adversary that cannot tell who filmed (Stadie)"
)
