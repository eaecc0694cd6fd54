"""Courses: where a vehicle starts, where it is to get, how far it is, and when it is over."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.goals import BEARING
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.hazards.traffic import NO_TRAFFIC, Traffic
from forestpilot.sim.worlds.world import World

if TYPE_CHECKING:
    from typing_extensions import Self


class NotBegunError(ForestPilotError):
    """A course was asked about an episode before one began."""


class Course(ABC):
    """Makes the worlds and judges what a vehicle does in them; knows of the vehicle only where it is.

    Args:
        speed: speed set point in m/s.
        max_speed_mps: largest one that is allowed.

    Raises:
        ValueError: an argument is out of range; the message names what is allowed.
    """

    name: ClassVar[str]
    """Name under which it is registered."""
    goal_kind: str = BEARING
    """How the goal is told; see `forestpilot.sim.goals`."""
    goal_mirror: tuple[float, ...] = (1.0, -1.0)
    """+1 or -1 for each element of the goal: its sign in the world mirrored left to right."""
    reset_options: ClassVar[tuple[str, ...]] = ("speed",)
    """What `reset(options=...)` may change for one episode."""

    def __init__(self, speed: float, max_speed_mps: float) -> None:
        require_speed(speed, max_speed_mps)
        self.speed_mps = float(speed)
        self.max_speed_mps = max_speed_mps
        self._world: World | None = None
        self.traffic: Traffic = NO_TRAFFIC
        """The hazards of this episode, as they are now."""

    @property
    def world(self) -> World:
        """The world of this episode.

        Raises:
            NotBegunError: none has begun.
        """
        if self._world is None:
            raise NotBegunError("no episode has begun; call reset() first")
        return self._world

    def with_options(self, options: dict[str, Any]) -> Self:
        """This course with some of `reset_options` changed, for one episode.

        Raises:
            ValueError: an option is out of range.
        """
        changed = copy.copy(self)
        if "speed" in options:
            require_speed(options["speed"], self.max_speed_mps)
            changed.speed_mps = float(options["speed"])
        return changed

    @abstractmethod
    def make_world(self, seed: int) -> World:
        """The world of a seed."""

    def begin(self, world: World, vehicle: Vehicle) -> None:
        """A vehicle stands at the start of a world."""
        self._world = world
        self.follow(vehicle)
        self.traffic = Traffic(world.hazards, self.speed_mps) if world.hazards else NO_TRAFFIC
        self.traffic.wake(self.way_m(vehicle))

    @abstractmethod
    def time_limit_s(self) -> float:
        """Time after which an episode in this world is over, if nobody says otherwise, in seconds."""

    @abstractmethod
    def longest_s(self) -> float:
        """Bound of `time_limit_s` over all worlds, in seconds."""

    def follow(self, vehicle: Vehicle) -> None:  # noqa: B027  (a free course has nothing to note)
        """Take note of where the vehicle is now."""

    def way_m(self, vehicle: Vehicle) -> float:
        """How far along the course the vehicle is, in metres: what hazards wake by."""
        return 0.0

    def intervene(self, vehicle: Vehicle, collided: bool, control_hz: int) -> bool:
        """Put the vehicle back on its way where the course's rule says so; returns whether it did."""
        return False

    @abstractmethod
    def goal(self, vehicle: Vehicle) -> np.ndarray:
        """(2,) float32: the goal as observed."""

    @abstractmethod
    def distance_left_m(self, vehicle: Vehicle) -> float:
        """Distance that is left, in metres."""

    @abstractmethod
    def is_reached(self, vehicle: Vehicle) -> bool:
        """True where the goal is reached."""

    @abstractmethod
    def is_left(self, vehicle: Vehicle) -> bool:
        """True where the vehicle has left the course, which ends the episode."""

    def info(self, vehicle: Vehicle) -> dict[str, Any]:
        """Facts that it adds to `info`."""
        return {}

    def demonstrated_with(self) -> dict[str, Any]:
        """Where goals are demonstrated: the arguments of the environment in which somebody does what is to be shown, as
        they differ from those of this course's own. Its goals there have three elements."""
        return {}

    def state_bytes(self) -> bytes:
        """State, for hashes: what was done to the vehicle besides its own motion, which its states tell."""
        return b""


class GoalCourse(Course):
    """A point to get to: the goal is seen as a bearing, and the way is free."""

    ceiling_m: ClassVar[float] = math.inf
    """A vehicle above this altitude has left the course."""

    def goal(self, vehicle: Vehicle) -> np.ndarray:
        """Cosine and sine of the bearing to the goal from the heading."""
        dx, dy = (self.world.goal_m[:2] - vehicle.base_position()[:2]).tolist()
        bearing = math.atan2(dy, dx) - vehicle.yaw_rad
        return np.array([math.cos(bearing), math.sin(bearing)], np.float32)

    def distance_left_m(self, vehicle: Vehicle) -> float:
        """Distance to the goal over the ground."""
        return float(np.hypot(*(self.world.goal_m[:2] - vehicle.base_position()[:2])))

    def is_reached(self, vehicle: Vehicle) -> bool:
        """Within the goal's radius."""
        return self.distance_left_m(vehicle) <= self.world.goal_radius_m

    def is_left(self, vehicle: Vehicle) -> bool:
        """Outside the world's rectangle, or above the ceiling."""
        x, y, z = vehicle.base_position().tolist()
        x_min, x_max, y_min, y_max = self.world.bounds_m
        return not (x_min <= x <= x_max and y_min <= y <= y_max and z <= self.ceiling_m)


def require_speed(speed: float, max_speed_mps: float) -> None:
    """Raise ValueError where a speed set point is out of range."""
    if not 1.0 <= speed <= max_speed_mps:
        raise InvalidArgumentError(f"speed is {speed} m/s; allowed: 1 to {max_speed_mps:g}")


def require_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError where an argument is none of those allowed."""
    if value not in allowed:
        raise InvalidArgumentError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
