"""What ground and air do to the car.

Each wheel presses on the ground through a spring and a damper, so the body rolls, pitches and shifts its load. Tyre
forces follow the load: sideways a sine of the slip angle's arc tangent (Pacejka's magic formula with its curvature
factor at zero; Pacejka 2012, Tire and Vehicle Dynamics, eq. 1.6), lengthwise what engine and brakes ask for, both
together inside the friction ellipse. The front tyres are softer than the rear ones: the car understeers.
"""

from __future__ import annotations

import math

import numpy as np

from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.vehicles.car_parameters import (
    MAX_ACCELERATION_MPS2,
    MAX_BRAKING_MPS2,
    STEERING_LOCK_RAD,
    STEERING_RATE_RADPS,
)
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
