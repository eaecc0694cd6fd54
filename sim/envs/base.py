"""The environment: a vehicle on a course, seen by a rig of cameras, advised by an expert.

One control step, told once: action -> vehicle at 240 Hz -> cameras -> observation, with the outcome beside it.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from forestpilot.sim.cameras import CAMERA_NAMES, CENTER, FIXED, Camera, chase_pose, rotation_matrix
from forestpilot.sim.courses.course import Course
from forestpilot.sim.envs.dashboards import DASHBOARDS
from forestpilot.sim.envs.demonstrator import Demonstration, Demonstrator, shown_spaces
from forestpilot.sim.envs.dropped_pictures import is_dropped
from forestpilot.sim.envs.pose_noise import Displacer, PoseNoise
from forestpilot.sim.envs.seeing import (
    AS_USUAL,
    RENDER_MODES,
    Seeing,
    blank_frames,
    image_key,
    image_space,
    make_task_spec,
    steps_within,
)
from forestpilot.sim.envs.side_cameras import make_side_cameras
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.chosen import chosen_expert
from forestpilot.sim.experts.expert import Expert, Labels
from forestpilot.sim.goals import ANSWERS, DEMONSTRATED, DEMONSTRATED_STEPS, DEMONSTRATION, GOAL_IMAGE, IMAGE
from forestpilot.sim.outcomes import COLLISION_PENALTY, CRASHES, TERMINAL, Outcome
from forestpilot.sim.physics import ColliderPool, Moving, PhysicsClient, swept_discs
from forestpilot.sim.rendering import Frames, Renderer, VehiclePose, make_renderer
from forestpilot.sim.seeds import TRAIN_SEEDS
from forestpilot.sim.vehicles.rigid_body import PHYSICS_HZ
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.world import NO_BOXES, World

ALL_CAMERAS = tuple(range(len(CAMERA_NAMES)))
"""Rows of the cameras."""
Observation = dict[str, np.ndarray]


class VehicleEnv(gymnasium.Env[Observation, np.ndarray]):
    """A vehicle on a course.

    It can be pickled and copied: the copy is made anew with the same arguments, and an episode under way is simulated
    again up to where it was.

    Args:
        task: name of the task, as data and policies are filed under.
        vehicle: class of the vehicle.
        course: the course.
        expert: class of its own expert, where there is one.
        seeing: cameras, rates and labels.
        side_cameras: where the side cameras stand from picture to picture: see `forestpilot.sim.envs.side_cameras`.
        time_limit_s: seconds until timeout; the course's by default.
        advisor: name of another expert, or the name as `part` with options beside it; empty for its own.
        lead_in: (n, 2) actions that are done before an episode begins: it begins where they lead.
        pose_noise: fields of `PoseNoise` by name: every so often the vehicle is put elsewhere. `info` then says
            `displaced` where it has just been.

    Raises:
        ValueError: an argument is out of range; the message names what is allowed.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 10}
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> VehicleEnv:
        """Note the arguments, with which a copy is made."""
        env = super().__new__(cls)
        env._made_with = (args, kwargs)
        return env

    def __init__(
        self,
        task: str,
        vehicle: type[Vehicle],
        course: Course,
        expert: type[Expert] | None = None,
        seeing: Seeing = AS_USUAL,
        side_cameras: str = FIXED,
        time_limit_s: float | None = None,
        advisor: str | Mapping[str, Any] = "",
        lead_in: Sequence[Sequence[float]] = (),
        pose_noise: Mapping[str, float] | None = None,
    ) -> None:
        self.rig = seeing.rig_of(vehicle)
        self.render_mode = seeing.render_mode
        self.seeing = seeing
        self.task_spec = make_task_spec(task, vehicle, course, self.rig, seeing)
        self._dashboard = DASHBOARDS.get(seeing.dashboard)(vehicle, self.rig.camera)
        self.metadata = {**self.metadata, "render_fps": seeing.control_hz}
        self._time_limit_s = time_limit_s
        longest_s = course.longest_s() if time_limit_s is None else float(time_limit_s)
        self._longest_steps = steps_within(longest_s, seeing.control_hz)
        self._usual_course = course
        self._side_cameras = make_side_cameras(side_cameras, self.rig, vehicle, seeing.control_hz)
        self._lead_in = [self._checked(np.asarray(action)) for action in lead_in]
        noise = PoseNoise.of(pose_noise)
        self._displacer = None if noise is None else Displacer(noise, seeing.control_hz)
        # The renderer comes first: where there is none, no physics client is left behind.
        self._renderer = make_renderer(seeing.renderer, self.rig.camera, len(CAMERA_NAMES))
        self._renderer_cameras = len(CAMERA_NAMES)
        self._drawn = ALL_CAMERAS
        self._blank = blank_frames(self.rig.camera)
        self._drawn_world: World | None = None
        self._drawn_boxes = NO_BOXES
        """Where the renderer was told last that what moves is."""
        self.physics = PhysicsClient()
        self.vehicle = vehicle(self.physics.id)
        self.course = course
        self._chosen_expert = chosen_expert(advisor, expert)
        self._follows = bool(advisor)
        self._expert: Expert | None = None
        self._substeps = PHYSICS_HZ // seeing.control_hz
        self._path = np.zeros((self._substeps, 3))
        self._substep_times_s = np.arange(1, self._substeps + 1) / PHYSICS_HZ
        self._world: World | None = None
        self._goal_picture: np.ndarray | None = None
        self._demonstrator: Demonstrator | None = None
        self._demonstration: Demonstration | None = None
        self._frames: Frames | None = None
        self._chase_renderer: Renderer | None = None
        self._chase_world: World | None = None
        self._window: Any = None
        self._set_spaces()

    @property
    def world(self) -> World:
        """The world of this episode.

        Raises:
            gymnasium.error.ResetNeeded: none has begun.
        """
        if self._world is None:
            raise gymnasium.error.ResetNeeded("no episode has begun; call reset() first")
        return self._world

    @property
    def frames(self) -> Frames:
        """Pictures that the cameras saw last: RGB, depth and segmentation.

        Raises:
            gymnasium.error.ResetNeeded: no episode has begun.
        """
        if self._frames is None:
            raise gymnasium.error.ResetNeeded("no episode has begun; call reset() first")
        return self._frames

    @property
    def colliders(self) -> ColliderPool:
        """Bodies that stand in the simulation now.

        Raises:
            gymnasium.error.ResetNeeded: no episode has begun.
        """
        if self.physics.pool is None:
            raise gymnasium.error.ResetNeeded("no episode has begun; call reset() first")
        return self.physics.pool

    @property
    def has_lead_in(self) -> bool:
        """True where episodes begin after some actions of their own."""
        return bool(self._lead_in)

    @property
    def spec(self) -> EnvSpec | None:
        """Gymnasium's spec that it was made from; `max_episode_steps` is the most that any episode takes."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = copy.deepcopy(spec)
        if self._spec is not None:
            self._spec.max_episode_steps = self._longest_steps

    _spec: EnvSpec | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict]:
        """Start a new episode.

        Args:
            seed: the world; without one, a training world is drawn at random.
            options: what is different in this episode only: `speed` in m/s, and what the course allows besides.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        super().reset(seed=seed)
        world_seed = int(self.np_random.integers(TRAIN_SEEDS)) if seed is None else int(seed)
        self._begin(world_seed, options or {})
        return self._observation(), {**self._info(Outcome.RUNNING), **self._extras()}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict]:
        """Hold `action` for one control step.

        Raises:
            ValueError: the action has the wrong shape or is not finite.
            gymnasium.error.ResetNeeded: no episode has begun.
        """
        outcome = self._advance(self._checked(action))
        self._draw()
        info = {**self._info(outcome), **self._extras()}
        if self.render_mode == "human":
            self.render()
        return self._observation(), self._reward(), outcome in TERMINAL, outcome == Outcome.TIMEOUT, info

    def expert_labels(self) -> Labels:
        """Ask the expert what it would do if the vehicle stood where each camera does now.

        Returns:
            Actions (3, 2) and costs (3, K) of the candidate turns, float32; the row of the center camera is the
            vehicle's own.

        Raises:
            gymnasium.error.ResetNeeded: no episode has begun.
            ValueError: this environment has no expert.
        """
        if self._chosen_expert is None:
            raise InvalidArgumentError(f"nobody is an expert of {self.task_spec.task}; make the environment with one")
        if self._world is None:
            raise gymnasium.error.ResetNeeded("no episode has begun; call reset() first")
        if self._expert is None:
            self._expert = self._chosen_expert.begin(self.vehicle, self.course, self.rig)
            self._tell_expert()
        return self._expert.label(self.views)

    def _tell_expert(self) -> None:
        """Tell the expert, if there is one in this episode, where the vehicle is now."""
        if self._expert is not None:
            self._expert.follow(self.views, len(self._actions) / self.task_spec.control_hz)

    def render(self) -> np.ndarray | None:
        """The chase view: (height, width, 3) uint8 for `rgb_array`, (height, width) float32 metres for `depth_array`;
        `human` shows it in a window."""
        if self.render_mode is None or self._world is None:
            return None
        frames = self._chase_frames()
        if self.render_mode == "rgb_array":
            return frames.rgb[0]
        if self.render_mode == "depth_array":
            return frames.depth[0]
        if self._window is None:
            from forestpilot.sim.rendering.window import Window

            width = self.seeing.render_width
            height = self.seeing.render_height
            fps = self.task_spec.control_hz
            self._window = Window(width, height, title=f"ForestPilot {self.task_spec.task}", fps=fps)
        self._window.show(frames.rgb[0])
        return None

    def chase_view(self) -> np.ndarray:
        """(height, width, 3) uint8 view from behind the vehicle, which is drawn in it."""
        return self._chase_frames().rgb[0]

    def draw_only(self, cameras: Sequence[str]) -> None:
        """Draw only these cameras from the next state on, for whoever does not look at the others.

        The pictures of the others are blank: black, the sky's depth and segmentation. States, rewards, outcomes and
        labels are the same whatever is drawn.

        Args:
            cameras: some of `left`, `center`, `right`, or none.

        Raises:
            ValueError: there is no such camera.
        """
        if unknown := [name for name in cameras if name not in CAMERA_NAMES]:
            raise InvalidArgumentError(f"no camera is called {', '.join(unknown)}; there are {', '.join(CAMERA_NAMES)}")
        drawn = tuple(row for row in ALL_CAMERAS if CAMERA_NAMES[row] in cameras)
        if drawn and len(drawn) != self._renderer_cameras:
            renderer = make_renderer(self.seeing.renderer, self.rig.camera, len(drawn))
            self._renderer.close()
            self._renderer = renderer
            self._renderer_cameras = len(drawn)
            self._drawn_world = None
        self._drawn = drawn

    def make_world(self, seed: int) -> World:
        """The world of a seed, without going there."""
        return self._usual_course.make_world(seed)

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) in metres and rotation (3, 3) from body to world."""
        return self.vehicle.base_position(), self.vehicle.rotation

    def drawn_vehicle(self) -> VehiclePose:
        """Where the vehicle is, and what a renderer draws there."""
        position, rotation = self.pose()
        return VehiclePose(position, rotation, self.vehicle.look, self.vehicle.steering_rad)

    def state_hash(self) -> int:
        """64-bit hash of the vehicle's full state: equal along a replay, or the replay has diverged."""
        state = self.vehicle.state_bytes() + self.course.state_bytes() + self.course.traffic.state_bytes()
        return int.from_bytes(hashlib.blake2b(state, digest_size=8).digest(), "little")

    def tell_pybullet(self) -> None:
        """Build PyBullet's simulation and put the vehicle and what is near it where they are now, for whoever asks
        PyBullet itself (`physics.id`, `vehicle.body`): a step does so only where something can be touched."""
        self.physics.catch_up()
        self.vehicle.catch_up()
        x, y = self.vehicle.state[:2].tolist()
        self.colliders.follow(x, y)

    def close(self) -> None:
        """Free the simulation, the renderers and the window."""
        self.physics.close()
        for part in (self._renderer, self._chase_renderer, self._window, self._demonstrator):
            if part is not None:
                part.close()
        self._demonstrator = None
        self._chase_renderer = None
        self._window = None

    def __reduce__(self) -> tuple[Any, ...]:
        episode = None
        if self._world is not None:
            episode = (self._world.seed, self._options, tuple(self._actions))
        drawn = tuple(CAMERA_NAMES[row] for row in self._drawn)
        made = (type(self), *self._made_with)
        return _remake, (made, (self._np_random, self._np_random_seed), self._spec, drawn, episode)

    def __deepcopy__(self, memo: dict[int, Any]) -> VehicleEnv:
        remake, parts = self.__reduce__()
        return remake(*copy.deepcopy(parts, memo))

    # What an episode is made of.

    def _begin(self, world_seed: int, options: dict[str, Any]) -> None:
        """Stand at the start of a world, everything drawn."""
        if unknown := [name for name in options if name not in self._usual_course.reset_options]:
            allowed = ", ".join(self._usual_course.reset_options)
            raise InvalidArgumentError(f"options has {', '.join(map(str, unknown))}; reset takes {allowed}")
        self.course = self._usual_course.with_options(options) if options else self._usual_course
        world = self.course.make_world(world_seed)
        self._world = world
        self._options = dict(options)
        self._actions: list[np.ndarray] = []
        reset = self.physics.reset_later if self.vehicle.coasts else self.physics.reset
        reset(world, self.vehicle.reach_m(self.course.speed_mps, self.task_spec.control_hz))
        self.vehicle.begin(world)
        self.course.begin(world, self.vehicle)
        self._side_cameras.begin(world, self.course.speed_mps, self.course.traffic)
        self._dashboard.begin()
        self._displaced = False
        if self._displacer is not None:
            self._displacer.begin(world.seed)
        self._expert = None
        self._max_steps = self._longest_steps
        if self._time_limit_s is None:
            self._max_steps = steps_within(self.course.time_limit_s(), self.task_spec.control_hz)
        self._intervened = False
        self._crashed = False
        self._progress_m = 0.0
        self._left_m = self.course.distance_left_m(self.vehicle)
        self._start_left_m = self._left_m
        self._clearance_m = self._clearance(self.vehicle.base_position()[None])
        self._place_cameras()
        # One that was chosen may remember what it has seen, whether or not anybody has asked it so far.
        if self._chosen_expert is not None and self._follows:
            self._expert = self._chosen_expert.begin(self.vehicle, self.course, self.rig)
        self._tell_expert()
        self._follow_lead_in()
        self._draw()
        self._goal_picture = self._draw_goal()
        self._demonstration = self._see_demonstration(world_seed)

    def _follow_lead_in(self) -> None:
        """Go to where the episode begins.

        Raises:
            InvalidArgumentError: it ends on the way there.
        """
        for number, action in enumerate(self._lead_in):
            outcome = self._advance(action)
            if outcome in TERMINAL or outcome == Outcome.TIMEOUT:
                raise InvalidArgumentError(
                    f"lead_in has {len(self._lead_in)} actions, and the episode is {outcome} after {number + 1}; give "
                    "fewer"
                )
        self._actions = []
        self._progress_m = 0.0

    def _advance(self, action: np.ndarray) -> str:
        """Hold a checked action for one control step, everything but the drawing; returns the outcome so far."""
        world = self.world
        self._actions.append(action)
        collided, moved = self._move(action)
        self._dashboard.note(self.vehicle, action)
        self.course.follow(self.vehicle)
        if self.course.traffic.hazards:
            self.course.traffic.advance(moved / PHYSICS_HZ, self.course.way_m(self.vehicle))
        self._clearance_m = self._clearance(self._path[:moved])
        self._intervened = self.course.intervene(self.vehicle, collided, self.task_spec.control_hz)
        outcome = self._judge(collided and not self._intervened)
        self._crashed = outcome in CRASHES
        left_m = self.course.distance_left_m(self.vehicle)
        self._progress_m = self._left_m - left_m
        self._left_m = left_m
        self._displaced = False
        if self._displacer is not None and outcome == Outcome.RUNNING:
            self._displaced = self._displacer.step(self.vehicle, self.course, world)
            self._left_m = self.course.distance_left_m(self.vehicle)
        self._place_cameras()
        self._tell_expert()
        return outcome

    def _clearance(self, path: np.ndarray) -> float:
        """Least distance to what stands along the last positions (n, 3), and to what moves where it is now; metres."""
        least_m = self.vehicle.clearance_m(self.world, path)
        if self.course.traffic.hazards:
            least_m = self.vehicle.least_gap_m(self.course.traffic, least_m)
        return least_m

    def _move(self, action: np.ndarray) -> tuple[bool, int]:
        """Simulate one control step, or until a collision; returns whether there was one, and the number of sub-steps.

        Where the vehicle was after each of them stands in `_path`.
        """
        vehicle = self.vehicle
        pool = self.colliders
        command = vehicle.command(action, self.course.speed_mps)
        x, y = vehicle.state[:2].tolist()
        moving = self._moving_near() if self.course.traffic.hazards else None
        discs = pool.discs
        if moving is not None:
            discs = np.concatenate([discs, swept_discs(moving)])
        if vehicle.coast(command, discs, self._path):
            pool.pass_by(x, y)
            return False, self._substeps
        self.tell_pybullet()
        return self._move_in_bullet(command, moving)

    def _moving_near(self) -> Moving | None:
        """Where what moves is after each sub-step, if any of it may come near the vehicle in this step."""
        traffic = self.course.traffic
        # The vehicle's own way is in the reach of its colliders.
        further_m = traffic.most_mps * self._substeps / PHYSICS_HZ
        movers = self.physics.movers
        place_m = self.vehicle.state[None, :2]
        if not movers.are_near(traffic.boxes(), place_m, further_m):
            return None
        within_m = movers.reach_m + further_m + movers.largest_m
        return Moving(*traffic.ways_near(place_m[0], within_m, self._substep_times_s))

    def _move_in_bullet(self, command: Any, moving: Moving | None) -> tuple[bool, int]:
        """The same, sub-step by sub-step in PyBullet."""
        vehicle = self.vehicle
        movers = self.physics.movers
        num_standing = self.colliders.num_standing
        if moving is None:
            movers.park_all()
        for substep in range(self._substeps):
            vehicle.apply(command)
            moves_near = False
            if moving is not None:
                x, y = vehicle.state[:2].tolist()
                moves_near = movers.move(moving.rows, moving.ways[substep], x, y)
            self.physics.step()
            self._path[substep] = vehicle.read()[:3]
            # Contacts cost more than the step itself: ask only where there is something to touch.
            near_something = num_standing or moves_near or vehicle.may_touch_ground
            if near_something and self.physics.touches(vehicle.body):
                return True, substep + 1
        return False, self._substeps

    def _judge(self, collided: bool) -> str:
        """The outcome so far."""
        if collided:
            return Outcome.COLLISION
        if self.course.is_reached(self.vehicle):
            return Outcome.SUCCESS
        if self.course.is_left(self.vehicle):
            return Outcome.OUT_OF_BOUNDS
        if len(self._actions) >= self._max_steps:
            return Outcome.TIMEOUT
        return Outcome.RUNNING

    def reward_terms(self) -> dict[str, float]:
        """Terms of the last step's reward, their sum: metres of progress, and the penalties of a crash (a collision, or
        leaving the course) and of an intervention."""
        return {
            "reward_progress": float(self._progress_m),
            "reward_crash": -COLLISION_PENALTY * self._crashed,
            "reward_intervention": -COLLISION_PENALTY * self._intervened,
        }

    def _reward(self) -> float:
        return float(sum(self.reward_terms().values()))

    def _place_cameras(self) -> None:
        """Where the cameras stand now."""
        self.views = self._side_cameras.views(self.vehicle, *self.pose())
        """Where the cameras stand at this step."""

    def _draw_goal(self) -> np.ndarray | None:
        """(H, W, 3) uint8 what the center camera would see at the goal, level and heading there as the goal lies from
        the start; None where goals are told otherwise. Black where nobody looks."""
        if self.course.goal_kind != IMAGE:
            return None
        if not self._drawn:
            return np.zeros_like(self._blank.rgb[CENTER])
        world = self.world
        x, y = (world.goal_m - world.start_m)[:2].tolist()
        level = rotation_matrix(0.0, 0.0, math.atan2(y, x))
        eyes, axes = self.rig.poses(world.goal_m, level)
        rows = [CENTER] * self._renderer_cameras
        return self._renderer.render(eyes[rows], axes[rows]).rgb[0].copy()

    def _see_demonstration(self, world_seed: int) -> Demonstration | None:
        """What is demonstrated of this task; None where goals are told otherwise. Blank where nobody looks."""
        if self.course.goal_kind != DEMONSTRATION:
            return None
        if not self._drawn:
            return Demonstration.blank(self.task_spec)
        if self._demonstrator is None:
            self._demonstrator = Demonstrator(self)
        return self._demonstrator.show(world_seed, self._options)

    def _draw(self) -> None:
        """Draw what the cameras see that somebody looks at."""
        dropped = is_dropped(self.world.seed, len(self._actions), self.seeing.dropped_pictures)
        drawn = () if dropped else self._drawn
        if drawn and self._drawn_world is not self.world:
            self._renderer.set_world(self.world)
            self._drawn_world = self.world
            self._drawn_boxes = NO_BOXES
        if drawn and self.course.traffic.hazards:
            self._move_what_moves()
        if drawn == ALL_CAMERAS:
            self._frames = self._renderer.render(self.views.eyes, self.views.axes)
        else:
            self._frames = self._some_frames(list(drawn))
        if self._dashboard.elements:
            for row in drawn:
                self._dashboard.draw(self._frames, row)

    def _move_what_moves(self) -> None:
        """Tell the renderer where what moves is, unless it knows."""
        boxes = self.course.traffic.boxes()
        if boxes is not self._drawn_boxes:
            self._renderer.move(boxes)
            self._drawn_boxes = boxes

    def _some_frames(self, rows: list[int]) -> Frames:
        """The pictures of some cameras; those of the others are blank."""
        blank = self._blank
        frames = Frames(blank.rgb.copy(), blank.depth.copy(), blank.segmentation.copy())
        if rows:
            seen = self._renderer.render(self.views.eyes[rows], self.views.axes[rows])
            for number, row in enumerate(rows):
                frames.rgb[row] = seen.rgb[number]
                frames.depth[row] = seen.depth[number]
                frames.segmentation[row] = seen.segmentation[number]
        return frames

    def _observation(self) -> Observation:
        observation: Observation = {}
        frames = self.frames
        for kind in self.seeing.observe:
            images = getattr(frames, kind)
            for name, image in zip(CAMERA_NAMES, images):
                observation[image_key(name, kind)] = image.copy()
        limit = self.observation_space["state"].high  # type: ignore[index]
        # Not np.clip, which takes as long as the rest of this.
        state = self.vehicle.observed_state(self.course.speed_mps)
        if self._dashboard.elements:
            state = np.concatenate([state, self._dashboard.values()])
        observation["state"] = np.minimum(np.maximum(state, -limit), limit)
        observation["goal"] = np.minimum(np.maximum(self.course.goal(self.vehicle), -1.0), 1.0)
        if self._goal_picture is not None:
            observation[GOAL_IMAGE] = self._goal_picture.copy()
        if self._demonstration is not None:
            observation[DEMONSTRATED], observation[DEMONSTRATED_STEPS] = self._demonstration
        return observation

    def _info(self, outcome: str) -> dict[str, Any]:
        return {
            "is_success": outcome == Outcome.SUCCESS,
            "outcome": outcome,
            "progress_m": float(self._start_left_m - self._left_m),
            "clearance_m": float(self._clearance_m),
            "world_seed": self.world.seed,
            "speed_mps": self.vehicle.speed_mps,
            **self.course.info(self.vehicle),
            **self.reward_terms(),
        }

    def _extras(self) -> dict[str, Any]:
        """Where the cameras stand, and the expert's labels when asked for."""
        extras: dict[str, Any] = {"camera_offsets": self.views.offsets}
        if self._displacer is not None:
            extras["displaced"] = self._displaced
        if self.seeing.expert:
            labels = self.expert_labels()
            extras["expert_action"] = labels.actions
            extras["expert_costs"] = labels.costs
            answers = None if self._expert is None else self._expert.answers(self.views)
            if answers is not None:
                extras[ANSWERS] = answers.reshape(-1)
        return extras

    def _chase_frames(self) -> Frames:
        if self._chase_renderer is None:
            camera = Camera(self.seeing.render_width, self.seeing.render_height, 70.0)
            self._chase_renderer = make_renderer(self.task_spec.renderer, camera, 1)
        if self._chase_world is not self.world:
            self._chase_renderer.set_world(self.world)
            self._chase_world = self.world
        if self.course.traffic:
            self._chase_renderer.move(self.course.traffic.boxes())
        vehicle = self.drawn_vehicle()
        rotation = np.asarray(vehicle.rotation)
        yaw_rad = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        look = vehicle.look
        eye, axes = chase_pose(vehicle.position, yaw_rad, look.chase_distance_m, look.chase_height_m)
        return self._chase_renderer.render(eye[None], axes[None], vehicle)

    def _set_spaces(self) -> None:
        spec = self.task_spec
        limit = 10 * np.asarray(spec.state_scale, np.float32)
        spaces: dict[str, gymnasium.Space] = {}
        for kind in self.seeing.observe:
            for name in CAMERA_NAMES:
                spaces[image_key(name, kind)] = image_space(kind, spec.image_height, spec.image_width)
        spaces["state"] = gymnasium.spaces.Box(-limit, limit, dtype=np.float32)
        spaces["goal"] = gymnasium.spaces.Box(-1.0, 1.0, (spec.goal_size,), np.float32)
        if spec.goal_kind == IMAGE:
            spaces[GOAL_IMAGE] = image_space("rgb", spec.image_height, spec.image_width)
        if spec.goal_kind == DEMONSTRATION:
            spaces |= shown_spaces(spec)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Dict(spaces)  # type: ignore[assignment]

    def _checked(self, action: np.ndarray) -> np.ndarray:
        values = np.asarray(action, dtype=np.float64)
        if values.shape != (2,):
            raise InvalidArgumentError(
                f"action has shape {values.shape}; expected (2,): turn and go, each from -1 to 1"
            )
        turn, go = values.tolist()
        if not (math.isfinite(turn) and math.isfinite(go)):
            raise InvalidArgumentError(f"action is {values.tolist()}; turn and go must be finite")
        return np.array([min(max(turn, -1.0), 1.0), min(max(go, -1.0), 1.0)])

    def _replay(self, world_seed: int, options: dict[str, Any], actions: tuple[np.ndarray, ...]) -> None:
        """Simulate an episode up to where it was."""
        self._begin(world_seed, options)
        for action in actions:
            self._advance(action)
        self._draw()


def _remake(
    made: tuple[type[VehicleEnv], tuple[Any, ...], dict[str, Any]],
    generator: tuple[np.random.Generator | None, int | None],
    spec: EnvSpec | None,
    drawn: tuple[str, ...],
    episode: tuple[int, dict[str, Any], tuple[np.ndarray, ...]] | None,
) -> VehicleEnv:
    """A copy of an environment, from what `VehicleEnv.__reduce__` noted of it."""
    env_class, args, kwargs = made
    env = env_class(*args, **kwargs)
    env._np_random, env._np_random_seed = generator
    env._spec = spec
    env.draw_only(drawn)
    if episode is not None:
        env._replay(*episode)
    return env
