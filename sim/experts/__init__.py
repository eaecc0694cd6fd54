"""Experts: privileged pilots that see the geometry and never a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.sim.experts.expert import Expert

DEFAULT_EXPERT = "flight"
"""The expert of whoever is not told another."""

_HERE = "forestpilot.sim.experts"
EXPERTS: Registry[type[Expert]] = Registry("expert", f"{_HERE}:EXPERTS")
EXPERTS.register("flight", f"{_HERE}.flight:FlightExpert", "rolls out a quadrotor among trunks")
EXPERTS.register("driving", f"{_HERE}.driving:DrivingExpert", "rolls out a car along a road")
EXPERTS.register("own", f"{_HERE}.own:OwnExpert", "whoever is the expert of the task")
EXPERTS.register("undecided", f"{_HERE}.undecided:UndecidedExpert", "passes each trunk on a side drawn for it")
EXPERTS.register("moody", f"{_HERE}.moody:MoodyExpert", "has a style, drawn per episode, that only history reveals")
EXPERTS.register("late", f"{_HERE}.late:LateExpert", "does what was right a moment ago")
EXPERTS.register("sloppy", f"{_HERE}.sloppy:SloppyExpert", "wanders about the best way")
EXPERTS.register("playful", f"{_HERE}.playful:PlayfulExpert", "flies to places of its own choice")
