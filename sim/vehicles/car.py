"""The car: one PyBullet rigid body on four sprung wheels whose tyres slip.

Its measures stand in `car_parameters`, the forces on it in `car_dynamics`, the model that planners roll out in
`car_motion`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera, Rig
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.car_dynamics import coast, wheel_forces
from forestpilot.sim.vehicles.car_look import car_look
from forestpilot.sim.vehicles.car_motion import DriveModel, DriveMotion
from forestpilot.sim.vehicles.car_parameters import (
    BODY_DISCS_M,
    BRAKE_LIGHT_GO,
    FLOOR_M,
    FOREST_FLOOR_GRIP,
    HEIGHT_M,
    LENGTH_M,
    STEERING_LOCK_RAD,
    STEERING_RATE_RADPS,
    TOP_SPEED_MPS,
    WHEELBASE_M,
    WIDTH_M,
    CarParameters,
)
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2, PHYSICS_STEP_S, POSITION, VX, VY, WZ
from forestpilot.sim.vehicles.vehicle import StateElement, Vehicle
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.world import World

USUAL = CarParameters()
"""The car that everybody drives."""


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

    def __init__(self, client_id: int, parameters: CarParameters = USUAL) -> None:
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
