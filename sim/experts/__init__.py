"""Experts: privileged pilots that see the geometry and never a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.sim.experts.expert import Expert

DEFAULT_EXPERT = "flight"
"""The expert of whoever is not told another."""

EXPERTS: Registry[type[Expert]] = Registry("expert", "forestpilot.sim.experts:EXPERTS")
EXPERTS.register("flight", "forestpilot.sim.experts.flight:FlightExpert", "rolls out a quadrotor among trunks")
EXPERTS.register("driving", "forestpilot.sim.experts.driving:DrivingExpert", "rolls out a car along a road")
