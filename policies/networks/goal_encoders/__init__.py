"""Goal encoders: from what is told of the goal, numbers or a picture, to what joins the state. A file each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.networks.goal_encoders.base import GoalEncoder


@dataclass(frozen=True)
class GoalEncoderConfig(PartConfig):
    """Options of a goal encoder; each has a subclass of its own."""


_HERE = "forestpilot.policies.networks.goal_encoders"
GOAL_ENCODERS: Registry[type[GoalEncoder]] = Registry("goal encoder", f"{_HERE}:GOAL_ENCODERS")
GOAL_ENCODERS.register("told", f"{_HERE}.told:ToldGoal", "the goal's numbers as they are told")
GOAL_ENCODERS.register("picture", f"{_HERE}.picture:PictureGoal", "a small CNN reads the picture at the goal")
GOAL_ENCODERS.register("order", f"{_HERE}.order:OrderGoal", "attention over the rows of a told order of colours")
GOAL_ENCODERS.register(
    "demonstration", f"{_HERE}.demonstration:DemonstrationGoal", "attention over the pictures of a demonstration"
)
GOAL_ENCODERS.register("maml", f"{_HERE}.adapted:AdaptedGoal", "one gradient step on a demonstration adapts the policy")
