"""What a policy must know of a task: shapes, scales, mirror signs, candidate turns. Plain JSON, stored with data and
policies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import BEARING, GOAL_KINDS
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.vehicles.turns import TURNS, Turn, rotate_pair

LARGEST_SIZE = 4096
"""Most elements of a state, a goal, or candidate turns."""
HEADING = "heading"
"""The turn of specs from before there were cars."""


@dataclass(frozen=True)
class TaskSpec:
    """The part of an environment that data and policies depend on; the same class serves drone and car."""

    task: str
    """Name of the task, for example `drone`."""
    image_height: Annotated[int, Range(1, 720)]
    """Height of each camera image in pixels."""
    image_width: Annotated[int, Range(1, 1280)]
    """Width of each camera image in pixels."""
    horizontal_fov_deg: Annotated[float, Range(0, 180)]
    """Horizontal field of view of each camera in degrees."""
    side_yaw_rad: Annotated[float, Range(-10, 10)]
    """Yaw of the left camera against the center camera in radians; the right camera has the negative."""
    control_hz: Annotated[int, Range(1, 10_000)]
    """Actions per second."""
    renderer: str
    """Renderer that drew the images."""
    max_turn_rad: Annotated[float, Range(0, 10)]
    """What an action of turn = 1 asks for in radians: a heading change, or a steering angle."""
    candidate_turns_rad: Annotated[tuple[float, ...], Range(-10, 10)]
    """Candidate turns in radians, ascending: heading changes relative to the heading, or steering angles."""
    state_names: tuple[str, ...]
    """Name of each element of the state, with its unit."""
    state_scale: Annotated[tuple[float, ...], Range(-1e9, 1e9)]
    """Typical size of each element: divide by it to get values near one."""
    state_mirror: Annotated[tuple[float, ...], Range(-1, 1)]
    """+1 or -1 for each element: its sign in the world mirrored left to right."""
    goal_mirror: Annotated[tuple[float, ...], Range(-1, 1)]
    """+1 or -1 for each element of the goal, likewise."""
    turn_kind: str = HEADING
    """Name in `TURNS`: a change of heading, or an angle of the wheels."""
    wheelbase_m: Annotated[float, Range(0, 100)] = 0.0
    """Distance of the axles in metres; 0 without wheels."""
    side_offset_m: Annotated[float, Range(-100, 100)] = 0.06
    """Shift of the left camera against the center camera in metres; the right camera has the negative."""
    goal_kind: str = BEARING
    """How goals are told, one of `forestpilot.sim.goals.GOAL_KINDS`."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        require_ranges(self)
        sizes = len(self.candidate_turns_rad), len(self.state_names), len(self.goal_mirror)
        if max(sizes) > LARGEST_SIZE:
            raise InvalidArgumentError(f"candidates, state and goal have {sizes} elements; at most {LARGEST_SIZE} each")
        TURNS.get(self.turn_kind)
        if self.goal_kind not in GOAL_KINDS:
            raise InvalidArgumentError(f"goal_kind is {self.goal_kind!r}; allowed: {', '.join(GOAL_KINDS)}")
        if not len(self.state_names) == len(self.state_scale) == len(self.state_mirror):
            raise InvalidArgumentError(
                "state_names, state_scale and state_mirror must have one entry per element of the state"
            )

    @property
    def turn(self) -> Turn:
        """Kind of turn that the vehicle takes."""
        return TURNS.get(self.turn_kind)

    @property
    def state_size(self) -> int:
        """Number of elements of the state."""
        return len(self.state_names)

    @property
    def goal_size(self) -> int:
        """Number of elements of the goal."""
        return len(self.goal_mirror)

    @property
    def num_candidates(self) -> int:
        """Number of candidate turns."""
        return len(self.candidate_turns_rad)

    def index(self, name: str) -> int:
        """Position of a state element by its name."""
        return self.state_names.index(name)

    def to_dict(self) -> dict[str, Any]:
        """This spec as plain JSON values; of goals it says something only where they are told otherwise than in earlier
        versions."""
        values = self._all_values()
        if self.goal_kind == BEARING:
            del values["goal_kind"]
        return values

    def _all_values(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TaskSpec:
        """The spec that `to_dict` wrote; a spec from before there were cars lacks the fields that have defaults.

        Raises:
            ValueError: a key is missing or unknown.
        """
        fields = dataclasses.fields(cls)
        known = {f.name for f in fields}
        needed = {f.name for f in fields if f.default is dataclasses.MISSING}
        if different := (set(values) - known) | (needed - set(values)):
            raise InvalidArgumentError(f"a task spec has the keys {sorted(known)}; these differ: {sorted(different)}")
        return cls(**values)

    def differences(self, other: TaskSpec) -> list[str]:
        """One line for each field in which two specs differ, for error messages."""
        mine = self._all_values()
        theirs = other._all_values()
        return [f"{key}: {mine[key]} against {theirs[key]}" for key in mine if mine[key] != theirs[key]]


def side_view(
    spec: TaskSpec, state: np.ndarray, goal: np.ndarray, yaw_rad: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn state and goal into what they would read if the vehicle stood as one of its side cameras does.

    A drone keeps its motion and has another heading. A car moves along its own heading, so that at the side camera's
    pose it would have the same speeds, on another line; only the tilt of its body reads differently from there.

    Args:
        spec: names the elements of the state.
        state: (..., S) float32.
        goal: (..., 2) float32: cosine and sine of the bearing to the goal from the heading, or the route command.
        yaw_rad: the camera's yaw about the body's vertical axis, left positive; a number or (...).

    Returns:
        (state, goal) of the same shapes and dtype, for the turned heading.
    """
    turned = np.array(state, copy=True)
    turned_goal = np.array(goal, copy=True)
    heading_change = np.broadcast_to(np.asarray(yaw_rad, np.float64), state.shape[:-1])
    if "roll_rad" in spec.state_names:
        heading_change = _tilt(spec, state, turned, heading_change)
    spec.turn.from_side(spec, turned, turned_goal, heading_change)
    return turned, turned_goal


def _tilt(spec: TaskSpec, state: np.ndarray, turned: np.ndarray, yaw_rad: np.ndarray) -> np.ndarray:
    """Write roll, pitch and their rates as the turned camera reads them; returns the change of heading (...)."""
    cos_yaw = np.cos(yaw_rad)
    sin_yaw = np.sin(yaw_rad)
    i_roll = spec.index("roll_rad")
    i_pitch = spec.index("pitch_rad")
    roll = state[..., i_roll].astype(np.float64)
    pitch = state[..., i_pitch].astype(np.float64)
    # Ry(pitch) Rx(roll) Rz(yaw): its first column gives the new heading and pitch, its last row the roll.
    forward_x = np.cos(pitch) * cos_yaw + np.sin(pitch) * np.sin(roll) * sin_yaw
    forward_y = np.cos(roll) * sin_yaw
    down_x = -np.sin(pitch) * cos_yaw + np.cos(pitch) * np.sin(roll) * sin_yaw
    down_y = np.sin(pitch) * sin_yaw + np.cos(pitch) * np.sin(roll) * cos_yaw
    turned[..., i_pitch] = np.arcsin(np.clip(-down_x, -1.0, 1.0))
    turned[..., i_roll] = np.arctan2(down_y, np.cos(pitch) * np.cos(roll))
    rotate_pair(turned, spec.index("roll_rate_radps"), spec.index("pitch_rate_radps"), cos_yaw, sin_yaw)
    return np.arctan2(forward_y, forward_x)
