"""What to learn from a side camera's picture: labels of poses at which the vehicle was not, but could have been.

A side camera shows what the vehicle would see if it stood further left or right, or were turned. Four ways to say what
it should do there:

- `asked`: the expert is asked at that very pose (geometric where no expert was asked, as in a human's data);
- `geometric`: the center camera's label, corrected for the pose (Bojarski et al. 2016, arXiv:1604.07316, section 2);
- `constant`: the center camera's label and one number per camera, whatever the speed;
- `none`: side cameras are not learned from.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError

SideLabels = Literal["asked", "geometric", "constant", "none"]
SIDE_LABELS: tuple[SideLabels, ...] = ("asked", "geometric", "constant", "none")
"""What `side_labels` may say wherever it is asked for."""


def fixed_offsets(spec: TaskSpec) -> np.ndarray:
    """(3, 2) float32: shift in metres and yaw in radians of the cameras against the center one, left positive."""
    side = np.array([spec.side_offset_m, spec.side_yaw_rad], dtype=np.float32)
    return np.stack([side, 0 * side, -side])


def geometric_label(spec: TaskSpec, actions: np.ndarray, offsets: np.ndarray, speed_mps: np.ndarray) -> np.ndarray:
    """Actions as they read from a camera that stands beside the center one and is turned against it.

    For a vehicle whose turn is a change of heading: the same course. For one that steers: back to the line that the
    center label drives. `forestpilot.sim.vehicles.turns` has both.

    Args:
        spec: tells what a turn is.
        actions: (..., 2) float32 (turn, go), right for the center camera.
        offsets: (..., 2) shift in metres and yaw in radians of the camera, left positive.
        speed_mps: (...) speed along the heading; only steering needs it.

    Returns:
        (..., 2) float32, turns clipped to [-1, 1]; go unchanged.
    """
    turn_rad = actions[..., 0].astype(np.float64) * spec.max_turn_rad
    shift_m, yaw_rad = np.moveaxis(np.asarray(offsets, np.float64), -1, 0)
    turn_rad = spec.turn.side_turn_rad(spec, turn_rad, shift_m, yaw_rad, speed_mps)
    labels = np.array(actions, dtype=np.float32, copy=True)
    labels[..., 0] = np.clip(turn_rad / spec.max_turn_rad, -1.0, 1.0)
    return labels


def constant_label(spec: TaskSpec, actions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Actions with one number added to every turn: the geometric answer on a straight line at the usual speed.

    Args:
        spec: tells what a turn is, and in `state_scale` the usual speed.
        actions: (n, 2) float32 (turn, go), right for the center camera.
        offsets: (n, 2) shift in metres and yaw in radians of the camera, left positive; their mean decides.

    Returns:
        (n, 2) float32, turns clipped to [-1, 1]; go unchanged.
    """
    straight = np.zeros(2, dtype=np.float32)
    usual_mps = np.asarray(spec.state_scale[spec.index("forward_mps")])
    added = geometric_label(spec, straight, np.mean(offsets, axis=0), usual_mps)[0]
    labels = np.array(actions, dtype=np.float32, copy=True)
    labels[..., 0] = np.clip(labels[..., 0] + added, -1.0, 1.0)
    return labels


def require_side_labels(side_labels: str) -> None:
    """Raise ValueError unless it is one of `SIDE_LABELS`."""
    if side_labels not in SIDE_LABELS:
        raise InvalidArgumentError(f"side_labels is {side_labels!r}; allowed: {', '.join(SIDE_LABELS)}")
