"""Rollouts of the driving expert: see `forestpilot.sim.experts.driving` for what they are, and
`forestpilot.sim.experts.lanes` for how they go side by side.

Who already costs as much as the best continuation of its candidate leaves the pool: what a rollout costs only grows, so
the answers are those of rolling out everything to its end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forestpilot.sim.experts.lane_functions import arctangent, exponential, sine_cosine
from forestpilot.sim.experts.lanes import (
    LANES,
    NEVER,
    choose,
    look_around,
    move_lane,
    whole_vectors,
)
from forestpilot.sim.experts.planner import COLLISION_COST
from forestpilot.sim.kernels import helper, kernel
from forestpilot.sim.vehicles.car_motion import DriveModel, DriveMotion, move_step, turn_step
from forestpilot.sim.vehicles.car_parameters import STEERING_LOCK_RAD, WHEELBASE_M
from forestpilot.sim.worlds.clearance import Grid, clearance_in_cell, find_cell, grid_of
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M
from forestpilot.sim.worlds.roads.route_table import to_and_fro, way_along, wrap_index

MODEL_STEP_S = 0.1
DISC_RADIUS_M = 0.95
DISC_AHEAD_M = 1.1
"""The body as two discs, this far before and behind the middle of the wheelbase."""
LEAST_SPEED_MPS = 3.0
"""A rollout of a slower car is made at this speed: a standing car's steering has no consequences to plan by."""
SIDES = (0.0, -1.0, 1.0)
"""Rollouts go on to the line, its right and its left."""
FAR_M = 1.0
"""Clearance from which on obstacles cost nothing, in metres."""
# The numbers of a rollout: its motion, in the order of `DriveMotion`,
MOTION_SPEED = 3
MOTION_STEERING = 5
"""Columns of a `DriveMotion`."""
X = 0 * LANES
Y = 1 * LANES
YAW = 2 * LANES
SPEED = 3 * LANES
YAW_RATE = 4 * LANES
STEERING = 5 * LANES
# the direction of its heading,
COSINE = 6 * LANES
SINE = 7 * LANES
# the point of the line where it is, and the speed to drive there,
POINT = 8 * LANES
POINT_SPEED = 9 * LANES
PLACE = 10
"""So many numbers tell where a rollout is."""
# the steering angle that it asks for, and how far beside the line it aims,
WANTED = 10 * LANES
BESIDE = 11 * LANES
# what its candidate costs besides, and the rollout itself since it began,
OWN = 12 * LANES
COST = 13 * LANES
# what it must undercut, and of which candidate it is.
LIMIT = 14 * LANES
CANDIDATE = 15 * LANES
GAP = 16 * LANES
"""Clearance at the last step, from the body."""
NUMBERS = 17
# Between the parts of a step: the way to the point aimed at, the offset and the sine of the angle from the line, and
# how far the body's discs are beyond the road's edge.
AIM_X = 17 * LANES
AIM_Y = 18 * LANES
OFFSET = 19 * LANES
TURNED = 20 * LANES
BEYOND = 21 * LANES
# Cells of the clearance map where the discs are, and where in the cells.
FRONT_CELL = 22 * LANES
FRONT_RIGHT = 23 * LANES
FRONT_UP = 24 * LANES
REAR_CELL = 25 * LANES
REAR_RIGHT = 26 * LANES
REAR_UP = 27 * LANES
ALL_NUMBERS = 28


class Road(NamedTuple):
    """Line and surroundings, as lanes look them up."""

    rows: np.ndarray
    """`RouteTable.rows`."""
    closed: bool
    """It is a circuit."""
    grid: Grid
    """The clearance map."""


@helper(fastmath=True, error_model="numpy")
def _aim(pool, count, road):  # type: ignore[no-untyped-def]
    """Find the points of the line, or beside it, that lanes pursue."""
    rows, closed, _ = road
    size = rows.shape[0]
    for i in range(count):
        reach = max(4.0, 0.9 * pool[SPEED + i])
        ahead = int(pool[POINT + i]) + int(reach / POINT_SPACING_M + 0.5)
        row = rows[wrap_index(ahead, size, closed)]
        beyond = 0.0 if closed else max(0, ahead - size + 1) * POINT_SPACING_M
        beside = pool[BESIDE + i]
        pool[AIM_X + i] = row.x_m + beyond * row.cos_heading - beside * row.sin_heading - pool[X + i]
        pool[AIM_Y + i] = row.y_m + beyond * row.sin_heading + beside * row.cos_heading - pool[Y + i]


@helper(fastmath=True, error_model="numpy")
def _pursue(pool, count, understeer):  # type: ignore[no-untyped-def]
    """Ask for the steering angles of pure pursuit, understeer made up for."""
    for i in range(whole_vectors(count)):
        dx = pool[AIM_X + i]
        dy = pool[AIM_Y + i]
        speed = pool[SPEED + i]
        aside = dy * pool[COSINE + i] - dx * pool[SINE + i]
        curvature = 2.0 * aside / max(dx * dx + dy * dy, 1.0)
        steering = arctangent(WHEELBASE_M * curvature) + understeer * speed * speed * curvature
        pool[WANTED + i] = max(-STEERING_LOCK_RAD, min(STEERING_LOCK_RAD, steering))


@helper(fastmath=True, error_model="numpy")
def _move(pool, count, model, grid):  # type: ignore[no-untyped-def]
    """Move lanes on by one step, and find where on the clearance map the discs of their bodies are."""
    for i in range(whole_vectors(count)):
        before = DriveMotion(
            pool[X + i],
            pool[Y + i],
            pool[YAW + i],
            pool[SPEED + i],
            pool[YAW_RATE + i],
            pool[STEERING + i],
        )
        pull = max(-5.0, min(3.0, (max(pool[POINT_SPEED + i], LEAST_SPEED_MPS) - before.speed) / 0.7))
        steering, yaw_rate, sideways, half = turn_step(before, pool[WANTED + i], model, MODEL_STEP_S)
        sine, cosine = sine_cosine(half)
        after = move_step(before, pull, (steering, yaw_rate, sideways), (cosine, sine), MODEL_STEP_S)
        pool[X + i] = after.x
        pool[Y + i] = after.y
        pool[YAW + i] = after.yaw
        pool[SPEED + i] = after.speed
        pool[YAW_RATE + i] = after.yaw_rate
        pool[STEERING + i] = after.steering
        sine, cosine = sine_cosine(after.yaw)
        pool[SINE + i] = sine
        pool[COSINE + i] = cosine
        ahead_x = DISC_AHEAD_M * cosine
        ahead_y = DISC_AHEAD_M * sine
        number, right, up = find_cell(grid, after.x + ahead_x, after.y + ahead_y)
        pool[FRONT_CELL + i] = number
        pool[FRONT_RIGHT + i] = right
        pool[FRONT_UP + i] = up
        number, right, up = find_cell(grid, after.x - ahead_x, after.y - ahead_y)
        pool[REAR_CELL + i] = number
        pool[REAR_RIGHT + i] = right
        pool[REAR_UP + i] = up


@helper(fastmath=True, error_model="numpy")
def _look(pool, count, road):  # type: ignore[no-untyped-def]
    """Find where on the road lanes are, and what stands near."""
    rows, closed, grid = road
    size = rows.shape[0]
    for i in range(count):
        x = pool[X + i]
        y = pool[Y + i]
        cosine = pool[COSINE + i]
        sine = pool[SINE + i]
        # `locate`, but a function that takes the rows would count references to them, lane by lane.
        index = int(pool[POINT + i])
        before = 0
        for tried in range(size):
            row = rows[wrap_index(index, size, closed)]
            way = way_along(row, x, y, closed or index < size - 1, closed or index > 0)
            if way == 0 or way == -before:
                index += to_and_fro(way, size - tried)
                break
            index += way
            before = way
        row = rows[wrap_index(index, size, closed)]
        offset = (y - row.y_m) * row.cos_heading - (x - row.x_m) * row.sin_heading
        pool[POINT + i] = index
        pool[POINT_SPEED + i] = row.speed_mps
        pool[OFFSET + i] = offset
        pool[TURNED + i] = sine * row.cos_heading - cosine * row.sin_heading
        pool[BEYOND + i] = max(offset - row.left_m, -offset - row.right_m) + 0.8
        front = clearance_in_cell(grid, pool[FRONT_CELL + i], pool[FRONT_RIGHT + i], pool[FRONT_UP + i])
        rear = clearance_in_cell(grid, pool[REAR_CELL + i], pool[REAR_RIGHT + i], pool[REAR_UP + i])
        pool[GAP + i] = min(front, rear) - DISC_RADIUS_M


@helper(fastmath=True, error_model="numpy")
def _pay(pool, count, crash, p):  # type: ignore[no-untyped-def]
    """Charge lanes for a step.

    Returns:
        Whether any has ended, by a collision (which costs `crash`) or by costing as much as its limit.
    """
    # What lies in a record is read before the loop: inside, for all that the compiler knows, writing to the pool might
    # change it, and it would move lanes one by one.
    offset_weight = p.offset_weight
    heading_weight = p.heading_weight
    edge_weight = p.edge_weight
    clearance_weight = p.clearance_weight
    decay = -1.0 / p.clearance_decay_m
    ended = 0.0
    for i in range(whole_vectors(count)):
        gap = pool[GAP + i]
        turned = pool[TURNED + i]
        beyond = pool[BEYOND + i]
        # A little of the square root's foot keeps far-off starts from drowning everything in squares.
        square = pool[OFFSET + i] * pool[OFFSET + i]
        rate = offset_weight * square / (1.0 + 0.15 * square) + heading_weight * turned * turned
        rate = rate + edge_weight * beyond if beyond > 0.0 else rate
        near = rate + clearance_weight * exponential(gap * decay)
        rate = near if (gap < FAR_M) & (gap >= 0.0) else rate
        cost = pool[COST + i] + MODEL_STEP_S * rate
        cost = cost + crash if gap < 0.0 else cost
        pool[COST + i] = cost
        ended += 1.0 if (gap < 0.0) | (pool[OWN + i] + cost >= pool[LIMIT + i]) else 0.0
    return ended > 0.0


@helper(fastmath=True, error_model="numpy")
def _take_out(pool, count, best):  # type: ignore[no-untyped-def]
    """Take out the lanes that have ended; a collision may still be the best that a candidate has. Returns how many are
    left."""
    for i in range(count - 1, -1, -1):
        cost = pool[OWN + i] + pool[COST + i]
        if pool[GAP + i] < 0.0:
            candidate = int(pool[CANDIDATE + i])
            best[candidate] = min(best[candidate], cost)
        elif cost < pool[LIMIT + i]:
            continue
        count -= 1
        move_lane(pool, count, pool, i, NUMBERS)
        _make_idle(pool, count)
    return count


@helper(forceinline=True)
def _make_idle(pool, i):  # type: ignore[no-untyped-def]
    """In a place that is free a lane goes on that never ends."""
    pool[LIMIT + i] = NEVER
    pool[GAP + i] = FAR_M


@helper(fastmath=True, error_model="numpy")
def _roll(pool, count, leg, best, p, model, road):  # type: ignore[no-untyped-def]
    """Roll lanes on along a leg: first and last step, and whether they pursue the line or hold the steering angle that
    is asked for. Returns how many are left."""
    start, stop, pursuing = leg
    for i in range(count, whole_vectors(count)):
        _make_idle(pool, i)
    for step in range(start, stop):
        if count == 0:
            break
        if pursuing:
            _aim(pool, count, road)
            _pursue(pool, count, model.understeer)
        _move(pool, count, model, road.grid)
        _look(pool, count, road)
        crash = COLLISION_COST * (1.0 + 1.5 * (p.horizon_s - step * MODEL_STEP_S) / p.horizon_s)
        if _pay(pool, count, crash, p):
            count = _take_out(pool, count, best)
    return count


@helper(fastmath=True, error_model="numpy")
def _plant(states, first, best, p, road, pool, room):  # type: ignore[no-untyped-def]
    """Begin the rollouts of as many candidates as there is room for, from the `first` one on. Returns how many."""
    motions, points, turns = states
    per_state = turns.shape[1]
    count = min(room, turns.size - first)
    for i in range(count):
        candidate = first + i
        s = candidate // per_state
        turn = turns[s, candidate - s * per_state]
        for n in range(6):
            pool[n * LANES + i] = motions[s, n]
        pool[SPEED + i] = max(motions[s, MOTION_SPEED], LEAST_SPEED_MPS)
        pool[POINT + i] = points[s]
        pool[POINT_SPEED + i] = road.rows[wrap_index(points[s], road.rows.shape[0], road.closed)].speed_mps
        pool[WANTED + i] = turn
        change = turn - motions[s, MOTION_STEERING]
        pool[OWN + i] = p.steering_weight * change * change
        pool[COST + i] = 0.0
        pool[LIMIT + i] = best[candidate]
        pool[CANDIDATE + i] = candidate
    return count


@helper(fastmath=True, error_model="numpy")
def _branch(trunks, count, k, best, p, pool, lanes):  # type: ignore[no-untyped-def]
    """Put rollouts into the pool that leave their trunks for the k-th of `SIDES`, if their candidates may gain by
    it. Returns how many it holds then."""
    side = SIDES[k]
    for t in range(count):
        candidate = int(trunks[CANDIDATE + t])
        base = trunks[OWN + t] + trunks[COST + t] + p.beside_weight * abs(side)
        if base >= best[candidate]:
            continue
        move_lane(trunks, t, pool, lanes, PLACE)
        pool[BESIDE + lanes] = side * p.beside_m
        pool[OWN + lanes] = base
        pool[COST + lanes] = 0.0
        pool[LIMIT + lanes] = best[candidate]
        pool[CANDIDATE + lanes] = candidate
        lanes += 1
    return lanes


@helper(fastmath=True, error_model="numpy")
def _settle(pool, count, best):  # type: ignore[no-untyped-def]
    """Note the costs of rollouts that came to their end."""
    for i in range(count):
        candidate = int(pool[CANDIDATE + i])
        best[candidate] = min(best[candidate], pool[OWN + i] + pool[COST + i])


@helper(fastmath=True, error_model="numpy")
def _try_turns(states, eager, p, model, road, best):  # type: ignore[no-untyped-def]
    """Lower the costs in `best` (S * n,) to those of the turns (S, n) of the states, where they are less.

    `eager` tries the line and both sides of it at once. That pays where `best` tells beforehand what they must
    undercut; where it does not, the line tells it to its sides.
    """
    steps = int(p.horizon_s / MODEL_STEP_S + 0.5)
    hold = int(p.hold_s / MODEL_STEP_S + 0.5)
    trunks = np.zeros(ALL_NUMBERS * LANES)
    pool = np.zeros(ALL_NUMBERS * LANES)
    room = LANES // 3 if eager else LANES // 2
    for first in range(0, states[-1].size, room):
        count = _plant(states, first, best, p, road, trunks, room)
        count = _roll(trunks, count, (np.int64(0), hold, False), best, p, model, road)
        lanes = np.int64(0)
        for k in range(len(SIDES)):
            lanes = _branch(trunks, count, k, best, p, pool, lanes)
            # The line tells its sides what they must undercut.
            if k == len(SIDES) - 1 or (k == 0 and not eager):
                lanes = _roll(pool, lanes, (hold, steps, True), best, p, model, road)
                _settle(pool, lanes, best)
                lanes = np.int64(0)


@kernel(fastmath=True, nogil=True)
def plan_steering(states, refinements, plan, line, distance, costs, chosen):  # type: ignore[no-untyped-def]
    """Cost of each candidate steering angle at several states, and the best one, refined.

    Args:
        states: (S, 6) float64, each a `DriveMotion`; (S,) points of the line that the car is at; and (S, n) candidate
            steering angles in radians, ascending.
        refinements: (r,) steps in radians by which the best candidate is refined.
        plan: (1,) record of `DrivingCosts`, `DriveModel` and `Ground`.
        line: `RouteTable.rows`, and whether it is a circuit.
        distance: the clearance map.
        costs: (S, n) output; `NEVER` before.
        chosen: (S,) output: the best steering angle.
    """
    p = plan[0]
    model = DriveModel(p.understeer, p.lateral_limit, p.rear_slip)
    motions, points, turns = states
    rows, closed = line
    road = Road(rows, closed, grid_of(distance, p.x_min, p.y_min, p.cell))
    least = np.empty(turns.shape[0])
    beside = np.empty((turns.shape[0], 2))
    refined = np.empty((turns.shape[0], 2))
    tried = turns
    tried_costs = costs
    for r in range(refinements.shape[0] + 1):
        _try_turns((motions, points, tried), r > 0, p, model, road, tried_costs.ravel())
        choose(tried, tried_costs, r > 0, chosen, least)
        if r < refinements.shape[0]:
            look_around(chosen, least, refinements[r], turns[0, 0], turns[0, -1], beside, refined)
            tried = beside
            tried_costs = refined
