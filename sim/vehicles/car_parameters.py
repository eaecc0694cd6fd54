"""The car's measures, masses, springs and tyres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2

WHEELBASE_M = 2.5
STEERING_LOCK_RAD = 0.52
"""Largest steering angle, that of turn = 1, in radians: a turning radius of 4.4 m."""
STEERING_RATE_RADPS = 1.2
"""How fast the front wheels can be turned, in rad/s."""
LENGTH_M = 3.6
WIDTH_M = 1.7
HEIGHT_M = 1.4
FLOOR_M = 0.35
"""Height of the body's underside above the ground in metres."""
MAX_ACCELERATION_MPS2 = 4.0
MAX_BRAKING_MPS2 = 7.0
"""What go = 1 and go = -1 ask of engine and brakes, grip permitting, in m/s2."""
BRAKE_LIGHT_GO = -0.05
"""Brake from which on its lamp is lit, which is whenever the pedal is used (UN Regulation 13-H, 5.2.22.1): 0.35 m/s2,
more than is needed to hold a speed."""
YAW_LAG_S = 0.12
"""Lag of the yaw rate behind the steering in the planner's model, fitted to the rigid body, in seconds."""
FOREST_FLOOR_GRIP = 0.6
"""Friction coefficient where a world has no road."""
TOP_SPEED_MPS = 27.0
"""A third above the largest set point; colliders stand as far ahead as one control step at this speed leads."""
BODY_DISCS_M = (-1.1, 0.0, 1.1)
"""Places along the body from which clearance is measured."""


@dataclass(frozen=True)
class CarParameters:
    """Mass properties, springs and tyres."""

    mass_kg: float = 600.0
    """Mass in kilograms."""
    inertia_kgm2: tuple[float, float, float] = (140.0, 480.0, 560.0)
    """Principal moments of inertia about the forward, left and up axes in kg m2."""
    front_m: float = 1.2
    """Distance from the centre of mass to the front axle in metres."""
    rear_m: float = WHEELBASE_M - 1.2
    """Distance from the centre of mass to the rear axle in metres."""
    half_track_m: float = 0.7
    """Half the distance between the wheels of an axle in metres."""
    height_m: float = 0.5
    """Height of the centre of mass above the ground at rest, in metres."""
    spring_npm: float = 19_000.0
    """Stiffness of one wheel's spring in N/m."""
    damper_nspm: float = 1_800.0
    """Damping of one wheel in N s/m."""
    front_slope: float = 6.0
    """Magic formula's B of the front tyres, per radian."""
    rear_slope: float = 9.0
    """Magic formula's B of the rear tyres, per radian."""
    shape: float = 1.4
    """Magic formula's C."""
    front_grip: float = 0.86
    """Grip of the front tyres relative to the rear ones."""
    power_w: float = 60_000.0
    """Engine power in watts."""
    rolling_mps2: float = 0.15
    """Deceleration by rolling resistance in m/s2."""
    drag_per_m: float = 0.0008
    """Air drag per mass and squared speed in 1/m."""

    def constants(self, grip: float) -> CarConstants:
        """Constants that the kernels need, on a surface of this grip."""
        return CarConstants(
            self.mass_kg,
            self.front_m,
            self.rear_m,
            self.half_track_m,
            self.height_m,
            self.spring_npm,
            self.damper_nspm,
            self.front_slope,
            self.rear_slope,
            self.shape,
            self.front_grip,
            self.power_w,
            self.rolling_mps2,
            self.drag_per_m,
            grip,
        )

    def understeer_s2pm(self, grip: float) -> float:
        """Understeer coefficient K of the linear single-track model in s2/m, so that a steady turn has the yaw rate
        v * steering / (wheelbase + K * v**2) (Rajamani 2012, Vehicle Dynamics and Control, eq. 3.13)."""
        front = grip * self.front_grip * self.front_slope * self.shape
        rear = grip * self.rear_slope * self.shape
        # Stiffness follows load, so an axle's share of the mass cancels against its share of the stiffness.
        return (1.0 / front - 1.0 / rear) / GRAVITY_MPS2


class CarConstants(NamedTuple):
    """`CarParameters` as the kernels take them, and the grip."""

    mass: float
    front: float
    rear: float
    half_track: float
    height: float
    spring: float
    damper: float
    front_slope: float
    rear_slope: float
    shape: float
    front_grip: float
    power: float
    rolling: float
    drag: float
    grip: float
