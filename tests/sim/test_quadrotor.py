"""The rigid body: hovers, tilts when it accelerates, holds altitude, and moves as the planner's model says."""

import math

import numpy as np
import pytest

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.cameras import Camera
from forestpilot.sim.physics import MOST_SPARE, PHYSICS_HZ, ColliderPool, PhysicsClient, _spare
from forestpilot.sim.vehicles.quadrotor import (
    GRAVITY_MPS2,
    MODEL_STEP_S,
    TILT_LAG_S,
    FlightCommand,
    Quadrotor,
    motion_step,
    rotation_of,
    wrap_angle,
)
from forestpilot.sim.worlds.clearance import path_clearance
from tests.sim.worlds import forest_of

NO_TREES = np.zeros((0, 7), np.float32)


@pytest.fixture
def physics():
    client = PhysicsClient()
    yield client
    client.close()


def start(physics: PhysicsClient, trees: np.ndarray = NO_TREES) -> Quadrotor:
    physics.reset(forest_of(trees), reach_m=2.0)
    drone = Quadrotor(physics.id)
    drone.create(np.array([0.0, 0.0, 1.8]), 0.0)
    return drone


def fly(physics: PhysicsClient, drone: Quadrotor, heading: float, speed: float, seconds: float) -> np.ndarray:
    states = []
    for _ in range(round(seconds * PHYSICS_HZ)):
        drone.apply(FlightCommand(heading, speed, 1.8))
        physics.step()
        states.append(drone.read().copy())
    return np.array(states)


def test_hovers_in_place(physics):
    states = fly(physics, start(physics), 0.0, 0.0, 3.0)
    assert np.abs(states[:, :3] - [0, 0, 1.8]).max() < 0.05


@pytest.mark.parametrize("speed", [1.0, 5.0, 10.0, 12.0])
def test_reaches_the_speed_set_point_and_holds_altitude(physics, speed):
    states = fly(physics, start(physics), 0.0, speed, 5.0)
    assert abs(states[-1, 7] - speed) < 0.1
    assert np.abs(states[:, 2] - 1.8).max() < 0.25
    assert np.abs(states[:, 1]).max() < 0.02


def test_tilts_into_the_acceleration_and_levels_out(physics):
    drone = start(physics)
    fly(physics, drone, 0.0, 8.0, 0.3)
    tilt = math.acos(drone.rotation[2, 2])
    assert drone.rotation[0, 2] > 0.3 and math.radians(15) < tilt < math.radians(35)
    fly(physics, drone, 0.0, 8.0, 3.0)
    drag_tilt = math.atan(0.25 * 8.0 / GRAVITY_MPS2)
    assert abs(math.acos(drone.rotation[2, 2]) - drag_tilt) < math.radians(3)


def test_the_nose_stays_high_enough_to_see_the_horizon_while_it_speeds_up(physics):
    states = fly(physics, start(physics), 0.0, 12.0, 3.0)
    pitch = [math.asin(-rotation_of(s[3:7])[2, 0]) for s in states]
    camera_half_height = math.radians(Camera().vertical_fov_deg / 2)
    assert max(pitch) < camera_half_height + math.radians(5)
    assert np.mean(np.array(pitch) < camera_half_height) > 0.7


def test_banks_left_to_turn_left_and_yaws_to_the_heading(physics):
    drone = start(physics)
    fly(physics, drone, 0.0, 6.0, 2.0)
    fly(physics, drone, 0.6, 6.0, 0.25)
    assert drone.rotation[1, 2] > 0.2
    fly(physics, drone, 0.6, 6.0, 2.0)
    assert abs(drone.yaw_rad - 0.6) < 0.02
    assert abs(math.atan2(drone.state[8], drone.state[7]) - 0.6) < 0.03


def test_motors_lag_and_stay_within_their_limits(physics):
    drone = start(physics)
    hover = drone.motor_thrusts_n.copy()
    drone.apply(FlightCommand(0.0, 12.0, 1.8))
    first = drone.motor_thrusts_n.copy()
    assert 0 < np.abs(first - hover).max() < 1.5
    thrusts = []
    for heading in (0.0, 2.5, -2.5, 1.0):
        for _ in range(120):
            drone.apply(FlightCommand(heading, 12.0, 1.8))
            physics.step()
            drone.read()
            thrusts.append(drone.motor_thrusts_n.copy())
    assert np.min(thrusts) >= 0.0 and np.max(thrusts) <= drone.parameters.max_motor_thrust_n


@pytest.mark.parametrize(("speed", "turn"), [(3.0, 1.0), (5.0, 0.5), (10.0, 0.3), (10.0, -0.8), (12.0, -0.6)])
def test_planners_model_follows_the_rigid_body(physics, speed, turn):
    drone = start(physics)
    fly(physics, drone, 0.0, speed, 4.0)
    model = drone.motion_state()
    real = fly(physics, drone, turn, speed, 1.5)[11::12]
    blend = 1 - math.exp(-MODEL_STEP_S / TILT_LAG_S)
    errors = []
    for state in real:
        model = motion_step(model, speed, math.cos(turn), math.sin(turn), blend, MODEL_STEP_S)
        errors.append(math.hypot(model.x - state[0], model.y - state[1]))
    assert max(errors) < 0.15


def test_motion_state_is_continuous_with_the_body(physics):
    drone = start(physics)
    states = fly(physics, drone, 0.0, 8.0, 0.4)
    acceleration = (states[-1, 7] - states[-13, 7]) / (12 / PHYSICS_HZ)
    assert abs(drone.motion_state().ax - acceleration) < 1.0


def test_rotation_matches_pybullets():
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = rng.normal(size=4)
        q /= np.linalg.norm(q)
        assert np.allclose(rotation_of(q).ravel(), pybullet.getMatrixFromQuaternion(q.tolist()), atol=1e-9)


def test_wrap_angle():
    assert abs(wrap_angle(3 * math.pi / 2) + math.pi / 2) < 1e-12


def test_path_clearance_against_a_slow_twin():
    rng = np.random.default_rng(1)
    trees = rng.uniform(0, 10, (30, 7)).astype(np.float32)
    path = rng.uniform(0, 10, (20, 3))
    slow = min(np.hypot(*(p[:2] - t[:2])) - t[2] for p in path for t in trees)
    assert abs(path_clearance(path, trees) - slow) < 1e-6


def full_forest_contact(trees: np.ndarray, headings: list[float], speed: float) -> int | None:
    """Sub-step at which a drone touches a forest in which every tree that it could get to is a body of its own."""
    farthest_m = 1.1 * speed * len(headings) / 10 + 1.0
    near = np.hypot(trees[:, 0], trees[:, 1]) - trees[:, 2] < farthest_m
    return first_contact(trees[near], headings, speed, reach_m=1e6)


def first_contact(trees: np.ndarray, headings: list[float], speed: float, reach_m: float) -> int | None:
    client = PhysicsClient()
    try:
        client.reset(forest_of(trees), reach_m)
        drone = Quadrotor(client.id)
        drone.create(np.array([0.0, 0.0, 1.8]), 0.0)
        step = 0
        for heading in headings:
            assert client.pool is not None
            client.pool.follow(drone.state[0], drone.state[1])
            for _ in range(24):
                drone.apply(FlightCommand(heading, speed, 1.8))
                client.step()
                drone.read()
                step += 1
                if client.touches(drone.body):
                    return step
        return None
    finally:
        client.close()


@pytest.mark.parametrize("speed", [3.0, 8.0, 12.0])
def test_the_pool_sees_every_collision_of_a_forest_of_full_bodies(speed):
    """Blind flights in random directions: the same contact at the same sub-step, or none in either."""
    from forestpilot.sim.worlds.forest import ForestConfig, make_forest

    collisions = 0
    for seed in range(8):
        trees = make_forest(ForestConfig(density_per_m2=1 / 8), seed).trees
        rng = np.random.default_rng(seed)
        headings = (rng.normal(0, 0.2, 40).cumsum()).tolist()
        pooled = first_contact(trees, headings, speed, reach_m=(1.1 * speed + 1.0) / 10 + 0.35)
        assert pooled == full_forest_contact(trees, headings, speed)
        collisions += pooled is not None
    assert collisions >= 3, "too few collisions for the comparison to mean anything"


def test_the_pool_reuses_its_bodies(physics):
    rng = np.random.default_rng(0)
    trees = np.zeros((300, 7), np.float32)
    trees[:, :2], trees[:, 2] = rng.uniform(-20, 20, (300, 2)), 0.3
    physics.reset(forest_of(trees), 2.0)
    pool = ColliderPool(physics.id, forest_of(trees), 2.0)
    standing = 0
    for x in np.linspace(-20, 20, 200):
        pool.follow(x, 0.3 * x)
        standing = max(standing, pool.num_standing)
        near = np.hypot(trees[:, 0] - x, trees[:, 1] - 0.3 * x) - trees[:, 2] < 2.0
        assert pool.num_standing == near.sum()
    assert pybullet.getNumBodies(physicsClientId=physics.id) <= 1 + standing


def test_a_closed_client_leaves_nothing_to_the_next_one(physics):
    first = fly(physics, start(physics), 0.7, 9.0, 1.0)
    for _ in range(MOST_SPARE + 1):
        physics.close()
        physics.close()
        physics = PhysicsClient()
        assert pybullet.getNumBodies(physicsClientId=physics.id) == 0
        assert np.array_equal(first, fly(physics, start(physics), 0.7, 9.0, 1.0))
    others = [PhysicsClient() for _ in range(MOST_SPARE + 2)]
    assert len({physics.id, *(other.id for other in others)}) == MOST_SPARE + 3
    for client in (physics, *others):
        client.close()
    assert len(_spare) == MOST_SPARE


def test_simulation_repeats_bit_for_bit_after_a_reset(physics):
    first = fly(physics, start(physics), 0.7, 9.0, 1.0)
    fly(physics, start(physics), -0.4, 5.0, 0.5)
    assert np.array_equal(first, fly(physics, start(physics), 0.7, 9.0, 1.0))
