"""A rigid body that touches nothing, moved on as PyBullet moves it without asking PyBullet: bit for bit the same.

PyBullet makes a base without links a `btMultiBody`. These are that class's operations in their order, as Bullet 3.25
has them in double precision without damping: `computeAccelerationsArticulatedBodyAlgorithmMultiDof`, then
`applyDeltaVeeMultiDof`, then `stepPositionsMultiDof`. Not even `a + b + c` may become `a + (b + c)`, and no fastmath.

Bullet keeps its own quaternion, here called the frame, and tells another one that went through a matrix and back. Both
are needed: the frame to move on, the other one because everybody else knows only that.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.vehicles.rigid_body import (
    GRAVITY_MPS2,
    PHYSICS_STEP_S,
    POSITION,
    QW,
    QX,
    QY,
    QZ,
    SPIN,
    TORQUE_X,
    TORQUE_Y,
    TORQUE_Z,
    VELOCITY,
    VX,
    VY,
    VZ,
    WX,
    WY,
    WZ,
    RigidBody,
    W,
    Z,
    clip,
)

MAX_VELOCITY = 100.0
"""Bullet cuts every velocity component off here, in m/s and rad/s."""
MAX_TURN_RAD = 0.5 * (math.pi * 0.5)
"""Bullet turns a body no further in one sub-step."""
SMALL_SPIN_RADPS = 0.001
"""Below it Bullet replaces the sine by its series."""
NEAR_M = 0.1
"""What is nearer to a vehicle than this may push it: Bullet knows contacts from 0.02 m on, and some shapes' margins of
0.04 m."""
MOST_ACCELERATION_MPS2 = 15.0
"""No vehicle gets faster than this lets it; it only bounds the search for what may be near."""
MOST_NEAR = 64
"""With more than this within reach, a control step is PyBullet's."""


class Foreseen(NamedTuple):
    """Where a body gets if it touches nothing."""

    state: np.ndarray
    """(13,) as in `RigidBody.state`."""
    frame: np.ndarray
    """(4,) Bullet's own quaternion."""
    actuators: np.ndarray
    """State of whatever pushes the body."""


class FreeBody(RigidBody):
    """A rigid body whose state may run ahead of PyBullet, which hears of it when it is needed: see `catch_up`.

    `body` is -1 as long as PyBullet has no need of it.

    Args:
        client_id: PyBullet's physics client id.
    """

    def __init__(self, client_id: int) -> None:
        super().__init__(client_id)
        self._mass_properties = np.ones(4)
        """Mass in kg and principal moments of inertia in kg m2."""
        self._frame = np.zeros(4)
        """Bullet's own quaternion x, y, z, w from world to body."""
        self._make: Callable[[], None] | None = None
        self._knows_frame = False
        self._is_ahead = False
        self._is_pushed = False

    @property
    def coasts(self) -> bool:
        """True for a body that mostly goes on without PyBullet."""
        return False

    def _create_body(self, shape: int, mass_kg: float, inertia_kgm2: tuple[float, float, float]) -> None:
        self._make = None
        super()._create_body(shape, mass_kg, inertia_kgm2)

    def _plan_body(
        self, make_shape: Callable[[], int], mass_kg: float, inertia_kgm2: tuple[float, float, float]
    ) -> None:
        """As `_create_body`, but a body that coasts is made only when PyBullet needs it.

        Args:
            make_shape: makes the collision shape and tells its id.
            mass_kg: mass in kilograms.
            inertia_kgm2: principal moments of inertia in kg m2.
        """
        self._mass_properties[:] = mass_kg, *inertia_kgm2
        self.body = -1
        self._make = lambda: self._create_body(make_shape(), mass_kg, inertia_kgm2)
        if not self.coasts:
            self._make()

    def place(self, position_m: np.ndarray, yaw_rad: float, velocity_mps: np.ndarray) -> None:
        """Put the centre of mass at a position (3,), upright, moving at a velocity (3,), not turning."""
        # -0.0 as Bullet has it: it turns the quaternion's vector around.
        self._frame[:] = -0.0, -0.0, -math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)
        self._knows_frame = True
        self._is_pushed = False
        self._is_ahead = self.coasts
        if self._is_ahead:
            tell(self.state, self._frame, np.asarray(position_m, float), np.asarray(velocity_mps, float))
        else:
            super().place(position_m, yaw_rad, velocity_mps)

    def read(self) -> np.ndarray:
        """Copy the body's state out of PyBullet into `state`, unless that is ahead, and return it."""
        if self._is_ahead:
            return self.state
        super().read()
        if self._is_pushed:
            # Even a touch changes the velocities only, and from them the frame follows; the check is for what is not
            # foreseen here, as two sub-steps between two readings.
            self._knows_frame = self._knows_frame and turn_frame(self._frame, self.state)
            self._is_pushed = False
        return self.state

    def _push(self) -> None:
        self.catch_up()
        self._is_pushed = True
        super()._push()

    def catch_up(self) -> None:
        """Tell PyBullet where the body is, if it does not know."""
        if self._make is not None:
            self._make()
        if not self._is_ahead:
            return
        x, y, z, w = self._frame.tolist()
        place = self.state[POSITION].tolist()
        pybullet.resetBasePositionAndOrientation(self.body, place, [-x, -y, -z, w], physicsClientId=self._id)
        velocity = self.state[VELOCITY].tolist()
        spin = self.state[SPIN].tolist()
        pybullet.resetBaseVelocity(self.body, velocity, spin, physicsClientId=self._id)
        self._is_ahead = False

    def _foresee(self, actuators: np.ndarray) -> Foreseen:
        """A copy of the body's motion, for a kernel to move on."""
        return Foreseen(self.state.copy(), self._frame.copy(), actuators.copy())

    def _move_on(self, foreseen: Foreseen) -> None:
        """Go where it was foreseen; PyBullet is not told yet."""
        self.state[:] = foreseen.state
        self._frame[:] = foreseen.frame
        self._is_ahead = True


@kernel()
def free_step(state, frame, wrench, body):  # type: ignore[no-untyped-def]
    """Move a body on by one sub-step in which it touches nothing.

    Args:
        state: (13,) as in `RigidBody.state`, moved on.
        frame: (4,) Bullet's own quaternion x, y, z, w from world to body, moved on.
        wrench: (6,) force and torque in the world frame at the centre of mass.
        body: (4,) mass in kg and principal moments of inertia in kg m2.
    """
    mass = body[0]
    m = matrix_of(frame[0], frame[1], frame[Z], frame[W])
    sx, sy, sz = to_body(m, state[WX], state[WY], state[WZ])
    ux, uy, uz = to_body(m, state[VX], state[VY], state[VZ])
    fx, fy, fz = to_body(m, wrench[0], wrench[1], wrench[Z] - GRAVITY_MPS2 * mass)
    tx, ty, tz = to_body(m, wrench[TORQUE_X], wrench[TORQUE_Y], wrench[TORQUE_Z])
    gx, gy, gz = _cross(sx, sy, sz, body[1] * sx, body[2] * sy, body[3] * sz)
    cx, cy, cz = _cross(sx, sy, sz, ux, uy, uz)
    lightness = 1.0 / mass
    ax = (fx - cx * mass) * lightness + cx
    ay = (fy - cy * mass) * lightness + cy
    az = (fz - cz * mass) * lightness + cz
    ax, ay, az = to_world(m, ax, ay, az)
    bx, by, bz = to_world(m, (tx - gx) / body[1], (ty - gy) / body[2], (tz - gz) / body[3])
    _accelerate(state, VX, ax, ay, az)
    _accelerate(state, WX, bx, by, bz)
    for i in range(3):
        state[i] += PHYSICS_STEP_S * state[VX + i]
    _turn(frame, state[WX], state[WY], state[WZ])
    state[QX], state[QY], state[QZ], state[QW] = _told(frame)


@kernel()
def tell(state, frame, position, velocity):  # type: ignore[no-untyped-def]
    """Write what PyBullet tells of a body with this frame (4,), position (3,) and velocity (3,) into a state (13,)."""
    for i in range(3):
        state[i] = position[i]
        state[VX + i] = velocity[i]
        state[WX + i] = 0.0
    state[QX], state[QY], state[QZ], state[QW] = _told(frame)


@kernel()
def turn_frame(frame, state):  # type: ignore[no-untyped-def]
    """Turn a frame (4,) as Bullet did in the sub-step that ended in a state (13,).

    Returns:
        False if the state's quaternion does not follow from the frame.
    """
    _turn(frame, state[WX], state[WY], state[WZ])
    x, y, z, w = _told(frame)
    return state[QX] == x and state[QY] == y and state[QZ] == z and state[QW] == w


@helper()
def _told(frame):  # type: ignore[no-untyped-def]
    """The quaternion that PyBullet tells of a frame."""
    return _quaternion(matrix_of(-frame[0], -frame[1], -frame[Z], frame[W]))


@helper()
def travel_of(state, num_steps):  # type: ignore[no-untyped-def]
    """Distance in metres that a vehicle covers at most in so many sub-steps; who covers more is not foreseen."""
    speed = math.sqrt(state[VX] * state[VX] + state[VY] * state[VY])
    seconds = num_steps * PHYSICS_STEP_S
    return speed * seconds + 0.5 * MOST_ACCELERATION_MPS2 * seconds * seconds + 0.1


@helper()
def discs_within(discs, x, y, reach, found):  # type: ignore[no-untyped-def]
    """Note in `found` which discs (n, 3) of x, y, radius are nearer to a point than `reach`.

    Returns:
        Their number, or -1 if there are more than `found` holds.
    """
    count = 0
    for k in range(len(discs)):
        dx = discs[k, 0] - x
        dy = discs[k, 1] - y
        radius = discs[k, 2] + reach
        if dx * dx + dy * dy < radius * radius:
            if count == len(found):
                return -1
            found[count] = k
            count += 1
    return count


@helper()
def _accelerate(state, first, ax, ay, az):  # type: ignore[no-untyped-def]
    # Bullet adds the constraints' impulses afterwards, of which there are none: it turns -0.0 into 0.0.
    state[first] = clip(state[first] + ax * PHYSICS_STEP_S, MAX_VELOCITY) + 0.0
    state[first + 1] = clip(state[first + 1] + ay * PHYSICS_STEP_S, MAX_VELOCITY) + 0.0
    state[first + 2] = clip(state[first + 2] + az * PHYSICS_STEP_S, MAX_VELOCITY) + 0.0


@helper()
def _turn(frame, wx, wy, wz):  # type: ignore[no-untyped-def]
    """The exponential map, and the quaternion made a unit one again."""
    dt = PHYSICS_STEP_S
    spin = math.sqrt(wx * wx + wy * wy + wz * wz)
    if spin * dt > MAX_TURN_RAD:
        spin = MAX_TURN_RAD / dt
    if spin < SMALL_SPIN_RADPS:
        share = 0.5 * dt - (dt * dt * dt) * 0.020833333333 * spin * spin
    else:
        share = math.sin(0.5 * spin * dt) / spin
    px = -(wx * share)
    py = -(wy * share)
    pz = -(wz * share)
    pw = math.cos(spin * dt * 0.5)
    x = frame[0]
    y = frame[1]
    z = frame[Z]
    w = frame[W]
    nx = w * px + x * pw + y * pz - z * py
    ny = w * py + y * pw + z * px - x * pz
    nz = w * pz + z * pw + x * py - y * px
    nw = w * pw - x * px - y * py - z * pz
    scale = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + nw * nw)
    frame[0] = nx * scale
    frame[1] = ny * scale
    frame[Z] = nz * scale
    frame[W] = nw * scale


@helper()
def matrix_of(x, y, z, w):  # type: ignore[no-untyped-def]
    """Rotation matrix of a quaternion, row by row: `btMatrix3x3::setRotation`."""
    s = 2.0 / (x * x + y * y + z * z + w * w)
    xs = x * s
    ys = y * s
    zs = z * s
    wx = w * xs
    wy = w * ys
    wz = w * zs
    xx = x * xs
    xy = x * ys
    xz = x * zs
    yy = y * ys
    yz = y * zs
    zz = z * zs
    return 1.0 - (yy + zz), xy - wz, xz + wy, xy + wz, 1.0 - (xx + zz), yz - wx, xz - wy, yz + wx, 1.0 - (xx + yy)


@helper()
def _quaternion(m):  # type: ignore[no-untyped-def]
    """Quaternion of a rotation matrix: `btMatrix3x3::getRotation`."""
    a, b, c, d, e, f, g, h, i = m
    trace = a + e + i
    if trace > 0.0:
        root = math.sqrt(trace + 1.0)
        s = 0.5 / root
        return (h - f) * s, (c - g) * s, (d - b) * s, root * 0.5
    if a >= e and a >= i:
        root = math.sqrt(a - e - i + 1.0)
        s = 0.5 / root
        return root * 0.5, (d + b) * s, (g + c) * s, (h - f) * s
    if e > a and e >= i:
        root = math.sqrt(e - i - a + 1.0)
        s = 0.5 / root
        return (b + d) * s, root * 0.5, (h + f) * s, (c - g) * s
    root = math.sqrt(i - a - e + 1.0)
    s = 0.5 / root
    return (c + g) * s, (f + h) * s, root * 0.5, (d - b) * s


@helper()
def to_body(m, x, y, z):  # type: ignore[no-untyped-def]
    """The matrix times a vector."""
    a, b, c, d, e, f, g, h, i = m
    return a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z


@helper()
def to_world(m, x, y, z):  # type: ignore[no-untyped-def]
    """The transposed matrix times a vector."""
    a, b, c, d, e, f, g, h, i = m
    return a * x + d * y + g * z, b * x + e * y + h * z, c * x + f * y + i * z


@helper()
def _cross(ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]
    """Cross product."""
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@functools.cache
def equals_pybullet() -> bool:
    """Tell if `free_step` does on this machine what its PyBullet does, bit for bit; asked once in a process.

    Where it does not, for example because PyBullet was built with fused multiplications, PyBullet does every sub-step.
    """
    client = pybullet.connect(pybullet.DIRECT)
    try:
        pybullet.setPhysicsEngineParameter(fixedTimeStep=PHYSICS_STEP_S, physicsClientId=client)
        pybullet.setGravity(0, 0, -GRAVITY_MPS2, physicsClientId=client)
        return all(_same_way(client, np.random.default_rng(seed)) for seed in range(4))
    finally:
        pybullet.disconnect(client)


def _same_way(client: int, rng: np.random.Generator) -> bool:
    """Tell if a body pushed at random goes the same way in PyBullet and in `free_step`."""
    pushed = FreeBody(client)
    shape = pybullet.createCollisionShape(pybullet.GEOM_SPHERE, radius=0.1, physicsClientId=client)
    pushed._plan_body(lambda: shape, 0.8, (0.004, 0.005, 0.007))
    pushed.place(rng.uniform(-50, 50, 3), rng.uniform(-3, 3), rng.uniform(-10, 10, 3))
    foreseen = pushed._foresee(np.zeros(0))
    for _ in range(12):
        pushed._wrench[:] = rng.normal(0, 1, 6) * (5.0, 5.0, 5.0, 0.05, 0.05, 0.05)
        free_step(foreseen.state, foreseen.frame, pushed._wrench, pushed._mass_properties)
        pushed._push()
        pybullet.stepSimulation(physicsClientId=client)
        if pushed.read().tobytes() != foreseen.state.tobytes():
            return False
    return True
