"""Courses: start, goal or route, progress, judgement, and putting a vehicle back on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.sim.courses.course import Course

COURSES: Registry[type[Course]] = Registry("course", "forestpilot.sim.courses:COURSES")
COURSES.register("forest", "forestpilot.sim.courses.forest:ForestCourse", "40 m through a forest")
COURSES.register("road", "forestpilot.sim.courses.road:RoadCourse", "along a winding forest road to its end")
