"""The car as it is drawn: a forest buggy with an open cabin under a cage and free wheels."""

from __future__ import annotations

import functools

from forestpilot.sim.looks import BACK, BALL, BLOCK, DARK, DRUM, FRONT, WHITE, Part, Shadow, VehicleLook

TYRE = (30, 30, 33)
HUB = (172, 174, 178)
GLOW = (206, 40, 34)
WHEEL_RADIUS_M = 0.36
WHEEL_HALF_WIDTH_M = 0.13

BODY = (
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
)
LEFT_SIDE = (
    Part(BLOCK, (-0.10, 0.52, 0.52), (0.62, 0.10, 0.15), FRONT),
    Part(BLOCK, (-0.60, 0.48, 1.00), (0.03, 0.03, 0.36), BACK, pitch_rad=-0.1),
    Part(BLOCK, (0.62, 0.44, 1.02), (0.03, 0.03, 0.42), BACK, pitch_rad=-0.62),
    Part(BLOCK, (-1.00, 0.44, 1.06), (0.03, 0.03, 0.44), BACK, pitch_rad=0.88),
    Part(BLOCK, (-1.585, 0.28, 0.74), (0.02, 0.08, 0.05), GLOW),
    Part(BLOCK, (1.70, 0.22, 0.56), (0.04, 0.07, 0.045), (240, 238, 222)),
)
SHADOW = Shadow(half_length_m=1.45, half_width_m=0.58, rim_m=0.45, height_m=0.55, sun_share=0.75, sky_share=0.6)


@functools.cache
def car_look(wheelbase_m: float, half_track_m: float) -> VehicleLook:
    """A buggy, 3.6 x 1.7 x 1.4 m, on wheels that far apart.

    The body's origin lies on the ground below the middle of the wheelbase, x ahead.
    """
    axle_m = 0.5 * wheelbase_m
    axles = (
        Part(BLOCK, (axle_m, 0, WHEEL_RADIUS_M), (0.04, 0.62, 0.04), DARK),
        Part(BLOCK, (-axle_m, 0, WHEEL_RADIUS_M), (0.05, 0.62, 0.05), DARK),
    )
    parts = [*BODY, *axles]
    for part in (*LEFT_SIDE, *_left_wheels(axle_m, half_track_m)):
        parts += part.mirrored()
    return VehicleLook(tuple(parts), SHADOW, chase_distance_m=7.5, chase_height_m=2.6, chase_nearest_m=4.5)


def _left_wheels(axle_m: float, half_track_m: float) -> list[Part]:
    """Tyre and hub of the front wheel, which is steered, and of the rear wheel."""
    tyre = (WHEEL_RADIUS_M, WHEEL_HALF_WIDTH_M, WHEEL_RADIUS_M)
    hub = (0.19, WHEEL_HALF_WIDTH_M + 0.01, 0.19)
    wheels = []
    for x in (axle_m, -axle_m):
        place = (x, half_track_m, WHEEL_RADIUS_M)
        wheels.append(Part(DRUM, place, tyre, TYRE, steered=x > 0))
        wheels.append(Part(DRUM, place, hub, HUB, steered=x > 0))
    return wheels
