"""Looks of vehicles: drawn where they are simulated, and any package may bring its own."""

import math

import numpy as np
import pytest

from forestpilot.sim.cameras import Camera, chase_pose
from forestpilot.sim.looks import BALL, BLOCK, DRUM, Part, Shadow, VehicleLook
from forestpilot.sim.physics import PhysicsClient
from forestpilot.sim.rendering import VehiclePose, make_renderer
from forestpilot.sim.rendering.protocol import VEHICLE_ID
from forestpilot.sim.vehicles.car import Car
from forestpilot.sim.vehicles.car_parameters import WHEELBASE_M
from forestpilot.sim.vehicles.quadrotor import Quadrotor
from forestpilot.sim.worlds.forest import ForestConfig, make_forest

SHADOW = Shadow(0.3, 0.3, 0.2, 0.0, 0.7, 0.0)
SLED = VehicleLook((Part(BLOCK, (0, 0, 0.4), (0.8, 0.4, 0.2), (200, 40, 40)),), SHADOW, chase_distance_m=5.0)


@pytest.fixture
def client():
    physics = PhysicsClient()
    yield physics.id
    physics.close()


def test_rotors_are_drawn_where_they_push(client):
    quadrotor = Quadrotor(client)
    rotors = [part for part in quadrotor.look.parts if part.opacity < 1]
    assert len(rotors) == 4
    for rotor in rotors:
        x, y, _ = rotor.center
        assert math.hypot(x, y) == pytest.approx(quadrotor.parameters.arm_m)


def test_wheels_are_drawn_where_they_touch_the_ground(client):
    car = Car(client)
    wheels = [part for part in car.look.parts if part.shape == DRUM]
    places = {(round(abs(x), 6), round(abs(y), 6)) for x, y, _ in (wheel.center for wheel in wheels)}
    assert places == {(WHEELBASE_M / 2, car.parameters.half_track_m)}
    assert {wheel.center[0] > 0 for wheel in wheels if wheel.steered} == {True}


def test_equal_looks_are_one_look():
    again = VehicleLook(tuple(SLED.parts), SHADOW, chase_distance_m=5.0)
    assert again == SLED and len({again, SLED}) == 1


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "no parts"),
        ((Part(7, (0, 0, 0), (1, 1, 1), (0, 0, 0)),), "allowed: BALL, BLOCK, DRUM"),
        ((Part(BALL, (0, 0, 0), (1, 0, 1), (0, 0, 0)),), "above 0"),
    ],
)
def test_senseless_looks_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        VehicleLook(parts, SHADOW)


@pytest.mark.parametrize("name", ["raycast", "tiny"])
def test_any_look_is_drawn_and_two_of_them_do_not_mix(name):
    world = make_forest(ForestConfig(density_per_m2=0.0), 0)
    renderer = make_renderer(name, Camera(160, 120), 1)
    renderer.set_world(world)
    eye, axes = chase_pose((0, 0, 0), 0.0, SLED.chase_distance_m, SLED.chase_height_m)
    small = VehicleLook((Part(BALL, (0, 0, 0.4), (0.1, 0.1, 0.1), (200, 40, 40)),), SHADOW)
    sizes = []
    for look in (SLED, small, SLED, None):
        vehicle = None if look is None else VehiclePose((0, 0, 0), np.eye(3), look)
        frames = renderer.render(eye[None], axes[None], vehicle)
        sizes.append(int((frames.segmentation == VEHICLE_ID).sum()))
    renderer.close()
    sled, ball, again, nothing = sizes
    assert sled == again > 10 * ball > 0 == nothing
