"""The flight expert: for each candidate heading it tries to hold the heading for a while, then one of nine second
headings around the bearing to the goal. A rollout pays for closeness to trunks, for collision (the sooner the dearer)
and for leaving the flight area; a candidate pays besides for its angle from the goal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from forestpilot.sim.cameras import CENTER, FORWARD, Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.expert import CameraViews, Expert, Labels, UnsuitableExpertError
from forestpilot.sim.experts.planner import COLLISION_COST, Ground, RolloutPlanner
from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.quadrotor import (
    BODY_RADIUS_M,
    MAX_TURN_RAD,
    MODEL_STEP_S,
    TILT_LAG_S,
    Quadrotor,
    motion_step,
)
from forestpilot.sim.vehicles.rigid_body import wrap_angle
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.clearance import ClearanceMap, sample_clearance

CANDIDATE_TURNS_RAD = Quadrotor.candidate_turns_rad()
"""(K,) heading changes in radians, ascending, relative to the heading."""
REFINEMENTS_RAD = (math.radians(3.0), math.radians(1.5))


@dataclass(frozen=True)
class PlannerConfig:
    """Costs and horizon of the rollout planner."""

    horizon_m: float = 14.0
    """Length of a rollout in metres, where the time limits below allow it."""
    horizon_s: tuple[float, float] = (1.2, 4.5)
    """Shortest and longest rollout in seconds."""
    clearance_weight: float = 2.5
    """Cost per metre flown at zero clearance."""
    clearance_decay_m: float = 0.3
    """Clearance over which that cost falls by e, in metres."""
    safety_margin_m: float = 0.06
    """A rollout that comes closer than this to a trunk counts as a collision, in metres."""
    second_heading_step_rad: float = 0.26
    """Spacing of the nine second headings around the bearing to the goal, in radians."""
    switch_s: tuple[float, float] = (0.35, 0.9)
    """Times at which a rollout turns from its first to its second heading, in seconds."""
    change_weight: float = 0.15
    """Cost per radian between first and second heading."""
    outside_weight: float = 3.0
    """Cost per metre flown outside the flight area, and per metre of distance to it."""

    def constants(self) -> FlightCosts:
        """Constants that the kernels need."""
        least_s, most_s = self.horizon_s
        first_s, second_s = self.switch_s
        return FlightCosts(
            self.horizon_m,
            least_s,
            most_s,
            self.clearance_weight,
            self.clearance_decay_m,
            self.safety_margin_m,
            self.second_heading_step_rad,
            first_s,
            second_s,
            self.change_weight,
            self.outside_weight,
        )


class FlightCosts(NamedTuple):
    """`PlannerConfig` as the kernels take it."""

    horizon_m: float
    least_s: float
    most_s: float
    clearance_weight: float
    clearance_decay_m: float
    safety_margin_m: float
    second_heading_step_rad: float
    first_switch_s: float
    second_switch_s: float
    change_weight: float
    outside_weight: float


class FlightArea(NamedTuple):
    """The rectangle to stay in, and the goal, in metres."""

    west: float
    east: float
    south: float
    north: float
    goal_x: float
    goal_y: float


@helper(fastmath=True)
def _advance(motion, leg, p, distance):  # type: ignore[no-untyped-def]
    """Roll the motion on along a leg: heading, speed, first and last step, and the rollout's length in seconds.

    Returns:
        The cost, the motion at the end, and whether it collided.
    """
    heading, speed, start, stop, total_s = leg
    blend = 1.0 - math.exp(-MODEL_STEP_S / TILT_LAG_S)
    cosine = math.cos(heading)
    sine = math.sin(heading)
    inverse_cell = 1.0 / p.cell
    cost = 0.0
    for step in range(start, stop):
        motion = motion_step(motion, speed, cosine, sine, blend, MODEL_STEP_S)
        x = motion.x
        y = motion.y
        u = (x - p.x_min) * inverse_cell
        v = (y - p.y_min) * inverse_cell
        clearance = sample_clearance(distance, u, v) - BODY_RADIUS_M
        if clearance < p.safety_margin_m:
            return cost + COLLISION_COST * (1.0 + 1.5 * (total_s - step * MODEL_STEP_S) / total_s), motion, True
        if clearance < 1.5:
            cost += MODEL_STEP_S * speed * p.clearance_weight * math.exp(-clearance / p.clearance_decay_m)
        outside = max(max(p.west - x, x - p.east), max(p.south - y, y - p.north)) + 1.0
        if outside > 0.0:
            cost += MODEL_STEP_S * speed * p.outside_weight * outside
    return cost, motion, False


@helper(fastmath=True)
def _candidate_cost(motion, heading, speed, bearing, p, distance):  # type: ignore[no-untyped-def]
    """Least cost over the continuations of one first heading."""
    total_s = min(max(p.horizon_m / speed, p.least_s), p.most_s)
    steps = int(total_s / MODEL_STEP_S + 0.5)
    angle = wrap_angle(heading - bearing)
    own = 0.8 * abs(angle) + 0.8 * angle * angle
    trunk = motion
    best = 1e9
    spent = 0.0
    done = 0
    for switch in range(2):
        switch_s = p.first_switch_s if switch == 0 else p.second_switch_s
        stop = min(int(switch_s / MODEL_STEP_S + 0.5), steps)
        part, trunk, collided = _advance(trunk, (heading, speed, done, stop, total_s), p, distance)
        spent += part
        done = stop
        if collided:
            return min(best, own + spent)
        for k in range(9):
            offset = ((k + 1) // 2) * (1.0 if k % 2 == 1 else -1.0) * p.second_heading_step_rad
            change = abs(wrap_angle(bearing + offset - heading))
            base = own + spent + 0.4 * abs(offset) + p.change_weight * change
            if base >= best:
                continue
            part, _, _ = _advance(trunk, (bearing + offset, speed, stop, steps, total_s), p, distance)
            best = min(best, base + part)
    return best


@kernel(fastmath=True, nogil=True)
def candidate_costs(motion, yaw, speed, turns, plan, distance, out):  # type: ignore[no-untyped-def]
    """Cost of each candidate turn.

    Args:
        motion: `FlightMotion`.
        yaw: heading in radians.
        speed: speed to fly at in m/s.
        turns: (K,) heading changes in radians.
        plan: (1,) record of `FlightCosts`, `Ground` and `FlightArea`.
        distance: the clearance map.
        out: (K,) output.
    """
    p = plan[0]
    bearing = math.atan2(p.goal_y - motion.y, p.goal_x - motion.x)
    for k in range(turns.shape[0]):
        out[k] = _candidate_cost(motion, yaw + turns[k], speed, bearing, p, distance)


class FlightPlanner(RolloutPlanner):
    """Rolls out the quadrotor's motion model among trunks.

    Args:
        clearance: the world's clearance map.
        bounds_m: (x_min, x_max, y_min, y_max) of the flight area in metres.
        goal_m: (>= 2,) position of the goal in metres.
        config: costs and horizon.
    """

    def __init__(
        self,
        clearance: ClearanceMap,
        bounds_m: tuple[float, float, float, float],
        goal_m: np.ndarray,
        config: PlannerConfig = PlannerConfig(),
    ) -> None:
        super().__init__(CANDIDATE_TURNS_RAD, REFINEMENTS_RAD)
        goal_x, goal_y = goal_m[:2]
        self._plan = record_of(config.constants(), Ground.of(clearance), FlightArea(*bounds_m, goal_x, goal_y))
        self._distance = clearance.distance_m

    def costs(self, turns_rad: np.ndarray, *state: Any) -> np.ndarray:
        """(n,) float64 costs of heading changes (n,).

        Args:
            turns_rad: heading changes in radians.
            *state: `FlightMotion`, heading in radians, speed set point in m/s, above 0.
        """
        motion, yaw_rad, speed_mps = state
        out = np.empty(len(turns_rad))
        candidate_costs(motion, yaw_rad, speed_mps, turns_rad, self._plan, self._distance, out)
        return out


class FlightExpert(Expert):
    """Answers, for each camera heading, what a privileged pilot would do; sees geometry and no pixels.

    Args:
        vehicle: a quadrotor, begun.
        course: any course with a goal to fly to, begun.
        rig: where the cameras stand.
    """

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig) -> None:
        if not isinstance(vehicle, Quadrotor):
            raise UnsuitableExpertError(f"the flight expert flies a quadrotor, not a {vehicle.name}")
        world = course.world
        self._quadrotor = vehicle
        self._course = course
        self._planner = FlightPlanner(world.clearance, world.bounds_m, world.goal_m)

    def label(self, views: CameraViews) -> Labels:
        """Actions and candidate costs as if the drone were at each camera's offset and headed where it looks."""
        motion = self._quadrotor.motion_state()
        offsets = views.eyes[:, :2] - views.eyes[CENTER, :2]
        labels = Labels.empty(len(views.axes))
        for c, (dx, dy) in enumerate(offsets.tolist()):
            forward = views.axes[c, FORWARD]
            shifted = motion._replace(x=motion.x + dx, y=motion.y + dy)
            advice = self._planner.advise(shifted, math.atan2(forward[1], forward[0]), self._course.speed_mps)
            labels.actions[c] = advice.turn_rad / MAX_TURN_RAD, 1.0
            labels.costs[c] = advice.costs
        return labels
