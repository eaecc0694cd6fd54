"""The late demonstrator: it has a reaction time, as people have.

What it does now was right a moment ago, in what it saw then. `forestpilot inspect` estimates such a delay, and training
can take it out again (`--train.human-delay`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.sim.cameras import CENTER, FORWARD, Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.expert import CameraViews, Expert, Labels
from forestpilot.sim.experts.own import own_expert
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.vehicles.vehicle import Vehicle

SOON_S = 1e-6
"""Times that differ by less are the same, in seconds."""


@dataclass(frozen=True)
class LateConfig(ExpertConfig):
    """Answers with what was right some steps ago."""

    part: ClassVar[str] = "late"

    delay_s: Annotated[float, Range(0, 2)] = 0.2
    """Reaction time in seconds: people have 0.2 to 0.3. Rounded up to whole steps."""

    def __post_init__(self) -> None:
        require_ranges(self)


class Memory(NamedTuple):
    """What there was to see at one step."""

    time_s: float
    views: CameraViews
    moment: Any


class LateExpert(Expert):
    """Answers with what was right a moment ago, where the vehicle was then.

    Asked about a side camera, it answers as if the vehicle had gone the same way, but as much aside and turned then. In
    the first moments of an episode, where there is no history, it answers with what was right at the start.

    Args:
        vehicle: a quadrotor, or a car on a road; begun.
        course: begun.
        rig: where the cameras stand.
        config: how late it is.
    """

    Config: ClassVar[type[ExpertConfig]] = LateConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: LateConfig = LateConfig()) -> None:
        self._own = own_expert(vehicle, course, rig)
        self._delay_s = config.delay_s
        self._memories: deque[Memory] = deque()

    def follow(self, views: CameraViews, time_s: float) -> None:
        """Remember this moment, and forget what is older than what is answered now."""
        super().follow(views, time_s)
        if self._memories and self._memories[-1].time_s >= time_s:
            self._memories.pop()  # told once more of the same step
        self._memories.append(Memory(time_s, views, self._own.moment()))
        while len(self._memories) > 1 and self._memories[1].time_s <= time_s - self._delay_s + SOON_S:
            self._memories.popleft()

    def label(self, views: CameraViews) -> Labels:
        """What was right then, for cameras that stood to the vehicle as these do now."""
        if not self._memories:
            return self._own.label(views)
        then = self._memories[0]
        return self._own.label_then(moved_back(views, then.views), then.moment)


def moved_back(views: CameraViews, then: CameraViews) -> CameraViews:
    """These cameras, where the center camera stood and headed then; all of them moved and turned as one."""
    turn = _heading(then) - _heading(views)
    cosine = np.cos(turn)
    sine = np.sin(turn)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    eyes = then.eyes[CENTER] + (views.eyes - views.eyes[CENTER]) @ rotation.T
    return CameraViews(eyes.astype(np.float32), (views.axes @ rotation.T).astype(np.float32), views.offsets)


def _heading(views: CameraViews) -> float:
    """Heading of the center camera in radians."""
    forward = views.axes[CENTER, FORWARD]
    return float(np.arctan2(forward[1], forward[0]))
