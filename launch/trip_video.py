"""The video of a replayed trip, frame by frame as the simulation goes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collection.progress import Stage
from data_collection.replay import ReplayedStep, StoredTrip, heading_rad, make_replay_env, replay_trip
from launch.drawing import Image, Moment, TripPainter
from launch.replay import ReplayError
from launch.tables import format_density
from launch.video import VideoWriter
from policies.pilots import BASELINES
from sim.cameras import MAX_SIZE_PX, MIN_SIZE_PX, Camera, chase_pose
from sim.rendering import make_renderer
from sim.rendering.protocol import CHASE_M, VehiclePose
from sim.worlds.road import RoadWorld
from sim.worlds.world import World

CHASE_FOV_DEG = 75.0
NEAREST_M = {"quadrotor": 0.8, "car": 4.5}
"""How near the chase camera comes to each kind of vehicle in front of a trunk, in metres."""
HOLD_S = 1.5
"""How long the last picture stands, in seconds."""


def write_trip_video(
    path: Path, trip: StoredTrip, size: tuple[int, int], fps: int, costs: str = "expert", stage: Stage | None = None
) -> None:
    """Replay a trip and write its video; nothing is left behind when the replay diverges.

    Args:
        path: the MP4 file to write.
        trip: what was stored of the trip.
        size: width and height in pixels, even.
        fps: frames per second, rounded to a multiple of the control rate.
        costs: whose costs to draw: `expert`, `policy` or `none`.
        stage: is advanced by one for each state.
    """
    env = make_replay_env(trip, expert=True)
    spec = env.unwrapped.task_spec  # type: ignore[attr-defined]
    per_step = max(1, round(fps / spec.control_hz))
    try:
        with VideoWriter(path, *size, fps=per_step * spec.control_hz) as video:
            film = _Film(video, trip, size, per_step, costs, env.unwrapped)
            for step in replay_trip(trip, env):
                film.add(step)
                if stage is not None:
                    stage.advance()
            film.finish()
    finally:
        env.close()


class _Film:
    """Turns states at the control rate into frames at the video's rate."""

    def __init__(
        self, video: VideoWriter, trip: StoredTrip, size: tuple[int, int], per_step: int, costs: str, vehicle: Any
    ) -> None:
        self._video, self._trip, self._size, self._vehicle = video, trip, size, vehicle
        # A baseline has no costs of its own to show.
        self._costs = "expert" if costs == "policy" and trip.policy_path in BASELINES else costs
        self._per_step = per_step
        self._spec = vehicle.task_spec
        self._adviser: Any = _load_adviser(trip) if self._costs == "policy" else None
        self._carry: Any = None
        self._path: list[NDArray[np.float64]] = []
        self._marks: list[NDArray[np.float64]] = []
        self._kind = "car" if self._spec.turn_kind == "steering" else "quadrotor"
        self._last: tuple[ReplayedStep, Moment] | None = None

    def add(self, step: ReplayedStep) -> None:
        """Draw from the last state up to this one."""
        if self._last is None:
            self._start(self._vehicle.world)
        else:
            before, moment = self._last
            for i in range(self._per_step):
                self._draw(moment, before, step, i / self._per_step)
        if step.info.get("intervened"):
            self._marks.append(self._path[-1][:2])
        self._path.append(step.position_m.copy())
        self._last = (step, self._describe(step))

    def finish(self) -> None:
        """Draw the last state and let it stand."""
        assert self._last is not None
        step, moment = self._last
        frame = self._draw(moment, step, step, 0.0)
        for _ in range(round(HOLD_S * self._per_step * self._spec.control_hz)):
            self._video.write(frame)

    def _start(self, world: World) -> None:
        """Make painter and chase camera; the world is known only after the reset."""
        self._painter = TripPainter(
            self._size,
            world,
            f"{self._trip.policy}, world {world.seed}",
            self._spec.candidate_turns_rad,
            self._spec.horizontal_fov_deg,
            subtitle=describe_world(world, self._trip.env_kwargs),
            costs_of=self._costs,
            notes=3 if self._kind == "car" else 0,
        )
        fps = self._per_step * self._spec.control_hz
        self._chase = ChaseCamera(world, self._painter.chase_size, fps, self._kind)

    def _describe(self, step: ReplayedStep) -> Moment:
        """Everything of the moment but the chase view, which is drawn more often."""
        state = step.observation["state"]
        index = self._spec.state_names.index
        expert = step.info["expert_action"][1]
        return Moment(
            chase=np.zeros((1, 1, 3), np.uint8),
            views=np.stack([step.observation[name] for name in ("left", "center", "right")]),
            path_m=np.array(self._path),
            yaw_rad=heading_rad(step.rotation),
            speed_mps=float(math.hypot(state[index("forward_mps")], state[index("left_mps")])),
            time_s=step.index / self._spec.control_hz,
            turn_rad=None if step.action is None else float(step.action[0]) * self._spec.max_turn_rad,
            expert_turn_rad=float(expert[0]) * self._spec.max_turn_rad if step.action is not None else None,
            costs=self._costs_at(step),
            outcome=describe_end(step.info),
            notes=self._notes(step),
            marks_m=np.array(self._marks).reshape(-1, 2),
        )

    def _notes(self, step: ReplayedStep) -> tuple[str, ...]:
        """What there is to say of a drive: distance from the line, the route command, how often it was put back."""
        if self._kind != "car":
            return ()
        offset, count = step.info["lateral_offset_m"], step.info["interventions"]
        side = "left" if offset > 0 else "right"
        return (
            f"{abs(offset):.2f} m {side} of the line",
            "follow the road" if step.info["command"] == "follow" else f"junction: {step.info['command']}",
            f"put back {count} time{'s' * (count != 1)}",
        )

    def _costs_at(self, step: ReplayedStep) -> NDArray[Any] | None:
        if step.action is None or self._costs == "none":
            return None
        if self._costs == "expert":
            costs: NDArray[Any] = step.info["expert_costs"][1]
            return costs
        batch = {name: np.asarray(value)[None] for name, value in step.observation.items()}
        _, self._carry = self._adviser.act(batch, self._carry)
        return None if self._carry.last_costs is None else np.asarray(self._carry.last_costs)[0]

    def _draw(self, moment: Moment, a: ReplayedStep, b: ReplayedStep, share: float) -> Image:
        """One frame at a share of the way from state a to state b."""
        if b.info.get("intervened"):  # a car that is put back does not slide there
            share = 0.0
        position = (1 - share) * a.position_m + share * b.position_m
        rotation = blend_rotations(a.rotation, b.rotation, share)
        frame = self._painter.paint(
            dataclasses.replace(
                moment,
                chase=self._chase.draw(self._vehicle_pose(position, rotation, a, b, share)),
                path_m=np.array([*self._path, position]),
                yaw_rad=heading_rad(rotation),
            )
        )
        self._video.write(frame)
        return frame

    def _vehicle_pose(
        self,
        position: NDArray[np.float64],
        rotation: NDArray[np.float64],
        a: ReplayedStep,
        b: ReplayedStep,
        share: float,
    ) -> VehiclePose:
        """The vehicle as the chase view shows it."""
        if self._kind != "car":
            return VehiclePose(position, rotation)
        index = self._spec.index("steering_rad")
        steering = (1 - share) * a.observation["state"][index] + share * b.observation["state"][index]
        return VehiclePose(position, rotation, "car", float(steering))


def describe_world(world: World, env_kwargs: dict[str, Any]) -> str:
    """The world and the speed in a few words."""
    if isinstance(world, RoadWorld):
        what = f"{world.surface}, {world.width_m:.1f} m wide"
    else:
        what = f"{format_density(env_kwargs.get('density', len(world.trees) / _area_m2(world)))} trees/m2"
    return f"{what}, {env_kwargs['speed']:.3g} m/s" if "speed" in env_kwargs else what


def describe_end(info: dict[str, Any]) -> str:
    """The outcome; to reach the end of the road with somebody's help is no success."""
    outcome = str(info["outcome"])
    return "end, with help" if outcome == "success" and info.get("interventions") else outcome


class ChaseCamera:
    """A calm camera behind the vehicle that keeps clear of trunks."""

    def __init__(
        self, world: World, size: tuple[int, int], fps: float, kind: str = "quadrotor", settle_s: float = 0.35
    ) -> None:
        """Stand behind a vehicle of a kind in `world`; `size` in pixels, `settle_s` is the time constant of its
        turns."""
        width, height = (
            int(np.clip(value, low, high)) for value, low, high in zip(size, MIN_SIZE_PX, MAX_SIZE_PX, strict=True)
        )
        # The ray-caster draws any size fast; which renderer the policy acted on shows in its three views.
        self._renderer = make_renderer("raycast", Camera(width, height, CHASE_FOV_DEG), 1)
        self._renderer.set_world(world)
        self._trees = world.trees
        self._gain = 1 - math.exp(-1 / (fps * settle_s))
        self._yaw: float | None = None
        (self._full_m, self._height_m), self._nearest_m = CHASE_M[kind], NEAREST_M[kind]
        self._distance_m = self._full_m

    def draw(self, vehicle: VehiclePose) -> Image:
        """The next frame, (height, width, 3) uint8."""
        position_m = np.asarray(vehicle.position, np.float64)
        heading = heading_rad(np.asarray(vehicle.rotation, np.float64))
        if self._yaw is None:
            self._yaw = heading
        self._yaw += self._gain * math.remainder(heading - self._yaw, 2 * math.pi)
        free = free_distance_m(self._trees, position_m, self._yaw + math.pi, self._full_m, nearest_m=self._nearest_m)
        # Duck in front of a trunk at once, drift back slowly.
        self._distance_m = min(free, self._distance_m + self._gain * (free - self._distance_m))
        height = self._height_m * (0.5 + 0.5 * self._distance_m / self._full_m)
        eye, axes = chase_pose(position_m, self._yaw, self._distance_m, height)
        image: Image = self._renderer.render(eye[None], axes[None], vehicle).rgb[0]
        return image


def free_distance_m(
    trees: NDArray[np.float32],
    position_m: NDArray[np.float64],
    direction_rad: float,
    limit_m: float,
    margin_m: float = 0.25,
    nearest_m: float = 0.8,
) -> float:
    """How far one can go from a position before coming within `margin_m` of a trunk: `nearest_m` to `limit_m`."""
    dx, dy = math.cos(direction_rad), math.sin(direction_rad)
    relative = trees[:, :2] - np.asarray(position_m)[:2]
    along = relative @ (dx, dy)
    across = np.abs(relative @ (-dy, dx))
    reach = trees[:, 2] + margin_m
    ahead = (along > 0) & (across < reach)
    if not ahead.any():
        return limit_m
    entry = along[ahead] - np.sqrt(reach[ahead] ** 2 - across[ahead] ** 2)
    return float(np.clip(entry.min(), nearest_m, limit_m))


def blend_rotations(a: NDArray[np.float64], b: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The rotation a share of the way from a to b: the one nearest to the blended matrix, good for small angles."""
    if share == 0.0:
        return a
    u, _, vt = np.linalg.svd((1 - share) * a + share * b)
    rotation: NDArray[np.float64] = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return rotation


def _area_m2(world: World) -> float:
    x_min, x_max, y_min, y_max = world.bounds_m
    return (x_max - x_min) * (y_max - y_min)


def _load_adviser(trip: StoredTrip) -> Any:
    """The policy that acted, for its costs.

    Raises:
        ReplayError: it was a baseline, or the checkpoint is gone.
    """
    if not Path(trip.policy_path).is_dir():
        raise ReplayError(
            f"the policy of this trip, {trip.policy_path!r}, is no folder with a checkpoint; use --costs expert"
        )
    from policies.checkpoint import load_policy

    return load_policy(Path(trip.policy_path))
