"""The quadrotor as it is drawn: a hub with four rotors at the ends of its arms."""

from __future__ import annotations

import functools
import math

from forestpilot.sim.looks import BACK, BALL, DARK, FRONT, WHITE, Part, Shadow, VehicleLook

ROTOR_RADIUS_M = 0.11
HUB = (
    Part(BALL, (0.0, 0.0, 0.0), (0.105, 0.055, 0.030), DARK),
    Part(BALL, (0.01, 0.0, 0.026), (0.070, 0.038, 0.020), WHITE),
    Part(BALL, (0.10, 0.0, 0.004), (0.020, 0.020, 0.018), (24, 26, 30)),
)
CORNERS = {0.25 * math.pi: FRONT, -0.25 * math.pi: FRONT, 0.75 * math.pi: BACK, -0.75 * math.pi: BACK}
"""Direction of each arm and colour of its motor."""


@functools.cache
def quadrotor_look(arm_m: float) -> VehicleLook:
    """A quadrotor whose motors are this far from its middle; the body's origin is its middle."""
    arms: list[Part] = []
    motors: list[Part] = []
    rotors: list[Part] = []
    for yaw, color in CORNERS.items():
        x = arm_m * math.cos(yaw)
        y = arm_m * math.sin(yaw)
        arms.append(Part(BALL, (x * 0.55, y * 0.55, 0.0), (arm_m * 0.55, 0.013, 0.011), (60, 64, 72), yaw))
        motors.append(Part(BALL, (x, y, 0.012), (0.022, 0.022, 0.024), color))
        red, green, blue = color
        blurred = (0.5 * red + 110, 0.5 * green + 110, 0.5 * blue + 110)
        rotors.append(Part(BALL, (x, y, 0.038), (ROTOR_RADIUS_M, ROTOR_RADIUS_M, 0.004), blurred, opacity=0.55))
    shadow = Shadow(half_length_m=0.0, half_width_m=0.0, rim_m=0.3, height_m=0.0, sun_share=0.75, sky_share=0.0)
    return VehicleLook((*HUB, *arms, *motors, *rotors), shadow)
