"""The video of a replayed episode, frame by frame as the simulation goes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.progress import Stage
from forestpilot.data_collection.rollouts.replay import (
    ReplayedStep,
    StoredEpisode,
    heading_rad,
    make_replay_env,
    replay_episode,
)
from forestpilot.launch.films.pace import speed_badge, ticks
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import Image
from forestpilot.launch.pictures.drawing import EpisodePainter, Moment
from forestpilot.launch.reading.outcomes import ReplayError
from forestpilot.launch.terminal.tables import format_density
from forestpilot.policies.evaluation.entrants import network_acted
from forestpilot.sim.cameras import MAX_SIZE_PX, MIN_SIZE_PX, Camera, chase_pose
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.looks import VehicleLook
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.rendering.protocol import VehiclePose
from forestpilot.sim.worlds.roads.road import RoadWorld
from forestpilot.sim.worlds.world import World

CHASE_FOV_DEG = 75.0
HOLD_S = 1.5
"""How long the last picture stands, in seconds."""


def write_episode_video(
    path: Path,
    episode: StoredEpisode,
    size: tuple[int, int],
    fps: int,
    costs: str = "expert",
    stage: Stage | None = None,
    slow: float = 1.0,
    last_s: float | None = None,
) -> None:
    """Replay an episode and write its video; nothing is left behind when the replay diverges.

    Args:
        path: the MP4 file to write.
        episode: what was stored of the episode.
        size: width and height in pixels, even.
        fps: frames per second.
        costs: whose costs to draw: `expert`, `policy` or `none`.
        stage: is advanced by one for each state.
        slow: how many times slower than in truth time runs, 1 or more.
        last_s: show only the last seconds of the episode; None for all of it.
    """
    with EpisodeScene(episode, costs, stage=stage) as scene, VideoWriter(path, *size, fps=fps) as video:
        for frame in episode_frames(scene, size, fps, slow, last_s):
            video.write(frame)


def episode_frames(
    scene: EpisodeScene, size: tuple[int, int], fps: float, slow: float = 1.0, last_s: float | None = None
) -> Iterator[Image]:
    """The pictures of an episode's film, one after the other; the last one stands for `HOLD_S` seconds."""
    painter = scene.painter(size)
    scene.place_camera(painter.chase_size)
    start_s = 0.0 if last_s is None else max(0.0, scene.duration_s - last_s)
    frame: Image | None = None
    for tick in ticks(start_s, [(scene.duration_s, slow)], fps):
        frame = painter.paint(dataclasses.replace(scene.at(tick.time_s), badge=speed_badge(tick.slow)))
        yield frame
    assert frame is not None
    for _ in range(round(HOLD_S * fps)):
        yield frame


class EpisodeScene:
    """An episode as it is replayed, to be looked at from instant to instant; time only goes forward.

    with EpisodeScene(episode) as scene:
        scene.place_camera((640, 360))
        moment = scene.at(2.5)
    """

    def __init__(
        self, episode: StoredEpisode, costs: str = "none", expert: bool = True, stage: Stage | None = None
    ) -> None:
        """Put the vehicle at the start.

        Args:
            episode: what was stored of it.
            costs: whose costs a moment holds: `expert`, `policy` or `none`.
            expert: whether a moment holds the expert's turn.
            stage: is advanced by one for each state.

        Raises:
            ReplayError: the policy's costs are wanted, and its checkpoint is gone.
            ReplayDivergedError: here and wherever time goes on: a state differs from the stored one.
        """
        self.episode = episode
        # A baseline has no costs of its own to show.
        self.costs = "expert" if costs == "policy" and not network_acted(episode.policy_path) else costs
        self._adviser: Any = _load_adviser(episode) if self.costs == "policy" else None
        self._carry: Any = None
        self._stage = stage
        self._path: list[NDArray[np.float64]] = []
        self._marks: list[NDArray[np.float64]] = []
        self._camera: ChaseCamera | None = None
        self._drawn_s: float | None = None
        self._env = make_replay_env(episode, expert=expert or self.costs == "expert")
        try:
            vehicle: Any = self._env.unwrapped
            self._vehicle, self.spec = vehicle, cast(TaskSpec, vehicle.task_spec)
            self.kind = "car" if self.spec.turn_kind == "steering" else "quadrotor"
            self._steps = replay_episode(episode, self._env)
            self._next: ReplayedStep | None = next(self._steps)
            self._look: VehicleLook = vehicle.drawn_vehicle().look
            self._advance()
        except BaseException:
            self._env.close()
            raise

    def __enter__(self) -> EpisodeScene:
        return self

    def __exit__(self, *error: object) -> None:
        self._env.close()

    @property
    def world(self) -> World:
        """The world that is crossed."""
        world: World = self._vehicle.world
        return world

    @property
    def duration_s(self) -> float:
        """How long the episode takes in seconds."""
        return len(self.episode.actions) / self.spec.control_hz

    @property
    def step(self) -> ReplayedStep:
        """The state at the last instant looked at, or the one before it."""
        return self._now

    def place_camera(self, size: tuple[int, int], fov_deg: float = CHASE_FOV_DEG) -> None:
        """Stand behind the vehicle with a camera whose pictures have this width and height in pixels."""
        self._camera, self._drawn_s = ChaseCamera(self.world, size, 1.0, self._look, fov_deg=fov_deg), None

    def painter(self, size: tuple[int, int]) -> EpisodePainter:
        """What draws this scene's moments whole: chase view, policy views, map, turns."""
        return EpisodePainter(
            size,
            self.world,
            f"{self.episode.policy}, world {self.world.seed}",
            self.spec.candidate_turns_rad,
            self.spec.horizontal_fov_deg,
            subtitle=describe_world(self.world, self.episode.env_kwargs),
            costs_of=self.costs,
            notes=3 if self.kind == "car" else 0,
        )

    def at(self, time_s: float) -> Moment:
        """What there is to show at an instant, which lies not before the last one; beyond the end, that of the end.

        The chase view is one black pixel as long as no camera is placed.
        """
        time_s = min(time_s, self.duration_s)
        steps = time_s * self.spec.control_hz
        while self._now.index + 1 <= steps + 1e-6 and self._next is not None:
            self._advance()
        before, after = self._now, self._next or self._now
        share = float(np.clip(steps - before.index, 0.0, 1.0))
        if share < 1e-6 or after.info.get("intervened"):  # a car that is put back does not slide there
            share = 0.0
        position = (1 - share) * before.position_m + share * after.position_m
        rotation = blend_rotations(before.rotation, after.rotation, share)
        return dataclasses.replace(
            self._moment,
            chase=self._chase(self._vehicle_pose(position, rotation, before, after, share), time_s),
            path_m=np.array([*self._path, position]),
            yaw_rad=heading_rad(rotation),
            time_s=time_s,
            clearance_m=float(after.info["clearance_m"]),
        )

    def finish(self) -> None:
        """Replay what is left, so that all of the episode is checked."""
        while self._next is not None:
            self._advance()

    def _advance(self) -> None:
        """Go on to the next state."""
        assert self._next is not None
        self._now = self._next
        if self._now.info.get("intervened"):
            self._marks.append(self._path[-1][:2])
        self._path.append(self._now.position_m.copy())
        self._moment = self._describe(self._now)
        if self._stage is not None:
            self._stage.advance()
        # One state ahead, to draw what lies between; at the end this compares the outcome with the stored one.
        self._next = next(self._steps, None)

    def _chase(self, vehicle: VehiclePose, time_s: float) -> Image:
        if self._camera is None:
            return np.zeros((1, 1, 3), np.uint8)
        elapsed_s = 0.0 if self._drawn_s is None else time_s - self._drawn_s
        self._drawn_s = time_s
        return self._camera.draw(vehicle, elapsed_s)

    def _describe(self, step: ReplayedStep) -> Moment:
        """Everything of the moment but the chase view, which is drawn more often."""
        state = step.observation["state"]
        index = self.spec.state_names.index
        expert = step.info.get("expert_action") if step.action is not None else None
        return Moment(
            chase=np.zeros((1, 1, 3), np.uint8),
            views=np.stack([step.observation[name] for name in ("left", "center", "right")]),
            path_m=step.position_m[None],
            yaw_rad=heading_rad(step.rotation),
            speed_mps=float(math.hypot(state[index("forward_mps")], state[index("left_mps")])),
            time_s=step.index / self.spec.control_hz,
            turn_rad=None if step.action is None else float(step.action[0]) * self.spec.max_turn_rad,
            expert_turn_rad=None if expert is None else float(expert[1][0]) * self.spec.max_turn_rad,
            costs=self._costs_at(step),
            outcome=describe_end(step.info),
            notes=self._notes(step),
            marks_m=np.array(self._marks).reshape(-1, 2),
        )

    def _notes(self, step: ReplayedStep) -> tuple[str, ...]:
        """What there is to say of a drive: distance from the line, the route command, how often it was put back."""
        if self.kind != "car":
            return ()
        offset, count = step.info["lateral_offset_m"], step.info["interventions"]
        side = "left" if offset > 0 else "right"
        return (
            f"{abs(offset):.2f} m {side} of the line",
            "follow the road" if step.info["command"] == "follow" else f"junction: {step.info['command']}",
            f"put back {count} time{'s' * (count != 1)}",
        )

    def _costs_at(self, step: ReplayedStep) -> NDArray[Any] | None:
        if step.action is None or self.costs == "none":
            return None
        if self.costs == "expert":
            costs: NDArray[Any] = step.info["expert_costs"][1]
            return costs
        batch = {name: np.asarray(value)[None] for name, value in step.observation.items()}
        _, self._carry = self._adviser.act(batch, self._carry)
        return None if self._carry.last_costs is None else np.asarray(self._carry.last_costs)[0]

    def _vehicle_pose(
        self,
        position: NDArray[np.float64],
        rotation: NDArray[np.float64],
        a: ReplayedStep,
        b: ReplayedStep,
        share: float,
    ) -> VehiclePose:
        """The vehicle as the chase view shows it."""
        if "steering_rad" not in self.spec.state_names:
            return VehiclePose(position, rotation, self._look)
        index = self.spec.index("steering_rad")
        steering = (1 - share) * a.observation["state"][index] + share * b.observation["state"][index]
        return VehiclePose(position, rotation, self._look, float(steering))


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
        self,
        world: World,
        size: tuple[int, int],
        fps: float,
        look: VehicleLook,
        settle_s: float = 0.35,
        fov_deg: float = CHASE_FOV_DEG,
    ) -> None:
        """Stand behind a vehicle.

        Args:
            world: what to draw.
            size: width and height in pixels.
            fps: pictures per second.
            look: the vehicle's; it says where to stand.
            settle_s: time constant of the camera's turns in seconds.
            fov_deg: horizontal field of view in degrees.
        """
        width, height = (
            int(np.clip(value, low, high)) for value, low, high in zip(size, MIN_SIZE_PX, MAX_SIZE_PX, strict=True)
        )
        # The ray-caster draws any size fast; which renderer the policy acted on shows in its three views.
        self._renderer = make_renderer("raycast", Camera(width, height, fov_deg), 1)
        self._renderer.set_world(world)
        self._trees = world.trees
        self._period_s, self._settle_s = 1 / fps, settle_s
        self._yaw: float | None = None
        self._full_m = look.chase_distance_m
        self._height_m = look.chase_height_m
        self._nearest_m = look.chase_nearest_m
        self._distance_m = self._full_m

    def draw(self, vehicle: VehiclePose, elapsed_s: float | None = None) -> Image:
        """The next frame, (height, width, 3) uint8; `elapsed_s` is the time since the last one where it varies."""
        gain = 1 - math.exp(-(self._period_s if elapsed_s is None else elapsed_s) / self._settle_s)
        position_m = np.asarray(vehicle.position, np.float64)
        heading = heading_rad(np.asarray(vehicle.rotation, np.float64))
        if self._yaw is None:
            self._yaw = heading
        self._yaw += gain * math.remainder(heading - self._yaw, 2 * math.pi)
        free = free_distance_m(self._trees, position_m, self._yaw + math.pi, self._full_m, nearest_m=self._nearest_m)
        # Duck in front of a trunk at once, drift back slowly.
        self._distance_m = min(free, self._distance_m + gain * (free - self._distance_m))
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


def _load_adviser(episode: StoredEpisode) -> Any:
    """The policy that acted, for its costs.

    Raises:
        ReplayError: it was a baseline, or the checkpoint is gone.
    """
    if not Path(episode.policy_path).is_dir():
        raise ReplayError(
            f"the policy of this episode, {episode.policy_path!r}, is no folder with a checkpoint; use --costs expert"
        )
    from forestpilot.policies.networks.checkpoint import load_policy

    return load_policy(Path(episode.policy_path))
