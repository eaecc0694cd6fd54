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
from typing import NamedTuple

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera, Rig
from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.car_look import car_look
from forestpilot.sim.vehicles.free_body import (
    MOST_NEAR,
    NEAR_M,
    discs_within,
    free_step,
    matrix_of,
    to_world,
    travel_of,
)
from forestpilot.sim.vehicles.rigid_body import (
    GRAVITY_MPS2,
    PHYSICS_STEP_S,
    POSITION,
    QUATERNION,
    TORQUE_X,
    TORQUE_Y,
    TORQUE_Z,
    VX,
    VY,
    VZ,
    WX,
    WY,
    WZ,
    W,
    Z,
    clip,
    rotation_of,
)
from forestpilot.sim.vehicles.vehicle import StateElement, Vehicle
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.world import World

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


class DriveCommand(NamedTuple):
    """Command of an action: what it asks for."""

    steering_rad: float
    go: float


class Car(Vehicle):
    """A car in one PyBullet client.

    Args:
        client_id: PyBullet's physics client id.
        parameters: mass properties, springs and tyres.
    """

    name = "car"
    has_brake = True
    body_discs = tuple((ahead, WIDTH_M / 2) for ahead in BODY_DISCS_M)
    turn_kind = "steering"
    max_turn_rad = STEERING_LOCK_RAD
    max_speed_mps = 20.0
    wheelbase_m = WHEELBASE_M
    state_elements = (
        StateElement("forward_mps", 10.0, 1.0),
        StateElement("left_mps", 1.0, -1.0),
        StateElement("roll_rad", 0.1, -1.0),
        StateElement("pitch_rad", 0.1, 1.0),
        StateElement("roll_rate_radps", 0.5, -1.0),
        StateElement("pitch_rate_radps", 0.5, 1.0),
        StateElement("yaw_rate_radps", 1.0, -1.0),
        StateElement("steering_rad", 0.3, -1.0),
        StateElement("speed_set_point_mps", 10.0, 1.0),
    )

    def __init__(self, client_id: int, parameters: CarParameters = CarParameters()) -> None:
        super().__init__(client_id)
        self.parameters = parameters
        self.steering_rad = 0.0
        self.grip = 0.95
        """Friction coefficient between tyres and ground."""
        self._constants = record_of(parameters.constants(self.grip))
        self._box = np.zeros((2, 3))
        """Middle of the body's box, from the centre of mass, and half its length, width and height; metres."""

    @classmethod
    def rig(cls, camera: Camera) -> Rig:
        """Behind the windscreen, the side cameras half a metre aside."""
        return Rig(camera, side_yaw_rad=0.14, side_offset_m=0.5, forward_m=0.4, up_m=1.3)

    @classmethod
    def reach_m(cls, speed_mps: float, control_hz: int) -> float:
        """Distance that one control step leads at `TOP_SPEED_MPS`, and half the car's length and more."""
        return TOP_SPEED_MPS / control_hz + 2.2

    def begin(self, world: World) -> None:
        """At rest on its springs at the start."""
        self.create(world.start_m, world.start_yaw_rad, getattr(world, "grip", FOREST_FLOOR_GRIP))

    def create(self, place_m: np.ndarray, yaw_rad: float, grip: float, speed_mps: float = 0.0) -> None:
        """Make the body in a freshly reset simulation, at rest on its springs or already rolling.

        Args:
            place_m: (>= 2,) x, y below the middle of the wheelbase in metres.
            yaw_rad: heading in radians.
            grip: friction coefficient of the ground.
            speed_mps: speed along the heading in m/s.
        """
        parameters = self.parameters
        body_height = HEIGHT_M - FLOOR_M
        self._box[0] = -self._ahead_m, 0, FLOOR_M + body_height / 2 - parameters.height_m
        self._box[1] = LENGTH_M / 2, WIDTH_M / 2, body_height / 2
        self._plan_body(self._make_shape, parameters.mass_kg, parameters.inertia_kgm2)
        self.grip = grip
        self._constants = record_of(parameters.constants(grip))
        self.put(place_m, yaw_rad, speed_mps)

    def _make_shape(self) -> int:
        middle, half = self._box.tolist()
        return pybullet.createCollisionShape(
            pybullet.GEOM_BOX, halfExtents=half, collisionFramePosition=middle, physicsClientId=self._id
        )

    def put(self, place_m: np.ndarray, yaw_rad: float, speed_mps: float) -> None:
        """Stand on the ground at a place (>= 2,), wheels straight, rolling along the heading."""
        forward = np.array([math.cos(yaw_rad), math.sin(yaw_rad), 0.0])
        middle = np.array([place_m[0], place_m[1], self.parameters.height_m])
        self.steering_rad = 0.0
        self.place(middle + self._ahead_m * forward, yaw_rad, speed_mps * forward)

    def command(self, action: np.ndarray, set_point_mps: float) -> DriveCommand:
        """A steering angle, and throttle or brake."""
        turn, go = action
        return DriveCommand(float(turn) * STEERING_LOCK_RAD, float(go))

    def brakes(self, action: np.ndarray) -> bool:
        """Below 0 its second element is the brake; what only holds the speed does not light a lamp."""
        return bool(action[1] < BRAKE_LIGHT_GO)

    def apply(self, command: DriveCommand) -> None:
        """Turn the wheels towards the angle and hand PyBullet the forces on all four for the next sub-step."""
        step = STEERING_RATE_RADPS * PHYSICS_STEP_S
        wanted = max(-STEERING_LOCK_RAD, min(STEERING_LOCK_RAD, command.steering_rad))
        self.steering_rad += max(-step, min(step, wanted - self.steering_rad))
        wheel_forces(self.state, self.steering_rad, command.go, self._constants, self._wrench)
        self._push()

    def coast(self, command: DriveCommand, discs: np.ndarray, path: np.ndarray) -> bool:
        """Drive through the sub-steps of a control step at once."""
        if not (self._knows_frame and self.coasts):
            return False
        ahead = self._foresee(np.array([self.steering_rad]))
        is_clear = bool(
            coast(*ahead, self._constants, self._mass_properties, *command, self._box, discs, path, self._wrench)
        )
        if is_clear:
            self._move_on(ahead)
            self.steering_rad = float(ahead.actuators[0])
        return is_clear

    def observed_state(self, set_point_mps: float) -> np.ndarray:
        """(9,) float32."""
        motion = self.heading_frame()
        forward, left, _ = motion.velocity_mps.tolist()
        tilt = [motion.roll_rad, motion.pitch_rad, *motion.rates_radps.tolist()]
        return np.array([forward, left, *tilt, self.steering_rad, set_point_mps], np.float32)

    def clearance_m(self, world: World, path: np.ndarray) -> float:
        """Distance from the body, as three discs, where it stands now; cut off where the clearance map ends."""
        grid = world.clearance
        x, y, _ = self.base_position()
        cosine = math.cos(self.yaw_rad)
        sine = math.sin(self.yaw_rad)
        least = math.inf
        for ahead in BODY_DISCS_M:
            u = (x + ahead * cosine - grid.x_min) / grid.cell_m
            v = (y + ahead * sine - grid.y_min) / grid.cell_m
            least = min(least, sample_clearance(grid.distance_m, u, v))
        return least - WIDTH_M / 2

    def state_bytes(self) -> bytes:
        """The body's state and the angle of its wheels."""
        return self.state.tobytes() + np.array([self.steering_rad]).tobytes()

    @property
    def look(self) -> VehicleLook:
        """Looks of the car, wheels where the forces act."""
        return car_look(WHEELBASE_M, self.parameters.half_track_m)

    @property
    def _ahead_m(self) -> float:
        """Distance of the centre of mass ahead of the middle of the wheelbase, in metres."""
        return WHEELBASE_M / 2 - self.parameters.front_m

    def base_position(self) -> np.ndarray:
        """(3,) the body frame's origin: on the ground below the middle of the wheelbase when at rest; metres."""
        return self.state[POSITION] - self.rotation @ np.array([self._ahead_m, 0.0, self.parameters.height_m])

    @property
    def forward_mps(self) -> float:
        """Speed along the heading in m/s."""
        yaw = self.yaw_rad
        return math.cos(yaw) * self.state[VX] + math.sin(yaw) * self.state[VY]

    def motion_state(self) -> DriveMotion:
        """State that `motion_step` continues."""
        x, y, _ = self.base_position()
        return DriveMotion(x, y, self.yaw_rad, self.forward_mps, self.state[WZ], self.steering_rad)

    def motion_model(self) -> DriveModel:
        """Model of the motion: what `motion_step` needs to know of car and ground."""
        parameters = self.parameters
        rear_slip = 1.0 / (self.grip * parameters.rear_slope * parameters.shape * GRAVITY_MPS2)
        limit = 0.97 * self.grip * parameters.front_grip * GRAVITY_MPS2
        return DriveModel(parameters.understeer_s2pm(self.grip), limit, rear_slip)


@kernel()
def wheel_forces(state, steering, go, constants, wrench):  # type: ignore[no-untyped-def]
    """Force and torque of ground and air on the car: fills `wrench` (world force 3, world torque 3).

    Args:
        state: (13,) as in `RigidBody.state`.
        steering: angle of the front wheels in radians.
        go: -1 to 1.
        constants: (1,) record of `CarConstants`.
        wrench: (6,) output.
    """
    p = constants[0]
    r = rotation_of(state[QUATERNION])
    weight = p.mass * GRAVITY_MPS2
    vx = state[VX]
    vy = state[VY]
    vz = state[VZ]
    wx = state[WX]
    wy = state[WY]
    wz = state[WZ]
    flat = math.sqrt(r[0, 0] * r[0, 0] + r[1, 0] * r[1, 0])
    cos_yaw = r[0, 0] / flat
    sin_yaw = r[1, 0] / flat
    forward_speed = cos_yaw * vx + sin_yaw * vy
    drive = _lengthwise_force(go, forward_speed, p)
    wrench[:] = 0.0
    for k in range(4):
        front = k < 2
        along = p.front if front else -p.rear
        aside = p.half_track if k % 2 == 0 else -p.half_track
        # Where the wheel is mounted, from the centre of mass, in world axes; its contact point is on the ground below.
        ox = r[0, 0] * along + r[0, 1] * aside
        oy = r[1, 0] * along + r[1, 1] * aside
        oz = r[Z, 0] * along + r[Z, 1] * aside
        sink = p.height - (state[Z] + oz)
        sink_rate = -(vz + wx * oy - wy * ox)
        static = weight * (p.rear if front else p.front) / (2.0 * (p.front + p.rear))
        load = max(0.0, static + p.spring * sink + p.damper * sink_rate)
        down = -state[Z]
        px = vx + wy * down - wz * oy
        py = vy + wz * ox - wx * down
        angle = steering if front else 0.0
        cosine = cos_yaw * math.cos(angle) - sin_yaw * math.sin(angle)
        sine = sin_yaw * math.cos(angle) + cos_yaw * math.sin(angle)
        fx, fy = _tyre_force(cosine * px + sine * py, cosine * py - sine * px, drive * load / weight, load, front, p)
        gx = cosine * fx - sine * fy
        gy = sine * fx + cosine * fy
        wrench[0] += gx
        wrench[1] += gy
        wrench[Z] += load
        wrench[TORQUE_X] += oy * load - down * gy
        wrench[TORQUE_Y] += down * gx - ox * load
        wrench[TORQUE_Z] += ox * gy - oy * gx
    air = p.mass * p.drag * math.sqrt(vx * vx + vy * vy)
    wrench[0] -= air * vx
    wrench[1] -= air * vy


@kernel()
def coast(state, frame, steering, constants, body, wanted, go, box, discs, path, wrench):  # type: ignore[no-untyped-def]
    """Wheels and free body for as many sub-steps as `path` has rows; see `wheel_forces`, `free_step`, `Vehicle.coast`.

    Args:
        steering: (1,) angle of the front wheels in radians, moved on.
        wanted: angle asked for in radians.
        box: (2, 3) as in `Car._box`.

    Returns:
        False if something may be touched on the way: then the result is not what PyBullet does.
    """
    x = state[0]
    y = state[1]
    travel = travel_of(state, len(path))
    reach = math.sqrt(box[1, 0] ** 2 + box[1, 1] ** 2 + box[1, Z] ** 2) + abs(box[0, 0]) + NEAR_M
    found = np.empty(MOST_NEAR, np.int64)
    count = discs_within(discs, x, y, travel + reach, found)
    for k in range(len(path)):
        if count < 0 or not _is_free(state, frame, box, discs, found, count):
            return False
        steering[0] += clip(clip(wanted, STEERING_LOCK_RAD) - steering[0], STEERING_RATE_RADPS * PHYSICS_STEP_S)
        wheel_forces(state, steering[0], go, constants, wrench)
        free_step(state, frame, wrench, body)
        for i in range(3):
            path[k, i] = state[i]
        if math.hypot(state[0] - x, state[1] - y) > travel:
            return False
    return True


@helper()
def _is_free(state, frame, box, discs, found, count):  # type: ignore[no-untyped-def]
    """Tell if neither the ground nor any of the first discs that were found is near the body's box."""
    m = matrix_of(frame[0], frame[1], frame[Z], frame[W])
    ox, oy, oz = to_world(m, box[0, 0], box[0, 1], box[0, Z])
    low = state[Z] + oz - (abs(m[2]) * box[1, 0] + abs(m[5]) * box[1, 1] + abs(m[8]) * box[1, Z])
    flat = math.sqrt(m[0] * m[0] + m[1] * m[1])
    cosine = m[0] / flat
    sine = m[1] / flat
    # The rectangle along the heading that the box covers on the ground, tilted or not.
    half_length = 0.0
    half_width = 0.0
    for i in range(3):
        half_length += abs(cosine * m[3 * i] + sine * m[3 * i + 1]) * box[1, i]
        half_width += abs(cosine * m[3 * i + 1] - sine * m[3 * i]) * box[1, i]
    for k in range(count):
        disc = found[k]
        dx = discs[disc, 0] - state[0] - ox
        dy = discs[disc, 1] - state[1] - oy
        ahead = max(abs(cosine * dx + sine * dy) - half_length, 0.0)
        aside = max(abs(cosine * dy - sine * dx) - half_width, 0.0)
        radius = discs[disc, 2] + NEAR_M
        if ahead * ahead + aside * aside < radius * radius:
            return False
    return low > NEAR_M


@helper(inline="always")
def _lengthwise_force(go, speed, p):  # type: ignore[no-untyped-def]
    """Force in newtons that engine, brakes and rolling resistance ask of all wheels together."""
    # Resistance and brakes fade out at walking pace, so that a standing car stands.
    against = clip(speed / 0.5, 1.0)
    force = -p.mass * p.rolling * against
    if go >= 0.0:
        return force + min(p.mass * MAX_ACCELERATION_MPS2, p.power / max(abs(speed), 1.0)) * go
    return force + p.mass * MAX_BRAKING_MPS2 * go * against


@helper(inline="always")
def _tyre_force(forward, sideways, wanted, load, front, p):  # type: ignore[no-untyped-def]
    """Force (along, left) of one tyre whose contact point moves at (forward, sideways) in the wheel's frame."""
    limit = p.grip * load * (p.front_grip if front else 1.0)
    along = clip(wanted, 0.98 * limit)
    # Below walking pace the slip angle of a small sideways motion would be a right angle.
    slip = math.atan2(sideways, max(abs(forward), 1.5))
    slope = p.front_slope if front else p.rear_slope
    used = along / max(limit, 1e-6)
    return along, -limit * math.sin(p.shape * math.atan(slope * slip)) * math.sqrt(1.0 - used * used)


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
