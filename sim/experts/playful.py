"""The playful demonstrator: it has no task, and flies to places of its own choice (Lynch et al. 2019, Learning Latent
Plans from Play, arXiv:1903.01973)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.flight import FlightExpert
from forestpilot.sim.experts.habits import HabitConfig, habit_rng
from forestpilot.sim.ranges import Range
from forestpilot.sim.vehicles.vehicle import Vehicle

RIM_M = 3.0
"""Places lie this far inside the flight area at least, in metres."""
TRIES = 8
"""Places that it thinks of; it flies to the first that is far enough away, or else to the farthest."""


@dataclass(frozen=True)
class PlayfulConfig(HabitConfig):
    """Flies to places of its own choice, one after the other, and avoids trunks; the goal is nothing to it."""

    part: ClassVar[str] = "playful"

    stay_s: Annotated[float, Range(0.5, 600)] = 3.0
    """How long it makes for one place before it thinks of the next, in seconds."""
    hop_m: Annotated[float, Range(0, 500)] = 12.0
    """Least distance from one place to the next, in metres, where the forest is large enough."""


class PlayfulExpert(FlightExpert):
    """Answers as the flight expert would if its goal were the place that it has in mind.

    Costs are those of its own choice. Which place it has in mind follows from the world's seed and the time alone.

    Args:
        vehicle: a quadrotor, begun.
        course: any course with a goal to fly to, begun.
        rig: where the cameras stand.
        config: how it chooses.
    """

    Config: ClassVar[type[ExpertConfig]] = PlayfulConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: PlayfulConfig = PlayfulConfig()) -> None:
        super().__init__(vehicle, course, rig)
        self._rng = habit_rng(config, course)
        self._config = config
        self._bounds = course.world.bounds_m
        self._places = [self._next_from(course.world.start_m[:2])]

    def place_m(self, time_s: float) -> np.ndarray:
        """(2,) the place that it makes for at a time, in metres."""
        number = int(time_s / self._config.stay_s)
        while len(self._places) <= number:
            self._places.append(self._next_from(self._places[-1]))
        return self._places[number]

    def _next_from(self, place: np.ndarray) -> np.ndarray:
        west, east, south, north = self._bounds
        rim_x = min(RIM_M, 0.5 * (east - west))
        rim_y = min(RIM_M, 0.5 * (north - south))
        places = self._rng.uniform((west + rim_x, south + rim_y), (east - rim_x, north - rim_y), (TRIES, 2))
        distances = np.hypot(*(places - place).T)
        far = (distances >= self._config.hop_m).nonzero()[0]
        return np.asarray(places[far[0]] if len(far) else places[distances.argmax()])

    def goals_m(self, motions: np.ndarray) -> np.ndarray | None:
        """(S, 2) float64: the place that it has in mind now."""
        return np.tile(self.place_m(self.time_s), (len(motions), 1))
