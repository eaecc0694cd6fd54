"""The car's motion as the planner rolls it out: a single track in a steady turn, its yaw rate lagging behind."""

from __future__ import annotations

import math
from typing import NamedTuple

from forestpilot.sim.kernels import helper
from forestpilot.sim.vehicles.car_parameters import STEERING_RATE_RADPS, WHEELBASE_M, YAW_LAG_S
from forestpilot.sim.vehicles.rigid_body import clip


class DriveMotion(NamedTuple):
    """State of the planner's motion model; metres, seconds, radians."""

    x: float
    """Middle of the wheelbase."""
    y: float
    yaw: float
    speed: float
    """Along the heading."""
    yaw_rate: float
    steering: float


class DriveModel(NamedTuple):
    """Facts that the planner's motion model needs to know of car and ground."""

    understeer: float
    """Understeer coefficient in s2/m."""
    lateral_limit: float
    """Largest lateral acceleration in m/s2."""
    rear_slip: float
    """Slip of the rear axle per lateral acceleration, rad s2/m."""


@helper(inline="always", fastmath=True)
def turn_step(motion, wanted, m, dt):  # type: ignore[no-untyped-def]
    """The turning half of `motion_step`.

    Returns:
        Steering angle and yaw rate after `dt`, the speed sideways at the middle of the wheelbase, and the heading
        halfway through the step.
    """
    _, _, yaw, speed, yaw_rate, steering = motion
    steering += clip(wanted - steering, STEERING_RATE_RADPS * dt)
    steady = speed * steering / (WHEELBASE_M + m.understeer * speed * speed)
    steady = clip(steady, m.lateral_limit / max(speed, 1.0))
    yaw_rate += (1.0 - math.exp(-dt / YAW_LAG_S)) * (steady - yaw_rate)
    # The middle of the wheelbase moves sideways by the turn about the rear axle, less that axle's slip.
    sideways = yaw_rate * (0.5 * WHEELBASE_M - m.rear_slip * speed * speed)
    return steering, yaw_rate, sideways, yaw + 0.5 * dt * yaw_rate


@helper(inline="always", fastmath=True)
def motion_step(motion, wanted, acceleration, m, dt):  # type: ignore[no-untyped-def]
    """One step of the planner's motion model: a single track in a steady turn, its yaw rate lagging behind.

    Args:
        motion: `DriveMotion`.
        wanted: steering angle asked for, inside the lock, in radians.
        acceleration: along the heading, in m/s2.
        m: `DriveModel`.
        dt: step in seconds.

    Returns:
        The state after `dt`.
    """
    steering, yaw_rate, sideways, half = turn_step(motion, wanted, m, dt)
    return move_step(motion, acceleration, (steering, yaw_rate, sideways), (math.cos(half), math.sin(half)), dt)


@helper(inline="always", fastmath=True)
def move_step(motion, acceleration, turned, halfway, dt):  # type: ignore[no-untyped-def]
    """The other half of `motion_step`: what `turn_step` tells, and cosine and sine of the heading halfway."""
    steering, yaw_rate, sideways = turned
    cosine, sine = halfway
    speed = motion.speed
    x = motion.x + dt * (cosine * speed - sine * sideways)
    y = motion.y + dt * (sine * speed + cosine * sideways)
    return DriveMotion(x, y, motion.yaw + dt * yaw_rate, max(0.0, speed + dt * acceleration), yaw_rate, steering)
