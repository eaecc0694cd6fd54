"""One PyBullet rigid body: what every vehicle is made of."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.kernels import helper, kernel

GRAVITY_MPS2 = 9.81
PHYSICS_HZ = 240
"""Sub-steps per second."""
PHYSICS_STEP_S = 1 / PHYSICS_HZ
"""Length of a sub-step in seconds."""

# Places in a body's state (13,), all in the world frame.
Z = 2
W = 3
"""Last of a quaternion."""
POSITION = slice(0, 3)
"""Position in metres."""
QX = 3
QY = 4
QZ = 5
QW = 6
QUATERNION = slice(3, 7)
"""Rotation from body to world as x, y, z, w."""
VX = 7
VY = 8
VZ = 9
VELOCITY = slice(7, 10)
"""Linear velocity in m/s."""
WX = 10
WY = 11
WZ = 12
SPIN = slice(10, 13)
"""Angular velocity in rad/s."""

# Places in a wrench (6,), after the force's three.
TORQUE_X = 3
TORQUE_Y = 4
TORQUE_Z = 5


class HeadingMotion(NamedTuple):
    """A body's motion as on-board instruments tell it."""

    velocity_mps: np.ndarray
    """(3,) forward, left, up in the heading's frame."""
    roll_rad: float
    """Roll, right side down positive."""
    pitch_rad: float
    """Pitch, nose down positive."""
    rates_radps: np.ndarray
    """(3,) about the body's axes."""


class RigidBody:
    """A free body in one PyBullet client, its state copied out and forces handed in.

    Args:
        client_id: PyBullet's physics client id.
    """

    def __init__(self, client_id: int) -> None:
        self._id = client_id
        self.body = -1
        self.state = np.zeros(13)
        """Position (3), quaternion x y z w (4), linear velocity (3), angular velocity (3), all in the world frame."""
        self._wrench = np.zeros(6)
        """Force (3) and torque (3) for the next sub-step, world frame, at the centre of mass."""

    def _create_body(self, shape: int, mass_kg: float, inertia_kgm2: tuple[float, float, float]) -> None:
        """Make the body, without PyBullet's own damping and never asleep."""
        self.body = pybullet.createMultiBody(mass_kg, shape, physicsClientId=self._id)
        pybullet.changeDynamics(
            self.body,
            -1,
            linearDamping=0,
            angularDamping=0,
            localInertiaDiagonal=inertia_kgm2,
            activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING,
            physicsClientId=self._id,
        )

    def place(self, position_m: np.ndarray, yaw_rad: float, velocity_mps: np.ndarray) -> None:
        """Put the centre of mass at a position (3,), upright, moving at a velocity (3,), not turning."""
        quaternion = [0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)]
        place = np.asarray(position_m, float).tolist()
        pybullet.resetBasePositionAndOrientation(self.body, place, quaternion, physicsClientId=self._id)
        velocity = np.asarray(velocity_mps, float).tolist()
        pybullet.resetBaseVelocity(self.body, velocity, [0.0, 0.0, 0.0], physicsClientId=self._id)
        self.read()

    def read(self) -> np.ndarray:
        """Copy the body's state out of PyBullet into `state` and return it."""
        position, quaternion = pybullet.getBasePositionAndOrientation(self.body, physicsClientId=self._id)
        linear, angular = pybullet.getBaseVelocity(self.body, physicsClientId=self._id)
        self.state[:] = position + quaternion + linear + angular
        return self.state

    def _push(self) -> None:
        """Hand PyBullet the wrench for the next sub-step."""
        wrench = self._wrench.tolist()
        place = self.state[POSITION].tolist()
        frame = pybullet.WORLD_FRAME
        pybullet.applyExternalForce(self.body, -1, wrench[:3], place, frame, physicsClientId=self._id)
        pybullet.applyExternalTorque(self.body, -1, wrench[3:], frame, physicsClientId=self._id)

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) rotation from body to world."""
        return rotation_of(self.state[QUATERNION])

    @property
    def yaw_rad(self) -> float:
        """Heading in radians."""
        x, y, z, w = self.state[QUATERNION].tolist()
        return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    @property
    def velocity_mps(self) -> np.ndarray:
        """(3,) velocity in the world frame."""
        return self.state[VELOCITY]

    @property
    def speed_mps(self) -> float:
        """Speed in m/s."""
        return float(np.linalg.norm(self.state[VELOCITY]))

    def heading_frame(self) -> HeadingMotion:
        """The motion as on-board instruments tell it."""
        rotation = self.rotation
        (forward_x, _, _), (forward_y, _, _), (forward_z, left_z, up_z) = rotation.tolist()
        yaw = math.atan2(forward_y, forward_x)
        cosine = math.cos(yaw)
        sine = math.sin(yaw)
        vx, vy, vz = self.state[VELOCITY].tolist()
        velocity = np.array([cosine * vx + sine * vy, cosine * vy - sine * vx, vz])
        roll = math.atan2(left_z, up_z)
        pitch = math.asin(max(-1.0, min(1.0, -forward_z)))
        return HeadingMotion(velocity, roll, pitch, rotation.T @ self.state[SPIN])


@kernel()
def rotation_of(q: np.ndarray) -> np.ndarray:
    """(3, 3) rotation matrix of a unit quaternion (x, y, z, w)."""
    x = q[0]
    y = q[1]
    z = q[Z]
    w = q[W]
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.array(rows)


@helper(inline="always")
def clip(value: float, limit: float) -> float:
    """The value, at most `limit` in size."""
    return max(-limit, min(limit, value))


@helper(inline="always")
def wrap_angle(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))
