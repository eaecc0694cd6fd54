"""`ForestPilot/Drone-v0`: fly through a dense forest from three camera images."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera, Rig
from forestpilot.sim.envs.base import VehicleEnv, steps_within
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.flight import CANDIDATE_TURNS_RAD, FlightExpert
from forestpilot.sim.physics import PHYSICS_HZ, path_clearance
from forestpilot.sim.rendering.protocol import VehiclePose
from forestpilot.sim.vehicles.quadrotor import BODY_RADIUS_M, MAX_TURN_RAD, Quadrotor
from forestpilot.sim.worlds.forest import PRESETS, ForestConfig, make_forest
from forestpilot.sim.worlds.world import World

CEILING_M = 3.0
"""A drone above this altitude has left the flight area: the lowest crown hangs above it."""

# Name, typical size and mirror sign of each element of the state.
STATE_ELEMENTS = (
    ("forward_mps", 10.0, 1.0),
    ("left_mps", 5.0, -1.0),
    ("up_mps", 2.0, 1.0),
    ("roll_rad", 0.7, -1.0),
    ("pitch_rad", 0.7, 1.0),
    ("roll_rate_radps", 4.0, -1.0),
    ("pitch_rate_radps", 4.0, 1.0),
    ("yaw_rate_radps", 2.0, -1.0),
    ("speed_set_point_mps", 10.0, 1.0),
    ("altitude_m", 2.0, 1.0),
)


def drone_task_spec(camera: Camera, rig: Rig, control_hz: int, renderer: str) -> TaskSpec:
    """The drone's task spec for a camera rig, a control rate in Hz and a renderer's name."""
    names, scales, mirrors = zip(*STATE_ELEMENTS, strict=True)
    return TaskSpec(
        task="drone", image_height=camera.height, image_width=camera.width,
        horizontal_fov_deg=camera.horizontal_fov_deg, side_yaw_rad=rig.side_yaw_rad, control_hz=control_hz,
        renderer=renderer, max_turn_rad=MAX_TURN_RAD, candidate_turns_rad=tuple(CANDIDATE_TURNS_RAD.tolist()),
        state_names=names, state_scale=scales, state_mirror=mirrors, goal_mirror=(1.0, -1.0),
    )  # fmt: skip


class DroneEnv(VehicleEnv):
    """Fly a quadrotor through a forest to a goal 40 m away, at a commanded speed, from three cameras.

    ## Action space
    `Box(-1, 1, (2,), float32)`: `turn` times 60 degrees is the change of heading asked for, left positive; `go` from
    -1 to 1 is the speed from 0 to the set point. Altitude is held on board. Values outside are clipped; NaN and
    other shapes raise.

    ## Observation space
    `Dict` of `left`, `center`, `right`: uint8 (height, width, 3) images, side cameras yawed by +-20 degrees, all
    tilting with the body; `goal`: float32 (2,), cosine and sine of the bearing to the goal from the heading; and
    `state`: float32 (10,):

    | i | element | unit | frame |
    |---|---|---|---|
    | 0-2 | velocity forward, left, up | m/s | heading (yaw only) |
    | 3, 4 | roll, pitch (nose down positive) | rad | body |
    | 5-7 | roll, pitch, yaw rate | rad/s | body |
    | 8 | speed set point | m/s | |
    | 9 | altitude | m | world |

    ## Dynamics
    A PyBullet rigid body of 0.8 kg with rotor drag, motor lag and thrust limits, flown by a cascade controller at
    240 Hz: see `forestpilot.sim.vehicles.quadrotor`. Trees are cylinders; touching one, or the ground, is a collision.

    ## Reward
    Metres of progress towards the goal in this step, minus 10 for a collision or for leaving the flight area.

    ## Starting state
    Hovering at the origin, heading along +x, the goal straight ahead. `reset(seed=s)` flies the world of seed `s`:
    seeds below 1,000,000 are for training, below 2,000,000 for validation, the others for tests. Without a seed a
    training world is drawn.

    ## Episode end
    Terminates on success (within `goal_radius_m` of the goal), collision, or out_of_bounds (outside the forest's
    rectangle, above 3 m). Truncates on timeout after `time_limit_s`.

    ## Info
    `is_success`, `outcome`, `progress_m`, `clearance_m` (least distance in this step from the body's 0.25 m radius
    to a trunk), `speed_mps`, `world_seed`; with `expert=True` also `expert_action` (3, 2) and `expert_costs` (3,
    21): what the expert answers if the heading were that of the left, center, right camera; row 1 is the drone's own.

    ## Arguments
    See `__init__`; all are plain JSON values, so that the spec serialises.

    ## Version history
    v0: first version.
    """

    def __init__(
        self,
        preset: str = "default",
        density: float = 1 / 25,
        speed: float = 5.0,
        width: int = 64,
        height: int = 48,
        renderer: str = "raycast",
        control_hz: int = 10,
        expert: bool = False,
        domain_randomisation: bool = True,
        trail: bool = False,
        time_limit_s: float | None = None,
        render_mode: str | None = None,
        render_width: int = 640,
        render_height: int = 360,
    ) -> None:
        """Build the environment.

        Args:
            preset: `default` (trunks 0.24-0.70 m across) or `loquercio` (0.6 m), both 30 x 60 m.
            density: trees per square metre.
            speed: speed set point, 1 to 12 m/s.
            width, height: size of each camera image in pixels, 32x24 to 1280x720.
            renderer: `raycast`, `tiny` or `egl`.
            control_hz: actions per second, a divisor of 240.
            expert: put the expert's labels into `info`.
            domain_randomisation: draw colours, light, fog and textures per world.
            trail: a winding trail without trees leads to the goal.
            time_limit_s: seconds until timeout; by default twice the time of a straight flight and 5 s.
            render_mode: None, `rgb_array` or `human`.
            render_width, render_height: size of the chase view in pixels.

        Raises:
            ValueError: an argument is out of range; the message names what is allowed.
        """
        if preset not in PRESETS:
            raise InvalidArgumentError(f"preset is {preset!r}; allowed: {', '.join(PRESETS)}")
        if not 1.0 <= speed <= 12.0:
            raise InvalidArgumentError(f"speed is {speed} m/s; allowed: 1 to 12")
        self.forest: ForestConfig = dataclasses.replace(
            PRESETS[preset], density_per_m2=density, trail=trail, domain_randomisation=domain_randomisation
        )
        self.speed_mps = float(speed)
        limit_s = 2 * self.forest.flight_m / speed + 5.0 if time_limit_s is None else float(time_limit_s)
        self._max_steps = steps_within(limit_s, control_hz)
        camera = Camera(width, height)
        rig = Rig(camera)
        spec = drone_task_spec(camera, rig, control_hz, renderer)
        super().__init__(spec, rig, expert, render_mode, (render_width, render_height))
        self.quadrotor = Quadrotor(pybullet, self.physics.id)
        self._substeps = PHYSICS_HZ // control_hz
        self._path = np.zeros((self._substeps, 3))
        self._expert: FlightExpert | None = None

    def make_world(self, seed: int) -> World:
        return make_forest(self.forest, seed)

    def _place_vehicle(self, world: World) -> None:
        reach_m = (1.1 * self.speed_mps + 1.0) / self.task_spec.control_hz + BODY_RADIUS_M + 0.1
        self.physics.reset(world, reach_m)
        self.quadrotor.create(world.start_m, yaw_rad=0.0)
        self._expert = FlightExpert(world) if self._wants_expert else None

    def _drive(self, action: np.ndarray) -> tuple[bool, float]:
        drone, physics, world = self.quadrotor, self.physics, self.world
        assert world is not None and physics.pool is not None
        heading = drone.yaw_rad + action[0] * MAX_TURN_RAD
        speed = self.speed_mps * (action[1] + 1) / 2
        altitude = float(world.start_m[2])
        physics.pool.follow(drone.state[0], drone.state[1])
        collided = False
        flown = 0
        while flown < self._substeps and not collided:
            drone.apply(heading, speed, altitude)
            physics.step()
            self._path[flown] = drone.read()[:3]
            flown += 1
            # Contacts cost more than the step itself: ask only where there is something to touch.
            if physics.pool.num_standing or self._path[flown - 1, 2] < 0.5:
                collided = physics.touches(drone.body)
        return collided, self._clearance(self._path[:flown])

    def _clearance(self, path: np.ndarray) -> float:
        return float(path_clearance(path, self.world.trees)) - BODY_RADIUS_M  # type: ignore[union-attr]

    def _vehicle_state(self) -> tuple[np.ndarray, np.ndarray]:
        s = self.quadrotor.state
        velocity, roll, pitch, rates = self.quadrotor.heading_frame()
        state = np.array([*velocity, roll, pitch, *rates, self.speed_mps, s[2]], np.float32)
        dx, dy = self.world.goal_m[:2] - s[:2]  # type: ignore[union-attr]
        bearing = math.atan2(dy, dx) - self.quadrotor.yaw_rad
        return state, np.array([math.cos(bearing), math.sin(bearing)], np.float32)

    def _judge(self, collided: bool) -> str:
        world = self.world
        assert world is not None
        x, y, z = self.quadrotor.state[:3]
        x_min, x_max, y_min, y_max = world.bounds_m
        if collided:
            return "collision"
        if self._distance_to_goal() <= world.goal_radius_m:
            return "success"
        if not (x_min <= x <= x_max and y_min <= y <= y_max and z <= CEILING_M):
            return "out_of_bounds"
        return "timeout" if self._steps >= self._max_steps else "running"

    def _distance_to_goal(self) -> float:
        return float(np.hypot(*(self.world.goal_m[:2] - self.quadrotor.state[:2])))  # type: ignore[union-attr]

    def _label(self, eyes: np.ndarray, axes: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self._expert is not None
        return self._expert.label(self.quadrotor, eyes, axes, self.speed_mps)

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        return self.quadrotor.state[:3].copy(), self.quadrotor.rotation

    def drawn_vehicle(self) -> VehiclePose:
        return VehiclePose(*self.pose(), self.quadrotor.look)

    def _state_bytes(self) -> bytes:
        return self.quadrotor.state.tobytes() + self.quadrotor.motor_thrusts_n.tobytes()

    def _info(self, outcome: str, clearance_m: float) -> dict[str, Any]:
        return {**super()._info(outcome, clearance_m), "speed_mps": float(np.linalg.norm(self.quadrotor.state[7:10]))}
