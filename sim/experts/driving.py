"""The driving expert: for each candidate steering angle it tries to hold the wheels there for a moment, then to steer
back to the line (or beside it) by pure pursuit (Coulter 1992). A rollout pays for distance and angle from the line, for
leaving the road, for closeness to obstacles and for collision; speed follows the bends, the grip and the sight ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from forestpilot.sim.experts.planner import COLLISION_COST, NUM_CANDIDATES, RolloutPlanner
from forestpilot.sim.vehicles.car import STEERING_LOCK_RAD, WHEELBASE_M, Car, motion_step
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M, RoadWorld, Route
from forestpilot.sim.worlds.roads.route_table import RouteTable, locate, wrap_index

CANDIDATE_STEERINGS_RAD = np.linspace(-STEERING_LOCK_RAD, STEERING_LOCK_RAD, NUM_CANDIDATES)
"""(K,) steering angles in radians, ascending."""
REFINEMENTS_RAD = (0.026, 0.013, 0.0065, 0.0033)
MODEL_STEP_S = 0.1
DISC_RADIUS_M, DISC_AHEAD_M = 0.95, 1.1
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
    lateral_share: float = 0.32
    """Share of the grip that bends may use."""
    braking_share: float = 0.3
    """Share of the grip used to slow down before bends, and to stop within the sight."""
    reaction_s: float = 0.3
    """Time between seeing and braking, in seconds."""

    def vector(self) -> np.ndarray:
        """What the kernels need, as one float64 array."""
        return np.array(
            [
                self.hold_s, self.horizon_s, self.beside_m, self.beside_weight, self.offset_weight,
                self.heading_weight, self.steering_weight, self.edge_weight, self.clearance_weight,
                self.clearance_decay_m,
            ]
        )  # fmt: skip


def speed_profile(route: Route, grip: float, set_point_mps: float, config: DrivingConfig) -> np.ndarray:
    """(n,) speed in m/s at each point of a route: what its bend and the sight allow, braking in time.

    The bend: v**2 * curvature stays below a share of the grip. The sight: reaction and braking distance fit into it.
    """
    bend = np.sqrt(config.lateral_share * grip * GRAVITY_MPS2 / np.maximum(np.abs(route.curvature_per_m), 1e-6))
    braking = config.braking_share * grip * GRAVITY_MPS2
    reach = braking * config.reaction_s
    sight = np.sqrt(reach**2 + 2 * braking * route.sight_m) - reach
    allowed = np.minimum(np.minimum(bend, sight), set_point_mps)
    return _brake_in_time(allowed, braking, route.closed)


@njit(cache=True)
def _brake_in_time(allowed: np.ndarray, braking: float, closed: bool) -> np.ndarray:
    """Lower the speeds so that no point needs more than this deceleration to be reached; twice around a circuit."""
    speed = allowed.copy()
    count = len(speed)
    for k in range(2 * count - 2 if closed else count - 2, -1, -1):
        i, following = k % count, (k + 1) % count
        speed[i] = min(speed[i], math.sqrt(speed[following] ** 2 + 2 * braking * POINT_SPACING_M))
    return speed


@njit(cache=True, inline="always", fastmath=True)
def _pursue(rows, closed, x, y, yaw, speed, index, beside, m):  # type: ignore[no-untyped-def]
    """Steering angle of pure pursuit towards the line shifted `beside` to the left, understeer made up for."""
    reach = max(4.0, 0.9 * speed)
    ahead = index + int(reach / POINT_SPACING_M + 0.5)
    count = rows.shape[0]
    row = rows[wrap_index(ahead, count, closed)]
    beyond = 0.0 if closed else max(0, ahead - count + 1) * POINT_SPACING_M
    dx = row.x_m + beyond * row.cos_heading - beside * row.sin_heading - x
    dy = row.y_m + beyond * row.sin_heading + beside * row.cos_heading - y
    aside = dy * math.cos(yaw) - dx * math.sin(yaw)
    curvature = 2.0 * aside / max(dx * dx + dy * dy, 1.0)
    steering = math.atan(WHEELBASE_M * curvature) + m[0] * speed * speed * curvature
    return max(-STEERING_LOCK_RAD, min(STEERING_LOCK_RAD, steering))


@njit(cache=True, inline="always", fastmath=True)
def _place_cost(row, x, y, cosine, sine, aim, p, distance, ground, total_s, left_s):  # type: ignore[no-untyped-def]
    """Cost per second of being at a place on the way to the line shifted by `aim`, and the cost of a collision there
    (0 without one)."""
    offset = (y - row.y_m) * row.cos_heading - (x - row.x_m) * row.sin_heading
    turned = sine * row.cos_heading - cosine * row.sin_heading
    # A little of the square root's foot keeps far-off starts from drowning everything in squares.
    square = offset * offset
    rate = p[4] * square / (1.0 + 0.15 * square) + p[5] * turned * turned
    beyond = max(offset - row.left_m, -offset - row.right_m) + 0.8
    if beyond > 0.0:
        rate += p[7] * beyond
    least = 1e9
    inverse = 1.0 / ground[2]
    for end in range(2):
        ahead = DISC_AHEAD_M if end == 0 else -DISC_AHEAD_M
        u = (x + ahead * cosine - ground[0]) * inverse
        v = (y + ahead * sine - ground[1]) * inverse
        least = min(least, sample_clearance(distance, u, v))
    clearance = least - DISC_RADIUS_M
    if clearance < 0.0:
        return rate, COLLISION_COST * (1.0 + 1.5 * left_s / total_s)
    if clearance < 1.0:
        rate += p[8] * math.exp(-clearance / p[9])
    return rate, 0.0


@njit(cache=True, fastmath=True)
def _roll(s, fixed, aim, start, stop, index, p, m, rows, closed, distance, ground):  # type: ignore[no-untyped-def]
    """Roll the state `s` (6,) on from step `start` to `stop`: at a fixed steering angle, or in pursuit of the line when
    that is no angle (above 9 rad). Returns (cost, index on the line, whether it collided)."""
    x, y, yaw, speed, rate, steering = s[0], s[1], s[2], s[3], s[4], s[5]
    cost, total_s = 0.0, p[1]
    for step in range(start, stop):
        wanted = fixed
        if fixed > 9.0:
            wanted = _pursue(rows, closed, x, y, yaw, speed, index, aim, m)
        row = rows[wrap_index(index, rows.shape[0], closed)]
        pull = max(-5.0, min(3.0, (max(row.speed_mps, LEAST_SPEED_MPS) - speed) / 0.7))
        x, y, yaw, speed, rate, steering = motion_step(x, y, yaw, speed, rate, steering, wanted, pull, m, MODEL_STEP_S)
        index, _, _ = locate(rows, closed, x, y, index)
        row = rows[wrap_index(index, rows.shape[0], closed)]
        per_s, crash = _place_cost(
            row, x, y, math.cos(yaw), math.sin(yaw), aim, p, distance, ground, total_s, total_s - step * MODEL_STEP_S
        )
        cost += MODEL_STEP_S * per_s
        if crash > 0.0:
            return cost + crash, index, True
    s[0], s[1], s[2], s[3], s[4], s[5] = x, y, yaw, speed, rate, steering
    return cost, index, False


@njit(cache=True, fastmath=True, nogil=True)
def steering_costs(motion, index, turns, p, m, rows, closed, distance, ground, out):  # type: ignore[no-untyped-def]
    """Cost of each candidate steering angle.

    Args:
        motion: (6,) as in `Car.motion_state`.
        index: point of the line that the car is at.
        turns: (K,) steering angles in radians.
        p: `DrivingConfig.vector()`.
        m: `Car.motion_vector()`.
        rows, closed: `RouteTable.rows`, and whether it is a circuit.
        distance, ground: the clearance map's grid, and (x_min, y_min, cell).
        out: (K,) output.
    """
    steps = int(p[1] / MODEL_STEP_S + 0.5)
    hold = int(p[0] / MODEL_STEP_S + 0.5)
    trunk, branch = np.empty(6), np.empty(6)
    for k in range(turns.shape[0]):
        trunk[:] = motion
        trunk[3] = max(trunk[3], LEAST_SPEED_MPS)
        change = turns[k] - motion[5]
        held, middle, crashed = _roll(trunk, turns[k], 0.0, 0, hold, index, p, m, rows, closed, distance, ground)
        held += p[6] * change * change
        best = held if crashed else 1e9
        if not crashed:
            for side in range(-1, 2):
                base = held + p[3] * abs(side)
                if base < best:
                    branch[:] = trunk
                    rest, _, _ = _roll(
                        branch, 10.0, side * p[2], hold, steps, middle, p, m, rows, closed, distance, ground
                    )
                    best = min(best, base + rest)
        out[k] = best


class DrivingPlanner(RolloutPlanner):
    """Rolls out the car's motion model on a road.

    Args:
        world: the road.
        table: its route, with speeds.
        motion_vector: `Car.motion_vector()`.
        config: costs and horizon.
    """

    def __init__(
        self, world: RoadWorld, table: RouteTable, motion_vector: np.ndarray, config: DrivingConfig = DrivingConfig()
    ) -> None:
        super().__init__(CANDIDATE_STEERINGS_RAD, REFINEMENTS_RAD)
        self._rows, self._closed = table.rows, table.route.closed
        self._distance = world.clearance.distance_m
        self._ground = np.array([world.clearance.x_min, world.clearance.y_min, world.clearance.cell_m])
        self._config, self._motion = config.vector(), motion_vector

    def costs(self, turns_rad: np.ndarray, *state: Any) -> np.ndarray:
        """(n,) float64 costs of steering angles (n,).

        Args:
            turns_rad: steering angles in radians.
            *state: (6,) as in `Car.motion_state`, and the index of the line's point there.
        """
        motion, index = state
        out = np.empty(len(turns_rad))
        steering_costs(
            motion, index, turns_rad, self._config, self._motion, self._rows, self._closed, self._distance,
            self._ground, out,
        )  # fmt: skip
        return out


class DrivingExpert:
    """Answers, for each camera's pose, what a privileged driver would do there; sees geometry and no pixels.

    Args:
        world: the road.
        table: its route, with the speeds to drive.
        car: the car, created.
        config: costs and horizon.
    """

    def __init__(self, world: RoadWorld, table: RouteTable, car: Car, config: DrivingConfig = DrivingConfig()) -> None:
        self._table, self._car = table, car
        self._planner = DrivingPlanner(world, table, car.motion_vector(), config)

    def label(
        self, places_m: np.ndarray, yaws_rad: np.ndarray, faster_mps: np.ndarray, index: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions and candidate costs as if the car were elsewhere, on the same arc along its heading there.

        Args:
            places_m: (C, 2) places of the middle of the wheelbase in metres.
            yaws_rad: (C,) headings there in radians.
            faster_mps: (C,) what to add to the car's speed in m/s.
            index: point of the line near which the car is.

        Returns:
            (C, 2) float32 actions and (C, K) float32 costs.
        """
        own = self._car.motion_state()
        actions = np.zeros((len(places_m), 2), np.float32)
        costs = np.zeros((len(places_m), NUM_CANDIDATES), np.float32)
        for c, (place, yaw, faster) in enumerate(zip(places_m, yaws_rad, faster_mps)):
            speed = max(0.0, own[3] + faster)
            yaw_rate = own[4] * (speed / max(own[3], LEAST_SPEED_MPS) if faster else 1.0)
            motion = np.array([*place, yaw, speed, yaw_rate, own[5]])
            near = self._table.locate(place[0], place[1], index)[0]
            advice = self._planner.advise(motion, near)
            actions[c] = advice.turn_rad / STEERING_LOCK_RAD, self._go(near, speed)
            costs[c] = advice.costs
        return actions, costs

    def _go(self, index: int, speed_mps: float) -> float:
        """Throttle or brake for the speed that is right a moment later."""
        wanted = self._table.point(index + round(speed_mps * SPEED_PREVIEW_S / POINT_SPACING_M)).speed_mps
        hold = 0.1 if wanted > 0.5 else 0.0
        return max(-1.0, min(1.0, hold + SPEED_GAIN * (wanted - speed_mps)))
