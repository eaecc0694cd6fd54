"""Pose noise: every so often the vehicle is put somewhere else, beside its way, turned, faster or slower.

What the expert does from there is a lesson that its own way never gives. It is the side cameras' idea without their
limits: any shift, turn and speed, and the flight goes on from there, so that a memory sees how it goes on too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from forestpilot.sim.courses.course import Course
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import closest
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.vehicles.rigid_body import POSITION
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.world import World

TRIES = 16
"""Poses that are drawn until one is free; where none is, the vehicle stays where it is."""


@dataclass(frozen=True)
class PoseNoise:
    """How often a vehicle is put elsewhere, and how far; each amount is the largest one drawn, to both sides alike."""

    every_s: Annotated[float, Range(0, 3600, above=True)] = 0.8
    """Time from one to the next, in seconds."""
    shift_m: Annotated[float, Range(0, 100)] = 1.0
    """Shift to the side in metres."""
    yaw_rad: Annotated[float, Range(0, math.pi)] = 0.5
    """Turn in radians."""
    speed: Annotated[float, Range(0, 1)] = 0.3
    """Change of speed, as a share of the speed."""
    drift_mps: Annotated[float, Range(0, 20)] = 1.0
    """Speed to the side in m/s."""
    free_m: Annotated[float, Range(0, 100)] = 0.3
    """Distance to the nearest obstacle that a pose needs, in metres."""

    def __post_init__(self) -> None:
        require_ranges(self)

    @classmethod
    def of(cls, values: Mapping[str, float] | None) -> PoseNoise | None:
        """The pose noise that plain values tell; None where there are none.

        Raises:
            ValueError: a name is unknown, or a number out of range.
        """
        if values is None:
            return None
        known = tuple(cls.__dataclass_fields__)
        for name in values:
            if name not in known:
                raise InvalidArgumentError(f"pose_noise has no {name}; {closest(name, known)}")
        return cls(**values)


class Displacer:
    """Puts a vehicle elsewhere every so often; what is drawn follows from the world's seed.

    Args:
        noise: how often, and how far.
        control_hz: steps per second.
    """

    def __init__(self, noise: PoseNoise, control_hz: int) -> None:
        self._noise = noise
        self._period = max(1, round(noise.every_s * control_hz))
        self._steps = 0

    def begin(self, world_seed: int) -> None:
        """A new episode."""
        self._rng = rng_for(world_seed, SeedStream.POSES)
        self._steps = 0

    def step(self, vehicle: Vehicle, course: Course, world: World) -> bool:
        """A control step is done and the episode goes on; returns whether the vehicle was put elsewhere."""
        self._steps += 1
        if self._steps % self._period:
            return False
        self._displace(vehicle, course, world)
        return True

    def _displace(self, vehicle: Vehicle, course: Course, world: World) -> None:
        """Put the vehicle at the first free pose of those drawn, or level where it is."""
        noise = self._noise
        place_m = vehicle.base_position()
        yaw_rad = vehicle.yaw_rad
        speed_mps = math.hypot(*vehicle.velocity_mps[:2].tolist())
        left = np.array([-math.sin(yaw_rad), math.cos(yaw_rad), 0.0])
        for _ in range(TRIES):
            shift, turn, faster, drift = self._rng.uniform(-1.0, 1.0, 4).tolist()
            _put(
                vehicle,
                place_m + noise.shift_m * shift * left,
                yaw_rad + noise.yaw_rad * turn,
                speed_mps * (1.0 + noise.speed * faster),
                noise.drift_mps * drift,
            )
            course.follow(vehicle)
            if self._is_free(vehicle, course, world):
                return
        _put(vehicle, place_m, yaw_rad, speed_mps, 0.0)
        course.follow(vehicle)

    def _is_free(self, vehicle: Vehicle, course: Course, world: World) -> bool:
        """Tell if the episode goes on from here, nothing being close."""
        if course.is_left(vehicle) or course.is_reached(vehicle):
            return False
        least_m = vehicle.clearance_m(world, vehicle.base_position()[None])
        if course.traffic:
            least_m = min(least_m, vehicle.gap_m(course.traffic))
        return least_m >= self._noise.free_m


def _put(vehicle: Vehicle, place_m: np.ndarray, yaw_rad: float, speed_mps: float, drift_mps: float) -> None:
    """Put a vehicle somewhere, moving along its heading, and to the left of it."""
    vehicle.put(place_m, yaw_rad, speed_mps)
    forward = np.array([math.cos(yaw_rad), math.sin(yaw_rad), 0.0])
    left = np.array([-math.sin(yaw_rad), math.cos(yaw_rad), 0.0])
    vehicle.place(vehicle.state[POSITION].copy(), yaw_rad, speed_mps * forward + drift_mps * left)
