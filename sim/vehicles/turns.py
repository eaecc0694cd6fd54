"""Turns: what the first element of an action asks of a vehicle, a change of heading or an angle of the wheels.

Everything that depends on it is asked here: what a side camera's state and label would be, and what the last turn that
was commanded would be now.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.sim.envs.task_spec import TaskSpec

RETURN_S = 2.0
"""Time in which a shifted or turned car is to be back on its line, as in PilotNet."""
ARC_FROM_MPS = 3.0
"""A standing car is on no arc: from this speed on its yaw rate is that of one."""
MIN_RETURN_M = 4.0
"""Least distance in which it is to be back, metres: a car that stands has no distance of two seconds."""


class Turn(ABC):
    """A kind of turn."""

    label: str
    """Name of the turn on an axis."""
    full_go_is_safe: bool
    """Whether a policy that does not learn to go may always go at the set point."""

    @abstractmethod
    def from_side(self, spec: TaskSpec, state: np.ndarray, goal: np.ndarray, heading_change_rad: np.ndarray) -> None:
        """Change state (..., S) and goal (..., G), in place, to what they would read with another heading.

        Args:
            spec: names the elements of the state.
            state: as read with the vehicle's own heading.
            goal: likewise.
            heading_change_rad: (...) how far the other heading lies to the left, radians.
        """

    def set_in_motion(self, spec: TaskSpec, state: np.ndarray, motion: np.ndarray) -> None:
        """Change the state (n, S), in place, to what it would read in another motion at the same place and heading.

        Args:
            spec: names the elements of the state.
            state: as read there with the vehicle's own motion.
            motion: (n, 1 or 3) what the vehicle would do otherwise: speed along the heading in m/s; where a vehicle
                drifts also across it, left positive, and yaw rate in rad/s.
        """
        for name, change in zip(("forward_mps", "left_mps", "yaw_rate_radps"), motion.T):
            state[:, spec.index(name)] += change

    @abstractmethod
    def side_turn_rad(
        self, spec: TaskSpec, turn_rad: np.ndarray, shift_m: np.ndarray, yaw_rad: np.ndarray, speed_mps: np.ndarray
    ) -> np.ndarray:
        """Turn (...) in radians that is right for a camera beside the center one, by geometry alone.

        Args:
            spec: the vehicle's limits.
            turn_rad: (...) right for the center camera.
            shift_m: (...) how far the camera stands to the left, metres.
            yaw_rad: (...) how far it looks to the left, radians.
            speed_mps: (...) along the heading.
        """

    @abstractmethod
    def previous_now_rad(self, spec: TaskSpec, turn_rad: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Turn (B,) that the turn commanded one step ago would be now, given the state (B, S)."""


class HeadingTurn(Turn):
    """A change of heading: the vehicle may move sideways, and goals are bearings."""

    label = "turn"
    full_go_is_safe = True

    def from_side(self, spec: TaskSpec, state: np.ndarray, goal: np.ndarray, heading_change_rad: np.ndarray) -> None:
        """The same motion and the same goal, seen from a turned heading."""
        cosine = np.cos(heading_change_rad)
        sine = np.sin(heading_change_rad)
        rotate_pair(state, spec.index("forward_mps"), spec.index("left_mps"), cosine, sine)
        rotate_pair(goal, 0, 1, cosine, sine)

    def side_turn_rad(
        self, spec: TaskSpec, turn_rad: np.ndarray, shift_m: np.ndarray, yaw_rad: np.ndarray, speed_mps: np.ndarray
    ) -> np.ndarray:
        """The same course, so the turn is less by the camera's yaw."""
        return turn_rad - yaw_rad

    def previous_now_rad(self, spec: TaskSpec, turn_rad: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The same heading, which is a smaller turn away now that the vehicle has turned."""
        return turn_rad - state[:, spec.index("yaw_rate_radps")] / spec.control_hz


class SteeringTurn(Turn):
    """An angle of the wheels: the vehicle moves along its heading, and goals are route commands."""

    label = "steering"
    full_go_is_safe = False

    def from_side(self, spec: TaskSpec, state: np.ndarray, goal: np.ndarray, heading_change_rad: np.ndarray) -> None:
        """Nothing changes: at the other pose the vehicle would move along its heading there, under the same command."""

    def set_in_motion(self, spec: TaskSpec, state: np.ndarray, motion: np.ndarray) -> None:
        """The same arc at another speed, so that the yaw rate changes with it."""
        speed = spec.index("forward_mps")
        yaw_rate = spec.index("yaw_rate_radps")
        faster = motion[:, 0]
        before = np.maximum(state[:, speed], ARC_FROM_MPS)
        state[:, speed] += faster
        state[:, yaw_rate] *= np.where(faster != 0, state[:, speed] / before, 1.0)

    def side_turn_rad(
        self, spec: TaskSpec, turn_rad: np.ndarray, shift_m: np.ndarray, yaw_rad: np.ndarray, speed_mps: np.ndarray
    ) -> np.ndarray:
        """Back to the place and direction of the line that the center label drives, `RETURN_S` seconds ahead.

        Of the ways back the cubic is taken: with the deviation e and its slope known at the camera and zero after D
        metres, e'' = -6 e / D^2 - 4 e' / D is the curvature to add to the line's, tan(steering) / wheelbase.
        """
        distance_m = np.maximum(np.asarray(speed_mps, np.float64) * RETURN_S, MIN_RETURN_M)
        back_per_m = -6 * shift_m / distance_m**2 - 4 * yaw_rad / distance_m
        return np.arctan(np.tan(turn_rad) + spec.wheelbase_m * back_per_m)

    def previous_now_rad(self, spec: TaskSpec, turn_rad: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The same: wheels stay turned as they are, wherever the vehicle heads."""
        return turn_rad


def rotate_pair(values: np.ndarray, i: int, j: int, cosine: np.ndarray | float, sine: np.ndarray | float) -> None:
    """Express the vector in elements (i, j) of `values` (..., S) in axes turned by the angle, in place."""
    x = values[..., i].astype(np.float64)
    y = values[..., j].astype(np.float64)
    values[..., i] = cosine * x + sine * y
    values[..., j] = cosine * y - sine * x


TURNS: Registry[Turn] = Registry("kind of turn", "forestpilot.sim.vehicles.turns:TURNS")
TURNS.register("heading", HeadingTurn(), "a change of heading")
TURNS.register("steering", SteeringTurn(), "an angle of the wheels")
