"""Steps of an episode as training sees them: prepared pictures, and state, goal and labels as one camera tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import h5py
import numpy as np

from data_collection.episode import ACTOR_POLICY, CAMERAS, EpisodeHeader
from sim.envs.task_spec import TaskSpec, side_view

Prepare = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(images (N, H, W, 3) uint8, state (N, S) float32 at that camera's heading) -> (N, h, w, 3) uint8, frame by frame."""

CENTER = CAMERAS.index("center")


@dataclass(frozen=True)
class TrainingSteps:
    """n steps of one episode, told by each of M cameras: by the center camera, or by left, center and right."""

    views: np.ndarray
    """(M, n, C, h, w, 3) uint8, prepared."""
    state: np.ndarray
    """(M, n, S) float32, as it reads at the telling camera's heading."""
    goal: np.ndarray
    """(M, n, 2) float32, likewise."""
    actions: np.ndarray
    """(M, n, 2) float32: what to learn at that heading."""
    costs: np.ndarray | None
    """(M, n, K) float32: the expert's costs at that heading, where recorded."""
    mask: np.ndarray
    """(n,) bool: whether there is anything to learn from the step; not where a policy acted and no expert spoke."""

    @property
    def num_bytes(self) -> int:
        """Memory taken, in bytes."""
        arrays = (self.views, self.state, self.goal, self.actions, self.costs, self.mask)
        return sum(array.nbytes for array in arrays if array is not None)


def side_label_geometric(actions: np.ndarray, yaw_rad: float, max_turn_rad: float) -> np.ndarray:
    """Actions as they read from a camera turned by `yaw_rad`: the same course, so the turn is less by the camera's yaw.

    The constant correction of PilotNet (Bojarski et al. 2016) for a vehicle whose action is a heading change: for data
    without an expert that could be asked at the camera's heading.

    Args:
        actions: (..., 2) float32 (turn, go).
        yaw_rad: yaw of the camera, left positive.
        max_turn_rad: heading change of turn = 1.

    Returns:
        (..., 2) float32, turns clipped to [-1, 1].
    """
    turned = np.array(actions, dtype=np.float32, copy=True)
    turned[..., 0] = np.clip(turned[..., 0] - yaw_rad / max_turn_rad, -1.0, 1.0)
    return turned


class StepLoader:
    """Reads steps from open episode files and prepares their pictures.

    Args:
        spec: the task.
        cameras: cameras that a step shows at once.
        side_cameras: whether left and right camera can stand in for the center camera.
        prepare: see `Prepare`; None leaves the pictures as they are.
    """

    def __init__(self, spec: TaskSpec, cameras: tuple[str, ...], side_cameras: bool, prepare: Prepare | None) -> None:
        self._spec = spec
        self._cameras = cameras
        self._prepare = prepare or _unchanged
        self._yaws_rad = (spec.side_yaw_rad, 0.0, -spec.side_yaw_rad)
        self.tellers = (0, 1, 2) if side_cameras else (CENTER,)
        """Index of each camera that can tell a step."""
        picture = np.zeros((1, spec.image_height, spec.image_width, 3), dtype=np.uint8)
        view = self._prepare(picture, np.zeros((1, spec.state_size), dtype=np.float32))
        if view.dtype != np.uint8 or view.ndim != 4 or view.shape[0] != 1 or view.shape[3] != 3:
            raise ValueError(
                f"prepare returned {view.dtype} {view.shape} for one picture; it must return uint8 (1, h, w, 3)"
            )
        self.view_shape: tuple[int, ...] = (len(cameras), *view.shape[1:])
        """(C, h, w, 3): what one step shows."""

    def num_bytes(self, header: EpisodeHeader) -> int:
        """Memory that a whole episode takes once loaded."""
        floats = self._spec.state_size + self._spec.goal_size + 2
        if header.has_expert_costs:
            floats += self._spec.num_candidates
        return header.num_steps * (len(self.tellers) * (int(np.prod(self.view_shape)) + 4 * floats) + 1)

    def load(self, demo: h5py.Group, start: int, stop: int, tellers: tuple[int, ...] | None = None) -> TrainingSteps:
        """Steps `start` to `stop` of an episode, told by the given cameras (default: all that can)."""
        tellers = tellers or self.tellers
        steps = slice(start, stop)
        state, goal = demo["obs/state"][steps], demo["obs/goal"][steps]
        turned = {
            camera: side_view(self._spec, state, goal, self._yaws_rad[camera]) for camera in self._seen_by(tellers)
        }
        views = np.empty((len(tellers), len(state), *self.view_shape), dtype=np.uint8)
        for row, teller in enumerate(tellers):
            for column, camera in enumerate(self._shown_by(teller)):
                pictures = demo[f"obs/{CAMERAS[camera]}"][steps]
                views[row, :, column] = self._prepare(pictures, turned[camera][0])
        costs = demo["expert_costs"][steps] if "expert_costs" in demo else None
        return TrainingSteps(
            views=views,
            state=np.stack([turned[teller][0] for teller in tellers]),
            goal=np.stack([turned[teller][1] for teller in tellers]),
            actions=self._labels(demo, steps, tellers),
            costs=None if costs is None else np.stack([costs[:, teller] for teller in tellers]),
            mask=np.ones(len(state), bool) if "expert_actions" in demo else demo["actor"][steps] != ACTOR_POLICY,
        )

    def _shown_by(self, teller: int) -> tuple[int, ...]:
        """Cameras whose pictures a step shows."""
        return (teller,) if len(self._cameras) == 1 else (0, 1, 2)

    def _seen_by(self, tellers: tuple[int, ...]) -> set[int]:
        return {camera for teller in tellers for camera in (teller, *self._shown_by(teller))}

    def _labels(self, demo: h5py.Group, steps: slice, tellers: tuple[int, ...]) -> np.ndarray:
        if "expert_actions" in demo:
            labels = demo["expert_actions"][steps]
            return np.stack([labels[:, teller] for teller in tellers])
        actions, max_turn = demo["actions"][steps], self._spec.max_turn_rad
        return np.stack([side_label_geometric(actions, self._yaws_rad[teller], max_turn) for teller in tellers])


def _unchanged(images: np.ndarray, state: np.ndarray) -> np.ndarray:
    return images
