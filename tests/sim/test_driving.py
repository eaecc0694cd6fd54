"""The driving expert: its costs say where road and obstacles are, at any pose, and its speed suits bend and sight."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from forestpilot.sim.experts.driving import (
    CANDIDATE_STEERINGS_RAD,
    DrivingConfig,
    DrivingPlanner,
)
from forestpilot.sim.experts.driving_rollouts import DISC_AHEAD_M, DISC_RADIUS_M
from forestpilot.sim.experts.lane_functions import arctangent, sine_cosine
from forestpilot.sim.experts.planner import COLLISION_COST
from forestpilot.sim.vehicles.car_motion import DriveModel, DriveMotion, motion_step
from forestpilot.sim.vehicles.car_parameters import STEERING_LOCK_RAD, WHEELBASE_M, CarParameters
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.roads.road import PRESETS, make_road
from forestpilot.sim.worlds.roads.route_table import RouteTable
from forestpilot.sim.worlds.roads.speeds import SpeedConfig, speed_profile
from forestpilot.sim.worlds.world import LOG
from tests.sim.worlds import circle_route, road_of, straight_route

CONFIG = DrivingConfig()
SPEEDS = SpeedConfig()
LOG_ACROSS = [40.0, 1.0, math.pi / 2, 3.0, 0.5, 0.0, 0.5, LOG]


def motion_model(grip=0.95):
    p = CarParameters()
    slip = 1 / (grip * p.rear_slope * p.shape * GRAVITY_MPS2)
    return DriveModel(p.understeer_s2pm(grip), 0.97 * grip * p.front_grip * GRAVITY_MPS2, slip)


def planner_on(world, speed=10.0):
    table = RouteTable(world.route, speed_profile(world.route, world.grip, speed))
    return DrivingPlanner(world, table, motion_model(world.grip)), table


def moving(x, y, yaw=0.0, speed=10.0, steering=0.0):
    return DriveMotion(float(x), float(y), yaw, speed, 0.0, steering)


def advise(world, motion):
    planner, table = planner_on(world)
    return planner.advise(motion, table.nearest(motion[0], motion[1]))


def test_on_a_straight_line_it_steers_straight():
    advice = advise(road_of(straight_route()), moving(20, 0))
    assert abs(advice.turn_rad) < 0.005
    assert advice.costs[10] < 0.1
    assert np.all(np.diff(advice.costs[10:]) > 0) and np.all(np.diff(advice.costs[:11]) < 0)


@settings(max_examples=25, deadline=None)
@given(y=st.floats(0.2, 2.2), yaw=st.floats(-0.25, 0.25), speed=st.floats(4, 18))
def test_left_and_right_mirror_each_other(y, yaw, speed):
    world = road_of(straight_route())
    left, right = advise(world, moving(50, y, yaw, speed)), advise(world, moving(50, -y, -yaw, speed))
    assert left.turn_rad == pytest.approx(-right.turn_rad, abs=1e-9)
    assert np.allclose(left.costs, right.costs[::-1], rtol=1e-4, atol=1e-4)


def test_beside_the_line_it_steers_back():
    world = road_of(straight_route())
    assert advise(world, moving(50, 1.0)).turn_rad < -0.02
    assert advise(world, moving(50, -1.0)).turn_rad > 0.02
    assert advise(world, moving(50, 0.0, yaw=0.2)).turn_rad < -0.02


def test_in_a_bend_it_holds_the_bend():
    radius = 30.0
    advice = advise(road_of(circle_route(radius)), moving(0, 0, speed=8.0, steering=WHEELBASE_M / radius))
    understeer = CarParameters().understeer_s2pm(0.95) * 64
    assert advice.turn_rad == pytest.approx((WHEELBASE_M + understeer) / radius, abs=0.02)


def test_goes_round_a_log_on_the_free_side():
    route = straight_route(width_m=6.0)
    world = road_of(route, np.array([LOG_ACROSS]))
    assert advise(world, moving(28, 0)).turn_rad < -0.02
    mirrored = np.array(LOG_ACROSS)
    mirrored[1] = -1.0
    assert advise(road_of(route, mirrored), moving(28, 0)).turn_rad > 0.02
    blocked = advise(world, moving(34.0, 1.0, speed=12.0)).costs
    assert blocked[10] > COLLISION_COST


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-20, 220), y=st.floats(-12, 12), yaw=st.floats(-3.1, 3.1), speed=st.floats(0, 20),
    steering=st.floats(-0.52, 0.52),
)  # fmt: skip
def test_answers_at_any_pose(x, y, yaw, speed, steering):
    advice = advise(road_of(straight_route()), moving(x, y, yaw, speed, steering))
    assert np.isfinite(advice.costs).all() and abs(advice.turn_rad) <= STEERING_LOCK_RAD


def test_speed_suits_bend_grip_and_sight():
    straight, bend = straight_route(), circle_route(15.0)
    assert speed_profile(straight, 0.95, 12.0) == pytest.approx(12.0)
    for grip in (0.95, 0.65):
        fast = speed_profile(bend, grip, 20.0)
        assert fast**2 / 15.0 == pytest.approx(SPEEDS.lateral_share * grip * GRAVITY_MPS2)
    blind = straight._replace(sight_m=np.full_like(straight.sight_m, 10.0))
    speed = speed_profile(blind, 0.65, 20.0)[0]
    braking = SPEEDS.braking_share * 0.65 * GRAVITY_MPS2
    assert speed * SPEEDS.reaction_s + speed**2 / (2 * braking) == pytest.approx(10.0)


def test_brakes_in_time_for_a_bend():
    route = straight_route()
    tight = np.zeros_like(route.x_m)
    tight[200:220] = 1 / 12
    speeds = speed_profile(route._replace(curvature_per_m=tight), 0.95, 15.0)
    deceleration = -np.diff(speeds**2) / (2 * 0.5)
    assert speeds[:60] == pytest.approx(15.0) and speeds[205] < 7.5
    assert deceleration.max() <= SPEEDS.braking_share * 0.95 * GRAVITY_MPS2 + 1e-6


def slow_cost(world, table, motion, turn, model):
    """The kernel's slow twin for one candidate: NumPy, one rollout after the other."""
    c, route = CONFIG, table.route

    def roll(state, steps, first, wanted, aim):
        cost = 0.0
        for step in range(first, first + steps):
            steering = wanted(state)
            row = table.point(table.nearest(state[0], state[1]))
            pull = np.clip((max(row.speed_mps, 3.0) - state[3]) / 0.7, -5, 3)
            state = motion_step(state, steering, pull, model, 0.1)
            x, y, yaw = state[:3]
            row = table.point(table.nearest(x, y))
            offset = (y - row.y_m) * row.cos_heading - (x - row.x_m) * row.sin_heading
            turned = math.sin(yaw) * row.cos_heading - math.cos(yaw) * row.sin_heading
            rate = c.offset_weight * offset**2 / (1 + 0.15 * offset**2) + c.heading_weight * turned**2
            rate += c.edge_weight * max(0.0, max(offset - row.left_m, -offset - row.right_m) + 0.8)
            grid, discs = world.clearance, (DISC_AHEAD_M, -DISC_AHEAD_M)
            clearance = min(
                sample_clearance(
                    grid.distance_m, (x + a * math.cos(yaw) - grid.x_min) / grid.cell_m,
                    (y + a * math.sin(yaw) - grid.y_min) / grid.cell_m,
                )
                for a in discs
            ) - DISC_RADIUS_M  # fmt: skip
            if 0 <= clearance < 1:
                rate += c.clearance_weight * math.exp(-clearance / c.clearance_decay_m)
            cost += 0.1 * rate
            if clearance < 0:
                return cost + COLLISION_COST * (1 + 1.5 * (c.horizon_s - step * 0.1) / c.horizon_s), state, True
        return cost, state, False

    def pursue(state, aim):
        x, y, yaw, speed = state[:4]
        reach = max(4.0, 0.9 * speed)
        row = table.point(table.nearest(x, y) + int(reach / 0.5 + 0.5))
        dx, dy = row.x_m - aim * row.sin_heading - x, row.y_m + aim * row.cos_heading - y
        bend = 2 * (dy * math.cos(yaw) - dx * math.sin(yaw)) / max(dx * dx + dy * dy, 1.0)
        return np.clip(math.atan(WHEELBASE_M * bend) + model.understeer * speed**2 * bend, -0.52, 0.52)

    assert not route.closed
    hold, steps = round(c.hold_s / 0.1), round(c.horizon_s / 0.1)
    held, state, crashed = roll(motion, hold, 0, lambda _: turn, 0.0)
    held += c.steering_weight * (turn - motion[5]) ** 2
    if crashed:
        return held
    options = []
    for aim in (-c.beside_m, 0.0, c.beside_m):
        rest, _, _ = roll(state, steps - hold, hold, lambda s, aim=aim: pursue(s, aim), aim)
        options.append(held + (c.beside_weight if aim else 0.0) + rest)
    return min(options)


@pytest.mark.parametrize("y", [-1.1, 0.0, 0.9])
@pytest.mark.parametrize("yaw", [-0.15, 0.1])
def test_the_kernel_is_its_slow_twin(y, yaw):
    world = road_of(straight_route(width_m=6.0), np.array([LOG_ACROSS]))
    planner, table = planner_on(world)
    motion = moving(24.0, y, yaw, 9.0, 0.05)
    fast = planner.costs(CANDIDATE_STEERINGS_RAD, motion, table.nearest(24.0, y))
    slow = [slow_cost(world, table, motion, turn, motion_model()) for turn in CANDIDATE_STEERINGS_RAD]
    assert np.allclose(fast, slow, rtol=1e-3, atol=1e-3)


def test_a_place_is_found_again_along_any_road():
    for preset in ("winding", "junctions"):
        world = make_road(PRESETS[preset], 4)
        table = RouteTable(world.route, np.full(len(world.route.x_m), 10.0))
        for at in range(5, len(world.route.x_m) - 5, 37):
            row = table.point(at)
            x, y = row.x_m - 0.8 * row.sin_heading, row.y_m + 0.8 * row.cos_heading
            index, along, offset = table.locate(x, y, at - 3)
            assert abs(index - at) <= 1 and abs(along) <= 0.26
            assert offset == pytest.approx(0.8, abs=0.02)


def test_a_circuit_goes_round_and_round():
    table = RouteTable(circle_route(20.0), np.full(251, 8.0))
    count, index = len(table.rows), 0
    for step in range(2 * count):
        row = table.point(step + 1)
        index, _, offset = table.locate(row.x_m, row.y_m, index)
        assert abs(offset) < 0.01
    assert index == 2 * count


@pytest.mark.parametrize("num_states", [1, 3, 5])
def test_states_are_advised_together_as_they_are_one_by_one(num_states):
    world = make_road(PRESETS["obstacles"], 3)
    planner, _ = planner_on(world)
    rng = np.random.default_rng(num_states)
    points = rng.integers(0, len(world.route.x_m), 15)
    motions = rng.normal(0.0, 0.2, (15, 6))
    motions[:, 0] += world.route.x_m[points]
    motions[:, 1] += world.route.y_m[points]
    motions[:, 2] += world.route.heading_rad[points]
    motions[:, 3] = rng.uniform(0.0, 12.0, 15)
    for first in range(0, 15, num_states):
        some = slice(first, first + num_states)
        for motion, point, advice in zip(motions[some], points[some], planner.advise_all(motions[some], points[some])):
            alone = planner.advise(DriveMotion(*motion), point)
            assert advice.turn_rad == alone.turn_rad and np.array_equal(advice.costs, alone.costs)


def search_0_1(table, x, y, index):
    """The search along the line as version 0.1 made it, to and fro where both sides of a place point at each other."""
    last = len(table.rows) - 1
    for _ in range(last + 1):
        row = table.point(index)
        along = (x - row.x_m) * row.cos_heading + (y - row.y_m) * row.sin_heading
        if along > 0.25 and (table.route.closed or index < last):
            index += 1
        elif along < -0.25 and (table.route.closed or index > 0):
            index -= 1
        else:
            break
    return index


@pytest.mark.parametrize("radius_m", [8.0, 8.2, 30.0])
def test_outside_a_bend_a_place_is_found_as_if_by_going_to_and_fro(radius_m):
    route = circle_route(radius_m)
    table = RouteTable(route, np.full(len(route.x_m), 10.0))
    rng = np.random.default_rng(1)
    for point in rng.integers(0, len(route.x_m), 60):
        x = route.x_m[point] + rng.normal(0.0, 2.0)
        y = route.y_m[point] + rng.normal(0.0, 2.0)
        assert table.locate(x, y, int(point))[0] == search_0_1(table, x, y, int(point))


def test_lanes_know_angles():
    @njit
    def functions(x, out):
        for i in range(len(x)):
            out[0, i], out[1, i] = sine_cosine(x[i])
            out[2, i] = arctangent(x[i])

    x = np.concatenate([np.linspace(-12.0, 12.0, 5001), np.geomspace(1e-9, 9.0, 2000), [0.0, 0.66, 3000.0]])
    out = np.empty((3, len(x)))
    functions(x, out)
    np.testing.assert_allclose(out, [np.sin(x), np.cos(x), np.arctan(x)], rtol=5e-16, atol=2e-16)
    assert functions(np.zeros(1), out) is None and out[:, 0].tolist() == [0.0, 1.0, 0.0]
