"""`Drive-v0`: interventions are made and counted, side cameras stand where they say, bad arguments are refused."""

import math

import gymnasium
import numpy as np
import pytest

import forestpilot.sim  # noqa: F401
from forestpilot.sim.courses.road import COMMAND_GOALS, LANE_M
from forestpilot.sim.envs.drive import DriveEnv
from forestpilot.sim.experts.expert import CameraViews
from forestpilot.sim.worlds.roads.road import COMMAND_NAMES
from forestpilot.sim.worlds.world import LOG
from tests.sim.worlds import road_of, straight_route


def drive(env, seed, pilot, steps=10_000):
    """Infos of a drive, the first one included."""
    observation, info = env.reset(seed=seed)
    infos = [info]
    for _ in range(steps):
        observation, _, terminated, truncated, info = env.step(pilot(observation, info))
        infos.append(info)
        if terminated or truncated:
            break
    return infos


def expert(observation, info):
    return info["expert_action"][1]


def straight_on(observation, info):
    return np.array([0.0, np.clip(0.5 * (6.0 - info["speed_mps"]), -1, 1)])


@pytest.mark.parametrize("preset", ["easy", "winding", "junctions", "obstacles"])
def test_the_expert_drives_every_preset_to_its_end_on_its_line(preset):
    env = DriveEnv(preset, expert=True, length=250.0, width=32, height=24)
    for seed in (2, 3):
        infos = drive(env, seed, expert)
        assert infos[-1]["outcome"] == "success"
        assert infos[-1]["progress_m"] == pytest.approx(env.world.route.length_m, abs=3.0)
        assert max(abs(info["lateral_offset_m"]) for info in infos) < LANE_M
        assert not any(info["lane_departure"] or info["off_road"] for info in infos)
    env.close()


def test_off_the_line_the_car_is_put_back_and_counted():
    env = DriveEnv("winding", interventions="line", length=200.0, width=32, height=24)
    infos = drive(env, 11, straight_on)
    last = infos[-1]
    assert last["outcome"] == "success" and last["interventions"] >= 3
    assert last["interventions"] == sum(info["intervened"] for info in infos)
    assert max(abs(info["lateral_offset_m"]) for info in infos) <= LANE_M
    put_back = [info for info in infos if info["intervened"]]
    assert all(abs(info["lateral_offset_m"]) < 0.05 and abs(info["heading_error_rad"]) < 0.05 for info in put_back)
    assert all(info["lane_departure"] for info in put_back)
    env.close()


def test_off_the_road_needs_more_than_off_the_line():
    counts = {}
    for mode in ("line", "road"):
        env = DriveEnv("winding", interventions=mode, length=200.0, width=32, height=24)
        counts[mode] = drive(env, 11, straight_on)[-1]["interventions"]
        env.close()
    assert 0 < counts["road"] < counts["line"]


def test_without_interventions_the_forest_ends_the_drive():
    env = DriveEnv("winding", length=300.0, width=32, height=24)
    outcomes = {drive(env, seed, straight_on)[-1]["outcome"] for seed in range(6)}
    assert outcomes <= {"out_of_bounds", "collision"}
    env.close()


@pytest.mark.parametrize("mode", ["none", "line", "road"])
def test_a_log_in_the_way_ends_the_drive_or_is_an_intervention(mode, monkeypatch):
    log = [60.0, 0.0, math.pi / 2, 3.0, 0.5, 0.0, 0.5, LOG]
    world = road_of(straight_route(120.0), np.array([log]))
    env = DriveEnv("easy", interventions=mode, width=32, height=24)
    monkeypatch.setattr(env.course, "make_world", lambda seed: world)
    last = drive(env, 0, straight_on)[-1]
    if mode == "none":
        assert last["outcome"] == "collision" and 55.0 < last["progress_m"] < 60.0
    else:
        assert last["outcome"] == "success" and last["interventions"] >= 1
    env.close()


def test_a_car_that_stands_still_is_an_intervention_too():
    env = DriveEnv("easy", interventions="line", length=200.0, width=32, height=24)
    infos = drive(env, 1, lambda observation, info: np.array([0.0, -1.0]), steps=120)
    assert infos[-1]["interventions"] == 2
    env.close()


@pytest.mark.parametrize("speed", [2.0, 20.0])
def test_the_expert_has_time_enough_at_any_set_point(speed):
    env = DriveEnv("winding", expert=True, speed=speed, length=120.0, width=32, height=24)
    infos = drive(env, 12, expert)
    assert infos[-1]["outcome"] == "success" and len(infos) < 0.8 * env._max_steps
    env.close()


def test_progress_is_never_counted_backwards_by_an_intervention():
    env = DriveEnv("winding", interventions="line", length=200.0, width=32, height=24)
    progress = [info["progress_m"] for info in drive(env, 11, straight_on)]
    assert np.diff(progress).min() > -0.2
    env.close()


def test_being_put_back_at_the_end_of_a_road_makes_it_no_longer(monkeypatch):
    log = [118.6, 0.0, math.pi / 2, 3.0, 0.5, 0.0, 0.5, LOG]
    world = road_of(straight_route(120.0), np.array([log]))
    env = DriveEnv("easy", interventions="line", width=32, height=24)
    monkeypatch.setattr(env.course, "make_world", lambda seed: world)
    last = drive(env, 0, straight_on)[-1]
    assert last["outcome"] == "success" and last["interventions"] >= 1
    assert last["progress_m"] <= world.route.length_m
    env.close()


def test_a_lap_of_a_circuit_is_a_success():
    env = DriveEnv("winding", expert=True, width=32, height=24)
    seed = next(seed for seed in range(50) if env.make_world(seed).route.closed)
    last = drive(env, seed, expert)[-1]
    assert last["outcome"] == "success" and last["progress_m"] > 0.9 * env.world.route.length_m
    env.close()


def test_random_side_cameras_stand_where_the_info_says():
    env = DriveEnv("easy", side_cameras="random", expert=True)
    observation, info = env.reset(seed=3)
    offsets = info["camera_offsets"]
    assert offsets[0, 0] > 0 > offsets[2, 0] and not offsets[1].any()
    position, rotation = env.pose()
    eyes, axes = env.rig.poses(position, rotation, offsets)
    drawn = env._renderer.render(eyes, axes)
    assert np.array_equal(drawn.rgb[0], observation["left"]) and np.array_equal(drawn.rgb[2], observation["right"])
    _, _, _, _, later = env.step(np.zeros(2))
    assert not np.array_equal(later["camera_offsets"], offsets)
    env.close()


def test_labels_at_side_poses_lead_back_to_the_line():
    env = DriveEnv("easy", side_cameras="fixed", expert=True, speed=8.0)
    infos = drive(env, 5, expert, steps=150)
    left, center, right = np.mean([info["expert_action"][:, 0] for info in infos[60:]], axis=0)
    assert left < center - 0.05 and right > center + 0.05
    env.close()


def test_a_label_is_what_the_expert_says_to_a_car_that_stands_there():
    env = DriveEnv("easy", side_cameras="random", expert=True, speed=8.0)
    infos = drive(env, 5, expert, steps=100)
    shift, yaw, _ = infos[-1]["camera_offsets"][0].astype(float)
    turn = infos[-1]["expert_action"][0]
    car, (place, rotation) = env.vehicle, env.pose()
    steering, speed = car.steering_rad, car.forward_mps
    heading = math.atan2(rotation[1, 0], rotation[0, 0])
    lens = env.rig.forward_m * (np.array([math.cos(heading), math.sin(heading)]) - [
        math.cos(heading + yaw), math.sin(heading + yaw)])  # fmt: skip
    rate = car.state[12]
    car.put(place[:2] + shift * np.array([-math.sin(heading), math.cos(heading)]) + lens, heading + yaw, speed)
    car.steering_rad, car.state[12] = steering, rate
    eyes, axes = env.rig.poses(*env.pose())
    env.views = CameraViews(eyes, axes, np.zeros((3, 3)))
    assert env.expert_labels().actions[1] == pytest.approx(turn, abs=0.05)
    env.close()


def test_the_expert_is_asked_at_other_speeds_too():
    env = DriveEnv("easy", side_cameras="random-speed", expert=True, speed=8.0)
    infos = drive(env, 5, expert, steps=150)[40:]
    offsets = np.array([info["camera_offsets"] for info in infos])
    speeds = np.array([info["speed_mps"] for info in infos])[:, None] + offsets[:, (0, 2), 2]
    assert not offsets[:, 1].any() and speeds.min() > -0.1 and speeds.max() < 1.3 * 8.0 + 0.1
    go = np.array([info["expert_action"][(0, 2), 1] for info in infos])
    assert go[speeds < 3.0].min() > 0.5 and go[speeds > 9.5].max() < 0.0
    env.close()


def test_the_goal_tells_the_command():
    env = DriveEnv("junctions", expert=True, length=300.0, width=32, height=24)
    seen = set()
    observation, info = env.reset(seed=6)
    done = False
    while not done:
        assert np.array_equal(observation["goal"], COMMAND_GOALS[COMMAND_NAMES.index(info["command"])])
        seen.add(info["command"])
        observation, _, terminated, truncated, info = env.step(info["expert_action"][1])
        done = terminated or truncated
    assert "follow" in seen and len(seen) > 1
    env.close()


@pytest.mark.parametrize("turn", ["left", "straight", "right"])
def test_a_route_can_be_asked_for(turn):
    env = DriveEnv("junctions", route=turn)
    env.reset(seed=8)
    commands = {COMMAND_NAMES[c] for c in env.world.route.command}
    assert commands == {"follow", turn}
    env.close()


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ({"preset": "motorway"}, "winding"),
        ({"route": "back"}, "straight"),
        ({"max_curvature": 0.5}, "bend"),
        ({"max_curvature": -0.1}, "bend"),
        ({"speed": 25.0}, "20"),
        ({"side_cameras": "many"}, "random"),
        ({"interventions": "always"}, "road"),
        ({"length": -5.0}, "length"),
        ({"control_hz": 7}, "240"),
        ({"renderer": "pencil"}, "raycast"),
    ],
)
def test_bad_arguments_are_refused_and_the_message_helps(argument, names):
    with pytest.raises(ValueError, match=names):
        gymnasium.make("ForestPilot/Drive-v0", **argument)


def test_a_nan_action_is_refused_and_loses_nothing():
    env = DriveEnv("easy", width=32, height=24)
    env.reset(seed=1)
    before = env.state_hash()
    with pytest.raises(ValueError, match="finite"):
        env.step(np.array([np.nan, 0.0]))
    assert env.state_hash() == before
    env.close()
