"""Heads: what a policy predicts, what it is trained on, and how a prediction becomes actions. A file each.

Those that come with ForestPilot predict both elements of an action, (turn, go), each in [-1, 1]. They differ in how
they treat a turn on which demonstrations disagree: the planner turns left or right of a trunk dead ahead, and the mean
of the two is the trunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.networks.heads.base import Head


@dataclass(frozen=True)
class HeadConfig(PartConfig):
    """Options of a head; each has a subclass of its own."""

    needs_costs: ClassVar[bool | None] = None
    """What its head says of the same name, for whoever does not want to import it; None: ask the head."""


_HERE = "forestpilot.policies.networks.heads"
HEADS: Registry[type[Head]] = Registry("head", f"{_HERE}:HEADS")
HEADS.register("regression", f"{_HERE}.regression:RegressionHead", "squared error; averages left and right")
HEADS.register("gaussian", f"{_HERE}.gaussian:GaussianHead", "a normal distribution per element")
HEADS.register("mixture", f"{_HERE}.mixture:MixtureHead", "several normal distributions over the turn")
HEADS.register(
    "categorical", f"{_HERE}.categorical:CategoricalHead", "a probability for each bin of turn, or of turn and go"
)
HEADS.register("cvae", f"{_HERE}.cvae:CVAEHead", "a conditional variational autoencoder: a latent says which answer")
HEADS.register("diffusion", f"{_HERE}.diffusion:DiffusionHead", "denoises an action out of noise, in ten steps")
HEADS.register("flow", f"{_HERE}.flow:FlowHead", "rectified flow: moves noise to an action, in four steps")
HEADS.register("turn-costs", f"{_HERE}.turn_costs:TurnCostsHead", "the planner's cost of each candidate turn")
HEADS.register("soft-turns", f"{_HERE}.signals:SoftTurnsHead", "how the planner would choose among the candidate turns")
HEADS.register("costs-and-action", f"{_HERE}.signals:CostsAndActionHead", "costs and turn: the finer where both agree")
