"""The quadrotor: a PyBullet rigid body, its cascade controller at 240 Hz, and the motion model that the planner
rolls out.

Cascade: heading and speed -> velocity error -> acceleration -> attitude -> body rates -> torques and thrust -> four
    motors with
lag and limits. Rotor drag is linear in velocity (Faessler et al. 2018, RA-L 3(2), eq. 3) and fed forward by the
controller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.vehicles.quadrotor_look import quadrotor_look
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2, RigidBody, clip, rotation_of, wrap_angle

BODY_RADIUS_M = 0.25
"""Radius of the collision shape: rotor tips included, in metres."""
BODY_HEIGHT_M = 0.12
MAX_TURN_RAD = math.radians(60.0)
"""Heading change that an action of turn = 1 asks for, in radians."""

VELOCITY_GAIN = 3.5
"""Acceleration asked for per velocity error, 1/s."""
MAX_ACCELERATION_MPS2 = 10.0
"""Largest horizontal acceleration the controller asks for: about 45 degrees of tilt."""
MAX_FORWARD_ACCELERATION_MPS2 = 4.0
"""The same along the commanded heading: a nose further down than 25 degrees would take the horizon out of the
cameras' view."""
MODEL_VELOCITY_GAIN = 2.8
"""The same gain as the planner's model has it: less, because the thrust dips while the body rolls over. Fitted, 1/s."""
TILT_LAG_S = 0.06
"""Each of the two lags of the acceleration behind its command in the planner's model; fitted to the rigid body, see
the tests."""
MODEL_STEP_S = 0.05


@dataclass(frozen=True)
class QuadrotorParameters:
    """Mass properties, limits and gains."""

    mass_kg: float = 0.8
    """Mass in kilograms."""
    inertia_kgm2: tuple[float, float, float] = (0.004, 0.004, 0.007)
    """Principal moments of inertia in kg m2."""
    arm_m: float = 0.16
    """Distance from the centre to each motor in metres."""
    max_motor_thrust_n: float = 6.0
    """Largest thrust of one motor in newtons: three times the weight in all."""
    motor_lag_s: float = 0.03
    """Time constant of a motor's thrust in seconds."""
    torque_per_thrust_m: float = 0.016
    """Yaw torque of a motor per newton of its thrust, in metres."""
    drag_per_s: tuple[float, float, float] = (0.25, 0.25, 0.15)
    """Linear drag along the body axes, per unit of mass: 1/s."""
    max_speed_mps: float = 12.0
    """Largest speed set point in m/s."""


# Layout of the controller's parameter vector, so that the kernel takes one array.
def _parameter_vector(p: QuadrotorParameters) -> np.ndarray:
    return np.array(
        [p.mass_kg, *p.inertia_kgm2, p.arm_m, p.max_motor_thrust_n, p.motor_lag_s, p.torque_per_thrust_m, *p.drag_per_s]
    )


class Quadrotor(RigidBody):
    """A quadrotor in one PyBullet client.

    Args:
        bullet: the pybullet module.
        client_id: PyBullet's physics client id.
        physics_hz: sub-steps per second.
        parameters: mass properties and limits.
    """

    def __init__(
        self,
        bullet: Any,
        client_id: int,
        physics_hz: int = 240,
        parameters: QuadrotorParameters = QuadrotorParameters(),
    ) -> None:
        super().__init__(bullet, client_id)
        self.parameters = parameters
        self._dt = 1.0 / physics_hz
        self._vector = _parameter_vector(parameters)
        self.motor_thrusts_n = np.zeros(4)

    def create(self, position_m: np.ndarray, yaw_rad: float, velocity_mps: np.ndarray | None = None) -> None:
        """Put a new body into a freshly reset simulation, hovering (or already moving) with its motors at hover
        thrust."""
        b, p = self._bullet, self.parameters
        shape = b.createCollisionShape(
            b.GEOM_CYLINDER, radius=BODY_RADIUS_M, height=BODY_HEIGHT_M, physicsClientId=self._id
        )
        self._create_body(shape, p.mass_kg, p.inertia_kgm2)
        self.motor_thrusts_n[:] = p.mass_kg * GRAVITY_MPS2 / 4
        self.place(position_m, yaw_rad, np.zeros(3) if velocity_mps is None else velocity_mps)

    def apply(self, heading_rad: float, speed_mps: float, altitude_m: float) -> None:
        """Run the controller once on `state` and hand PyBullet the motors' force and torque for the next sub-step."""
        control(
            self.state, self.motor_thrusts_n, self._vector, heading_rad, speed_mps, altitude_m, self._dt, self._wrench
        )
        self._push()

    @property
    def look(self) -> VehicleLook:
        """How it is drawn, motors where the controller has them."""
        return quadrotor_look(self.parameters.arm_m)

    def motion_state(self) -> np.ndarray:
        """(8,) x, y, velocity, acceleration, and the acceleration that the body's rotation is heading for: what
        `motion_step` continues; metres and seconds."""
        s, up = self.state, self.rotation[:, 2]
        scale = GRAVITY_MPS2 / max(up[2], 0.3)
        drag = self.parameters.drag_per_s[0]
        ax, ay = scale * up[0] - drag * s[7], scale * up[1] - drag * s[8]
        jerk_x, jerk_y = scale * (s[11] * up[2] - s[12] * up[1]), scale * (s[12] * up[0] - s[10] * up[2])
        return np.array([s[0], s[1], s[7], s[8], ax, ay, ax + TILT_LAG_S * jerk_x, ay + TILT_LAG_S * jerk_y])


@njit(cache=True, inline="always", fastmath=True)
def acceleration_command(gain, speed, cosine, sine, vx, vy):  # type: ignore[no-untyped-def]
    """Horizontal acceleration asked for to fly at `speed` along (cosine, sine): limited as a vector, and more so
    forward."""
    ax, ay = gain * (speed * cosine - vx), gain * (speed * sine - vy)
    excess = ax * cosine + ay * sine - MAX_FORWARD_ACCELERATION_MPS2
    if excess > 0.0:
        ax -= excess * cosine
        ay -= excess * sine
    norm2 = ax * ax + ay * ay
    if norm2 > MAX_ACCELERATION_MPS2 * MAX_ACCELERATION_MPS2:
        scale = MAX_ACCELERATION_MPS2 / math.sqrt(norm2)
        ax *= scale
        ay *= scale
    return ax, ay


@njit(cache=True)
def control(state, motors, p, heading, speed, altitude, dt, wrench):  # type: ignore[no-untyped-def]
    """One tick of the cascade: fills `wrench` (world force 3, world torque 3) and moves `motors` (4) on by their lag.

    Args:
        state: (13,) as in `Quadrotor.state`.
        motors: (4,) current thrusts in newtons; front left, front right, rear right, rear left.
        p: parameter vector.
        heading, speed, altitude: set points in rad, m/s, m.
        dt: sub-step in seconds.
        wrench: (6,) output.
    """
    mass, arm, limit = p[0], p[4], p[5]
    r = rotation_of(state[3:7])
    vx, vy, vz = state[7], state[8], state[9]
    ax, ay = acceleration_command(VELOCITY_GAIN, speed, math.cos(heading), math.sin(heading), vx, vy)
    az = clip(6.0 * (clip(2.5 * (altitude - state[2]), 1.5) - vz), 6.0)
    # Desired thrust per mass, drag fed forward; its direction is the desired body z axis.
    tx, ty, tz = ax + p[8] * vx, ay + p[9] * vy, max(az + GRAVITY_MPS2, 2.0)
    tn = math.sqrt(tx * tx + ty * ty + tz * tz)
    bx = r[0, 0] * tx + r[1, 0] * ty + r[2, 0] * tz
    by = r[0, 1] * tx + r[1, 1] * ty + r[2, 1] * tz
    bz = r[0, 2] * tx + r[1, 2] * ty + r[2, 2] * tz
    # Rotation vector (in the body) that takes the body z axis to the desired one: roll and pitch only.
    sine = math.sqrt(bx * bx + by * by)
    angle = math.atan2(sine, bz) / max(sine, 1e-9)
    yaw = math.atan2(r[1, 0], r[0, 0])
    rate_x = clip(11.0 * -by * angle, 8.0)
    rate_y = clip(11.0 * bx * angle, 8.0)
    rate_z = clip(5.0 * wrap_angle(heading - yaw), 3.0) * max(r[2, 2], 0.0)
    wx = r[0, 0] * state[10] + r[1, 0] * state[11] + r[2, 0] * state[12]
    wy = r[0, 1] * state[10] + r[1, 1] * state[11] + r[2, 1] * state[12]
    wz = r[0, 2] * state[10] + r[1, 2] * state[11] + r[2, 2] * state[12]
    torque_x = p[1] * 28.0 * (rate_x - wx) + (p[3] - p[2]) * wy * wz
    torque_y = p[2] * 28.0 * (rate_y - wy) + (p[1] - p[3]) * wx * wz
    torque_z = p[3] * 12.0 * (rate_z - wz) + (p[2] - p[1]) * wx * wy
    thrust = min(mass * tn * max(bz / tn, 0.0), 0.9 * 4 * limit)
    # Mix into four motors on a cross at 45 degrees; yaw gives way first, as it saves the flight least.
    lever = 0.25 * math.sqrt(2.0) / arm
    yaw_part = clip(0.25 * torque_z / p[7], 0.3 * thrust)
    decay = 1.0 - math.exp(-dt / p[6])
    for k in range(4):
        left = 1.0 if (k == 0 or k == 3) else -1.0
        front = 1.0 if k < 2 else -1.0
        spin = 1.0 if (k == 0 or k == 2) else -1.0
        wanted = 0.25 * thrust + lever * (left * torque_x - front * torque_y) + spin * yaw_part
        motors[k] += decay * (max(0.0, min(limit, wanted)) - motors[k])
    _rigid_body_wrench(state, r, motors, p, wrench)


@njit(cache=True)
def _rigid_body_wrench(state, r, motors, p, wrench):  # type: ignore[no-untyped-def]
    """Force and torque of the motors and of drag, in the world frame."""
    lever = p[4] / math.sqrt(2.0)
    total = motors[0] + motors[1] + motors[2] + motors[3]
    torque_x = lever * (motors[0] - motors[1] - motors[2] + motors[3])
    torque_y = -lever * (motors[0] + motors[1] - motors[2] - motors[3])
    torque_z = p[7] * (motors[0] - motors[1] + motors[2] - motors[3])
    vx, vy, vz = state[7], state[8], state[9]
    fx = -p[0] * p[8] * (r[0, 0] * vx + r[1, 0] * vy + r[2, 0] * vz)
    fy = -p[0] * p[9] * (r[0, 1] * vx + r[1, 1] * vy + r[2, 1] * vz)
    fz = total - p[0] * p[10] * (r[0, 2] * vx + r[1, 2] * vy + r[2, 2] * vz)
    for i in range(3):
        wrench[i] = r[i, 0] * fx + r[i, 1] * fy + r[i, 2] * fz
        wrench[3 + i] = r[i, 0] * torque_x + r[i, 1] * torque_y + r[i, 2] * torque_z


@njit(cache=True, inline="always", fastmath=True)
def motion_step(x, y, vx, vy, ax, ay, bx, by, speed, cosine, sine, blend, dt):  # type: ignore[no-untyped-def]
    """One step of the planner's motion model: the velocity loop behind two first-order lags, body rate and tilt.

    Args:
        x, y, vx, vy, ax, ay, bx, by: the state, as in `Quadrotor.motion_state`.
        speed, cosine, sine: commanded speed in m/s, and the direction of the commanded heading.
        blend: 1 - exp(-dt / TILT_LAG_S).
        dt: step in seconds.

    Returns:
        The state after `dt`.
    """
    cx, cy = acceleration_command(MODEL_VELOCITY_GAIN, speed, cosine, sine, vx, vy)
    ax += blend * (bx - ax)
    ay += blend * (by - ay)
    bx += blend * (cx - bx)
    by += blend * (cy - by)
    x += dt * (vx + 0.5 * dt * ax)
    y += dt * (vy + 0.5 * dt * ay)
    vx += dt * ax
    vy += dt * ay
    return x, y, vx, vy, ax, ay, bx, by
