"""Rollouts of the flight expert: see `forestpilot.sim.experts.flight` for what they are, and
`forestpilot.sim.experts.lanes` for how they go side by side.

Who already costs as much as the best continuation of its candidate leaves the pool: what a rollout costs only grows, so
the answers are those of rolling out everything to its end.
"""

from __future__ import annotations

import math

import numpy as np

from forestpilot.sim.experts.lane_functions import angle_between, exponential
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
from forestpilot.sim.vehicles.quadrotor import BODY_RADIUS_M, MODEL_STEP_S, TILT_LAG_S, FlightMotion, motion_step
from forestpilot.sim.worlds.clearance import clearance_in_cell, find_cell, grid_of

SECOND_HEADINGS = 9
FAR_M = 1.5
"""Clearance from which on trunks cost nothing, in metres."""
# The numbers of a rollout: its motion, in the order of `FlightMotion`,
X = 0 * LANES
Y = 1 * LANES
VX = 2 * LANES
VY = 3 * LANES
AX = 4 * LANES
AY = 5 * LANES
BX = 6 * LANES
BY = 7 * LANES
# the direction of its commanded heading,
COSINE = 8 * LANES
SINE = 9 * LANES
# what its candidate costs besides, up to where it begins, and since,
OWN = 10 * LANES
SPENT = 11 * LANES
COST = 12 * LANES
# what it must undercut,
LIMIT = 13 * LANES
# and of which candidate and state it is, with the heading of the one and the bearing of the goal from the other.
CANDIDATE = 14 * LANES
STATE = 15 * LANES
HEADING = 16 * LANES
BEARING = 17 * LANES
GAP = 18 * LANES
"""Clearance at the last step, from the body."""
MOTION = 8
NUMBERS = 19
# Between the halves of a step: the cell of the clearance map, or -1 outside of it, and where in the cell.
CELL = 19 * LANES
RIGHT = 20 * LANES
UP = 21 * LANES
ALL_NUMBERS = 22


@helper(fastmath=True)
def _move(pool, count, speed, blend, grid):  # type: ignore[no-untyped-def]
    """Move lanes on by one step, and find where on the clearance map they are."""
    for i in range(whole_vectors(count)):
        before = FlightMotion(
            pool[X + i],
            pool[Y + i],
            pool[VX + i],
            pool[VY + i],
            pool[AX + i],
            pool[AY + i],
            pool[BX + i],
            pool[BY + i],
        )
        after = motion_step(before, speed, pool[COSINE + i], pool[SINE + i], blend, MODEL_STEP_S)
        pool[X + i] = after.x
        pool[Y + i] = after.y
        pool[VX + i] = after.vx
        pool[VY + i] = after.vy
        pool[AX + i] = after.ax
        pool[AY + i] = after.ay
        pool[BX + i] = after.bx
        pool[BY + i] = after.by
        number, right, up = find_cell(grid, after.x, after.y)
        pool[CELL + i] = number
        pool[RIGHT + i] = right
        pool[UP + i] = up


@helper(fastmath=True)
def _look(pool, count, grid):  # type: ignore[no-untyped-def]
    """Look up the clearance of lanes."""
    for i in range(count):
        pool[GAP + i] = clearance_in_cell(grid, pool[CELL + i], pool[RIGHT + i], pool[UP + i]) - BODY_RADIUS_M


@helper(fastmath=True)
def _look_at_movers(pool, count, discs, step):  # type: ignore[no-untyped-def]
    """Lower the clearance of lanes to that of what moves, where it is at the end of a step."""
    for m in range(discs.shape[1]):
        x = discs[step, m, 0]
        y = discs[step, m, 1]
        reach = discs[step, m, 2] + BODY_RADIUS_M
        for i in range(count):
            dx = pool[X + i] - x
            dy = pool[Y + i] - y
            pool[GAP + i] = min(pool[GAP + i], math.sqrt(dx * dx + dy * dy) - reach)


@helper(fastmath=True)
def _pay(pool, count, step_m, crash, p):  # type: ignore[no-untyped-def]
    """Charge lanes for a step of so many metres.

    Returns:
        Whether any has ended, by a collision (which costs `crash`) or by costing as much as its limit.
    """
    # What lies in a record is read before the loop: inside, for all that the compiler knows, writing to the pool might
    # change it, and it would move lanes one by one.
    near_rate = step_m * p.clearance_weight
    outside_rate = step_m * p.outside_weight
    decay = -1.0 / p.clearance_decay_m
    margin = p.safety_margin_m
    west = p.west
    east = p.east
    south = p.south
    north = p.north
    ended = 0.0
    for i in range(whole_vectors(count)):
        gap = pool[GAP + i]
        x = pool[X + i]
        y = pool[Y + i]
        before = pool[COST + i]
        near = before + near_rate * exponential(gap * decay)
        cost = near if gap < FAR_M else before
        outside = max(max(west - x, x - east), max(south - y, y - north)) + 1.0
        cost = cost + outside_rate * outside if outside > 0.0 else cost
        cost = before + crash if gap < margin else cost
        pool[COST + i] = cost
        over = pool[OWN + i] + (pool[SPENT + i] + cost) >= pool[LIMIT + i]
        ended += 1.0 if over | (gap < margin) else 0.0
    return ended > 0.0


@helper(fastmath=True)
def _take_out(pool, count, margin, best):  # type: ignore[no-untyped-def]
    """Take out the lanes that have ended; a collision may still be the best that a candidate has. Returns how many are
    left."""
    for i in range(count - 1, -1, -1):
        cost = pool[OWN + i] + (pool[SPENT + i] + pool[COST + i])
        if pool[GAP + i] < margin:
            candidate = int(pool[CANDIDATE + i])
            best[candidate] = min(best[candidate], cost)
        elif cost < pool[LIMIT + i]:
            continue
        count -= 1
        move_lane(pool, count, pool, i, NUMBERS)
        # In the place that is free a lane goes on that never ends.
        pool[LIMIT + count] = NEVER
        pool[GAP + count] = FAR_M
    return count


@helper(fastmath=True)
def _roll(pool, count, leg, best, p, grid, discs):  # type: ignore[no-untyped-def]
    """Roll lanes on along a leg: speed, the rollout's length in seconds, first and last step. Returns how many are
    left."""
    speed, total_s, start, stop = leg
    blend = 1.0 - math.exp(-MODEL_STEP_S / TILT_LAG_S)
    for i in range(count, whole_vectors(count)):
        pool[LIMIT + i] = NEVER
        pool[GAP + i] = FAR_M
    for step in range(start, stop):
        if count == 0:
            break
        _move(pool, count, speed, blend, grid)
        _look(pool, count, grid)
        _look_at_movers(pool, count, discs, step)
        crash = COLLISION_COST * (1.0 + 1.5 * (total_s - step * MODEL_STEP_S) / total_s)
        if _pay(pool, count, MODEL_STEP_S * speed, crash, p):
            count = _take_out(pool, count, p.safety_margin_m, best)
    return count


@helper(fastmath=True)
def _plant(motions, yaws, turns, bearings, first, best, pool):  # type: ignore[no-untyped-def]
    """Begin the rollouts of as many candidates as half a pool holds, from the `first` one on. Returns how many."""
    per_state = turns.shape[1]
    count = min(LANES // 2, turns.size - first)
    for i in range(count):
        candidate = first + i
        s = candidate // per_state
        for n in range(MOTION):
            pool[n * LANES + i] = motions[s, n]
        heading = yaws[s] + turns[s, candidate - s * per_state]
        angle = angle_between(heading - bearings[s])
        pool[COSINE + i] = math.cos(heading)
        pool[SINE + i] = math.sin(heading)
        pool[OWN + i] = 0.8 * angle + 0.8 * angle * angle
        pool[SPENT + i] = 0.0
        pool[COST + i] = 0.0
        pool[LIMIT + i] = best[candidate]
        pool[CANDIDATE + i] = candidate
        pool[STATE + i] = s
        pool[HEADING + i] = heading
        pool[BEARING + i] = bearings[s]
    return count


@helper(fastmath=True)
def _arrive(pool, count):  # type: ignore[no-untyped-def]
    """Add the cost of the leg that has ended to what was spent before."""
    for i in range(count):
        pool[SPENT + i] += pool[COST + i]
        pool[COST + i] = 0.0


@helper(fastmath=True)
def _branch(trunks, k, directions, best, p, pool, lanes):  # type: ignore[no-untyped-def]
    """Put rollouts into the pool that leave their trunks at the k-th second heading, if their candidates may gain by
    it. Returns how many it holds then."""
    offset = _offset(k, p)
    own, count = trunks
    for t in range(count):
        candidate = int(own[CANDIDATE + t])
        base = own[OWN + t] + own[SPENT + t] + 0.4 * abs(offset)
        base += p.change_weight * angle_between(own[BEARING + t] + offset - own[HEADING + t])
        if base >= best[candidate]:
            continue
        state = int(own[STATE + t])
        move_lane(own, t, pool, lanes, MOTION)
        pool[COSINE + lanes] = directions[state, k, 0]
        pool[SINE + lanes] = directions[state, k, 1]
        pool[OWN + lanes] = base
        pool[SPENT + lanes] = 0.0
        pool[COST + lanes] = 0.0
        pool[LIMIT + lanes] = best[candidate]
        pool[CANDIDATE + lanes] = candidate
        lanes += 1
    return lanes


@helper(fastmath=True)
def _offset(k, p):  # type: ignore[no-untyped-def]
    """Angle of the k-th second heading from the bearing to the goal: 0, then to the left and the right in turns."""
    side = 1.0 if k % 2 == 1 else -1.0
    return ((k + 1) // 2) * side * p.second_heading_step_rad


@helper(fastmath=True)
def _aim(motions, goals, p, bearings, directions):  # type: ignore[no-untyped-def]
    """Fill in the bearing of its goal from each state (S,), and cosine and sine of the second headings (S, 9, 2)."""
    for s in range(motions.shape[0]):
        bearing = math.atan2(goals[s, 1] - motions[s, 1], goals[s, 0] - motions[s, 0])
        bearings[s] = bearing
        for k in range(SECOND_HEADINGS):
            heading = bearing + _offset(k, p)
            directions[s, k, 0] = math.cos(heading)
            directions[s, k, 1] = math.sin(heading)


@helper(fastmath=True)
def _try_second_headings(trunks, directions, leg, best, p, grid, discs, pool):  # type: ignore[no-untyped-def]
    """Roll trunks out to the end along every second heading.

    Args:
        trunks: early and late ones, each a pool and how many it holds.
        directions: (S, 9, 2) cosine and sine of the second headings.
        leg: speed, the rollout's length in seconds, steps at which the trunks of each pool end, the last one, and how
            many second headings to try at once.
        best: least cost found so far of each candidate; lowered.
        p, grid, discs: constants, the clearance map, and what moves.
        pool: room for the rollouts.
    """
    early, late = trunks
    speed, total_s, first_switch, second_switch, steps, together = leg
    for start in range(0, SECOND_HEADINGS, together):
        stop = min(start + together, SECOND_HEADINGS)
        lanes = np.int64(0)
        for k in range(start, stop):
            lanes = _branch(early, k, directions, best, p, pool, lanes)
        lanes = _roll(pool, lanes, (speed, total_s, first_switch, second_switch), best, p, grid, discs)
        for k in range(start, stop):
            lanes = _branch(late, k, directions, best, p, pool, lanes)
        lanes = _roll(pool, lanes, (speed, total_s, second_switch, steps), best, p, grid, discs)
        for i in range(lanes):
            candidate = int(pool[CANDIDATE + i])
            best[candidate] = min(best[candidate], pool[OWN + i] + (pool[SPENT + i] + pool[COST + i]))


@helper(fastmath=True)
def _try_turns(states, turns, eager, p, grid, discs, best):  # type: ignore[no-untyped-def]
    """Lower the costs in `best` (S * n,) to those of the turns (S, n), where they are less.

    `eager` tries as many second headings at once as the pool holds. That pays where `best` tells beforehand what they
    must undercut; where it does not, one second heading tells it to the next.
    """
    motions, yaws, goals, speed = states
    total_s = min(max(p.horizon_m / speed, p.least_s), p.most_s)
    steps = int(total_s / MODEL_STEP_S + 0.5)
    first_switch = min(int(p.first_switch_s / MODEL_STEP_S + 0.5), steps)
    second_switch = min(int(p.second_switch_s / MODEL_STEP_S + 0.5), steps)
    bearings = np.empty(motions.shape[0])
    directions = np.empty((motions.shape[0], SECOND_HEADINGS, 2))
    _aim(motions, goals, p, bearings, directions)
    early = np.zeros(ALL_NUMBERS * LANES)
    late = np.zeros(ALL_NUMBERS * LANES)
    pool = np.zeros(ALL_NUMBERS * LANES)
    for first in range(0, turns.size, LANES // 2):
        planted = _plant(motions, yaws, turns, bearings, first, best, early)
        num_early = _roll(early, planted, (speed, total_s, np.int64(0), first_switch), best, p, grid, discs)
        _arrive(early, num_early)
        for i in range(num_early):
            move_lane(early, i, late, i, NUMBERS)
        num_late = _roll(late, num_early, (speed, total_s, first_switch, second_switch), best, p, grid, discs)
        _arrive(late, num_late)
        together = LANES // 2 // planted if eager else 1
        leg = (speed, total_s, first_switch, second_switch, steps, together)
        trunks = ((early, num_early), (late, num_late))
        _try_second_headings(trunks, directions, leg, best, p, grid, discs, pool)


@kernel(fastmath=True, nogil=True)
def plan_turns(states, turns, refinements, plan, distance, discs, costs, chosen):  # type: ignore[no-untyped-def]
    """Cost of each candidate turn at several states, and the best turn, refined.

    Args:
        states: (S, 8) float64, each a `FlightMotion`; (S,) headings in radians; (S, 2) where to fly to in metres; and
            the speed to fly at in m/s.
        turns: (S, n) candidate heading changes in radians, ascending.
        refinements: (r,) steps in radians by which the best candidate is refined.
        plan: (1,) record of `FlightCosts`, `Ground` and `FlightArea`.
        distance: the clearance map.
        discs: (T, M, 3) x, y and radius in metres of what moves, at the end of each step of a rollout; T is at least
            the number of steps where M is not 0.
        costs: (S, n) output; `NEVER` before.
        chosen: (S,) output: the best turn.
    """
    p = plan[0]
    grid = grid_of(distance, p.x_min, p.y_min, p.cell)
    least = np.empty(turns.shape[0])
    beside = np.empty((turns.shape[0], 2))
    refined = np.empty((turns.shape[0], 2))
    tried = turns
    tried_costs = costs
    for r in range(refinements.shape[0] + 1):
        _try_turns(states, tried, r > 0, p, grid, discs, tried_costs.ravel())
        choose(tried, tried_costs, r > 0, chosen, least)
        if r < refinements.shape[0]:
            look_around(chosen, least, refinements[r], turns[0, 0], turns[0, -1], beside, refined)
            tried = beside
            tried_costs = refined
