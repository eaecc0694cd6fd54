"""The driving expert: for each candidate steering angle it tries to hold the wheels there for a moment, then to steer
back to the line (or beside it) by pure pursuit (Coulter 1992). A rollout pays for distance and angle from the line, for
leaving the road, for closeness to obstacles and for collision; speed follows the bends, the grip and the sight ahead.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.sim.cameras import CENTER, FASTER, FORWARD, Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.courses.road import RoadCourse
from forestpilot.sim.experts.braking import AHEAD_M, BRAKING_SHARE, GAP_M, LaneAhead
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.driving_rollouts import LEAST_SPEED_MPS, plan_steering
from forestpilot.sim.experts.expert import (
    CameraViews,
    Labels,
    RecallingExpert,
    UnsuitableExpertError,
)
from forestpilot.sim.experts.lanes import NEVER
from forestpilot.sim.experts.planner import Advice, Ground, RolloutPlanner
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.car import Car
from forestpilot.sim.vehicles.car_motion import DriveModel, DriveMotion
from forestpilot.sim.vehicles.car_parameters import STEERING_LOCK_RAD
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.hazards.traffic import NO_TRAFFIC, Traffic
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M
from forestpilot.sim.worlds.roads.route_table import RouteTable
from forestpilot.sim.worlds.world import World

CANDIDATE_STEERINGS_RAD = Car.candidate_turns_rad()
"""(K,) steering angles in radians, ascending."""
REFINEMENTS_RAD = (0.026, 0.013, 0.0065, 0.0033)
NO_REFINEMENTS = np.empty(0)
SPEED_GAIN = 0.4
"""Throttle or brake per error of the speed, s/m."""
SPEED_PREVIEW_S = 0.5
"""The expert drives at the speed that is right this much later."""
FURTHER_M = 10.0
"""Side cameras see the lane from no further beside the car than this, nor do hazards reach further."""
BRAKING_PREVIEW_S = 0.3
"""It brakes for a hazard as is right this much later."""


@dataclass(frozen=True)
class DrivingConfig:
    """Costs, horizon and speeds of the driving expert."""

    hold_s: float = 0.4
    """How long a candidate steering angle is held, in seconds."""
    horizon_s: float = 2.2
    """Length of a rollout in seconds."""
    beside_m: float = 0.7
    """Besides the line itself, continuations aim this far to its left and right, in metres."""
    beside_weight: float = 0.6
    """Cost of aiming beside the line."""
    offset_weight: float = 3.0
    """Cost per second and squared metre of distance from the line."""
    heading_weight: float = 4.0
    """Cost per second and squared radian of angle from the line."""
    steering_weight: float = 6.0
    """Cost per squared radian between the candidate and the present steering angle."""
    edge_weight: float = 8.0
    """Cost per second and metre by which the body's discs are beyond the road's edge."""
    clearance_weight: float = 4.0
    """Cost per second at zero clearance."""
    clearance_decay_m: float = 0.25
    """Clearance over which that cost falls by e, in metres."""

    def constants(self) -> DrivingCosts:
        """Constants that the kernels need."""
        return DrivingCosts(**dataclasses.asdict(self))


class DrivingCosts(NamedTuple):
    """`DrivingConfig` as the kernels take it."""

    hold_s: float
    horizon_s: float
    beside_m: float
    beside_weight: float
    offset_weight: float
    heading_weight: float
    steering_weight: float
    edge_weight: float
    clearance_weight: float
    clearance_decay_m: float


class DrivingPlanner(RolloutPlanner):
    """Rolls out the car's motion model on a road.

    Args:
        world: the road.
        table: its route, with speeds.
        model: `Car.motion_model()`.
        config: costs and horizon.
    """

    def __init__(
        self, world: World, table: RouteTable, model: DriveModel, config: DrivingConfig = DrivingConfig()
    ) -> None:
        super().__init__(CANDIDATE_STEERINGS_RAD, REFINEMENTS_RAD)
        self._line = (table.rows, table.route.closed)
        self._plan = record_of(config.constants(), model, Ground.of(world.clearance))
        self._distance = world.clearance.distance_m
        self._steps_rad = np.array(REFINEMENTS_RAD)

    def costs(self, turns_rad: np.ndarray, *state: Any) -> np.ndarray:
        """(n,) float64 costs of steering angles (n,).

        Args:
            turns_rad: steering angles in radians.
            *state: `DriveMotion`, and the index of the line's point there.
        """
        motion, index = state
        costs, _ = self._plan_steering(np.array([motion]), np.array([index]), turns_rad, NO_REFINEMENTS)
        return costs[0]

    def advise_all(self, motions: np.ndarray, indices: np.ndarray) -> list[Advice]:
        """`advise` at several states at once, in less time than one after the other.

        Args:
            motions: (S, 6) float64, each a `DriveMotion`.
            indices: (S,) points of the line there.
        """
        costs, turns = self._plan_steering(motions, indices, self.turns_rad, self._steps_rad)
        return [Advice(turn, row) for turn, row in zip(turns.tolist(), costs.astype(np.float32))]

    def _plan_steering(
        self, motions: np.ndarray, indices: np.ndarray, turns_rad: np.ndarray, steps_rad: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(S, n) float64 costs of the steering angles (n,) at each state, and (S,) the best, refined by these steps."""
        turns = np.empty((len(motions), len(turns_rad)))
        turns[:] = turns_rad
        costs = np.full_like(turns, NEVER)
        chosen = np.empty(len(motions))
        plan_steering((motions, indices, turns), steps_rad, self._plan, self._line, self._distance, costs, chosen)
        return costs, chosen


@dataclass(frozen=True)
class DrivingExpertConfig(ExpertConfig):
    """The driving expert has no options."""

    part: ClassVar[str] = "driving"


class DriveMoment(NamedTuple):
    """All that the driving expert reads of the car."""

    motion: DriveMotion
    place_m: np.ndarray
    """(2,) of the middle of the wheelbase, in metres."""
    line_point: int
    """Point of the line near which it is."""
    traffic: Traffic = NO_TRAFFIC
    """The hazards, as they were then."""


class DrivingExpert(RecallingExpert):
    """Answers, for each camera's pose, what a privileged driver would do there; sees geometry and no pixels.

    Args:
        vehicle: a car, begun.
        course: the road to drive, begun.
        rig: where the cameras stand.
        config: nothing; a subclass may have options.
    """

    Config: ClassVar[type[ExpertConfig]] = DrivingExpertConfig
    pace = 1.0
    """Share of the speed that is right, above 0, at which it drives."""
    braking_share = BRAKING_SHARE
    """Share of the grip that it uses to brake for a hazard: with less it begins earlier."""
    gap_m = GAP_M
    """Distance at which it stops before one, in metres."""

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: Any = None) -> None:
        if not isinstance(vehicle, Car) or not isinstance(course, RoadCourse):
            raise UnsuitableExpertError(
                f"the driving expert drives a car along a road, not a {vehicle.name} through a {course.name}"
            )
        self._car = vehicle
        self._course = course
        self._rig = rig
        self._planner = DrivingPlanner(course.world, course.table, vehicle.motion_model())

    def moment(self) -> DriveMoment:
        """Motion and place of the car."""
        place_m = self._car.base_position()[:2].copy()
        return DriveMoment(self._car.motion_state(), place_m, self._course.index, self._course.traffic.snapshot())

    def label_then(self, views: CameraViews, moment: DriveMoment) -> Labels:
        """Actions and candidate costs as if the car stood where each camera does."""
        axes = views.axes
        yaws = np.arctan2(axes[:, FORWARD, 1], axes[:, FORWARD, 0]).astype(np.float64)
        ahead = self._rig.forward_m * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
        places = views.eyes[:, :2].astype(np.float64) - ahead
        # Roll and pitch move the camera a little; the car itself stands where it stands.
        places += moment.place_m - places[CENTER]
        return self._label_at(places, yaws, views.offsets[:, FASTER].astype(np.float64), moment)

    def _label_at(
        self, places_m: np.ndarray, yaws_rad: np.ndarray, faster_mps: np.ndarray, moment: DriveMoment
    ) -> Labels:
        """Actions and candidate costs as if the car were elsewhere, on the same arc along its heading there.

        Args:
            places_m: (C, 2) places of the middle of the wheelbase in metres.
            yaws_rad: (C,) headings there in radians.
            faster_mps: (C,) what to add to the car's speed in m/s.
            moment: what the car does.
        """
        own = moment.motion
        motions = np.empty((len(places_m), len(own)))
        indices = np.empty(len(places_m), np.int64)
        for c, (place, yaw, faster) in enumerate(zip(places_m, yaws_rad, faster_mps)):
            speed = max(0.0, own.speed + faster)
            yaw_rate = own.yaw_rate
            if faster:
                yaw_rate = own.yaw_rate * (speed / max(own.speed, LEAST_SPEED_MPS))
            x, y = place
            motions[c] = x, y, yaw, speed, yaw_rate, own.steering
            indices[c], _, _ = self._course.table.locate(x, y, moment.line_point)
        lane = None
        if moment.traffic:
            near = moment.traffic.near(moment.place_m, AHEAD_M + FURTHER_M)
            if near:
                lane = LaneAhead(self._course.table, near, self._car.grip, self.braking_share, self.gap_m)
        labels = Labels.empty(len(motions))
        for c, advice in enumerate(self._planner.advise_all(motions, indices)):
            motion = DriveMotion(*motions[c])
            labels.actions[c] = advice.turn_rad / STEERING_LOCK_RAD, self._go(int(indices[c]), motion.speed, lane)
            labels.costs[c] = advice.costs
        return labels

    def _go(self, index: int, speed_mps: float, lane: LaneAhead | None) -> float:
        """Throttle or brake for the speed that is right a moment later."""
        preview = round(speed_mps * SPEED_PREVIEW_S / POINT_SPACING_M)
        wanted = self.pace * self._course.table.point(index + preview).speed_mps
        if lane is not None:
            wanted = min(wanted, lane.speed_mps(index, speed_mps * BRAKING_PREVIEW_S))
        hold = 0.1 if wanted > 0.5 else 0.0
        return max(-1.0, min(1.0, hold + SPEED_GAIN * (wanted - speed_mps)))
