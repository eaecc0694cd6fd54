"""The flight expert: for each candidate heading it tries to hold the heading for a while, then one of nine second
headings around the bearing to the goal. A rollout pays for closeness to trunks, for collision (the sooner the dearer)
and for leaving the flight area; a candidate pays besides for its angle from the goal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from forestpilot.sim.cameras import CENTER
from forestpilot.sim.experts.planner import COLLISION_COST, NUM_CANDIDATES, RolloutPlanner
from forestpilot.sim.vehicles.quadrotor import (
    BODY_RADIUS_M,
    MAX_TURN_RAD,
    MODEL_STEP_S,
    TILT_LAG_S,
    Quadrotor,
    motion_step,
)
from forestpilot.sim.vehicles.rigid_body import wrap_angle
from forestpilot.sim.worlds.clearance import ClearanceMap, sample_clearance
from forestpilot.sim.worlds.world import World

CANDIDATE_TURNS_RAD = np.linspace(-MAX_TURN_RAD, MAX_TURN_RAD, NUM_CANDIDATES)
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
        self._distance = clearance.distance_m
        self._ground = np.array([clearance.x_min, clearance.y_min, clearance.cell_m, *bounds_m])
        self._goal = np.array([goal_m[0], goal_m[1]], dtype=np.float64)
        self._vector = config.vector()

    def costs(self, turns_rad: np.ndarray, *state: Any) -> np.ndarray:
        """(n,) float64 costs of heading changes (n,).

        Args:
            turns_rad: heading changes in radians.
            *state: (8,) as in `Quadrotor.motion_state`, heading in radians, speed set point in m/s, above 0.
        """
        motion, yaw_rad, speed_mps = state
        out = np.empty(len(turns_rad))
        candidate_costs(
            motion, yaw_rad, speed_mps, turns_rad, self._vector, self._distance, self._ground, self._goal, out
        )
        return out


class FlightExpert:
    """Answers, for each camera heading, what a privileged pilot would do; sees geometry and no pixels.

    Args:
        world: the forest it flies in.
    """

    def __init__(self, world: World) -> None:
        self._planner = FlightPlanner(world.clearance, world.bounds_m, world.goal_m)

    def label(
        self, quadrotor: Quadrotor, eyes_m: np.ndarray, axes: np.ndarray, speed_mps: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions and candidate costs for each camera, as if the drone headed where that camera looks.

        Args:
            quadrotor: the drone, its state read.
            eyes_m: (C, 3) camera positions; each view is labelled at its own offset from the center camera.
            axes: (C, 3, 3) camera axes, rows right, up, forward.
            speed_mps: speed set point in m/s.

        Returns:
            (C, 2) float32 actions and (C, K) float32 costs.
        """
        motion = quadrotor.motion_state()
        offsets = eyes_m[:, :2] - eyes_m[CENTER, :2]
        actions = np.zeros((len(axes), 2), np.float32)
        costs = np.zeros((len(axes), NUM_CANDIDATES), np.float32)
        for c in range(len(axes)):
            shifted = motion.copy()
            shifted[:2] += offsets[c]
            advice = self._planner.advise(shifted, math.atan2(axes[c, 2, 1], axes[c, 2, 0]), speed_mps)
            actions[c] = advice.turn_rad / MAX_TURN_RAD, 1.0
            costs[c] = advice.costs
        return actions, costs
