"""The quadrotor: a PyBullet rigid body, its cascade controller at 240 Hz, and the motion model that the planner
rolls out.

Cascade: heading and speed -> velocity error -> acceleration -> attitude -> body rates -> torques and thrust -> four
motors with lag and limits. Rotor drag is linear in velocity (Faessler et al. 2018, RA-L 3(2), eq. 3) and fed forward by
the controller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import SideRange
from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.free_body import MOST_NEAR, NEAR_M, discs_within, free_step, travel_of
from forestpilot.sim.vehicles.quadrotor_look import quadrotor_look
from forestpilot.sim.vehicles.rigid_body import (
    GRAVITY_MPS2,
    PHYSICS_STEP_S,
    QUATERNION,
    TORQUE_X,
    VX,
    VY,
    VZ,
    WX,
    WY,
    WZ,
    Z,
    clip,
    rotation_of,
    wrap_angle,
)
from forestpilot.sim.vehicles.vehicle import StateElement, Vehicle
from forestpilot.sim.worlds.clearance import path_clearance
from forestpilot.sim.worlds.world import World

BODY_RADIUS_M = 0.25
"""Radius of the collision shape: rotor tips included, in metres."""
BODY_HEIGHT_M = 0.12
REACH_M = math.hypot(BODY_RADIUS_M, BODY_HEIGHT_M / 2) + NEAR_M
"""What is further from the middle than this is not touched, however the body tilts."""
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
# Places of the motors.
FRONT_LEFT = 0
FRONT_RIGHT = 1
REAR_RIGHT = 2
REAR_LEFT = 3

CRUISING_ALTITUDE_M = 1.8
"""Altitude above starts that lie on the ground, in metres."""


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

    def constants(self) -> QuadrotorConstants:
        """Constants that the kernels need."""
        return QuadrotorConstants(
            self.mass_kg,
            *self.inertia_kgm2,
            self.arm_m,
            self.max_motor_thrust_n,
            self.motor_lag_s,
            self.torque_per_thrust_m,
            *self.drag_per_s,
        )


class QuadrotorConstants(NamedTuple):
    """`QuadrotorParameters` as the kernels take them."""

    mass: float
    inertia_x: float
    inertia_y: float
    inertia_z: float
    arm: float
    motor_limit: float
    motor_lag: float
    torque_per_thrust: float
    drag_x: float
    drag_y: float
    drag_z: float


class FlightMotion(NamedTuple):
    """State of the planner's motion model; metres and seconds."""

    x: float
    y: float
    vx: float
    vy: float
    ax: float
    """Acceleration."""
    ay: float
    bx: float
    """Acceleration that the body's rotation is heading for."""
    by: float


class FlightCommand(NamedTuple):
    """Command of an action: what it asks for."""

    heading_rad: float
    speed_mps: float
    altitude_m: float


class Quadrotor(Vehicle):
    """A quadrotor in one PyBullet client.

    Args:
        client_id: PyBullet's physics client id.
        parameters: mass properties and limits.
    """

    name = "quadrotor"
    turn_kind = "heading"
    max_turn_rad = MAX_TURN_RAD
    max_speed_mps = 12.0
    body_discs = ((0.0, BODY_RADIUS_M),)
    side_range = SideRange(
        shift_m=1.5,
        yaw_rad=math.radians(35.0),
        along=0.2,
        across=0.3,
        yaw_rate_radps=1.2,
        room_m=BODY_RADIUS_M + 0.1,
    )
    state_elements = (
        StateElement("forward_mps", 10.0, 1.0),
        StateElement("left_mps", 5.0, -1.0),
        StateElement("up_mps", 2.0, 1.0),
        StateElement("roll_rad", 0.7, -1.0),
        StateElement("pitch_rad", 0.7, 1.0),
        StateElement("roll_rate_radps", 4.0, -1.0),
        StateElement("pitch_rate_radps", 4.0, 1.0),
        StateElement("yaw_rate_radps", 2.0, -1.0),
        StateElement("speed_set_point_mps", 10.0, 1.0),
        StateElement("altitude_m", 2.0, 1.0),
    )

    def __init__(self, client_id: int, parameters: QuadrotorParameters = QuadrotorParameters()) -> None:
        super().__init__(client_id)
        self.parameters = parameters
        self._constants = record_of(parameters.constants())
        self.motor_thrusts_n = np.zeros(4)
        self._altitude_m = CRUISING_ALTITUDE_M

    @property
    def look(self) -> VehicleLook:
        """Looks of the quadrotor, motors where the controller has them."""
        return quadrotor_look(self.parameters.arm_m)

    @classmethod
    def reach_m(cls, speed_mps: float, control_hz: int) -> float:
        """Distance that a flight at the set point leads in one control step, and a little more."""
        return (1.1 * speed_mps + 1.0) / control_hz + BODY_RADIUS_M + 0.1

    def begin(self, world: World) -> None:
        """Hover at the start, at its altitude, or at `CRUISING_ALTITUDE_M` over a start on the ground."""
        x, y, z = world.start_m
        self._altitude_m = float(z) if z > 0.0 else CRUISING_ALTITUDE_M
        self.create(np.array([x, y, self._altitude_m]), world.start_yaw_rad)

    def create(self, position_m: np.ndarray, yaw_rad: float, velocity_mps: np.ndarray | None = None) -> None:
        """Make the body in a freshly reset simulation, hovering (or already moving) with its motors at hover thrust."""
        parameters = self.parameters
        self._plan_body(self._make_shape, parameters.mass_kg, parameters.inertia_kgm2)
        self.motor_thrusts_n[:] = parameters.mass_kg * GRAVITY_MPS2 / 4
        self.place(position_m, yaw_rad, np.zeros(3) if velocity_mps is None else velocity_mps)

    def _make_shape(self) -> int:
        return pybullet.createCollisionShape(
            pybullet.GEOM_CYLINDER, radius=BODY_RADIUS_M, height=BODY_HEIGHT_M, physicsClientId=self._id
        )

    def put(self, place_m: np.ndarray, yaw_rad: float, speed_mps: float) -> None:
        """Fly level at the altitude that is held, above a place (>= 2,)."""
        forward = np.array([math.cos(yaw_rad), math.sin(yaw_rad), 0.0])
        self.motor_thrusts_n[:] = self.parameters.mass_kg * GRAVITY_MPS2 / 4
        self.place(np.array([place_m[0], place_m[1], self._altitude_m]), yaw_rad, speed_mps * forward)

    def command(self, action: np.ndarray, set_point_mps: float) -> FlightCommand:
        """A heading to turn to, a speed between 0 and the set point, and the altitude."""
        turn, go = action
        return FlightCommand(self.yaw_rad + turn * MAX_TURN_RAD, set_point_mps * (go + 1) / 2, self._altitude_m)

    def apply(self, command: FlightCommand) -> None:
        """Run the controller once on `state` and hand PyBullet the motors' force and torque for the next sub-step."""
        heading, speed, altitude = command
        control(self.state, self.motor_thrusts_n, self._constants, heading, speed, altitude, self._wrench)
        self._push()

    def coast(self, command: FlightCommand, discs: np.ndarray, path: np.ndarray) -> bool:
        """Fly through the sub-steps of a control step at once."""
        if not (self._knows_frame and self.coasts):
            return False
        ahead = self._foresee(self.motor_thrusts_n)
        is_clear = bool(coast(*ahead, self._constants, self._mass_properties, *command, discs, path, self._wrench))
        if is_clear:
            self._move_on(ahead)
            self.motor_thrusts_n[:] = ahead.actuators
        return is_clear

    @property
    def may_touch_ground(self) -> bool:
        """Below half a metre it may."""
        return bool(self.state[Z] < 0.5)

    def observed_state(self, set_point_mps: float) -> np.ndarray:
        """(10,) float32."""
        motion = self.heading_frame()
        rates = motion.rates_radps.tolist()
        own = [motion.roll_rad, motion.pitch_rad, *rates, set_point_mps, float(self.state[Z])]
        return np.array(motion.velocity_mps.tolist() + own, np.float32)

    def clearance_m(self, world: World, path: np.ndarray) -> float:
        """Least distance along the path from the body's radius to a trunk."""
        return float(path_clearance(path, world.trees)) - BODY_RADIUS_M

    def state_bytes(self) -> bytes:
        """The body's state and its motors' thrusts."""
        return self.state.tobytes() + self.motor_thrusts_n.tobytes()

    def motion_state(self) -> FlightMotion:
        """State that `motion_step` continues."""
        up_x, up_y, up_z = self.rotation[:, Z].tolist()
        x, y, *_, vx, vy, _, wx, wy, wz = self.state.tolist()
        scale = GRAVITY_MPS2 / max(up_z, 0.3)
        drag = self.parameters.drag_per_s[0]
        ax = scale * up_x - drag * vx
        ay = scale * up_y - drag * vy
        jerk_x = scale * (wy * up_z - wz * up_y)
        jerk_y = scale * (wz * up_x - wx * up_z)
        return FlightMotion(x, y, vx, vy, ax, ay, ax + TILT_LAG_S * jerk_x, ay + TILT_LAG_S * jerk_y)


@helper(inline="always", fastmath=True)
def acceleration_command(gain, speed, cosine, sine, vx, vy):  # type: ignore[no-untyped-def]
    """Horizontal acceleration asked for to fly at `speed` along (cosine, sine): limited as a vector, and more so
    forward."""
    ax = gain * (speed * cosine - vx)
    ay = gain * (speed * sine - vy)
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


@kernel()
def control(state, motors, constants, heading, speed, altitude, wrench):  # type: ignore[no-untyped-def]
    """One tick of the cascade: fills `wrench` (world force 3, world torque 3) and moves `motors` (4) on by their lag.

    Args:
        state: (13,) as in `Quadrotor.state`.
        motors: (4,) current thrusts in newtons; front left, front right, rear right, rear left.
        constants: (1,) record of `QuadrotorConstants`.
        heading, speed, altitude: set points in rad, m/s, m.
        wrench: (6,) output.
    """
    p = constants[0]
    limit = p.motor_limit
    r = rotation_of(state[QUATERNION])
    vx = state[VX]
    vy = state[VY]
    vz = state[VZ]
    ax, ay = acceleration_command(VELOCITY_GAIN, speed, math.cos(heading), math.sin(heading), vx, vy)
    az = clip(6.0 * (clip(2.5 * (altitude - state[Z]), 1.5) - vz), 6.0)
    # Desired thrust per mass, drag fed forward; its direction is the desired body z axis.
    tx = ax + p.drag_x * vx
    ty = ay + p.drag_y * vy
    tz = max(az + GRAVITY_MPS2, 2.0)
    tn = math.sqrt(tx * tx + ty * ty + tz * tz)
    bx = r[0, 0] * tx + r[1, 0] * ty + r[Z, 0] * tz
    by = r[0, 1] * tx + r[1, 1] * ty + r[Z, 1] * tz
    bz = r[0, Z] * tx + r[1, Z] * ty + r[Z, Z] * tz
    # Rotation vector (in the body) that takes the body z axis to the desired one: roll and pitch only.
    sine = math.sqrt(bx * bx + by * by)
    angle = math.atan2(sine, bz) / max(sine, 1e-9)
    yaw = math.atan2(r[1, 0], r[0, 0])
    rate_x = clip(11.0 * -by * angle, 8.0)
    rate_y = clip(11.0 * bx * angle, 8.0)
    rate_z = clip(5.0 * wrap_angle(heading - yaw), 3.0) * max(r[Z, Z], 0.0)
    wx = r[0, 0] * state[WX] + r[1, 0] * state[WY] + r[Z, 0] * state[WZ]
    wy = r[0, 1] * state[WX] + r[1, 1] * state[WY] + r[Z, 1] * state[WZ]
    wz = r[0, Z] * state[WX] + r[1, Z] * state[WY] + r[Z, Z] * state[WZ]
    torque_x = p.inertia_x * 28.0 * (rate_x - wx) + (p.inertia_z - p.inertia_y) * wy * wz
    torque_y = p.inertia_y * 28.0 * (rate_y - wy) + (p.inertia_x - p.inertia_z) * wx * wz
    torque_z = p.inertia_z * 12.0 * (rate_z - wz) + (p.inertia_y - p.inertia_x) * wx * wy
    thrust = min(p.mass * tn * max(bz / tn, 0.0), 0.9 * 4 * limit)
    # Mix into four motors on a cross at 45 degrees; yaw gives way first, as it saves the flight least.
    lever = 0.25 * math.sqrt(2.0) / p.arm
    yaw_part = clip(0.25 * torque_z / p.torque_per_thrust, 0.3 * thrust)
    decay = 1.0 - math.exp(-PHYSICS_STEP_S / p.motor_lag)
    for k in range(4):
        left = 1.0 if (k == 0 or k == 3) else -1.0
        front = 1.0 if k < 2 else -1.0
        spin = 1.0 if (k == 0 or k == 2) else -1.0
        wanted = 0.25 * thrust + lever * (left * torque_x - front * torque_y) + spin * yaw_part
        motors[k] += decay * (max(0.0, min(limit, wanted)) - motors[k])
    _rigid_body_wrench(state, r, motors, p, wrench)


@kernel()
def coast(state, frame, motors, constants, body, heading, speed, altitude, discs, path, wrench):  # type: ignore[no-untyped-def]
    """Controller and free body for as many sub-steps as `path` has rows; see `control`, `free_step`, `Vehicle.coast`.

    Returns:
        False if something may be touched on the way: then the result is not what PyBullet does.
    """
    x = state[0]
    y = state[1]
    travel = travel_of(state, len(path))
    found = np.empty(MOST_NEAR, np.int64)
    count = discs_within(discs, x, y, travel + REACH_M, found)
    for k in range(len(path)):
        if count < 0 or not _is_free(state, discs, found, count):
            return False
        control(state, motors, constants, heading, speed, altitude, wrench)
        free_step(state, frame, wrench, body)
        for i in range(3):
            path[k, i] = state[i]
        if math.hypot(state[0] - x, state[1] - y) > travel:
            return False
    return True


@helper()
def _is_free(state, discs, found, count):  # type: ignore[no-untyped-def]
    """Tell if neither the ground nor any of the first discs that were found is within reach."""
    for k in range(count):
        disc = found[k]
        dx = discs[disc, 0] - state[0]
        dy = discs[disc, 1] - state[1]
        radius = discs[disc, 2] + REACH_M
        if dx * dx + dy * dy < radius * radius:
            return False
    return state[Z] > REACH_M


@helper()
def _rigid_body_wrench(state, r, motors, p, wrench):  # type: ignore[no-untyped-def]
    """Force and torque of the motors and of drag, in the world frame."""
    lever = p.arm / math.sqrt(2.0)
    front_left = motors[FRONT_LEFT]
    front_right = motors[FRONT_RIGHT]
    rear_right = motors[REAR_RIGHT]
    rear_left = motors[REAR_LEFT]
    total = front_left + front_right + rear_right + rear_left
    torque_x = lever * (front_left - front_right - rear_right + rear_left)
    torque_y = -lever * (front_left + front_right - rear_right - rear_left)
    torque_z = p.torque_per_thrust * (front_left - front_right + rear_right - rear_left)
    vx = state[VX]
    vy = state[VY]
    vz = state[VZ]
    fx = -p.mass * p.drag_x * (r[0, 0] * vx + r[1, 0] * vy + r[Z, 0] * vz)
    fy = -p.mass * p.drag_y * (r[0, 1] * vx + r[1, 1] * vy + r[Z, 1] * vz)
    fz = total - p.mass * p.drag_z * (r[0, Z] * vx + r[1, Z] * vy + r[Z, Z] * vz)
    for i in range(3):
        wrench[i] = r[i, 0] * fx + r[i, 1] * fy + r[i, Z] * fz
        wrench[TORQUE_X + i] = r[i, 0] * torque_x + r[i, 1] * torque_y + r[i, Z] * torque_z


@helper(inline="always", fastmath=True)
def motion_step(motion, speed, cosine, sine, blend, dt):  # type: ignore[no-untyped-def]
    """One step of the planner's motion model: the velocity loop behind two first-order lags, body rate and tilt.

    Args:
        motion: `FlightMotion`.
        speed, cosine, sine: commanded speed in m/s, and the direction of the commanded heading.
        blend: 1 - exp(-dt / TILT_LAG_S).
        dt: step in seconds.

    Returns:
        The state after `dt`.
    """
    x, y, vx, vy, ax, ay, bx, by = motion
    cx, cy = acceleration_command(MODEL_VELOCITY_GAIN, speed, cosine, sine, vx, vy)
    ax += blend * (bx - ax)
    ay += blend * (by - ay)
    bx += blend * (cx - bx)
    by += blend * (cy - by)
    x += dt * (vx + 0.5 * dt * ax)
    y += dt * (vy + 0.5 * dt * ay)
    vx += dt * ax
    vy += dt * ay
    return FlightMotion(x, y, vx, vy, ax, ay, bx, by)
