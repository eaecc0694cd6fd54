"""A vehicle: a ground rover of 30 kg on four driven wheels, which turns on the spot."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera, Rig
from forestpilot.sim.looks import BACK, BLOCK, DARK, DRUM, FRONT, Part, Shadow, VehicleLook
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2, POSITION, SPIN, Z
from forestpilot.sim.vehicles.vehicle import StateElement, Vehicle
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.world import World

LENGTH_M = 0.7
WIDTH_M = 0.5
HEIGHT_M = 0.25
RIDE_M = 0.3
"""Height of the middle of the body above the ground."""
MASS_KG = 30.0
INERTIA_KGM2 = (0.8, 1.4, 1.9)
RADIUS_M = 0.43
"""The body fits into a disc of this radius."""


class RoverMotion(NamedTuple):
    """State of the rover's motion model; metres, seconds, radians."""

    x: float
    y: float
    yaw: float
    speed: float


class RoverCommand(NamedTuple):
    """What an action asks for."""

    heading_rad: float
    speed_mps: float


class Rover(Vehicle):
    """A rover in one PyBullet client: turn is a change of heading of up to 45 degrees, go the speed."""

    name = "rover"
    turn_kind = "heading"
    max_turn_rad = math.radians(45.0)
    max_speed_mps = 4.0
    state_elements = (
        StateElement("forward_mps", 2.0, 1.0),
        StateElement("left_mps", 0.5, -1.0),
        StateElement("yaw_rate_radps", 1.0, -1.0),
        StateElement("speed_set_point_mps", 2.0, 1.0),
    )

    @classmethod
    def rig(cls, camera: Camera) -> Rig:
        """On a short mast, the side cameras turned by 25 degrees."""
        return Rig(camera, side_yaw_rad=math.radians(25), side_offset_m=0.15, forward_m=0.25, up_m=0.5)

    @property
    def look(self) -> VehicleLook:
        """An orange box on four wheels, with a mast."""
        wheels: list[Part] = []
        for x in (0.22, -0.22):
            wheels += Part(DRUM, (x, 0.27, -0.17), (0.13, 0.05, 0.13), DARK).mirrored()
        body = (
            Part(BLOCK, (0.05, 0.0, 0.0), (0.30, 0.22, 0.10), FRONT),
            Part(BLOCK, (-0.28, 0.0, 0.0), (0.06, 0.22, 0.10), BACK),
            Part(BLOCK, (0.22, 0.0, 0.30), (0.02, 0.02, 0.20), DARK),
            Part(BLOCK, (0.24, 0.0, 0.50), (0.03, 0.16, 0.03), DARK),
        )
        shadow = Shadow(half_length_m=0.3, half_width_m=0.2, rim_m=0.15, height_m=-0.1, sun_share=0.7, sky_share=0.5)
        return VehicleLook((*body, *wheels), shadow, chase_distance_m=3.0, chase_height_m=1.4, chase_nearest_m=1.2)

    @classmethod
    def reach_m(cls, speed_mps: float, control_hz: int) -> float:
        """How far one control step leads, and the body."""
        return 1.2 * speed_mps / control_hz + RADIUS_M + 0.1

    def begin(self, world: World) -> None:
        """Stand at the start."""
        half = [LENGTH_M / 2, WIDTH_M / 2, HEIGHT_M / 2]
        shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=self._id)
        self._create_body(shape, MASS_KG, INERTIA_KGM2)
        self.put(world.start_m, world.start_yaw_rad, 0.0)

    def put(self, place_m: np.ndarray, yaw_rad: float, speed_mps: float) -> None:
        """Stand at a place (>= 2,), rolling along the heading."""
        forward = np.array([math.cos(yaw_rad), math.sin(yaw_rad), 0.0])
        self.place(np.array([place_m[0], place_m[1], RIDE_M]), yaw_rad, speed_mps * forward)

    def command(self, action: np.ndarray, set_point_mps: float) -> RoverCommand:
        """A heading to turn to, and a speed between 0 and the set point."""
        turn, go = action
        return RoverCommand(self.yaw_rad + float(turn) * self.max_turn_rad, set_point_mps * (float(go) + 1) / 2)

    def apply(self, command: RoverCommand) -> None:
        """Drive the wheels: forward, against slipping sideways, around; springs keep the body up and level."""
        rotation = self.rotation
        forward, left, up = rotation.T
        motion = self.heading_frame()
        forward_mps, left_mps, up_mps = motion.velocity_mps
        turn_rad = math.remainder(command.heading_rad - self.yaw_rad, 2 * math.pi)
        push = MASS_KG * float(np.clip(5.0 * (command.speed_mps - forward_mps), -4.0, 3.0))
        grip = MASS_KG * float(np.clip(-8.0 * left_mps, -6.0, 6.0))
        lift = MASS_KG * (GRAVITY_MPS2 + 120.0 * (RIDE_M - self.state[Z]) - 20.0 * up_mps)
        yaw_rate = float(np.clip(3.0 * turn_rad, -1.8, 1.8))
        level = np.array([up[1], -up[0], 0.0])  # from its own upward axis to the world's
        torque = 40.0 * level - 4.0 * self.state[SPIN]
        torque[Z] = INERTIA_KGM2[Z] * 12.0 * (yaw_rate - self.state[SPIN][Z])
        self._wrench[:3] = push * forward + grip * left + (0.0, 0.0, lift)
        self._wrench[3:] = torque
        self._push()

    def observed_state(self, set_point_mps: float) -> np.ndarray:
        """(4,) float32."""
        motion = self.heading_frame()
        forward, left, _ = motion.velocity_mps
        *_, yaw_rate = motion.rates_radps
        return np.array([forward, left, yaw_rate, set_point_mps], np.float32)

    def clearance_m(self, world: World, path: np.ndarray) -> float:
        """Distance from the body's disc to the nearest obstacle, where it is now."""
        grid = world.clearance
        x, y, _ = self.state[POSITION]
        u = (x - grid.x_min) / grid.cell_m
        v = (y - grid.y_min) / grid.cell_m
        return float(sample_clearance(grid.distance_m, u, v)) - RADIUS_M

    def motion_state(self) -> RoverMotion:
        """Where it is and how fast it drives."""
        x, y, _ = self.state[POSITION]
        return RoverMotion(x, y, self.yaw_rad, self.forward_mps)
