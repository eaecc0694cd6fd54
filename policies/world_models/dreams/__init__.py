"""Policies that are learned inside a model of the world, and flown in the true one. A way of learning is a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.world_models.dreams.dreamer import Dreamer


@dataclass(frozen=True)
class DreamerConfig(PartConfig):
    """Options of a way of learning inside a model; each has a subclass of its own."""


_HERE = "forestpilot.policies.world_models.dreams"
DREAMERS: Registry[type[Dreamer]] = Registry("way of learning inside a world model", f"{_HERE}:DREAMERS")
DREAMERS.register("dagger", f"{_HERE}.dagger:ImaginedDagger", "the policy flies in imagination, a planner labels")
