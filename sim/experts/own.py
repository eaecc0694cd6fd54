"""The expert that a vehicle has of its own, for whoever builds on it, whatever the vehicle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.config import ExpertConfig, OwnConfig
from forestpilot.sim.experts.driving import DrivingExpert
from forestpilot.sim.experts.expert import CameraViews, Expert, Labels, RecallingExpert
from forestpilot.sim.experts.flight import FlightExpert
from forestpilot.sim.vehicles.quadrotor import Quadrotor
from forestpilot.sim.vehicles.vehicle import Vehicle

ExpertMaker = Callable[..., RecallingExpert]


def own_expert(
    vehicle: Vehicle,
    course: Course,
    rig: Rig,
    flight: ExpertMaker = FlightExpert,
    driving: ExpertMaker = DrivingExpert,
    config: Any = None,
) -> RecallingExpert:
    """The expert of a vehicle on its course.

    Args:
        vehicle: begun.
        course: begun.
        rig: where the cameras stand.
        flight: makes the expert of a quadrotor.
        driving: makes that of any other vehicle, and says where it does not know it.
        config: options for either.

    Raises:
        UnsuitableExpertError: nobody knows this vehicle or this course.
    """
    make = flight if isinstance(vehicle, Quadrotor) else driving
    return make(vehicle, course, rig, config)


class OwnExpert(Expert):
    """Answers as the expert of the vehicle does.

    An environment that is told this name keeps the expert that it has anyway, also that of a plug-in.

    Args:
        vehicle: a quadrotor, or a car on a road; begun.
        course: begun.
        rig: where the cameras stand.
        config: nothing.
    """

    Config: ClassVar[type[ExpertConfig]] = OwnConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: Any = None) -> None:
        self._own = own_expert(vehicle, course, rig)

    def label(self, views: CameraViews) -> Labels:
        """What the vehicle's expert says."""
        return self._own.label(views)
