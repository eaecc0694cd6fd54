"""One control step, told once: action -> vehicle at 240 Hz -> cameras -> observation, with the outcome beside it."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from typing import Any

import gymnasium
import numpy as np

from forestpilot.sim.cameras import CAMERA_NAMES, Camera, Rig, chase_pose
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.physics import PHYSICS_HZ, PhysicsClient
from forestpilot.sim.rendering import Frames, Renderer, VehiclePose, make_renderer
from forestpilot.sim.seeds import TRAIN_SEEDS
from forestpilot.sim.worlds.world import World

COLLISION_PENALTY = 10.0
Observation = dict[str, np.ndarray]


def steps_within(time_limit_s: float, control_hz: int) -> int:
    """Number of control steps, at least one, until a time limit in seconds.

    Raises:
        ValueError: the limit is no time to drive or fly in.
    """
    if not 0.0 < time_limit_s < math.inf:
        raise InvalidArgumentError(f"time_limit_s is {time_limit_s}; give a number of seconds above 0")
    return max(1, round(time_limit_s * control_hz))


class VehicleEnv(gymnasium.Env[Observation, np.ndarray]):
    """What driving and flying share; subclasses supply the vehicle, its state and its expert.

    Args:
        task_spec: shapes, scales and rates of the task.
        rig: the three cameras.
        expert: label every state with the expert's actions and costs, in `info`.
        render_mode: None, `rgb_array` or `human`.
        render_size: width and height of the chase view in pixels.

    Raises:
        ValueError: the control rate does not divide 240 Hz, or the render mode is unknown.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 10}

    def __init__(
        self, task_spec: TaskSpec, rig: Rig, expert: bool, render_mode: str | None, render_size: tuple[int, int]
    ) -> None:
        if task_spec.control_hz < 1 or PHYSICS_HZ % task_spec.control_hz:
            raise InvalidArgumentError(
                f"control_hz is {task_spec.control_hz}; it must divide {PHYSICS_HZ}, for example 10 or 20"
            )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InvalidArgumentError(f"render_mode is {render_mode!r}; allowed: None, 'rgb_array', 'human'")
        self.task_spec, self.rig, self.render_mode = task_spec, rig, render_mode
        self.metadata = {**self.metadata, "render_fps": task_spec.control_hz}
        # The renderer comes first: where there is none, no physics client is left behind.
        self._renderer = make_renderer(task_spec.renderer, rig.camera, 3)
        self.physics = PhysicsClient()
        self._wants_expert = expert
        self._render_size = render_size
        self._chase_renderer: Renderer | None = None
        self._chase_world: World | None = None
        self._window: Any = None
        self.world: World | None = None
        self.frames: Frames | None = None
        self._set_spaces()

    # What a vehicle supplies.

    @abstractmethod
    def make_world(self, seed: int) -> World:
        """The world of a seed."""

    @abstractmethod
    def _place_vehicle(self, world: World) -> None:
        """Put the vehicle at the start of a freshly reset simulation."""

    @abstractmethod
    def _drive(self, action: np.ndarray) -> tuple[bool, float]:
        """Hold the action for one control step; returns (whether a collision ends the episode, clearance in metres)."""

    @abstractmethod
    def _vehicle_state(self) -> tuple[np.ndarray, np.ndarray]:
        """State and goal as observed, float32."""

    @abstractmethod
    def _clearance(self, path: np.ndarray) -> float:
        """Least distance in metres from the vehicle's body to an obstacle along the positions (n, 3)."""

    @abstractmethod
    def _judge(self, collided: bool) -> str:
        """The outcome so far: running, success, collision, out_of_bounds or timeout."""

    @abstractmethod
    def _distance_to_goal(self) -> float:
        """Distance that is left, in metres."""

    @abstractmethod
    def _label(self, eyes: np.ndarray, axes: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The expert's actions (C, 2) and costs (C, K) for each camera; offsets as from `_camera_offsets`."""

    @abstractmethod
    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) in metres and rotation (3, 3) from body to world."""

    @abstractmethod
    def _state_bytes(self) -> bytes:
        """The vehicle's motion and what else was done to it; what follows from the states before, such as its place on
        the route, is left out."""

    # What every environment does.

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict]:
        """Start a new episode in the world of `seed`; without one, in a training world drawn at random."""
        super().reset(seed=seed)
        world_seed = int(self.np_random.integers(TRAIN_SEEDS)) if seed is None else int(seed)
        self.world = self.make_world(world_seed)
        self._place_vehicle(self.world)
        self._renderer.set_world(self.world)
        self._steps = 0
        self._start_distance = self._last_distance = self._distance_to_goal()
        observation, extras = self._observe()
        return observation, {**self._info("running", self._clearance(self.pose()[0][None])), **extras}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict]:
        """Hold `action` for one control step.

        Raises:
            ValueError: the action has the wrong shape or is not finite.
        """
        if self.world is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        action = self._checked(action)
        collided, clearance = self._drive(action)
        self._steps += 1
        outcome = self._judge(collided)
        distance = self._distance_to_goal()
        reward = self._last_distance - distance - COLLISION_PENALTY * (outcome in ("collision", "out_of_bounds"))
        self._last_distance = distance
        observation, extras = self._observe()
        info = {**self._info(outcome, clearance), **extras}
        terminated = outcome in ("success", "collision", "out_of_bounds")
        if self.render_mode == "human":
            self.render()
        return observation, float(reward), terminated, outcome == "timeout", info

    def render(self) -> np.ndarray | None:
        """The chase view: (height, width, 3) uint8 for `rgb_array`; `human` shows it in a window."""
        if self.render_mode is None or self.world is None:
            return None
        image = self.chase_view()
        if self.render_mode == "rgb_array":
            return image
        if self._window is None:
            from forestpilot.sim.rendering.window import Window

            fps = self.task_spec.control_hz
            self._window = Window(*self._render_size, title=f"ForestPilot {self.task_spec.task}", fps=fps)
        self._window.show(image)
        return None

    def chase_view(self) -> np.ndarray:
        """(height, width, 3) uint8 view from behind the vehicle, which is drawn in it."""
        if self._chase_renderer is None:
            width, height = self._render_size
            self._chase_renderer = make_renderer(self.task_spec.renderer, Camera(width, height, 70.0), 1)
        if self.world is None:
            raise gymnasium.error.ResetNeeded("call reset() before chase_view()")
        if self._chase_world is not self.world:
            self._chase_renderer.set_world(self.world)
            self._chase_world = self.world
        position, rotation = self.pose()
        vehicle = self.drawn_vehicle()
        yaw_rad = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        eye, axes = chase_pose(position, yaw_rad, vehicle.look.chase_distance_m, vehicle.look.chase_height_m)
        return self._chase_renderer.render(eye[None], axes[None], vehicle).rgb[0]

    def state_hash(self) -> int:
        """64-bit hash of the vehicle's full state: equal along a replay, or the replay has diverged."""
        return int.from_bytes(hashlib.blake2b(self._state_bytes(), digest_size=8).digest(), "little")

    def close(self) -> None:
        """Free the simulation, the renderers and the window."""
        self.physics.close()
        for part in (self._renderer, self._chase_renderer, self._window):
            if part is not None:
                part.close()
        self._chase_renderer = self._window = None

    def _set_spaces(self) -> None:
        spec = self.task_spec
        image = gymnasium.spaces.Box(0, 255, (spec.image_height, spec.image_width, 3), np.uint8)
        limit = 10 * np.asarray(spec.state_scale, np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Dict(  # type: ignore[assignment]
            {
                **dict.fromkeys(CAMERA_NAMES, image),
                "state": gymnasium.spaces.Box(-limit, limit, dtype=np.float32),
                "goal": gymnasium.spaces.Box(-1.0, 1.0, (spec.goal_size,), np.float32),
            }
        )

    def _checked(self, action: np.ndarray) -> np.ndarray:
        values = np.asarray(action, dtype=np.float64)
        if values.shape != (2,):
            raise InvalidArgumentError(
                f"action has shape {values.shape}; expected (2,): turn and go, each from -1 to 1"
            )
        if not np.isfinite(values).all():
            raise InvalidArgumentError(f"action is {values.tolist()}; turn and go must be finite")
        return np.clip(values, -1.0, 1.0)

    def _observe(self) -> tuple[Observation, dict]:
        """Draw the three views and read the state; the expert's labels beside them when asked for."""
        position, rotation = self.pose()
        offsets = self._camera_offsets()
        eyes, axes = self.rig.poses(position, rotation, offsets)
        self.frames = self._renderer.render(eyes, axes)
        state, goal = self._vehicle_state()
        limit = self.observation_space["state"].high  # type: ignore[index]
        observation = {name: self.frames.rgb[i].copy() for i, name in enumerate(CAMERA_NAMES)}
        observation["state"] = np.clip(state, -limit, limit)
        observation["goal"] = np.clip(goal, -1.0, 1.0)
        extras = {"camera_offsets": offsets}
        if self._wants_expert:
            extras["expert_action"], extras["expert_costs"] = self._label(eyes, axes, offsets)
        return observation, extras

    def _camera_offsets(self) -> np.ndarray:
        """(3, 2) float32: shift and yaw of the cameras at this step, as `Rig.offsets`; or (3, 3), whose third column is
        the change of speed in m/s that the expert is asked about."""
        return self.rig.offsets

    @abstractmethod
    def drawn_vehicle(self) -> VehiclePose:
        """Where the vehicle is, and what a renderer draws there."""

    def _info(self, outcome: str, clearance_m: float) -> dict[str, Any]:
        return {
            "is_success": outcome == "success",
            "outcome": outcome,
            "progress_m": float(self._start_distance - self._last_distance),
            "clearance_m": float(clearance_m),
            "world_seed": self.world.seed,  # type: ignore[union-attr]
        }
