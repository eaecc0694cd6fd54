"""Models of the world, learned from episodes: what will be seen and felt next, given what is done. A file each.

A model and the way it is trained are chosen apart: any model is cloned (maximum likelihood) or trained against a
discriminator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.world_models.base import WorldModel
    from forestpilot.policies.world_models.learner import Learner


@dataclass(frozen=True)
class WorldModelConfig(PartConfig):
    """Options of a model; each has a subclass of its own."""


@dataclass(frozen=True)
class LearnerConfig(PartConfig):
    """Options of a way of training a model; each has a subclass of its own."""


_HERE = "forestpilot.policies.world_models"
WORLD_MODELS: Registry[type[WorldModel]] = Registry("world model", f"{_HERE}:WORLD_MODELS")
WORLD_MODELS.register("strip", f"{_HERE}.strip_model:StripModel", "state, goal and a strip of depths, without memory")
WORLD_MODELS.register("image", f"{_HERE}.image_model:ImageModel", "views in a latent space, with a GRU and a decoder")

WORLD_LEARNERS: Registry[type[Learner]] = Registry("way of training a world model", f"{_HERE}:WORLD_LEARNERS")
WORLD_LEARNERS.register("cloned", f"{_HERE}.cloned:Cloned", "transitions are cloned by maximum likelihood")
WORLD_LEARNERS.register(
    "adversarial", f"{_HERE}.adversarial:Adversarial", "a discriminator compares imagined transitions with true ones"
)
