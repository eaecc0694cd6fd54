"""Steps of an episode as training sees them: prepared pictures, and state, goal and labels as one camera tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import EpisodeLabels
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.windows.hindsight import EXCHANGED, IN_HINDSIGHT, Relabel, place_beside
from forestpilot.data_collection.windows.side_labels import SideLabels, constant_label, fixed_offsets, geometric_label
from forestpilot.sim.cameras import BEARING, FASTER, SHIFT, YAW
from forestpilot.sim.envs.task_spec import TaskSpec, side_view
from forestpilot.sim.goals import (
    ANSWERS,
    DEMONSTRATED,
    DEMONSTRATED_STEPS,
    DISTANT_KINDS,
    GOAL_IMAGE,
    NO_CHOICE,
    ORDER_CHOICES,
    ORDER_ROWS,
    PLACE,
    distance_of,
    remoteness_of,
)
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.vehicles.turns import rotate_pair

Prepare = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(images (N, H, W, 3) uint8, state (N, S) float32 at that camera's heading) -> (N, h, w, 3) uint8, frame by frame."""

CENTER = CAMERAS.index("center")
PLACE_SIZE = 3
"""x, y and heading."""
PROBES = 8
"""Pictures by which one preparation is told from another."""


@dataclass(frozen=True)
class TrainingSteps:
    """n steps of one episode, told by each of M cameras: by the center camera, or by left, center and right."""

    views: np.ndarray
    """(M, n, C, h, w, 3) uint8, prepared."""
    state: np.ndarray
    """(M, n, S) float32, as it reads at the telling camera's pose."""
    goal: np.ndarray
    """(M, n, 2) float32, likewise."""
    actions: np.ndarray
    """(M, n, 2) float32: what to learn at that pose."""
    costs: np.ndarray | None
    """(M, n, K) float32: the expert's costs at that pose; None where they are not recorded, or labels follow a rule."""
    mask: np.ndarray
    """(n,) bool: whether there is anything to learn from the step: `Episode.labelled_steps`."""
    grounds: np.ndarray | None = None
    """(M, n, R) float32: what goals are relabelled by, x and y in metres and heading in radians of the telling camera,
    or the expert's answers there for each choice; only where goals are relabelled."""

    @property
    def num_bytes(self) -> int:
        """Memory taken, in bytes."""
        arrays = (self.views, self.state, self.goal, self.actions, self.costs, self.mask, self.grounds)
        return sum(array.nbytes for array in arrays if array is not None)


class StepLoader:
    """Reads steps from open episode files and prepares their pictures.

    Args:
        spec: the task.
        cameras: cameras that a step shows at once.
        side_labels: whether left and right camera can stand in for the center camera, and what is learned from them.
        prepare: see `Prepare`; None leaves the pictures as they are.
        human_delay_s: how late a human drives, in seconds: what was done so much later is learned from each step.
        relabel: how goals are relabelled. In hindsight what was done is learned, from every step.
    """

    def __init__(
        self,
        spec: TaskSpec,
        cameras: tuple[str, ...],
        side_labels: SideLabels,
        prepare: Prepare | None,
        human_delay_s: float = 0.0,
        relabel: Relabel = "none",
    ) -> None:
        self.spec = spec
        """The task."""
        self.relabel = relabel
        """How goals are relabelled."""
        self.relabels = relabel in IN_HINDSIGHT
        """Whether they are in hindsight."""
        answers = 1 + ORDER_CHOICES * (2 + spec.num_candidates)
        self.num_grounds = PLACE_SIZE if self.relabels else answers if relabel == EXCHANGED else 0
        """How many numbers of a step they are relabelled by, R."""
        self._human_delay_s = human_delay_s
        self._cameras = cameras
        self._side_labels = side_labels
        self._prepare = prepare or _unchanged
        self.tellers = (CENTER,) if side_labels == "none" else (0, 1, 2)
        """Index of each camera that can tell a step."""
        self.gives_costs = side_labels in ("asked", "none")
        """Whether steps come with costs where they are recorded: a rule gives a label, but no costs."""
        picture = np.zeros((1, spec.image_height, spec.image_width, 3), dtype=np.uint8)
        view = self._prepare(picture, np.zeros((1, spec.state_size), dtype=np.float32))
        if view.dtype != np.uint8 or view.ndim != 4 or view.shape[0] != 1 or view.shape[3] != 3:
            raise ValueError(
                f"prepare returned {view.dtype} {view.shape} for one picture; it must return uint8 (1, h, w, 3)"
            )
        self.view_shape: tuple[int, ...] = (len(cameras), *view.shape[1:])
        """(C, h, w, 3): what one step shows."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What episodes must not lack: see `Episode.lacks`."""
        return ("actions", *(CAMERAS[camera] for camera in sorted(self._seen_by(self.tellers))))

    def num_bytes(self, header: EpisodeHeader) -> int:
        """Memory that a whole episode takes once loaded."""
        floats = self.spec.state_size + self.spec.goal_size + 2
        if header.has_expert_costs and self.gives_costs:
            floats += self.spec.num_candidates
        floats += self.num_grounds
        return header.num_steps * (len(self.tellers) * (int(np.prod(self.view_shape)) + 4 * floats) + 1)

    def record_type(self, has_costs: bool) -> np.dtype[Any]:
        """One step told by one camera as a record of a decoded file, in whole 64-bit words.

        Args:
            has_costs: whether the episode's labels come with the expert's costs.
        """
        fields: list[tuple[Any, ...]] = [
            ("checksum", np.uint64),
            ("views", np.uint8, self.view_shape),
            ("state", np.float32, (self.spec.state_size,)),
            ("goal", np.float32, (self.spec.goal_size,)),
            ("actions", np.float32, (2,)),
            ("mask", np.bool_),
        ]
        if has_costs and self.gives_costs:
            fields.append(("costs", np.float32, (self.spec.num_candidates,)))
        if self.num_grounds:
            fields.append(("grounds", np.float32, (self.num_grounds,)))
        return np.dtype(fields, align=True)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ where the same episode would be loaded as other steps.

        What `prepare` does is found out by having it prepare some pictures of noise.
        """
        rng = np.random.default_rng(0)
        shape = (PROBES, self.spec.image_height, self.spec.image_width, 3)
        pictures = rng.integers(0, 256, shape, dtype=np.uint8)
        views = self._prepare(pictures, rng.normal(0, 0.3, (PROBES, self.spec.state_size)).astype(np.float32))
        settings: tuple[Any, ...] = (package_version(), self.spec.to_dict(), self._cameras, self._side_labels)
        settings += (self._human_delay_s, self.relabels if self.relabel != EXCHANGED else self.relabel)
        return hashlib.sha256(repr(settings).encode() + views.tobytes()).hexdigest()[:16]

    def load(self, demo: h5py.Group, start: int, stop: int, tellers: tuple[int, ...] | None = None) -> TrainingSteps:
        """Steps `start` to `stop` of an episode, told by the given cameras (default: all that can)."""
        tellers = tellers or self.tellers
        steps = slice(start, stop)
        state = demo["obs/state"][steps]
        goal = demo["obs/goal"][steps]
        offsets = self._offsets(demo)
        labels = EpisodeLabels(demo)
        learned = labels.deeds if self.relabels else labels.lesson
        lesson = learned(self.spec.control_hz, self._human_delay_s)
        asked = labels.expert_actions(steps)
        if self.relabels and asked is not None:
            asked, offsets = _of_own_flights(labels.expert_drove, asked, offsets, steps)
        is_asked = asked is not None and self._side_labels == "asked"
        turned = {}
        for camera in self._seen_by(tellers):
            turned[camera] = read_at(self.spec, state, goal, offsets[steps, camera], is_asked)
        costs = labels.expert_costs(steps) if self.gives_costs else None
        if self.relabels and not labels.expert_drove.all():
            costs = None
        speed_mps = state[:, self.spec.index("forward_mps")]
        center = lesson.actions[steps]
        poses = offsets[:, :, : YAW + 1]
        if self._side_labels == "constant" and offsets.shape[2] > BEARING:
            # Turned to either side as often, drawn cameras have no mean that would say anything: the fixed ones do.
            poses = fixed_offsets(self.spec)[None]
        actions = [self._labels(center, asked, teller, poses[:, teller], steps, speed_mps) for teller in tellers]
        return TrainingSteps(
            views=self._views(demo, steps, tellers, {camera: read[0] for camera, read in turned.items()}),
            state=np.stack([turned[teller][0] for teller in tellers]),
            goal=np.stack([turned[teller][1] for teller in tellers]),
            actions=np.stack(actions),
            costs=None if costs is None else np.stack([costs[:, teller] for teller in tellers]),
            mask=lesson.known[steps],
            grounds=self._grounds(demo, steps, state, offsets[steps], tellers),
        )

    def _views(
        self, demo: h5py.Group, steps: slice, tellers: tuple[int, ...], states: dict[int, np.ndarray]
    ) -> np.ndarray:
        """(M, n, C, h, w, 3) uint8: what each camera tells, given the state (n, S) as it reads at every camera."""
        number = len(next(iter(states.values())))
        views = np.empty((len(tellers), number, *self.view_shape), dtype=np.uint8)
        for row, teller in enumerate(tellers):
            for column, camera in enumerate(self._shown_by(teller)):
                pictures = demo[f"obs/{CAMERAS[camera]}"][steps]
                views[row, :, column] = self._prepare(pictures, states[camera])
        return views

    def goal_view(self, demo: h5py.Group) -> np.ndarray:
        """(h, w, 3) uint8: the view at the goal of an episode whose goal is a picture."""
        picture = demo["obs"][GOAL_IMAGE][:1]
        view: np.ndarray = self._prepare(picture, np.zeros((1, self.spec.state_size), np.float32))[0]
        return view

    def demonstration(self, demo: h5py.Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is demonstrated in an episode: (F, h, w, 3) uint8 views, (F, D) float32 what was done meanwhile, and
        (3,) int64 the order, `NO_CHOICE` where nobody says."""
        steps: np.ndarray = demo["obs"][DEMONSTRATED_STEPS][0]
        views = self._prepare(demo["obs"][DEMONSTRATED][0], np.ascontiguousarray(steps[:, : self.spec.state_size]))
        meta = EpisodeMeta.from_json(demo.attrs["episode_meta"])
        order = TASKS.get(self.spec.task).shown_order(meta.env_kwargs) or (NO_CHOICE,) * ORDER_ROWS
        return views, steps, np.array(order, np.int64)

    def _grounds(
        self, demo: h5py.Group, steps: slice, state: np.ndarray, offsets: np.ndarray, tellers: tuple[int, ...]
    ) -> np.ndarray | None:
        """(M, n, R) float32 what goals are relabelled by; None where they are not."""
        if self.relabels:
            return self._places(demo["obs"][PLACE][steps], state, offsets, tellers)
        if self.relabel != EXCHANGED:
            return None
        answers: np.ndarray = demo["obs"][ANSWERS][steps].reshape(len(state), len(CAMERAS), self.num_grounds)
        return answers[:, tellers].swapaxes(0, 1)

    def _places(
        self, place: np.ndarray, state: np.ndarray, offsets: np.ndarray, tellers: tuple[int, ...]
    ) -> np.ndarray:
        """(M, n, 3) float32: where each camera would be if the vehicle, at these places (n, 3), stood as it does."""
        ahead = np.tile(np.array([1.0, 0.0], np.float32), (len(state), 1))
        places = []
        for teller in tellers:
            _, turned = side_view(self.spec, state, ahead, offsets[:, teller, YAW])
            turned_rad = np.arctan2(-turned[:, 1].astype(np.float64), turned[:, 0])
            is_level = offsets.shape[2] > BEARING
            shift_m = offsets[:, teller, SHIFT].astype(np.float64) if is_level else np.zeros(len(state))
            places.append(place_beside(place, shift_m, turned_rad))
        return np.stack(places)

    def _shown_by(self, teller: int) -> tuple[int, ...]:
        """Cameras whose pictures a step shows."""
        return (teller,) if len(self._cameras) == 1 else (0, 1, 2)

    def _seen_by(self, tellers: tuple[int, ...]) -> set[int]:
        return {camera for teller in tellers for camera in (teller, *self._shown_by(teller))}

    def _offsets(self, demo: h5py.Group) -> np.ndarray:
        """(T+1, 3, 2, 3 or 6) columns that `forestpilot.sim.cameras` names, at each step of the episode; the fixed ones
        if none is recorded."""
        if "camera_offsets" in demo:
            return demo["camera_offsets"][:]
        return np.broadcast_to(fixed_offsets(self.spec), (len(demo["obs/state"]), len(CAMERAS), 2))

    def _labels(
        self,
        center: np.ndarray,
        asked: np.ndarray | None,
        teller: int,
        offsets: np.ndarray,
        steps: slice,
        speed_mps: np.ndarray,
    ) -> np.ndarray:
        """Labels of one camera, (n, 2), given what the center one does (n, 2) and what the expert answered (n, 3, 2);
        `offsets` (T+1, 2) are the camera's at every step of the episode."""
        if teller == CENTER:
            return center
        if self._side_labels == "constant":
            return constant_label(self.spec, center, offsets)
        if asked is not None and self._side_labels == "asked":
            if not np.isnan(asked).any():
                return asked[:, teller]
            by_rule = geometric_label(self.spec, center, offsets[steps], speed_mps)
            return np.where(np.isnan(asked[:, teller]), by_rule, asked[:, teller])
        return geometric_label(self.spec, center, offsets[steps], speed_mps)


def _of_own_flights(
    expert_drove: np.ndarray, asked: np.ndarray, offsets: np.ndarray, steps: slice
) -> tuple[np.ndarray, np.ndarray]:
    """What the expert answered (n, 3, 2), and about which motions (T+1, 3, k), without what it said to whoever else
    drove, which was about another goal: NaN there, and no motion but the vehicle's own."""
    by_others = ~expert_drove
    offsets = offsets.copy()
    offsets[:-1][by_others, :, FASTER:BEARING] = 0.0
    asked[by_others[steps]] = np.nan
    return asked, offsets


def read_at(
    spec: TaskSpec, state: np.ndarray, goal: np.ndarray, offsets: np.ndarray, is_asked: bool
) -> tuple[np.ndarray, np.ndarray]:
    """State and goal as they read at a camera's pose, and in the motion that the expert was asked about there.

    Args:
        spec: names the elements of the state.
        state: (n, S) float32 of the vehicle.
        goal: (n, G) float32, as the task's kind of goal tells it.
        offsets: (n, 2, 3 or 6) of the camera, columns as `forestpilot.sim.cameras` names them.
        is_asked: whether the expert's answer is learned: a rule knows of no other motion.

    Returns:
        (state, goal) of the same shapes and dtype.
    """
    turned, turned_goal = side_view(spec, state, goal, offsets[:, YAW])
    if is_asked and offsets.shape[1] > FASTER:
        spec.turn.set_in_motion(spec, turned, offsets[:, FASTER:BEARING])
    if offsets.shape[1] > BEARING:
        bearing_rad = offsets[:, BEARING].astype(np.float64)
        rotate_pair(turned_goal, 0, 1, np.cos(bearing_rad), -np.sin(bearing_rad))
        if spec.goal_kind in DISTANT_KINDS:
            turned_goal[:, 2] = _distance_beside(goal, offsets[:, SHIFT].astype(np.float64))
    return turned, turned_goal


def _distance_beside(goal: np.ndarray, shift_m: np.ndarray) -> np.ndarray:
    """(n,) the distance to goals (n, 3 or more) as told to who stands so far to the left (n,), in metres."""
    cosine, sine, told = goal[:, :3].astype(np.float64).T
    distance_m = distance_of(told)
    return remoteness_of(np.hypot(distance_m * cosine, distance_m * sine - shift_m))


def _unchanged(images: np.ndarray, state: np.ndarray) -> np.ndarray:
    return images
