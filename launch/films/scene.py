"""An episode as it is replayed, to be looked at from instant to instant."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.rollouts.replay import (
    ReplayedStep,
    StoredEpisode,
    heading_rad,
    make_replay_env,
    replay_episode,
)
from forestpilot.launch.pictures.chase_camera import CHASE_FOV_DEG, ChaseCamera
from forestpilot.launch.pictures.colors import Image
from forestpilot.launch.pictures.drawing import EpisodePainter, Moment, PaintedEpisode
from forestpilot.launch.pictures.world_map import Moving
from forestpilot.launch.reading.outcomes import ReplayError
from forestpilot.launch.reading.tasks import task_named
from forestpilot.policies.evaluation.entrants import network_acted
from forestpilot.sim.cameras import CAMERA_NAMES, CENTER
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.experts.expert import Labels
from forestpilot.sim.experts.planner import COLLISION_COST
from forestpilot.sim.rendering.protocol import VehiclePose
from forestpilot.sim.worlds.world import World

MOVING_SHARE = 0.7
"""Share of its width and height that a moving chase view is drawn at: half of the pixels, and nobody sees it, since a
film keeps less: drawn whole, its pictures were 0.5 dB nearer to the truth, drawn at 0.8, 0.2 dB."""
NO_PICTURE: Image = np.zeros((1, 1, 3), np.uint8)
"""The chase view where no camera is placed."""


class EpisodeScene:
    """An episode that is replayed, to be looked at from instant to instant; time only goes forward.

    with EpisodeScene(episode) as scene:
        scene.place_camera((640, 360))
        moment = scene.at(2.5)
    """

    def __init__(
        self,
        episode: StoredEpisode,
        costs: str = "none",
        expert: bool = True,
        stage: Stage | None = None,
        cameras: Sequence[str] = CAMERA_NAMES,
    ) -> None:
        """Put the vehicle at the start.

        Args:
            episode: what was stored of it.
            costs: whose costs a moment holds: `expert`, `policy` or `none`.
            expert: whether a moment holds the expert's turn.
            stage: is advanced by one for each state.
            cameras: whose pictures are looked at; those of the others are blank.

        Raises:
            ReplayError: the policy's costs are wanted, and its checkpoint is gone.
            ReplayDivergedError: here and wherever time goes on: a state differs from the stored one.
        """
        self.episode = episode
        self.costs = costs
        if costs == "policy" and not network_acted(episode.policy_path):
            self.costs = "expert"  # a baseline has no costs of its own to show
        self._adviser = _Adviser(episode) if self.costs == "policy" else None
        always = () if self._adviser is None else self._adviser.cameras
        self._always_drawn = tuple(always)
        self._cameras = (*cameras, *always)
        self._first_drawn = 0
        self._stage = stage
        self._asked = expert or self.costs == "expert"
        # With room for the place between the last two states, so that no moment copies the way.
        self._path_m = np.zeros((len(episode.actions) + 2, 3))
        self._marks: list[NDArray[np.float64]] = []
        self._ways: list[NDArray[np.float64]] = []
        self._camera: ChaseCamera | None = None
        self._drawn_s: float | None = None
        # The expert is asked where a moment tells of it, not at every state that is passed.
        self._env = make_replay_env(episode)
        try:
            vehicle: Any = self._env.unwrapped
            self._vehicle = vehicle
            vehicle.draw_only(self._cameras)
            self.spec = cast(TaskSpec, vehicle.task_spec)
            self._steps = replay_episode(episode, self._env)
            self._next: ReplayedStep | None = next(self._steps)
            self._drawn: VehiclePose = vehicle.drawn_vehicle()
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
    def title(self) -> str:
        """Policy and world."""
        return f"{self.episode.policy}, world {self.world.seed}"

    @property
    def worlds(self) -> str:
        """The world in words, without the rule that the notes tell of."""
        told = dict(self.episode.env_kwargs)
        told.pop("interventions", None)
        return task_named(self.spec.task).describe(told)

    @property
    def duration_s(self) -> float:
        """Duration of the episode in seconds."""
        return len(self.episode.actions) / self.spec.control_hz

    @property
    def half_fov_rad(self) -> float:
        """Half the field of view of the policy's cameras in radians."""
        return math.radians(self.spec.horizontal_fov_deg) / 2

    def place_camera(self, size: tuple[int, int], fov_deg: float = CHASE_FOV_DEG, share: float = 1.0) -> None:
        """Stand behind the vehicle with a camera.

        Args:
            size: width and height in pixels of what its pictures are for.
            fov_deg: horizontal field of view in degrees.
            share: share of that size to draw them at, for whoever stretches them.
        """
        width, height = size
        drawn = (round(share * width), round(share * height))
        self._camera = ChaseCamera(self.world, drawn, 1.0, self._drawn.look, fov_deg=fov_deg)
        self._drawn_s = None

    def painter(self, size: tuple[int, int]) -> EpisodePainter:
        """Draws this scene's moments whole: chase view, policy views, map, turns."""
        episode = PaintedEpisode(
            world=self.world,
            title=self.title,
            driver=self.episode.policy,
            candidate_turns_rad=self.spec.candidate_turns_rad,
            horizontal_fov_deg=self.spec.horizontal_fov_deg,
            subtitle=self.worlds,
            costs_of=self.costs,
            # A policy's own costs count from its best candidate.
            collision_cost=COLLISION_COST if self.costs == "expert" else math.inf,
            notes=len(self._moment.notes),
        )
        return EpisodePainter(size, episode)

    def at(self, time_s: float) -> Moment:
        """The moment at an instant, which lies not before the last one; beyond the end, that of the end.

        The chase view is one black pixel as long as no camera is placed.
        """
        time_s = min(time_s, self.duration_s)
        vehicle, clearance_m = self._go_to(time_s)
        moving = self._moving_at(time_s)
        chase = NO_PICTURE
        if self._camera is not None:
            chase = self._camera.draw(vehicle, self._elapsed_s(time_s), None if moving is None else moving.boxes)
        passed = self._now.index + 1
        self._path_m[passed] = vehicle.position
        return dataclasses.replace(
            self._moment,
            chase=chase,
            path_m=self._path_m[: passed + 1].copy(),
            yaw_rad=heading_rad(np.asarray(vehicle.rotation)),
            time_s=time_s,
            clearance_m=clearance_m,
            moving=moving,
        )

    def _moving_at(self, time_s: float) -> Moving | None:
        """What moves, at an instant after the present state; None where nothing does."""
        traffic = self._now.traffic
        if not traffic:
            return None
        since_s = max(0.0, time_s - self._now.index / self.spec.control_hz)
        boxes = traffic.boxes_at(np.array([since_s]))[0].astype(np.float32)
        return Moving(boxes, self._ways.copy())

    def skip_to(self, time_s: float, passing: Iterable[float] = ()) -> None:
        """Go to an instant without pictures: what lies before it is simulated and compared, but not drawn.

        Args:
            time_s: the instant in seconds, not after that of the next moment.
            passing: instants before it at which a film has moments, so that the camera turns as if it had drawn them.
        """
        self._first_drawn = int(time_s * self.spec.control_hz + 1e-6)
        if self._next is not None and self._next.index < self._first_drawn:
            self._vehicle.draw_only(self._always_drawn)
        for passed_s in passing:
            vehicle, _ = self._go_to(passed_s)
            if self._camera is not None:
                self._camera.follow(vehicle, self._elapsed_s(passed_s))

    def _go_to(self, time_s: float) -> tuple[VehiclePose, float]:
        """The vehicle at an instant, and its clearance in metres."""
        steps = time_s * self.spec.control_hz
        while self._now.index + 1 <= steps + 1e-6 and self._next is not None:
            self._advance()
        before = self._now
        after = self._next or before
        share = float(np.clip(steps - before.index, 0.0, 1.0))
        if share < 1e-6 or after.info.get("intervened"):  # a car that is put back does not slide there
            share = 0.0
        return self._vehicle_between(before, after, share), float(after.info["clearance_m"])

    def finish(self) -> None:
        """Replay what is left, so that all of the episode is checked."""
        while self._next is not None:
            self._advance()

    def _advance(self) -> None:
        """Go on to the next state."""
        assert self._next is not None
        self._now = self._next
        if self._now.info.get("intervened"):
            self._marks.append(self._path_m[self._now.index - 1, :2].copy())
        self._path_m[self._now.index] = self._now.position_m
        self._ways.append(self._now.traffic.places_m())
        # A policy with a memory must see every state.
        if self._now.index >= self._first_drawn or self._adviser is not None:
            self._moment = self._describe(self._now)
        if self._stage is not None:
            self._stage.advance()
        # One state ahead, to draw what lies between; at the end this compares the outcome with the stored one.
        if self._now.index + 1 == self._first_drawn:
            self._vehicle.draw_only(self._cameras)
        self._next = next(self._steps, None)

    def _elapsed_s(self, time_s: float) -> float:
        """Time since the camera's last picture."""
        elapsed_s = 0.0
        if self._drawn_s is not None:
            elapsed_s = time_s - self._drawn_s
        self._drawn_s = time_s
        return elapsed_s

    def _describe(self, step: ReplayedStep) -> Moment:
        """The moment of a state, without a chase view."""
        observation = step.observation
        state = observation["state"]
        labels = None
        if self._asked and step.action is not None and step.index >= self._first_drawn:
            labels = self._vehicle.expert_labels()
        forward_mps = state[self.spec.index("forward_mps")]
        left_mps = state[self.spec.index("left_mps")]
        return Moment(
            chase=NO_PICTURE,
            views=np.stack([observation["left"], observation["center"], observation["right"]]),
            path_m=step.position_m[None],
            yaw_rad=heading_rad(step.rotation),
            speed_mps=float(math.hypot(forward_mps, left_mps)),
            time_s=step.index / self.spec.control_hz,
            turn_rad=self._turn_rad(step.action),
            expert_turn_rad=None if labels is None else self._turn_rad(labels.actions[CENTER]),
            costs=self._costs_at(step, labels),
            outcome=step.info["outcome"],
            interventions=step.info.get("interventions", 0),
            notes=notes_of(step.info),
            marks_m=np.array(self._marks).reshape(-1, 2),
        )

    def _turn_rad(self, action: NDArray[np.float32] | None) -> float | None:
        """The turn that an action asks for; None without an action."""
        if action is None:
            return None
        return float(action[0]) * self.spec.max_turn_rad

    def _costs_at(self, step: ReplayedStep, labels: Labels | None) -> NDArray[Any] | None:
        """Costs of the candidate turns; None where nobody says."""
        if step.action is None or self.costs == "none":
            return None
        if self._adviser is not None:
            return self._adviser.costs(step.observation)
        return None if labels is None else labels.costs[CENTER]

    def _vehicle_between(self, before: ReplayedStep, after: ReplayedStep, share: float) -> VehiclePose:
        """The vehicle a share of the way from one state to the next, as the chase view shows it."""
        vehicle = self._drawn._replace(
            position=(1 - share) * before.position_m + share * after.position_m,
            rotation=blend_rotations(before.rotation, after.rotation, share),
        )
        if "steering_rad" not in self.spec.state_names:
            return vehicle
        index = self.spec.index("steering_rad")
        steering_rad = (1 - share) * before.observation["state"][index] + share * after.observation["state"][index]
        return vehicle._replace(steering_rad=float(steering_rad))


class _Adviser:
    """The policy that acted, asked for its costs state after state."""

    def __init__(self, episode: StoredEpisode) -> None:
        """Load the checkpoint.

        Raises:
            ReplayError: it is gone.
        """
        if not Path(episode.policy_path).is_dir():
            raise ReplayError(
                f"the policy of this episode, {episode.policy_path!r}, is no folder with a checkpoint; use "
                "--costs expert"
            )
        from forestpilot.policies.networks.checkpoint import load_policy

        self._policy = load_policy(Path(episode.policy_path))
        self.cameras = self._policy.camera_names
        self._carry: Any = None

    def costs(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
        """(K,) its cost of each candidate turn; None if its head gives none."""
        batch: dict[str, NDArray[Any]] = {}
        for name, value in observation.items():
            batch[name] = np.asarray(value)[None]
        _, self._carry = self._policy.act(batch, self._carry)
        if self._carry.last_costs is None:
            return None
        costs: NDArray[Any] = np.asarray(self._carry.last_costs)[0]
        return costs


def notes_of(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines of text about a state on a road: distance from the line, the route command, how often it was put back."""
    if "lateral_offset_m" not in info:
        return ()
    offset_m = info["lateral_offset_m"]
    side = "left" if offset_m > 0 else "right"
    command = info["command"]
    count = info["interventions"]
    return (
        f"{abs(offset_m):.2f} m {side} of the line",
        "follow the road" if command == "follow" else f"junction: {command}",
        "put back 1 time" if count == 1 else f"put back {count} times",
    )


def blend_rotations(a: NDArray[np.float64], b: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The rotation a share of the way from a to b: the one nearest to the blended matrix, good for small angles."""
    if share == 0.0:
        return a
    u, _, vt = np.linalg.svd((1 - share) * a + share * b)
    rotation: NDArray[np.float64] = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return rotation
