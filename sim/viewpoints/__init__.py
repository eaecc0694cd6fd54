"""Viewpoints: from where a vehicle is looked at by a third camera, by name.

A viewpoint is one file and one line here; `forestpilot collect --viewpoint NAME` records what it sees, and takes its
options with `--viewpoint.OPTION`.
"""

from __future__ import annotations

from forestpilot.sim.registry import Registry
from forestpilot.sim.viewpoints.viewpoint import VehicleViewConfig, Viewpoint, ViewpointConfig, view_key

__all__ = ["VIEWPOINTS", "VehicleViewConfig", "Viewpoint", "ViewpointConfig", "view_key"]

_HERE = "forestpilot.sim.viewpoints"

VIEWPOINTS: Registry[type[Viewpoint]] = Registry("viewpoint", f"{_HERE}:VIEWPOINTS")
VIEWPOINTS.register("vehicle", f"{_HERE}.viewpoint:VehicleView", "the vehicle's own cameras, and no third one")
VIEWPOINTS.register("chase", f"{_HERE}.chase:ChaseView", "from behind and above the vehicle, going along")
VIEWPOINTS.register("tower", f"{_HERE}.tower:TowerView", "from a place beside the way: stands still, sees part of it")
VIEWPOINTS.register("side", f"{_HERE}.side:SideView", "from beside the vehicle, going along")
