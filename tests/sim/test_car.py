"""The car: it stands, turns as the closed form says, understeers and slides beyond, and the planner's model of it
holds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.physics import PHYSICS_HZ, PhysicsClient
from forestpilot.sim.records import record_of
from forestpilot.sim.vehicles.car import Car, DriveCommand
from forestpilot.sim.vehicles.car_dynamics import wheel_forces
from forestpilot.sim.vehicles.car_motion import motion_step
from forestpilot.sim.vehicles.car_parameters import STEERING_LOCK_RAD, STEERING_RATE_RADPS, WHEELBASE_M, CarParameters
from forestpilot.sim.vehicles.rigid_body import GRAVITY_MPS2, rotation_of
from tests.sim.worlds import forest_of

PARAMETERS = CarParameters()


@pytest.fixture(scope="module")
def physics():
    client = PhysicsClient()
    yield client
    client.close()


def make_car(physics, speed=0.0, grip=0.95, yaw=0.0):
    physics.reset(forest_of(np.zeros((0, 7))), reach_m=1.0)
    car = Car(physics.id)
    car.create(np.zeros(3), yaw, grip, speed)
    return car


def drive(physics, car, seconds, steering, go=None, hold_speed=None):
    """Drive on; returns the motion states (n, 6), one per sub-step."""
    states = []
    for _ in range(round(seconds * PHYSICS_HZ)):
        pull = go if go is not None else np.clip(2.0 * (hold_speed - car.forward_mps), -1, 1)
        car.apply(DriveCommand(steering, float(pull)))
        physics.step()
        car.read()
        states.append(car.motion_state())
    return np.array(states)


def test_a_car_at_rest_stays_where_it_stands(physics):
    car = make_car(physics, yaw=0.7)
    drive(physics, car, 3.0, 0.0, go=-1.0)
    assert np.abs(car.base_position()).max() < 1e-3
    assert car.yaw_rad == pytest.approx(0.7, abs=1e-4)
    assert not physics.touches(car.body)


@pytest.mark.parametrize("grip", [0.95, 0.65])
@pytest.mark.parametrize("speed", [5.0, 10.0, 15.0, 20.0])
def test_gentle_turns_are_those_of_the_closed_form(physics, speed, grip):
    """Yaw rate of the linear single-track model, v * steering / (wheelbase + K v^2), at a fifth of the grip."""
    understeer = PARAMETERS.understeer_s2pm(grip)
    steering = 0.2 * grip * GRAVITY_MPS2 / speed**2 * (WHEELBASE_M + understeer * speed**2)
    states = drive(physics, make_car(physics, speed, grip), 4.0, steering, hold_speed=speed)
    measured, at = states[-1, 4], states[-1, 3]
    assert measured == pytest.approx(at * steering / (WHEELBASE_M + understeer * at**2), rel=0.015)


@pytest.mark.parametrize("grip", [0.95, 0.65])
def test_too_fast_it_slides_wide(physics, grip):
    """Steered for twice the grip there is, it turns no faster than the front tyres allow: understeer."""
    speed = 15.0
    understeer = PARAMETERS.understeer_s2pm(grip)
    steering = 2.0 * grip * GRAVITY_MPS2 / speed**2 * (WHEELBASE_M + understeer * speed**2)
    states = drive(physics, make_car(physics, speed, grip), 4.0, steering, hold_speed=speed)[PHYSICS_HZ:]
    rate, at = states[:, 4].mean(), states[:, 3].mean()
    assert rate < 0.65 * at * steering / (WHEELBASE_M + understeer * at**2)
    assert 0.5 * grip < rate * at / GRAVITY_MPS2 < grip


def test_brakes_as_hard_as_the_ground_allows(physics):
    for grip, expected in ((0.95, 7.15), (0.65, 0.98 * 0.65 * 0.92 * GRAVITY_MPS2)):
        car = make_car(physics, 20.0, grip)
        states = drive(physics, car, 1.5, 0.0, go=-1.0)
        slowed = (states[60, 3] - states[-1, 3]) / ((len(states) - 61) / PHYSICS_HZ)
        assert slowed == pytest.approx(expected, rel=0.06)
    assert drive(physics, car, 4.0, 0.0, go=-1.0)[-1, 3] == pytest.approx(0.0, abs=0.02)


def test_brakes_take_grip_from_the_steering(physics):
    turning = drive(physics, make_car(physics, 15.0, 0.65), 1.0, 0.1, hold_speed=15.0)
    braking = drive(physics, make_car(physics, 15.0, 0.65), 1.0, 0.1, go=-1.0)
    assert np.diff(braking[:, 2]).sum() < 0.7 * np.diff(turning[:, 2]).sum()


def test_throttle_is_bounded_by_engine_and_power(physics):
    car = make_car(physics)
    states = drive(physics, car, 7.0, 0.0, go=1.0)
    assert states[PHYSICS_HZ, 3] == pytest.approx(3.9, abs=0.25)
    assert 20.0 < states[-1, 3] < 26.0


def test_steering_has_a_rate_and_a_lock(physics):
    car = make_car(physics, 5.0)
    states = drive(physics, car, 0.25, 2.0, go=0.0)
    assert states[-1, 5] == pytest.approx(0.25 * STEERING_RATE_RADPS)
    assert drive(physics, car, 1.0, 2.0, go=0.0)[-1, 5] == pytest.approx(STEERING_LOCK_RAD)


def test_left_and_right_mirror_each_other(physics):
    left = drive(physics, make_car(physics, 8.0), 2.0, 0.2, go=0.1)
    right = drive(physics, make_car(physics, 8.0), 2.0, -0.2, go=0.1)
    assert np.allclose(left[:, (0, 3)], right[:, (0, 3)], atol=1e-6)
    assert np.allclose(left[:, (1, 2, 4, 5)], -right[:, (1, 2, 4, 5)], atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(speed=st.floats(3, 20), share=st.floats(-0.45, 0.45), grip=st.sampled_from([0.95, 0.75, 0.65]))
def test_the_planners_model_foresees_the_rigid_body(physics, speed, share, grip):
    """Within the grip that the expert uses, 1.5 s ahead."""
    understeer = PARAMETERS.understeer_s2pm(grip)
    steering = share * grip * GRAVITY_MPS2 / speed**2 * (WHEELBASE_M + understeer * speed**2)
    steering = float(np.clip(steering, -STEERING_LOCK_RAD, STEERING_LOCK_RAD))
    car = make_car(physics, speed, grip)
    state = car.motion_state()
    for _ in range(15):
        state = motion_step(state, steering, 0.0, car.motion_model(), 0.1)
    end = drive(physics, car, 1.5, steering, hold_speed=speed)[-1]
    assert math.hypot(state[0] - end[0], state[1] - end[1]) < 0.03 * 1.5 * speed + 0.1
    assert abs(state[2] - end[2]) < 0.06


def slow_forces(state, steering, go, p, grip):
    """The wheels' forces with vectors and cross products: the kernel's slow twin."""
    r, velocity, rates = rotation_of(state[3:7]), state[7:10], state[10:13]
    ahead = np.array([r[0, 0], r[1, 0], 0.0]) / math.hypot(r[0, 0], r[1, 0])
    speed = ahead @ velocity
    against = np.clip(speed / 0.5, -1, 1)
    wanted = -p.mass_kg * p.rolling_mps2 * against
    wanted += min(4.0 * p.mass_kg, p.power_w / max(abs(speed), 1)) * go if go >= 0 else 7.0 * p.mass_kg * go * against
    force, torque = -p.mass_kg * p.drag_per_m * np.hypot(*velocity[:2]) * np.array([*velocity[:2], 0]), np.zeros(3)
    for along, angle, slope, share, other in (
        (p.front_m, steering, p.front_slope, p.front_grip, p.rear_m), (-p.rear_m, 0.0, p.rear_slope, 1.0, p.front_m),
    ):  # fmt: skip
        for aside in (p.half_track_m, -p.half_track_m):
            mount = r @ np.array([along, aside, 0.0])
            mount_velocity = velocity + np.cross(rates, mount)
            load = p.mass_kg * GRAVITY_MPS2 * other / (2 * WHEELBASE_M)
            load += p.spring_npm * (p.height_m - state[2] - mount[2]) - p.damper_nspm * mount_velocity[2]
            load = max(load, 0.0)
            contact = np.array([mount[0], mount[1], -state[2]])
            slide = velocity + np.cross(rates, contact)
            turned = math.atan2(ahead[1], ahead[0]) + angle
            forward = np.array([math.cos(turned), math.sin(turned), 0.0])
            left = np.array([-forward[1], forward[0], 0.0])
            limit = grip * share * load
            lengthwise = np.clip(wanted * load / (p.mass_kg * GRAVITY_MPS2), -0.98 * limit, 0.98 * limit)
            slip = math.atan2(left @ slide, max(abs(forward @ slide), 1.5))
            ellipse = math.sqrt(1 - (lengthwise / max(limit, 1e-6)) ** 2)
            sideways = -limit * math.sin(p.shape * math.atan(slope * slip)) * ellipse
            push = lengthwise * forward + sideways * left + np.array([0, 0, load])
            force, torque = force + push, torque + np.cross(contact, push)
    return np.concatenate([force, torque])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), steering=st.floats(-0.52, 0.52), go=st.floats(-1, 1))
def test_the_kernel_is_its_slow_twin(seed, steering, go):
    rng = np.random.default_rng(seed)
    roll, pitch, yaw = rng.normal(0, 0.08), rng.normal(0, 0.08), rng.uniform(-3, 3)
    quaternion = np.array(pybullet.getQuaternionFromEuler((roll, pitch, yaw)))
    velocity = rng.normal(0, (8, 8, 0.3))
    state = np.concatenate([[3, -2, rng.uniform(0.4, 0.6)], quaternion, velocity, rng.normal(0, 0.6, 3)])
    wrench = np.zeros(6)
    wheel_forces(state, steering, go, record_of(PARAMETERS.constants(0.8)), wrench)
    assert np.allclose(wrench, slow_forces(state, steering, go, PARAMETERS, 0.8), rtol=1e-6, atol=1e-4)
