"""Side cameras that are drawn beside a drone: they stand where it could, and what is told there is what it would be."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.windows.training_steps import read_at
from forestpilot.sim.cameras import ACROSS, BEARING, CENTER, FASTER, SHIFT, SIDE_CAMERAS, YAW, YAW_RATE
from forestpilot.sim.envs.drive import DriveEnv
from forestpilot.sim.envs.drone import DroneEnv
from forestpilot.sim.envs.side_cameras import room_aside_m, room_before_discs_m
from forestpilot.sim.vehicles.quadrotor import BODY_RADIUS_M, Quadrotor
from forestpilot.sim.worlds.clearance import build_clearance_map

SMALL: dict[str, Any] = {"width": 32, "height": 24}
RANGE = Quadrotor.side_range


def flown(side_cameras: str, steps: int, **options: Any) -> list[dict[str, Any]]:
    """Infos of a weaving flight."""
    env = DroneEnv(side_cameras=side_cameras, **SMALL, **options)
    env.draw_only(())
    _, info = env.reset(seed=3)
    infos = [info]
    for k in range(steps):
        infos.append(env.step(np.array([0.3 * np.sin(k / 3), 1.0]))[4])
    env.close()
    return infos


@pytest.fixture(scope="module")
def offsets() -> dict[str, np.ndarray]:
    """(T, 3, columns) camera offsets of the same flight, by placement."""
    return {name: np.array([info["camera_offsets"] for info in flown(name, 60)]) for name in SIDE_CAMERAS}


def test_drawn_cameras_stay_within_the_range_of_the_drone(offsets: dict[str, np.ndarray]) -> None:
    for name in ("random", "random-path"):
        told = offsets[name]
        assert told.shape == (61, 3, 6) and not told[:, CENTER].any()
        assert (told[:, 0, SHIFT] >= 0).all() and (told[:, 2, SHIFT] <= 0).all(), "each to its side"
        assert np.abs(told[:, :, SHIFT]).max() <= RANGE.shift_m and np.abs(told[:, 0, SHIFT]).max() > 0.5
        assert 0.5 * RANGE.yaw_rad < np.abs(told[:, :, YAW]).max() <= RANGE.yaw_rad
    drawn = offsets["random"]
    assert 0.5 < np.abs(drawn[:, :, FASTER]).max() <= 5 * RANGE.along
    assert 0.7 < np.abs(drawn[:, :, ACROSS]).max() <= 5 * RANGE.across
    assert not drawn[:, :, YAW_RATE].any()
    assert len(np.unique(drawn[:, 0, YAW])) == 61, "anew for every picture"
    assert (offsets["random-speed"][10:, 0, FASTER] < -RANGE.along * 5).any(), "also nearly standing"
    assert offsets["fixed"].shape == (61, 3, 3)


def test_a_camera_on_a_path_moves_as_fast_as_its_state_reads(offsets: dict[str, np.ndarray]) -> None:
    told = offsets["random-path"]
    turned = np.diff(told[:, :, YAW], axis=0) * 10
    np.testing.assert_allclose(turned, told[1:, :, YAW_RATE], atol=1e-4)
    assert np.abs(turned).max() <= RANGE.yaw_rate_radps + 1e-5
    assert np.hypot(told[:, :, FASTER], told[:, :, ACROSS]).max() <= 5 * RANGE.across + 1e-5
    outwards = np.abs(told[1:, [0, 2], SHIFT]) - np.abs(told[:-1, [0, 2], SHIFT])
    assert outwards.max() <= 0.1 * 5 * RANGE.across + 1e-5, "only a trunk in the way makes it go faster, and back"
    assert np.abs(np.diff(told[:, 0, YAW])).max() < np.abs(np.diff(offsets["random"][:, 0, YAW])).max()


def test_the_flight_itself_is_the_same_wherever_the_cameras_stand() -> None:
    fixed, drawn = flown("fixed", 20, expert=True), flown("random", 20, expert=True)
    for one, other in zip(fixed, drawn):
        assert one["progress_m"] == other["progress_m"]
        np.testing.assert_array_equal(one["expert_costs"][CENTER], other["expert_costs"][CENTER])


@pytest.mark.parametrize("placement", ["random", "random-path"])
def test_state_goal_and_label_at_a_camera_are_those_of_a_drone_that_flies_there(placement: str) -> None:
    env = DroneEnv(side_cameras=placement, expert=True, **SMALL)
    there = DroneEnv(expert=True, **SMALL)
    env.reset(seed=11)
    there.reset(seed=11)
    for _ in range(5):
        env.vehicle.put(env.pose()[0] + [2.0, 0.1, 0.0], 0.2, 4.0)
        env._place_cameras()
        labels = env.expert_labels()
        seen = env._observation()
        offsets = env.views.offsets
        state, goal = read_at(
            env.task_spec, seen["state"][None].repeat(3, 0), seen["goal"][None].repeat(3, 0), offsets, True
        )
        for camera, (shift, yaw, along, across, yaw_rate, _) in enumerate(offsets.astype(float)):
            heading = 0.2 + yaw
            place = env.pose()[0] + shift * np.array([-np.sin(0.2), np.cos(0.2), 0.0])
            velocity = np.array([4 * np.cos(0.2), 4 * np.sin(0.2), 0.0])
            velocity[:2] += along * np.array([np.cos(heading), np.sin(heading)])
            velocity[:2] += across * np.array([-np.sin(heading), np.cos(heading)])
            there.vehicle.place(place, heading, velocity)
            there._place_cameras()
            expected = there._observation()
            expected["state"][there.task_spec.index("yaw_rate_radps")] += yaw_rate
            np.testing.assert_allclose(state[camera], expected["state"], atol=1e-4)
            np.testing.assert_allclose(goal[camera], expected["goal"], atol=1e-4)
            own = there.expert_labels()
            np.testing.assert_allclose(labels.costs[camera], own.costs[CENTER], rtol=0.02, atol=0.02)
            assert labels.actions[camera, 0] == pytest.approx(own.actions[CENTER, 0], abs=0.06)
    env.close()
    there.close()


def test_cameras_have_the_room_that_a_drone_needs() -> None:
    env = DroneEnv(side_cameras="random", density=0.12, **SMALL)
    env.draw_only(())
    env.reset(seed=5)
    trees = env.world.trees
    for x in np.arange(2.0, 38.0, 1.0):
        env.vehicle.put(np.array([x, 0.0, 1.8]), 0.3, 3.0)
        env._place_cameras()
        for eye, offset in zip(env.views.eyes, env.views.offsets):
            gap_m = np.min(np.hypot(trees[:, 0] - eye[0], trees[:, 1] - eye[1]) - trees[:, 2])
            assert gap_m > BODY_RADIUS_M - 0.11 or offset[SHIFT] == 0, "0.11 m: where on the body the camera sits"
            assert eye[2] == pytest.approx(1.8, abs=0.1), "level"
    env.close()


def test_room_aside_ends_at_the_first_trunk_and_at_the_edge_of_the_map() -> None:
    trees = np.array([[0.0, 2.0, 0.3, 5.0, 0.0, 0.0, 0.0]], np.float32)
    clearance = build_clearance_map(trees, (-5.0, 5.0, -1.0, 5.0))
    left, right = np.array([0.0, 1.0]), np.array([0.0, -1.0])
    here = np.zeros(2)
    assert room_aside_m(clearance, here, left, 1.5, 0.35) == pytest.approx(1.3, abs=0.11)
    assert room_aside_m(clearance, here, left, 0.8, 0.35) == 0.8
    assert room_aside_m(clearance, here, right, 1.5, 0.35) == pytest.approx(1.0, abs=0.01)
    assert room_aside_m(clearance, np.array([0.0, 1.6]), left, 1.5, 0.35) == 0.0


def test_room_aside_ends_at_what_moves() -> None:
    here = np.array([1.0, 2.0])
    left = np.array([0.0, 1.0])
    one = np.array([[1.0, 4.0, 0.4]])
    assert room_before_discs_m(one, here, left, 0.35) == pytest.approx(2.0 - 0.75)
    assert room_before_discs_m(one, here, -left, 0.35) == np.inf
    assert room_before_discs_m(np.array([[1.6, 4.0, 0.4]]), here, left, 0.35) == pytest.approx(2.0 - 0.45)
    assert room_before_discs_m(np.array([[1.8, 4.0, 0.4]]), here, left, 0.35) == np.inf
    assert room_before_discs_m(np.array([[1.0, 2.1, 0.4]]), here, left, 0.35) == 0.0


def test_cameras_keep_out_of_walkers() -> None:
    env = DroneEnv(movers=8, density=0.0, side_cameras="random", **SMALL)
    env.draw_only(())
    nearest_m = np.inf
    for seed in range(8):
        env.reset(seed=seed)
        over = False
        while not over:
            over = any(env.step(np.array([0.0, 1.0], np.float32))[2:4])
            eyes = env.views.eyes[:, None, :2]
            aside = np.abs(env.views.offsets[:, SHIFT]) > 0.05
            gaps = np.hypot(*np.moveaxis(eyes - env.course.traffic.places_m(), -1, 0))[aside]
            nearest_m = min(nearest_m, gaps.min(initial=np.inf))
    env.close()
    assert 0.5 < nearest_m < 1.5


def test_a_copy_in_the_middle_of_a_flight_goes_on_with_the_same_cameras() -> None:
    env = DroneEnv(side_cameras="random-path", **SMALL)
    env.draw_only(())
    env.reset(seed=3)
    env.step(np.array([0.1, 1.0]))
    twin = copy.deepcopy(env)
    for _ in range(3):
        one, other = (each.step(np.array([0.2, 1.0]))[4]["camera_offsets"] for each in (env, twin))
        np.testing.assert_array_equal(one, other)
        assert one[0, BEARING] < 0, "further left, the goal ahead lies further right"
    env.close()
    twin.close()


@pytest.mark.parametrize(
    ("kind", "placement", "told"), [(DroneEnv, "many", "random-path"), (DriveEnv, "random-path", "random-speed")]
)
def test_a_placement_that_there_is_not_is_refused(kind: Any, placement: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        kind(side_cameras=placement)
