"""`ForestPilot/Drive-v0`: drive a winding forest road from three camera images."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import CENTER, Camera, Rig
from forestpilot.sim.envs.base import COLLISION_PENALTY, VehicleEnv, steps_within
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.driving import CANDIDATE_STEERINGS_RAD, DrivingConfig, DrivingExpert, speed_profile
from forestpilot.sim.physics import PHYSICS_HZ
from forestpilot.sim.rendering.protocol import VehiclePose
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.vehicles.car import STEERING_LOCK_RAD, WHEELBASE_M, WIDTH_M, Car
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.roads.road import COMMAND_NAMES, FOLLOW, PRESETS, RoadConfig, RoadWorld, make_road
from forestpilot.sim.worlds.roads.route_table import RouteTable
from forestpilot.sim.worlds.world import World

LANE_M = 1.0
"""A car further from the line than this has departed: the limit at which PilotNet's drivers took over (Bojarski et al.
2016, arXiv:1604.07316, section 7.1)."""
LOST_M = 2.0
"""Without interventions a drive ends this far beyond the edge of its road."""
STUCK_MPS, STUCK_S = 0.5, 5.0
"""A car slower than this for so long is stuck, which counts as an intervention."""
RESTART_AHEAD_M = 2.0
"""A car that was put back starts this much further along the line: past what it stood against."""
TOP_SPEED_MPS = 27.0
"""A third above the largest set point; colliders stand as far ahead as one control step at this speed leads."""
SIDE_CAMERAS = ("fixed", "random", "random-speed")
INTERVENTIONS = ("none", "line", "road")
LARGEST_SHIFT_M, LARGEST_YAW_RAD = 1.2, 0.2
"""How far random side cameras stand and look aside."""
FASTEST_SHARE = 1.3
"""Largest speed, in speed set points, that the expert is asked about at a random side camera."""
BODY_DISCS_M = (-1.1, 0.0, 1.1)
"""Places along the body from which clearance is measured."""

# Name, typical size and mirror sign of each element of the state.
STATE_ELEMENTS = (
    ("forward_mps", 10.0, 1.0),
    ("left_mps", 1.0, -1.0),
    ("roll_rad", 0.1, -1.0),
    ("pitch_rad", 0.1, 1.0),
    ("roll_rate_radps", 0.5, -1.0),
    ("pitch_rate_radps", 0.5, 1.0),
    ("yaw_rate_radps", 1.0, -1.0),
    ("steering_rad", 0.3, -1.0),
    ("speed_set_point_mps", 10.0, 1.0),
)
COMMAND_GOALS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -1.0]], np.float32)
"""What `goal` reads for each command: follow, left, straight, right."""


def drive_task_spec(camera: Camera, rig: Rig, control_hz: int, renderer: str) -> TaskSpec:
    """The car's task spec for a camera rig, a control rate in Hz and a renderer's name."""
    names, scales, mirrors = zip(*STATE_ELEMENTS, strict=True)
    return TaskSpec(
        task="drive", image_height=camera.height, image_width=camera.width,
        horizontal_fov_deg=camera.horizontal_fov_deg, side_yaw_rad=rig.side_yaw_rad, control_hz=control_hz,
        renderer=renderer, max_turn_rad=STEERING_LOCK_RAD,
        candidate_turns_rad=tuple(CANDIDATE_STEERINGS_RAD.tolist()), state_names=names, state_scale=scales,
        state_mirror=mirrors, goal_mirror=(1.0, -1.0), turn_kind="steering", wheelbase_m=WHEELBASE_M,
        side_offset_m=rig.side_offset_m,
    )  # fmt: skip


class DriveEnv(VehicleEnv):
    """Drive a car along a forest road to its end, at up to a commanded speed, from three cameras.

    ## Action space
    `Box(-1, 1, (2,), float32)`: `turn` times 0.52 rad (30 degrees) is the steering angle asked for, left positive,
    reached at 1.2 rad/s; `go` above 0 is throttle (1: 4 m/s2), below 0 brake (-1: 7 m/s2), as far as the tyres grip.
    Values outside are clipped; NaN and other shapes raise.

    ## Observation space
    `Dict` of `left`, `center`, `right`: uint8 (height, width, 3) images from behind the windscreen, 1.3 m above the
    road; `goal`: float32 (2,), the route command: (0, 0) follow the road, and before a junction (0, 1) left, (1, 0)
    straight, (0, -1) right; and `state`: float32 (9,):

    | i | element | unit | frame |
    |---|---|---|---|
    | 0, 1 | velocity forward, left | m/s | heading (yaw only) |
    | 2, 3 | roll, pitch (nose down positive) | rad | body |
    | 4-6 | roll, pitch, yaw rate | rad/s | body |
    | 7 | steering angle | rad | |
    | 8 | speed set point | m/s | |

    ## Dynamics
    A PyBullet rigid body of 600 kg on four sprung wheels with slipping tyres at 240 Hz, grip by surface: see
    `forestpilot.sim.vehicles.car`. Touching a trunk or an obstacle is a collision; branches give way.

    ## Reward
    Metres of progress along the route in this step, minus 10 for a collision, for getting lost and for every
    intervention.

    ## Starting state
    At rest on the line. `reset(seed=s)` drives the road of seed `s`; splits as for the drone.

    ## Episode end
    Terminates on success (the end of the route), and without interventions on collision or out_of_bounds (2 m off the
    road of the route). Truncates on timeout after `time_limit_s`.

    With `interventions="line"` a car that is more than 1 m off the line, has collided or is stuck (5 s slower than
    0.5 m/s) is put back on the line, as in PilotNet's evaluation, and counted; with `"road"` the same happens when its
    middle is off the road of the route, to which a junction's other arms do not belong. Its place is looked at once
    per control step.

    ## Info
    `is_success`, `outcome`, `progress_m` (along the route), `clearance_m` (distance from the body, as three discs, to a
    trunk or obstacle at the end of this step, before a car is put back; cut off at 1.15 m), `speed_mps`, `world_seed`,
    `lateral_offset_m` and `heading_error_rad` (from the line, left positive), `off_road`, `lane_departure` (more than
    1 m off the line, or just put back on it), `intervened`, `interventions`, `command`, `camera_offsets` (3, 2 or 3):
    shift (m) and yaw (rad) of the cameras, and with `side_cameras="random-speed"` the change of speed (m/s) that the
    expert was asked about; with `expert=True` also `expert_action` (3, 2) and `expert_costs` (3, 21): what the expert
    answers if the car stood as the left, center, right camera does.

    ## Arguments
    See `__init__`; all are plain JSON values, so that the spec serialises.

    ## Version history
    v0: first version.
    """

    world: RoadWorld | None

    def __init__(
        self,
        preset: str = "winding",
        speed: float = 10.0,
        width: int = 64,
        height: int = 48,
        renderer: str = "raycast",
        control_hz: int = 10,
        expert: bool = False,
        domain_randomisation: bool = True,
        side_cameras: str = "fixed",
        interventions: str = "none",
        route: str = "seed",
        length: float | None = None,
        max_curvature: float | None = None,
        time_limit_s: float | None = None,
        render_mode: str | None = None,
        render_width: int = 640,
        render_height: int = 360,
    ) -> None:
        """Build the environment.

        Args:
            preset: `easy`, `winding`, `junctions` or `obstacles`.
            speed: speed set point, 1 to 20 m/s; the expert goes slower in bends and where it cannot see far.
            width, height: size of each camera image in pixels, 32x24 to 1280x720.
            renderer: `raycast`, `tiny` or `egl`.
            control_hz: actions per second, a divisor of 240.
            expert: put the expert's labels into `info`.
            domain_randomisation: draw surface, colours, light, fog and textures per world.
            side_cameras: `fixed` at 0.5 m and 8 degrees, or drawn anew for every picture (`random`: up to 1.2 m and
                11 degrees), and with them the speed that the expert is asked about (`random-speed`), which no picture
                shows.
            interventions: `none`, `line` or `road`.
            route: at junctions turn as the `seed` says, or always `left`, `straight` or `right`.
            length: length of the route in metres; the preset's by default.
            max_curvature: tightest bend in 1/m; the preset's by default.
            time_limit_s: seconds until timeout; by default twice what the expert's speeds need, and 20 s.
            render_mode: None, `rgb_array` or `human`.
            render_width, render_height: size of the chase view in pixels.

        Raises:
            ValueError: an argument is out of range; the message names what is allowed.
        """
        for name, value, allowed in (
            ("preset", preset, tuple(PRESETS)),
            ("side_cameras", side_cameras, SIDE_CAMERAS),
            ("interventions", interventions, INTERVENTIONS),
        ):
            if value not in allowed:
                raise InvalidArgumentError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
        if not 1.0 <= speed <= 20.0:
            raise InvalidArgumentError(f"speed is {speed} m/s; allowed: 1 to 20")
        usual = PRESETS[preset]
        self.road: RoadConfig = dataclasses.replace(
            usual, route=route, domain_randomisation=domain_randomisation,
            length_m=usual.length_m if length is None else float(length),
            max_curvature_per_m=usual.max_curvature_per_m if max_curvature is None else float(max_curvature),
        )  # fmt: skip
        self.speed_mps, self._side_cameras, self._mode = float(speed), side_cameras, interventions
        self._time_limit_s = None if time_limit_s is None else float(time_limit_s)
        self._max_steps = steps_within(1.0 if time_limit_s is None else float(time_limit_s), control_hz)
        rig = Rig(Camera(width, height), side_yaw_rad=0.14, side_offset_m=0.5, forward_m=0.4, up_m=1.3)
        spec = drive_task_spec(rig.camera, rig, control_hz, renderer)
        super().__init__(spec, rig, expert, render_mode, (render_width, render_height))
        self.car = Car(pybullet, self.physics.id)
        self._substeps = PHYSICS_HZ // control_hz
        self._expert: DrivingExpert | None = None

    def make_world(self, seed: int) -> World:
        return make_road(self.road, seed)

    def _place_vehicle(self, world: World) -> None:
        assert isinstance(world, RoadWorld)
        self.physics.reset(world, TOP_SPEED_MPS / self.task_spec.control_hz + 2.2)
        self.car.create(world.start_m, world.start_yaw_rad, world.grip)
        speeds = speed_profile(world.route, world.grip, self.speed_mps, DrivingConfig())
        self._table = RouteTable(world.route, speeds)
        if self._time_limit_s is None:
            limit_s = 2 * float(np.sum(self._table.spacing_m / speeds)) + 20.0
            self._max_steps = steps_within(limit_s, self.task_spec.control_hz)
        self._expert = DrivingExpert(world, self._table, self.car) if self._wants_expert else None
        self._camera_rng = rng_for(world.seed, SeedStream.CAMERAS)
        self._index, self._interventions, self._intervened, self._slow_steps = 0, 0, False, 0
        self._locate()

    def _locate(self) -> None:
        """Where the car is on its route."""
        x, y, _ = self.car.base_position()
        self._index, self._along_m, self._offset_m = self._table.locate(x, y, self._index)

    def _drive(self, action: np.ndarray) -> tuple[bool, float]:
        car, physics = self.car, self.physics
        assert physics.pool is not None
        physics.pool.follow(car.state[0], car.state[1])
        collided, driven = False, 0
        while driven < self._substeps and not collided:
            car.apply(float(action[0]) * STEERING_LOCK_RAD, float(action[1]))
            physics.step()
            car.read()
            driven += 1
            # Contacts cost more than the step itself: ask only where there is something to touch.
            if physics.pool.num_standing:
                collided = physics.touches(car.body)
        self._locate()
        clearance = self._clearance(self.car.base_position()[None])
        self._intervened = self._mode != "none" and (collided or self._must_intervene())
        if self._intervened:
            self._put_back()
        return collided and not self._intervened, clearance

    def _must_intervene(self) -> bool:
        """Whether a safety driver would take over now."""
        slow = self.car.state[7] ** 2 + self.car.state[8] ** 2 < STUCK_MPS**2
        self._slow_steps = self._slow_steps + 1 if slow else 0
        stuck = self._slow_steps >= STUCK_S * self.task_spec.control_hz
        return stuck or (self._off_road() if self._mode == "road" else abs(self._offset_m) > LANE_M)

    def _put_back(self) -> None:
        """Set the car on the line, a little further along, at a speed that the road allows."""
        self._interventions += 1
        self._slow_steps = 0
        self._index += round(RESTART_AHEAD_M / self._table.spacing_m)
        if not self._table.route.closed:
            self._index = min(self._index, len(self._table.rows) - 1)
        place = self._table.point(self._index)
        speed = min(float(np.hypot(self.car.state[7], self.car.state[8])), place.speed_mps)
        self.car.put(np.array([place.x_m, place.y_m]), place.heading_rad, speed)
        self._locate()

    def _off_road(self) -> bool:
        place = self._table.point(self._index)
        return bool(self._offset_m > place.left_m or self._offset_m < -place.right_m)

    def _clearance(self, path: np.ndarray) -> float:
        grid = self.world.clearance  # type: ignore[union-attr]
        x, y, _ = path[-1]
        cosine, sine = math.cos(self.car.yaw_rad), math.sin(self.car.yaw_rad)
        places = [((x + a * cosine - grid.x_min) / grid.cell_m, (y + a * sine - grid.y_min) / grid.cell_m)
                  for a in BODY_DISCS_M]  # fmt: skip
        return min(sample_clearance(grid.distance_m, u, v) for u, v in places) - WIDTH_M / 2

    def _vehicle_state(self) -> tuple[np.ndarray, np.ndarray]:
        velocity, roll, pitch, rates = self.car.heading_frame()
        values = [velocity[0], velocity[1], roll, pitch, *rates, self.car.steering_rad, self.speed_mps]
        return np.array(values, np.float32), COMMAND_GOALS[self._command()].copy()

    def _command(self) -> int:
        """The route command here."""
        route = self.world.route  # type: ignore[union-attr]
        return int(route.command[self._index % len(route.command)]) if self._index >= 0 else FOLLOW

    def _judge(self, collided: bool) -> str:
        place = self._table.point(self._index)
        if collided:
            return "collision"
        if self._distance_to_goal() <= 0.0:
            return "success"
        if self._mode == "none" and not -place.right_m - LOST_M <= self._offset_m <= place.left_m + LOST_M:
            return "out_of_bounds"
        return "timeout" if self._steps >= self._max_steps else "running"

    def _distance_to_goal(self) -> float:
        length_m = self.world.route.length_m  # type: ignore[union-attr]
        return float(length_m - 0.5 - self._table.distance_m(self._index, self._along_m))

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward - COLLISION_PENALTY * self._intervened, terminated, truncated, info

    def _camera_offsets(self) -> np.ndarray:
        if self._side_cameras == "fixed":
            return self.rig.offsets
        shift, yaw = self._camera_rng.uniform(0, LARGEST_SHIFT_M, 2), self._camera_rng.uniform(-1, 1, 2)
        yaw *= LARGEST_YAW_RAD
        offsets = np.array([[shift[0], yaw[0]], [0.0, 0.0], [-shift[1], yaw[1]]], np.float32)
        if self._side_cameras == "random":
            return offsets
        speeds = self._camera_rng.uniform(0, FASTEST_SHARE * self.speed_mps, 2) - self.car.motion_state()[3]
        return np.column_stack([offsets, [speeds[0], 0.0, speeds[1]]]).astype(np.float32)

    def _label(self, eyes: np.ndarray, axes: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self._expert is not None
        yaws = np.arctan2(axes[:, 2, 1], axes[:, 2, 0]).astype(np.float64)
        ahead = self.rig.forward_m * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
        places = eyes[:, :2].astype(np.float64) - ahead
        # Roll and pitch move the camera a little; the car itself stands where it stands.
        places += self.car.base_position()[:2] - places[CENTER]
        faster = offsets[:, 2] if offsets.shape[1] == 3 else np.zeros(len(offsets))
        return self._expert.label(places, yaws, faster.astype(np.float64), self._index)

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        return self.car.base_position(), self.car.rotation

    def drawn_vehicle(self) -> VehiclePose:
        return VehiclePose(*self.pose(), self.car.look, self.car.steering_rad)

    def _state_bytes(self) -> bytes:
        return self.car.state.tobytes() + np.array([self.car.steering_rad, self._interventions]).tobytes()

    def _info(self, outcome: str, clearance_m: float) -> dict[str, Any]:
        return {
            **super()._info(outcome, clearance_m),
            "speed_mps": float(np.linalg.norm(self.car.state[7:10])),
            "lateral_offset_m": float(self._offset_m),
            "heading_error_rad": self._table.heading_error_rad(self._index, self.car.yaw_rad),
            "off_road": self._off_road(),
            "lane_departure": self._intervened or abs(self._offset_m) > LANE_M,
            "intervened": self._intervened,
            "interventions": self._interventions,
            "command": COMMAND_NAMES[self._command()],
        }
