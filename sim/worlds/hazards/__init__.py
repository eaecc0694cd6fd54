"""Hazards: what moves in a world, each from the world's seed: see `forestpilot.sim.worlds.hazards.hazard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.sim.worlds.hazards.hazard import Hazard

_HERE = "forestpilot.sim.worlds.hazards"
HAZARDS: Registry[type[Hazard]] = Registry("hazard", f"{_HERE}:HAZARDS")
HAZARDS.register("deer", f"{_HERE}.deer:Deer", "stands beside the road, and may cross it")
HAZARDS.register("crossing", f"{_HERE}.crossing:Crossing", "a barrier that may fall across the road, and rises again")
HAZARDS.register("car", f"{_HERE}.car_ahead:CarAhead", "drives ahead, slowly, and stops now and then")
HAZARDS.register("walker", f"{_HERE}.walker:Walker", "goes to and fro between the trees")
