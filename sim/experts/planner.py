"""The rollout planner: candidate turns, each rolled out with the vehicle's own motion model against privileged
geometry.

For each of K candidate headings the planner tries continuations: hold the heading for a while, then one of nine
second headings around the bearing to the goal. A rollout pays for closeness to trunks, for collision (the sooner the
dearer) and for leaving the flight area; a candidate pays besides for its angle from the goal. The cost of a
candidate is that of its best continuation. The vector of costs is what a policy can learn (cost-to-go as the target,
as in AggreVaTe: Ross & Bagnell 2014, arXiv:1406.5979).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from sim.vehicles.quadrotor import BODY_RADIUS_M, MAX_TURN_RAD, MODEL_STEP_S, TILT_LAG_S, motion_step
from sim.vehicles.rigid_body import wrap_angle
from sim.worlds.clearance import ClearanceMap, sample_clearance

NUM_CANDIDATES = 21
CANDIDATE_TURNS_RAD = np.linspace(-MAX_TURN_RAD, MAX_TURN_RAD, NUM_CANDIDATES)
"""(K,) heading changes in radians, ascending, relative to the heading."""
COLLISION_COST = 200.0
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

    def vector(self) -> np.ndarray:
        """All fields as one float64 array, for the kernels."""
        return np.array(
            [
                self.horizon_m, *self.horizon_s, self.clearance_weight, self.clearance_decay_m, self.safety_margin_m,
                self.second_heading_step_rad, *self.switch_s, self.change_weight, self.outside_weight,
            ]
        )  # fmt: skip


@njit(cache=True, fastmath=True)
def _advance(s, heading, speed, start, stop, p, total_s, distance, ground):  # type: ignore[no-untyped-def]
    """Roll state `s` (8,) on from step `start` to `stop` at one heading; returns (cost, whether it collided)."""
    blend = 1.0 - math.exp(-MODEL_STEP_S / TILT_LAG_S)
    cosine, sine = math.cos(heading), math.sin(heading)
    x, y, vx, vy, ax, ay, bx, by = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
    x_min, y_min, inverse_cell = ground[0], ground[1], 1.0 / ground[2]
    cost = 0.0
    for step in range(start, stop):
        x, y, vx, vy, ax, ay, bx, by = motion_step(
            x, y, vx, vy, ax, ay, bx, by, speed, cosine, sine, blend, MODEL_STEP_S
        )
        clearance = sample_clearance(distance, (x - x_min) * inverse_cell, (y - y_min) * inverse_cell) - BODY_RADIUS_M
        if clearance < p[5]:
            return cost + COLLISION_COST * (1.0 + 1.5 * (total_s - step * MODEL_STEP_S) / total_s), True
        if clearance < 1.5:
            cost += MODEL_STEP_S * speed * p[3] * math.exp(-clearance / p[4])
        outside = max(max(ground[3] - x, x - ground[4]), max(ground[5] - y, y - ground[6])) + 1.0
        if outside > 0.0:
            cost += MODEL_STEP_S * speed * p[10] * outside
    s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] = x, y, vx, vy, ax, ay, bx, by
    return cost, False


@njit(cache=True, fastmath=True)
def _candidate_cost(motion, heading, speed, bearing, p, distance, ground):  # type: ignore[no-untyped-def]
    """Least cost over the continuations of one first heading."""
    total_s = min(max(p[0] / speed, p[1]), p[2])
    steps = int(total_s / MODEL_STEP_S + 0.5)
    angle = wrap_angle(heading - bearing)
    own = 0.8 * abs(angle) + 0.8 * angle * angle
    trunk = motion.copy()
    branch = np.empty(8)
    best = 1e9
    spent, done = 0.0, 0
    for a in range(2):
        stop = min(int(p[7 + a] / MODEL_STEP_S + 0.5), steps)
        part, collided = _advance(trunk, heading, speed, done, stop, p, total_s, distance, ground)
        spent += part
        done = stop
        if collided:
            return min(best, own + spent)
        for k in range(9):
            offset = ((k + 1) // 2) * (1.0 if k % 2 == 1 else -1.0) * p[6]
            base = own + spent + 0.4 * abs(offset) + p[9] * abs(wrap_angle(bearing + offset - heading))
            if base >= best:
                continue
            branch[:] = trunk
            part, _ = _advance(branch, bearing + offset, speed, stop, steps, p, total_s, distance, ground)
            best = min(best, base + part)
    return best


@njit(cache=True, fastmath=True, nogil=True)
def candidate_costs(motion, yaw, speed, turns, p, distance, ground, goal, out):  # type: ignore[no-untyped-def]
    """Cost of each candidate turn.

    Args:
        motion: (8,) as in `Quadrotor.motion_state`.
        yaw: heading in radians.
        speed: speed to fly at in m/s.
        turns: (K,) heading changes in radians.
        p: `PlannerConfig.vector()`.
        distance, ground: the clearance map's grid, and (x_min, y_min, cell, then the bounds x_min, x_max, y_min,
            y_max).
        goal: (2,) x, y.
        out: (K,) output.
    """
    bearing = math.atan2(goal[1] - motion[1], goal[0] - motion[0])
    for k in range(turns.shape[0]):
        out[k] = _candidate_cost(motion, yaw + turns[k], speed, bearing, p, distance, ground)


@dataclass(frozen=True)
class Advice:
    """What the expert answers: the turn, the speed fraction and the cost of each candidate turn."""

    turn_rad: float
    """Heading change in radians, left positive."""
    speed_fraction: float
    """Fraction of the speed set point, 0 to 1."""
    costs: np.ndarray
    """(K,) float32 cost of each candidate turn."""


class RolloutPlanner:
    """Plans by rolling out candidate turns; answers at any state.

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
        self._distance = clearance.distance_m
        self._ground = np.array([clearance.x_min, clearance.y_min, clearance.cell_m, *bounds_m])
        self._goal = np.array([goal_m[0], goal_m[1]], dtype=np.float64)
        self._vector = config.vector()

    def costs(self, motion: np.ndarray, yaw_rad: float, speed_mps: float, turns_rad: np.ndarray) -> np.ndarray:
        """(n,) float64 costs of any turns; arguments as in `advise`."""
        out = np.empty(len(turns_rad))
        candidate_costs(
            motion, yaw_rad, speed_mps, turns_rad, self._vector, self._distance, self._ground, self._goal, out
        )
        return out

    def advise(self, motion: np.ndarray, yaw_rad: float, speed_mps: float) -> Advice:
        """The best turn, refined to 1.5 degrees, and the cost of every candidate.

        Args:
            motion: (8,) as in `Quadrotor.motion_state`.
            yaw_rad: heading in radians.
            speed_mps: speed set point in m/s, above 0.
        """
        costs = self.costs(motion, yaw_rad, speed_mps, CANDIDATE_TURNS_RAD)
        best = int(np.argmin(costs))
        turn, least = float(CANDIDATE_TURNS_RAD[best]), float(costs[best])
        for step in REFINEMENTS_RAD:
            around = np.clip(np.array([turn - step, turn + step]), -MAX_TURN_RAD, MAX_TURN_RAD)
            refined = self.costs(motion, yaw_rad, speed_mps, around)
            k = int(np.argmin(refined))
            if refined[k] < least:
                turn, least = float(around[k]), float(refined[k])
        return Advice(turn, 1.0, costs.astype(np.float32))
