"""The car: one PyBullet rigid body on four sprung wheels whose tyres slip, and the motion model that the planner rolls
out.

Each wheel presses on the ground through a spring and a damper, so the body rolls, pitches and shifts its load. Tyre
forces follow the load: sideways a sine of the slip angle's arc tangent (Pacejka's magic formula with its curvature
factor at zero; Pacejka 2012, Tire and Vehicle Dynamics, eq. 1.6), lengthwise what engine and brakes ask for, both
together inside the friction ellipse. The front tyres are softer than the rear ones: the car understeers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.vehicles.car_look import car_look
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2, RigidBody, clip, rotation_of

WHEELBASE_M = 2.5
STEERING_LOCK_RAD = 0.52
"""Largest steering angle, that of turn = 1, in radians: a turning radius of 4.4 m."""
STEERING_RATE_RADPS = 1.2
"""How fast the front wheels can be turned, in rad/s."""
LENGTH_M, WIDTH_M, HEIGHT_M = 3.6, 1.7, 1.4
FLOOR_M = 0.35
"""Height of the body's underside above the ground in metres."""
MAX_ACCELERATION_MPS2, MAX_BRAKING_MPS2 = 4.0, 7.0
"""What go = 1 and go = -1 ask of engine and brakes, grip permitting, in m/s2."""
YAW_LAG_S = 0.12
"""Lag of the yaw rate behind the steering in the planner's model, fitted to the rigid body, in seconds."""


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

    def vector(self, grip: float) -> np.ndarray:
        """All that the kernels need as one float64 array, on a surface of this grip."""
        return np.array(
            [
                self.mass_kg, self.front_m, self.rear_m, self.half_track_m, self.height_m, self.spring_npm,
                self.damper_nspm, self.front_slope, self.rear_slope, self.shape, self.front_grip, self.power_w,
                self.rolling_mps2, self.drag_per_m, grip,
            ]
        )  # fmt: skip

    def understeer_s2pm(self, grip: float) -> float:
        """Understeer coefficient K of the linear single-track model in s2/m, so that a steady turn has the yaw rate
        v * steering / (wheelbase + K * v**2) (Rajamani 2012, Vehicle Dynamics and Control, eq. 3.13)."""
        front = grip * self.front_grip * self.front_slope * self.shape
        rear = grip * self.rear_slope * self.shape
        # Stiffness follows load, so an axle's share of the mass cancels against its share of the stiffness.
        return (1.0 / front - 1.0 / rear) / GRAVITY_MPS2


class Car(RigidBody):
    """A car in one PyBullet client.

    Args:
        bullet: the pybullet module.
        client_id: PyBullet's physics client id.
        physics_hz: sub-steps per second.
        parameters: mass properties, springs and tyres.
    """

    def __init__(
        self, bullet: Any, client_id: int, physics_hz: int = 240, parameters: CarParameters = CarParameters()
    ) -> None:
        super().__init__(bullet, client_id)
        self.parameters = parameters
        self._dt = 1.0 / physics_hz
        self.steering_rad = 0.0
        """Angle of the front wheels, left positive, in radians."""
        self.grip = 0.95
        """Friction coefficient between tyres and ground."""
        self._vector = parameters.vector(self.grip)

    def create(self, place_m: np.ndarray, yaw_rad: float, grip: float, speed_mps: float = 0.0) -> None:
        """Put a new car into a freshly reset simulation, at rest on its springs or already rolling.

        Args:
            place_m: (>= 2,) x, y below the middle of the wheelbase in metres.
            yaw_rad: heading in radians.
            grip: friction coefficient of the ground.
            speed_mps: speed along the heading in m/s.
        """
        b, p = self._bullet, self.parameters
        body_height = HEIGHT_M - FLOOR_M
        shape = b.createCollisionShape(
            b.GEOM_BOX, halfExtents=[LENGTH_M / 2, WIDTH_M / 2, body_height / 2],
            collisionFramePosition=[-self._ahead_m, 0, FLOOR_M + body_height / 2 - p.height_m],
            physicsClientId=self._id,
        )  # fmt: skip
        self._create_body(shape, p.mass_kg, p.inertia_kgm2)
        self.grip, self._vector = grip, p.vector(grip)
        self.put(place_m, yaw_rad, speed_mps)

    def put(self, place_m: np.ndarray, yaw_rad: float, speed_mps: float) -> None:
        """Stand on the ground at a place (>= 2,), wheels straight, rolling along the heading."""
        forward = np.array([math.cos(yaw_rad), math.sin(yaw_rad), 0.0])
        middle = np.array([place_m[0], place_m[1], self.parameters.height_m])
        self.steering_rad = 0.0
        self.place(middle + self._ahead_m * forward, yaw_rad, speed_mps * forward)

    def apply(self, steering_rad: float, go: float) -> None:
        """Turn the wheels towards an angle and hand PyBullet the forces on all four for the next sub-step.

        Args:
            steering_rad: angle asked for, left positive.
            go: -1 (brake) to 1 (full throttle).
        """
        step = STEERING_RATE_RADPS * self._dt
        wanted = max(-STEERING_LOCK_RAD, min(STEERING_LOCK_RAD, steering_rad))
        self.steering_rad += max(-step, min(step, wanted - self.steering_rad))
        wheel_forces(self.state, self.steering_rad, go, self._vector, self._wrench)
        self._push()

    @property
    def look(self) -> VehicleLook:
        """How it is drawn, wheels where the forces act."""
        return car_look(WHEELBASE_M, self.parameters.half_track_m)

    @property
    def _ahead_m(self) -> float:
        """How far the centre of mass lies ahead of the middle of the wheelbase, in metres."""
        return WHEELBASE_M / 2 - self.parameters.front_m

    def base_position(self) -> np.ndarray:
        """(3,) the body frame's origin: on the ground below the middle of the wheelbase when at rest; metres."""
        return self.state[:3] - self.rotation @ np.array([self._ahead_m, 0.0, self.parameters.height_m])

    def motion_state(self) -> np.ndarray:
        """(6,) x, y of the middle of the wheelbase, yaw, speed forward, yaw rate, steering: what `motion_step`
        continues; metres, seconds, radians."""
        s, base, yaw = self.state, self.base_position(), self.yaw_rad
        forward = math.cos(yaw) * s[7] + math.sin(yaw) * s[8]
        return np.array([base[0], base[1], yaw, forward, s[12], self.steering_rad])

    def motion_vector(self) -> np.ndarray:
        """(4,) understeer coefficient (s2/m), largest lateral acceleration (m/s2), slip of the rear axle per lateral
        acceleration (rad s2/m), grip: what `motion_step` needs to know of car and ground."""
        p = self.parameters
        rear_slip = 1.0 / (self.grip * p.rear_slope * p.shape * GRAVITY_MPS2)
        limit = 0.97 * self.grip * p.front_grip * GRAVITY_MPS2
        return np.array([p.understeer_s2pm(self.grip), limit, rear_slip, self.grip])


@njit(cache=True)
def wheel_forces(state, steering, go, p, wrench):  # type: ignore[no-untyped-def]
    """Force and torque of ground and air on the car: fills `wrench` (world force 3, world torque 3).

    Args:
        state: (13,) as in `RigidBody.state`.
        steering: angle of the front wheels in radians.
        go: -1 to 1.
        p: `CarParameters.vector`.
        wrench: (6,) output.
    """
    r = rotation_of(state[3:7])
    mass, weight = p[0], p[0] * GRAVITY_MPS2
    vx, vy, vz = state[7], state[8], state[9]
    wx, wy, wz = state[10], state[11], state[12]
    flat = math.sqrt(r[0, 0] * r[0, 0] + r[1, 0] * r[1, 0])
    cos_yaw, sin_yaw = r[0, 0] / flat, r[1, 0] / flat
    forward_speed = cos_yaw * vx + sin_yaw * vy
    drive = _lengthwise_force(go, forward_speed, p)
    wrench[:] = 0.0
    for k in range(4):
        front, left = k < 2, k % 2 == 0
        along = p[1] if front else -p[2]
        aside = p[3] if left else -p[3]
        # Where the wheel is mounted, from the centre of mass, in world axes; its contact point is on the ground below.
        ox, oy = r[0, 0] * along + r[0, 1] * aside, r[1, 0] * along + r[1, 1] * aside
        oz = r[2, 0] * along + r[2, 1] * aside
        sink = p[4] - (state[2] + oz)
        sink_rate = -(vz + wx * oy - wy * ox)
        static = weight * (p[2] if front else p[1]) / (2.0 * (p[1] + p[2]))
        load = max(0.0, static + p[5] * sink + p[6] * sink_rate)
        down = -state[2]
        px, py = vx + wy * down - wz * oy, vy + wz * ox - wx * down
        angle = steering if front else 0.0
        cosine = cos_yaw * math.cos(angle) - sin_yaw * math.sin(angle)
        sine = sin_yaw * math.cos(angle) + cos_yaw * math.sin(angle)
        fx, fy = _tyre_force(cosine * px + sine * py, cosine * py - sine * px, drive * load / weight, load, front, p)
        gx, gy = cosine * fx - sine * fy, sine * fx + cosine * fy
        wrench[0] += gx
        wrench[1] += gy
        wrench[2] += load
        wrench[3] += oy * load - down * gy
        wrench[4] += down * gx - ox * load
        wrench[5] += ox * gy - oy * gx
    air = mass * p[13] * math.sqrt(vx * vx + vy * vy)
    wrench[0] -= air * vx
    wrench[1] -= air * vy


@njit(cache=True, inline="always")
def _lengthwise_force(go, speed, p):  # type: ignore[no-untyped-def]
    """Force in newtons that engine, brakes and rolling resistance ask of all wheels together."""
    # Resistance and brakes fade out at walking pace, so that a standing car stands.
    against = clip(speed / 0.5, 1.0)
    force = -p[0] * p[12] * against
    if go >= 0.0:
        return force + min(p[0] * MAX_ACCELERATION_MPS2, p[11] / max(abs(speed), 1.0)) * go
    return force + p[0] * MAX_BRAKING_MPS2 * go * against


@njit(cache=True, inline="always")
def _tyre_force(forward, sideways, wanted, load, front, p):  # type: ignore[no-untyped-def]
    """Force (along, left) of one tyre whose contact point moves at (forward, sideways) in the wheel's frame."""
    limit = p[14] * load * (p[10] if front else 1.0)
    along = clip(wanted, 0.98 * limit)
    # Below walking pace the slip angle of a small sideways motion would be a right angle.
    slip = math.atan2(sideways, max(abs(forward), 1.5))
    slope = p[7] if front else p[8]
    used = along / max(limit, 1e-6)
    return along, -limit * math.sin(p[9] * math.atan(slope * slip)) * math.sqrt(1.0 - used * used)


@njit(cache=True, inline="always", fastmath=True)
def motion_step(x, y, yaw, speed, yaw_rate, steering, wanted, acceleration, m, dt):  # type: ignore[no-untyped-def]
    """One step of the planner's motion model: a single track in a steady turn, its yaw rate lagging behind.

    Args:
        x, y, yaw, speed, yaw_rate, steering: the state, as in `Car.motion_state`.
        wanted: steering angle asked for, inside the lock, in radians.
        acceleration: along the heading, in m/s2.
        m: `Car.motion_vector()`.
        dt: step in seconds.

    Returns:
        The state after `dt`.
    """
    steering += clip(wanted - steering, STEERING_RATE_RADPS * dt)
    steady = speed * steering / (WHEELBASE_M + m[0] * speed * speed)
    steady = clip(steady, m[1] / max(speed, 1.0))
    yaw_rate += (1.0 - math.exp(-dt / YAW_LAG_S)) * (steady - yaw_rate)
    # The middle of the wheelbase moves sideways by the turn about the rear axle, less that axle's slip.
    sideways = yaw_rate * (0.5 * WHEELBASE_M - m[2] * speed * speed)
    half = yaw + 0.5 * dt * yaw_rate
    cosine, sine = math.cos(half), math.sin(half)
    x += dt * (cosine * speed - sine * sideways)
    y += dt * (sine * speed + cosine * sideways)
    return x, y, yaw + dt * yaw_rate, max(0.0, speed + dt * acceleration), yaw_rate, steering
