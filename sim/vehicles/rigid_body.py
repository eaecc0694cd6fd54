"""One PyBullet rigid body: what every vehicle is made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

GRAVITY_MPS2 = 9.81


class RigidBody:
    """A free body in one PyBullet client, its state copied out and forces handed in.

    Args:
        bullet: the pybullet module.
        client_id: PyBullet's physics client id.
    """

    def __init__(self, bullet: Any, client_id: int) -> None:
        self._bullet, self._id = bullet, client_id
        self.body = -1
        self.state = np.zeros(13)
        """Position (3), quaternion x y z w (4), linear velocity (3), angular velocity (3), all in the world frame."""
        self._wrench = np.zeros(6)
        """Force (3) and torque (3) for the next sub-step, world frame, at the centre of mass."""

    def _create_body(self, shape: int, mass_kg: float, inertia_kgm2: tuple[float, float, float]) -> None:
        """Make the body, without PyBullet's own damping and never asleep."""
        b = self._bullet
        self.body = b.createMultiBody(mass_kg, shape, physicsClientId=self._id)
        b.changeDynamics(
            self.body, -1, linearDamping=0, angularDamping=0, localInertiaDiagonal=inertia_kgm2,
            activationState=b.ACTIVATION_STATE_DISABLE_SLEEPING, physicsClientId=self._id,
        )  # fmt: skip

    def place(self, position_m: np.ndarray, yaw_rad: float, velocity_mps: np.ndarray) -> None:
        """Put the centre of mass at a position (3,), upright, moving at a velocity (3,), not turning."""
        b, quaternion = self._bullet, [0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)]
        place = np.asarray(position_m, float).tolist()
        b.resetBasePositionAndOrientation(self.body, place, quaternion, physicsClientId=self._id)
        velocity = np.asarray(velocity_mps, float).tolist()
        b.resetBaseVelocity(self.body, velocity, [0.0, 0.0, 0.0], physicsClientId=self._id)
        self.read()

    def read(self) -> np.ndarray:
        """Copy the body's state out of PyBullet into `state` and return it."""
        position, quaternion = self._bullet.getBasePositionAndOrientation(self.body, physicsClientId=self._id)
        linear, angular = self._bullet.getBaseVelocity(self.body, physicsClientId=self._id)
        self.state[:] = position + quaternion + linear + angular
        return self.state

    def _push(self) -> None:
        """Hand PyBullet the wrench for the next sub-step."""
        wrench, b = self._wrench.tolist(), self._bullet
        place = self.state[:3].tolist()
        b.applyExternalForce(self.body, -1, wrench[:3], place, b.WORLD_FRAME, physicsClientId=self._id)
        b.applyExternalTorque(self.body, -1, wrench[3:], b.WORLD_FRAME, physicsClientId=self._id)

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) rotation from body to world."""
        return rotation_of(self.state[3:7])

    @property
    def yaw_rad(self) -> float:
        """Heading in radians."""
        x, y, z, w = self.state[3:7]
        return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    def heading_frame(self) -> tuple[np.ndarray, float, float, np.ndarray]:
        """The motion as on-board instruments tell it.

        Returns:
            Velocity (3,) forward, left, up in the heading's frame (m/s), roll and pitch (rad, nose down positive), and
            the rates (3,) about the body's axes (rad/s).
        """
        s, r = self.state, self.rotation
        yaw = math.atan2(r[1, 0], r[0, 0])
        cosine, sine = math.cos(yaw), math.sin(yaw)
        velocity = np.array([cosine * s[7] + sine * s[8], cosine * s[8] - sine * s[7], s[9]])
        roll, pitch = math.atan2(r[2, 1], r[2, 2]), math.asin(max(-1.0, min(1.0, -r[2, 0])))
        return velocity, roll, pitch, r.T @ s[10:13]


@njit(cache=True)
def rotation_of(q: np.ndarray) -> np.ndarray:
    """(3, 3) rotation matrix of a unit quaternion (x, y, z, w)."""
    x, y, z, w = q[0], q[1], q[2], q[3]
    r = np.empty((3, 3))
    r[0, 0], r[0, 1], r[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    r[1, 0], r[1, 1], r[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    r[2, 0], r[2, 1], r[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return r


@njit(cache=True, inline="always")
def clip(value: float, limit: float) -> float:
    """The value, at most `limit` in size."""
    return max(-limit, min(limit, value))


@njit(cache=True, inline="always")
def wrap_angle(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))
