"""The sloppy demonstrator: it knows the best way, and wanders about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.expert import CameraViews, Expert, Labels
from forestpilot.sim.experts.habits import HabitConfig, habit_rng
from forestpilot.sim.experts.own import own_expert
from forestpilot.sim.ranges import Range
from forestpilot.sim.vehicles.vehicle import Vehicle

WAVES = 4
"""Sines that the wandering is the sum of."""
SPREAD = (0.5, 1.5)
"""Their frequencies, in shares of the middle one."""


@dataclass(frozen=True)
class SloppyConfig(HabitConfig):
    """Wanders about the best way: its turns are the best ones and smooth noise."""

    part: ClassVar[str] = "sloppy"

    wander: Annotated[float, Range(0, 1)] = 0.1
    """Root mean square of what is added to its turns, in shares of the largest turn (a drone's 60 degrees, a car's
    30)."""
    period_s: Annotated[float, Range(0.2, 60)] = 1.5
    """How long it wanders to one side and back, in seconds."""


class SloppyExpert(Expert):
    """Answers with the best turn and a noise that follows from the world's seed and the time alone.

    Costs are those of whoever knows better than to wander: the noise is not in them.

    Args:
        vehicle: a quadrotor, or a car on a road; begun.
        course: begun.
        rig: where the cameras stand.
        config: how far it wanders.
    """

    Config: ClassVar[type[ExpertConfig]] = SloppyConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: SloppyConfig = SloppyConfig()) -> None:
        self._own = own_expert(vehicle, course, rig)
        rng = habit_rng(config, course)
        self._rates = 2.0 * np.pi / config.period_s * rng.uniform(*SPREAD, WAVES)
        self._phases = rng.uniform(0.0, 2.0 * np.pi, WAVES)
        self._size = config.wander * np.sqrt(2.0 / WAVES)

    def wandering(self, time_s: float) -> float:
        """What is added to the turn at a time, in actions' units."""
        return float(self._size * np.sin(self._rates * time_s + self._phases).sum())

    def label(self, views: CameraViews) -> Labels:
        """The best turns, all with the noise of this moment."""
        labels = self._own.label(views)
        labels.actions[:, 0] = np.clip(labels.actions[:, 0] + self.wandering(self.time_s), -1.0, 1.0)
        return labels
