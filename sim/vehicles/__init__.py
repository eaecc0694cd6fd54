"""Vehicles: a body in PyBullet, its controller, and the motion model that planners roll out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.sim.vehicles.vehicle import Vehicle

DEFAULT_VEHICLE = "quadrotor"
"""The vehicle of whoever is not told another."""

VEHICLES: Registry[type[Vehicle]] = Registry("vehicle", "forestpilot.sim.vehicles:VEHICLES")
VEHICLES.register("quadrotor", "forestpilot.sim.vehicles.quadrotor:Quadrotor", "a quadrotor of 0.8 kg")
VEHICLES.register("car", "forestpilot.sim.vehicles.car:Car", "a car of 600 kg on slipping tyres")
