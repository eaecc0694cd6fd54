"""The driving expert: for each candidate steering angle it tries to hold the wheels there for a moment, then to steer
back to the line (or beside it) by pure pursuit (Coulter 1992). A rollout pays for distance and angle from the line, for
leaving the road, for closeness to obstacles and for collision; speed follows the bends, the grip and the sight ahead.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from forestpilot.sim.cameras import CENTER, FORWARD, Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.courses.road import RoadCourse
from forestpilot.sim.experts.expert import FASTER, CameraViews, Expert, Labels, UnsuitableExpertError
from forestpilot.sim.experts.planner import COLLISION_COST, Ground, RolloutPlanner
from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.car import (
    STEERING_LOCK_RAD,
    WHEELBASE_M,
    Car,
    DriveModel,
    DriveMotion,
    motion_step,
)
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M
from forestpilot.sim.worlds.roads.route_table import RouteTable, locate, wrap_index
from forestpilot.sim.worlds.world import World

CANDIDATE_STEERINGS_RAD = Car.candidate_turns_rad()
"""(K,) steering angles in radians, ascending."""
REFINEMENTS_RAD = (0.026, 0.013, 0.0065, 0.0033)
MODEL_STEP_S = 0.1
DISC_RADIUS_M = 0.95
DISC_AHEAD_M = 1.1
"""The body as two discs, this far before and behind the middle of the wheelbase."""
LEAST_SPEED_MPS = 3.0
"""A rollout of a slower car is made at this speed: a standing car's steering has no consequences to plan by."""
SPEED_GAIN = 0.4
"""Throttle or brake per error of the speed, s/m."""
SPEED_PREVIEW_S = 0.5
"""The expert drives at the speed that is right this much later."""


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


@helper(inline="always", fastmath=True)
def _pursue(motion, index, beside, p, road):  # type: ignore[no-untyped-def]
    """Steering angle of pure pursuit towards the line shifted `beside` to the left, understeer made up for."""
    x, y, yaw, speed, _, _ = motion
    rows, closed = road
    reach = max(4.0, 0.9 * speed)
    ahead = index + int(reach / POINT_SPACING_M + 0.5)
    count = rows.shape[0]
    row = rows[wrap_index(ahead, count, closed)]
    beyond = 0.0 if closed else max(0, ahead - count + 1) * POINT_SPACING_M
    dx = row.x_m + beyond * row.cos_heading - beside * row.sin_heading - x
    dy = row.y_m + beyond * row.sin_heading + beside * row.cos_heading - y
    aside = dy * math.cos(yaw) - dx * math.sin(yaw)
    curvature = 2.0 * aside / max(dx * dx + dy * dy, 1.0)
    steering = math.atan(WHEELBASE_M * curvature) + p.understeer * speed * speed * curvature
    return max(-STEERING_LOCK_RAD, min(STEERING_LOCK_RAD, steering))


@helper(inline="always", fastmath=True)
def _place_cost(row, motion, p, distance, left_s):  # type: ignore[no-untyped-def]
    """Cost per second of being at a place, and the cost of a collision there (0 without one)."""
    x, y, yaw, _, _, _ = motion
    cosine = math.cos(yaw)
    sine = math.sin(yaw)
    offset = (y - row.y_m) * row.cos_heading - (x - row.x_m) * row.sin_heading
    turned = sine * row.cos_heading - cosine * row.sin_heading
    # A little of the square root's foot keeps far-off starts from drowning everything in squares.
    square = offset * offset
    rate = p.offset_weight * square / (1.0 + 0.15 * square) + p.heading_weight * turned * turned
    beyond = max(offset - row.left_m, -offset - row.right_m) + 0.8
    if beyond > 0.0:
        rate += p.edge_weight * beyond
    least = 1e9
    inverse = 1.0 / p.cell
    for end in range(2):
        ahead = DISC_AHEAD_M if end == 0 else -DISC_AHEAD_M
        u = (x + ahead * cosine - p.x_min) * inverse
        v = (y + ahead * sine - p.y_min) * inverse
        least = min(least, sample_clearance(distance, u, v))
    clearance = least - DISC_RADIUS_M
    if clearance < 0.0:
        return rate, COLLISION_COST * (1.0 + 1.5 * left_s / p.horizon_s)
    if clearance < 1.0:
        rate += p.clearance_weight * math.exp(-clearance / p.clearance_decay_m)
    return rate, 0.0


@helper(fastmath=True)
def _roll(motion, leg, index, p, road, distance):  # type: ignore[no-untyped-def]
    """Roll the car on along a leg: steering angle, aim, first and last step.

    The wheels are held at the angle, or, when that is no angle (above 9 rad), pursue the line.

    Returns:
        The cost, the motion at the end, the index on the line there, and whether it collided.
    """
    fixed, aim, start, stop = leg
    rows, closed = road
    count = rows.shape[0]
    cost = 0.0
    for step in range(start, stop):
        wanted = fixed
        if fixed > 9.0:
            wanted = _pursue(motion, index, aim, p, road)
        row = rows[wrap_index(index, count, closed)]
        pull = max(-5.0, min(3.0, (max(row.speed_mps, LEAST_SPEED_MPS) - motion.speed) / 0.7))
        motion = motion_step(motion, wanted, pull, p, MODEL_STEP_S)
        index, _, _ = locate(rows, closed, motion.x, motion.y, index)
        row = rows[wrap_index(index, count, closed)]
        per_s, crash = _place_cost(row, motion, p, distance, p.horizon_s - step * MODEL_STEP_S)
        cost += MODEL_STEP_S * per_s
        if crash > 0.0:
            return cost + crash, motion, index, True
    return cost, motion, index, False


@kernel(fastmath=True, nogil=True)
def steering_costs(motion, index, turns, plan, road, distance, out):  # type: ignore[no-untyped-def]
    """Cost of each candidate steering angle.

    Args:
        motion: `DriveMotion`.
        index: point of the line that the car is at.
        turns: (K,) steering angles in radians.
        plan: (1,) record of `DrivingCosts`, `DriveModel` and `Ground`.
        road: `RouteTable.rows`, and whether it is a circuit.
        distance: the clearance map.
        out: (K,) output.
    """
    p = plan[0]
    steps = int(p.horizon_s / MODEL_STEP_S + 0.5)
    hold = int(p.hold_s / MODEL_STEP_S + 0.5)
    speed = max(motion.speed, LEAST_SPEED_MPS)
    start = DriveMotion(motion.x, motion.y, motion.yaw, speed, motion.yaw_rate, motion.steering)
    for k in range(turns.shape[0]):
        change = turns[k] - motion.steering
        held, trunk, middle, crashed = _roll(start, (turns[k], 0.0, 0, hold), index, p, road, distance)
        held += p.steering_weight * change * change
        best = held if crashed else 1e9
        if not crashed:
            for side in range(-1, 2):
                base = held + p.beside_weight * abs(side)
                if base < best:
                    leg = (10.0, side * p.beside_m, hold, steps)
                    rest, _, _, _ = _roll(trunk, leg, middle, p, road, distance)
                    best = min(best, base + rest)
        out[k] = best


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
        self._road = (table.rows, table.route.closed)
        self._plan = record_of(config.constants(), model, Ground.of(world.clearance))
        self._distance = world.clearance.distance_m

    def costs(self, turns_rad: np.ndarray, *state: Any) -> np.ndarray:
        """(n,) float64 costs of steering angles (n,).

        Args:
            turns_rad: steering angles in radians.
            *state: `DriveMotion`, and the index of the line's point there.
        """
        motion, index = state
        out = np.empty(len(turns_rad))
        steering_costs(motion, index, turns_rad, self._plan, self._road, self._distance, out)
        return out


class DrivingExpert(Expert):
    """Answers, for each camera's pose, what a privileged driver would do there; sees geometry and no pixels.

    Args:
        vehicle: a car, begun.
        course: the road to drive, begun.
        rig: where the cameras stand.
    """

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig) -> None:
        if not isinstance(vehicle, Car) or not isinstance(course, RoadCourse):
            raise UnsuitableExpertError(
                f"the driving expert drives a car along a road, not a {vehicle.name} through a {course.name}"
            )
        self._car = vehicle
        self._course = course
        self._rig = rig
        self._planner = DrivingPlanner(course.world, course.table, vehicle.motion_model())

    def label(self, views: CameraViews) -> Labels:
        """Actions and candidate costs as if the car stood where each camera does."""
        axes = views.axes
        yaws = np.arctan2(axes[:, FORWARD, 1], axes[:, FORWARD, 0]).astype(np.float64)
        ahead = self._rig.forward_m * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
        places = views.eyes[:, :2].astype(np.float64) - ahead
        # Roll and pitch move the camera a little; the car itself stands where it stands.
        places += self._car.base_position()[:2] - places[CENTER]
        return self.label_at(places, yaws, views.offsets[:, FASTER].astype(np.float64), self._course.index)

    def label_at(self, places_m: np.ndarray, yaws_rad: np.ndarray, faster_mps: np.ndarray, index: int) -> Labels:
        """Actions and candidate costs as if the car were elsewhere, on the same arc along its heading there.

        Args:
            places_m: (C, 2) places of the middle of the wheelbase in metres.
            yaws_rad: (C,) headings there in radians.
            faster_mps: (C,) what to add to the car's speed in m/s.
            index: point of the line near which the car is.
        """
        own = self._car.motion_state()
        labels = Labels.empty(len(places_m))
        for c, (place, yaw, faster) in enumerate(zip(places_m, yaws_rad, faster_mps)):
            speed = max(0.0, own.speed + faster)
            yaw_rate = own.yaw_rate
            if faster:
                yaw_rate = own.yaw_rate * (speed / max(own.speed, LEAST_SPEED_MPS))
            x, y = place
            near, _, _ = self._course.table.locate(x, y, index)
            advice = self._planner.advise(DriveMotion(x, y, yaw, speed, yaw_rate, own.steering), near)
            labels.actions[c] = advice.turn_rad / STEERING_LOCK_RAD, self._go(near, speed)
            labels.costs[c] = advice.costs
        return labels

    def _go(self, index: int, speed_mps: float) -> float:
        """Throttle or brake for the speed that is right a moment later."""
        preview = round(speed_mps * SPEED_PREVIEW_S / POINT_SPACING_M)
        wanted = self._course.table.point(index + preview).speed_mps
        hold = 0.1 if wanted > 0.5 else 0.0
        return max(-1.0, min(1.0, hold + SPEED_GAIN * (wanted - speed_mps)))
