"""What to learn from a side camera's picture: labels of poses at which the vehicle was not, but could have been.

A side camera shows what the vehicle would see if it stood further left or right, or were turned. Four ways to say what
it should do there:

- `asked`: the expert is asked at that very pose (geometric where no expert was asked, as in a person's data);
- `geometric`: the center camera's label, corrected for the pose (Bojarski et al. 2016, arXiv:1604.07316, section 5);
- `constant`: the center camera's label and one number per camera, whatever the speed;
- `none`: side cameras are not learned from.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from sim.envs.task_spec import TaskSpec

SideLabels = Literal["asked", "geometric", "constant", "none"]
SIDE_LABELS: tuple[SideLabels, ...] = ("asked", "geometric", "constant", "none")
"""What `side_labels` may say wherever it is asked for."""
RETURN_S = 2.0
"""Time in which a shifted or turned car is to be back on its line, as in PilotNet."""
MIN_RETURN_M = 4.0
"""Least distance along the line to the point of return, metres: a standing car must not steer at what is beside it."""
MAX_RETURN_ARC_RAD = 1.0
"""Angle on the circle driven at the center, beyond which no point of return lies: seen from further round a tight
circle, a shift to the left would no longer call for a turn to the right."""


def fixed_offsets(spec: TaskSpec) -> np.ndarray:
    """(3, 2) float32: shift in metres and yaw in radians of the cameras against the center one, left positive."""
    side = np.array([spec.side_offset_m, spec.side_yaw_rad], dtype=np.float32)
    return np.stack([side, 0 * side, -side])


def geometric_label(spec: TaskSpec, actions: np.ndarray, offsets: np.ndarray, speed_mps: np.ndarray) -> np.ndarray:
    """Actions as they read from a camera that stands beside the center one and is turned against it.

    For a vehicle whose turn is a change of heading: the same course, so the turn is less by the camera's yaw. For one
    that steers: onto the line that the center label drives, back on it in `RETURN_S` seconds. That line is a circle of
    curvature tan(steering) / wheelbase; the answer is the circle that leaves the camera's pose and meets it there.

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
    if spec.turn_kind == "heading":
        turn_rad = turn_rad - yaw_rad
    else:
        turn_rad = _steer_back(turn_rad, shift_m, yaw_rad, np.asarray(speed_mps, np.float64), spec.wheelbase_m)
    labels = np.array(actions, dtype=np.float32, copy=True)
    labels[..., 0] = np.clip(turn_rad / spec.max_turn_rad, -1.0, 1.0)
    return labels


def _steer_back(
    steering_rad: np.ndarray, shift_m: np.ndarray, yaw_rad: np.ndarray, speed_mps: np.ndarray, wheelbase_m: float
) -> np.ndarray:
    """Steering angle at the shifted, turned pose that leads onto the circle of the given steering angle."""
    curvature = np.tan(steering_rad) / wheelbase_m
    distance = np.maximum(speed_mps * RETURN_S, MIN_RETURN_M)
    angle = np.clip(curvature * distance, -MAX_RETURN_ARC_RAD, MAX_RETURN_ARC_RAD)
    # Chord of the arc: distance * sin(angle / 2) / (angle / 2), which np.sinc keeps finite on a straight line.
    length = np.where(curvature == 0, distance, angle / np.where(curvature == 0, 1.0, curvature))
    chord = length * np.sinc(angle / (2 * np.pi))
    x, y = chord * np.cos(angle / 2), chord * np.sin(angle / 2) - shift_m
    ahead, left = np.cos(yaw_rad) * x + np.sin(yaw_rad) * y, np.cos(yaw_rad) * y - np.sin(yaw_rad) * x
    return np.arctan(wheelbase_m * 2 * left / (ahead**2 + left**2))


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
        raise ValueError(f"side_labels is {side_labels!r}; allowed: {', '.join(SIDE_LABELS)}")
