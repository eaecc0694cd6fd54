"""The expert on courses of coloured gates: it knows which gate of each row leads on."""

from __future__ import annotations

from typing import Any

import numpy as np

from forestpilot.sim.cameras import CENTER, Rig
from forestpilot.sim.courses.coloured import ColouredCourse
from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.expert import CameraViews, UnsuitableExpertError
from forestpilot.sim.experts.flight import FlightExpert, PlannerConfig
from forestpilot.sim.experts.habits import rows_of
from forestpilot.sim.experts.passing import THREADING, Threading
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.world import World


class Threader(FlightExpert):
    """Answers as the flight expert would if it were to fly through the next gate of the order.

    Args:
        vehicle: a quadrotor, begun.
        course: a course of coloured gates, begun.
        rig: where the cameras stand.
        config: nothing.
    """

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: Any = None) -> None:
        if not isinstance(course, ColouredCourse):
            raise UnsuitableExpertError("whoever threads coloured gates needs a course that has them")
        super().__init__(vehicle, course, rig)
        rows = rows_of(course.world)
        self._will = Threading(course.world, rows, course.gates())
        self._other_wills = [Threading(course.world, rows, gaps) for gaps in course.gates_by_choice()]

    def planning(self, world: World) -> PlannerConfig:
        """A shorter horizon, as among all rows."""
        return THREADING

    def goals_m(self, motions: np.ndarray) -> np.ndarray | None:
        """(S, 2) float64: the next gate as seen from each state (S, 8)."""
        return np.array([self._will.aim(x, y) for x, y in motions[:, :2].tolist()])

    def answers(self, views: CameraViews) -> np.ndarray:
        """See `Expert.answers`: through the next row's gap of each colour."""
        moment = self.moment()
        own = self._will
        told = []
        for will in self._other_wills:
            self._will = will
            told.append(np.hstack(self.label_then(views, moment)))
        self._will = own
        ahead = moment.motion[0] + views.eyes[:, 0] - views.eyes[CENTER, 0]
        rows = [[own.next_row(x)] for x in ahead.tolist()]
        return np.hstack([np.array(rows, np.float32), *told])
