"""What the vehicles look like: balls, blocks and drums in the body's frame."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forestpilot.sim.cameras import rotation_matrix
from forestpilot.sim.rendering.raycast.intersect import Floats, Ids

F = np.float32

BALL, BLOCK, DRUM = 0, 1, 2
"""Shapes of a part: an ellipsoid, a box, a cylinder along the part's own y axis."""
FRONT, BACK = (235, 120, 40), (70, 74, 82)
"""Colours of the vehicles' front and rear, so that a viewer sees where they are going."""
WHITE, DARK, TYRE, GLOW = (226, 228, 230), (44, 48, 56), (30, 30, 33), (206, 40, 34)

ARM_M = 0.17
"""Distance of a rotor's axis from the middle of the body; with its rotors the vehicle is about half a metre across."""
ROTOR_RADIUS_M = 0.11
WHEEL_RADIUS_M, WHEEL_HALF_WIDTH_M = 0.36, 0.13
AXLE_M, TRACK_M = 1.25, 0.72
"""Distance of the car's axles from the middle of its wheelbase, and of its wheels' middles from its length axis."""

Color = tuple[float, float, float]
Place = tuple[float, float, float]


class Part(NamedTuple):
    """One solid of a vehicle."""

    shape: int
    """`BALL`, `BLOCK` or `DRUM`."""
    center: Place
    """x, y, z in the body's frame, metres."""
    half: Place
    """Half-axes along the part's own x, y and z in metres."""
    color: Color
    """RGB, 0 to 255."""
    yaw_rad: float = 0.0
    """Turn about the body's z axis."""
    pitch_rad: float = 0.0
    """Turn about the part's own y axis; positive dips its front."""
    opacity: float = 1.0
    """Below 1 for what turns too fast to be seen."""
    steered: bool = False
    """Whether it turns with the front wheels."""


class Shadow(NamedTuple):
    """A soft shadow on the ground: a rectangle with a fading rim."""

    half_length_m: float
    half_width_m: float
    rim_m: float
    """Width over which it fades."""
    height_m: float
    """Height above the body's origin of what casts it along the sun's rays."""
    sun_share: float
    """Share of the direct sun that it takes."""
    sky_share: float
    """Share of all light that it takes, right below the body."""


class Body(NamedTuple):
    """A kind of vehicle."""

    parts: tuple[Part, ...]
    """Opaque parts first."""
    shadow: Shadow


def _quadrotor() -> tuple[Part, ...]:
    """A hub with four rotors."""
    parts = [
        Part(BALL, (0.0, 0, 0), (0.105, 0.055, 0.030), DARK),
        Part(BALL, (0.01, 0, 0.026), (0.070, 0.038, 0.020), WHITE),
        Part(BALL, (0.10, 0, 0.004), (0.020, 0.020, 0.018), (24, 26, 30)),
    ]
    arms, motors, rotors = [], [], []
    for corner, color in zip((0.25, -0.25, 0.75, -0.75), (FRONT, FRONT, BACK, BACK), strict=True):
        yaw = corner * math.pi
        x, y = ARM_M * math.cos(yaw), ARM_M * math.sin(yaw)
        arms.append(Part(BALL, (x * 0.55, y * 0.55, 0), (ARM_M * 0.55, 0.013, 0.011), (60, 64, 72), yaw))
        motors.append(Part(BALL, (x, y, 0.012), (0.022, 0.022, 0.024), color))
        red, green, blue = (0.5 * channel + 110 for channel in color)
        disc = (ROTOR_RADIUS_M, ROTOR_RADIUS_M, 0.004)
        rotors.append(Part(BALL, (x, y, 0.038), disc, (red, green, blue), opacity=0.55))
    return (*parts, *arms, *motors, *rotors)


def _mirrored(part: Part) -> tuple[Part, Part]:
    """A part on the left and its twin on the right."""
    x, y, z = part.center
    return part, part._replace(center=(x, -y, z), yaw_rad=-part.yaw_rad)


def _wheels() -> tuple[Part, ...]:
    """Four tyres with their hubs; the front ones are steered."""
    tyre = (WHEEL_RADIUS_M, WHEEL_HALF_WIDTH_M, WHEEL_RADIUS_M)
    hub = (0.19, WHEEL_HALF_WIDTH_M + 0.01, 0.19)
    wheels: list[Part] = []
    for x in (AXLE_M, -AXLE_M):
        for half, color in ((tyre, TYRE), (hub, (172, 174, 178))):
            wheels += _mirrored(Part(DRUM, (x, TRACK_M, WHEEL_RADIUS_M), half, color, steered=x > 0))
    return tuple(wheels)


def _car() -> tuple[Part, ...]:
    """A forest buggy, 3.6 x 1.7 x 1.4 m: open cabin under a cage, free wheels."""
    body = (
        Part(BLOCK, (-0.05, 0, 0.44), (1.25, 0.46, 0.12), DARK),
        Part(BLOCK, (1.10, 0, 0.58), (0.62, 0.33, 0.12), FRONT, pitch_rad=0.13),
        Part(BLOCK, (1.10, 0, 0.585), (0.615, 0.09, 0.125), WHITE, pitch_rad=0.13),
        Part(BLOCK, (-1.12, 0, 0.70), (0.46, 0.40, 0.18), FRONT, pitch_rad=-0.06),
        Part(BLOCK, (-1.12, 0, 0.705), (0.45, 0.09, 0.185), WHITE, pitch_rad=-0.06),
        Part(BLOCK, (-0.14, 0, 1.36), (0.52, 0.50, 0.025), FRONT),
        Part(BLOCK, (-0.14, 0, 1.364), (0.515, 0.09, 0.028), WHITE),
        Part(BLOCK, (-0.52, 0, 0.84), (0.07, 0.34, 0.30), (58, 60, 66), pitch_rad=-0.2),
        Part(BALL, (-0.30, 0, 0.80), (0.17, 0.24, 0.26), (36, 62, 118)),
        Part(BALL, (-0.26, 0, 1.12), (0.15, 0.14, 0.16), WHITE),
        Part(BALL, (-0.15, 0, 1.13), (0.06, 0.11, 0.05), (22, 24, 28)),
        Part(BLOCK, (1.76, 0, 0.42), (0.04, 0.52, 0.06), DARK),
        Part(BLOCK, (-1.66, 0, 0.50), (0.04, 0.56, 0.06), DARK),
        Part(BLOCK, (AXLE_M, 0, WHEEL_RADIUS_M), (0.04, 0.62, 0.04), DARK),
        Part(BLOCK, (-AXLE_M, 0, WHEEL_RADIUS_M), (0.05, 0.62, 0.05), DARK),
    )
    sides = (
        Part(BLOCK, (-0.10, 0.52, 0.52), (0.62, 0.10, 0.15), FRONT),
        Part(BLOCK, (-0.60, 0.48, 1.00), (0.03, 0.03, 0.36), BACK, pitch_rad=-0.1),
        Part(BLOCK, (0.62, 0.44, 1.02), (0.03, 0.03, 0.42), BACK, pitch_rad=-0.62),
        Part(BLOCK, (-1.00, 0.44, 1.06), (0.03, 0.03, 0.44), BACK, pitch_rad=0.88),
        Part(BLOCK, (-1.585, 0.28, 0.74), (0.02, 0.08, 0.05), GLOW),
        Part(BLOCK, (1.70, 0.22, 0.56), (0.04, 0.07, 0.045), (240, 238, 222)),
    )
    return (*body, *(each for side in sides for each in _mirrored(side)), *_wheels())


BODIES = {
    "quadrotor": Body(_quadrotor(), Shadow(0.0, 0.0, 0.3, 0.0, 0.75, 0.0)),
    "car": Body(_car(), Shadow(1.45, 0.58, 0.45, 0.55, 0.75, 0.6)),
}
"""The vehicles by kind. A quadrotor's origin is its middle; a car's lies on the ground below the middle of its
wheelbase, x ahead."""


class Parts(NamedTuple):
    """A vehicle's parts in the world."""

    centers: Floats
    """(n, 3) in metres."""
    to_unit: Floats
    """(n, 3, 3) matrices that take a world vector to one in which the part is the unit ball, cube or drum."""
    from_unit: Floats
    """(n, 3, 3) their inverses."""
    shapes: Ids
    """(n,) `BALL`, `BLOCK` or `DRUM`."""
    colors: Floats
    """(n, 4) red, green, blue (0 to 255) and opacity."""
    origin: Floats
    """(3,) of the vehicle in metres."""
    ahead: Floats
    """(2,) unit direction of the vehicle's x axis over the ground."""
    shadow: Floats
    """(6,) as in `Shadow`."""


def body_of(kind: str) -> Body:
    """The body of a kind of vehicle.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in BODIES:
        raise ValueError(f"vehicle kind is {kind!r}; allowed: {', '.join(BODIES)}")
    return BODIES[kind]


@functools.cache
def _tables(kind: str) -> tuple[Floats, Floats, Ids, Floats]:
    """Centres (n, 3), half-axes (n, 3), shapes (n,) and colours (n, 4) of a body's parts."""
    parts = body_of(kind).parts
    return (
        np.array([part.center for part in parts], np.float64),
        np.array([part.half for part in parts], np.float64),
        np.array([part.shape for part in parts], np.int32),
        np.array([(*part.color, part.opacity) for part in parts], F),
    )


def part_turns(kind: str, steering_rad: float) -> Floats:
    """Rotations (n, 3, 3) from each part's own frame to the body's."""
    return np.stack(
        [
            rotation_matrix(0.0, part.pitch_rad, part.yaw_rad + (steering_rad if part.steered else 0.0))
            for part in body_of(kind).parts
        ]
    )


def place_parts(position: ArrayLike, rotation: ArrayLike, kind: str, steering_rad: float) -> Parts:
    """The parts in the world.

    Args:
        position: (3,) of the vehicle in metres.
        rotation: (3, 3) body to world.
        kind: one of `BODIES`.
        steering_rad: angle of the front wheels, left positive.

    Raises:
        ValueError: there is no such kind of vehicle.
    """
    centers, halves, shapes, colors = _tables(kind)
    to_world = np.asarray(rotation, np.float64)
    origin = np.asarray(position, np.float64)
    turns = to_world @ part_turns(kind, steering_rad)
    ahead = to_world[:2, 0] / max(float(np.hypot(*to_world[:2, 0])), 1e-9)
    return Parts(
        (origin + centers @ to_world.T).astype(F),
        np.ascontiguousarray(np.swapaxes(turns, 1, 2) / halves[:, :, None], F),
        np.ascontiguousarray(turns * halves[:, None, :], F),
        shapes,
        colors,
        origin.astype(F),
        ahead.astype(F),
        np.array(body_of(kind).shadow, F),
    )
