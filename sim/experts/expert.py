"""Experts: they see the geometry and never a pixel, and answer at any state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.vehicles.vehicle import NUM_CANDIDATES, Vehicle


class UnsuitableExpertError(ForestPilotError, ValueError):
    """An expert that does not know this vehicle or this course."""


class CameraViews(NamedTuple):
    """Where the cameras stand; the expert is asked what to do if the vehicle stood there."""

    eyes: np.ndarray
    """(C, 3) float32 positions in metres."""
    axes: np.ndarray
    """(C, 3, 3) float32, rows right, up, forward."""
    offsets: np.ndarray
    """(C, 3 or 6) float32: `SHIFT`, `YAW` and `FASTER` against the center camera, left positive; where a vehicle drifts
    also the other columns that `forestpilot.sim.cameras` names."""


class Labels(NamedTuple):
    """Actions that the expert would take, and the cost of each candidate turn."""

    actions: np.ndarray
    """(C, 2) float32 in [-1, 1]."""
    costs: np.ndarray
    """(C, K) float32."""

    @classmethod
    def empty(cls, count: int) -> Labels:
        """Zeros for so many cameras."""
        return cls(np.zeros((count, 2), np.float32), np.zeros((count, NUM_CANDIDATES), np.float32))


class Expert(ABC):
    """Answers for one episode.

    Args:
        vehicle: begun; its state is read when the expert is asked.
        course: begun.
        rig: where the cameras stand.
        config: its options; only an expert whose `Config` has fields is given them.

    Raises:
        UnsuitableExpertError: it does not know this vehicle or this course.
    """

    Config: ClassVar[type[ExpertConfig]] = ExpertConfig
    """Its options."""
    time_s: float = 0.0
    """Time since the start of the episode in seconds, as `follow` was told last."""

    @abstractmethod
    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: Any = None) -> None: ...

    def follow(self, views: CameraViews, time_s: float) -> None:
        """Take note of where the vehicle is now. Told at every step from the start on, whoever acts, before anybody
        asks; where nobody may ask, only an expert that was chosen by name is told."""
        self.time_s = time_s

    @abstractmethod
    def label(self, views: CameraViews) -> Labels:
        """Advise at each camera's pose, as if the vehicle stood there."""

    def answers(self, views: CameraViews) -> np.ndarray | None:
        """Advise at each camera's pose for each choice that could be next in the order of a course.

        Returns:
            (C, 1 + 3 (2 + K)) float32: the number of the choice that is next, and for each of the three choices what
            it could be the action (2,) and the costs (K,); None where there is no order, or it does not say.
        """
        return None


class RecallingExpert(Expert):
    """An expert that can be asked later what was right before."""

    @abstractmethod
    def moment(self) -> Any:
        """All that it reads of the vehicle, besides where the cameras stand."""

    @abstractmethod
    def label_then(self, views: CameraViews, moment: Any) -> Labels:
        """Advise as it would have at a moment, with the cameras where they stood."""

    def label(self, views: CameraViews) -> Labels:
        """Advise at each camera's pose, as if the vehicle stood there."""
        return self.label_then(views, self.moment())
