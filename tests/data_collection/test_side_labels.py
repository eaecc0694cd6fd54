"""Labels of side cameras: by rule, by the expert, at every pose that a camera can have; checked as geometry."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.errors import EpisodeError
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env
from forestpilot.data_collection.windows.augmentation import mirror
from forestpilot.data_collection.windows.side_labels import constant_label, fixed_offsets, geometric_label
from forestpilot.data_collection.windows.windows import Batch, WindowReader
from forestpilot.sim.envs.task_spec import TaskSpec, side_view
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.vehicles.turns import RETURN_S
from tests.helpers.episodes import make_episode, random_offsets
from tests.helpers.specs import small_drive_spec, small_spec

DRONE, CAR = small_spec(), small_drive_spec()
STEPS = 30

turns = st.floats(-1, 1, width=32)
shifts = st.floats(-1.2, 1.2)
yaws = st.floats(-0.25, 0.25)
speeds = st.floats(0, 20)


def label(spec: TaskSpec, turn: float, shift_m: float, yaw_rad: float, speed_mps: float = 8.0) -> float:
    actions = np.array([turn, 0.5], dtype=np.float32)
    answer = geometric_label(spec, actions, np.array([shift_m, yaw_rad]), np.array(speed_mps))
    assert actions.tolist() == [np.float32(turn), 0.5]
    assert answer.dtype == np.float32
    assert answer[1] == 0.5
    assert -1.0 <= answer[0] <= 1.0
    return float(answer[0])


@given(turns, st.floats(-0.7, 0.7))
@settings(deadline=None)
def test_a_change_of_heading_keeps_the_course(turn: float, yaw: float) -> None:
    answer = label(DRONE, turn, 0.06, yaw)
    wanted = turn * DRONE.max_turn_rad - yaw
    assert answer == pytest.approx(np.clip(wanted / DRONE.max_turn_rad, -1, 1), abs=1e-6)


@given(turns, shifts, yaws, speeds, st.sampled_from([DRONE, CAR]))
@settings(deadline=None)
def test_labels_mirror_with_the_world(turn: float, shift: float, yaw: float, speed: float, spec: TaskSpec) -> None:
    ours, mirrored = label(spec, turn, shift, yaw, speed), label(spec, -turn, -shift, -yaw, speed)
    assert mirrored == pytest.approx(-ours, abs=1e-6)


@given(turns, speeds)
@settings(deadline=None)
def test_a_camera_that_is_not_moved_keeps_the_label(turn: float, speed: float) -> None:
    assert label(CAR, turn, 0.0, 0.0, speed) == pytest.approx(turn, abs=1e-5)


@pytest.mark.parametrize("speed", [1.0, 6.0, 15.0])
@pytest.mark.parametrize(("shift", "yaw"), [(0.5, 0.0), (-0.6, 0.1), (0.3, -0.1)])
def test_the_way_back_is_the_cubic_that_ends_on_the_line(shift: float, yaw: float, speed: float) -> None:
    """A slow twin: the cubic from its four conditions at both ends, its curvature at the camera."""
    d = max(speed * RETURN_S, 4.0)
    conditions = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, d, d**2, d**3], [0, 1, 2 * d, 3 * d**2]])
    cubic = np.linalg.solve(conditions, [shift, yaw, 0.0, 0.0])
    assert np.tan(label(CAR, 0.0, shift, yaw, speed) * CAR.max_turn_rad) == pytest.approx(
        CAR.wheelbase_m * 2 * cubic[2], abs=1e-6
    )


@pytest.mark.parametrize("turn", [-0.4, 0.0, 0.2])
@pytest.mark.parametrize(("shift", "yaw"), [(1.0, 0.0), (-0.6, 0.1), (0.0, -0.2)])
def test_a_car_that_follows_the_labels_comes_back_to_its_line(turn: float, shift: float, yaw: float) -> None:
    speed, step_m, position, heading = 5.0, 0.02, np.array([0.0, shift]), yaw
    radius = CAR.wheelbase_m / np.tan(turn * CAR.max_turn_rad) if turn else np.inf
    for _ in range(int(3 * speed * RETURN_S / step_m)):
        to_center = np.array([0.0, radius]) - position
        distance = np.hypot(*to_center)
        off = position[1] if not turn else np.sign(radius) * (abs(radius) - distance)
        along = 0.0 if not turn else np.arctan2(*(np.sign(radius) * to_center * [-1, 1]))
        error = (heading - along + np.pi) % (2 * np.pi) - np.pi
        steering = label(CAR, turn, float(off), float(error), speed) * CAR.max_turn_rad
        position = position + step_m * np.array([np.cos(heading), np.sin(heading)])
        heading += step_m * np.tan(steering) / CAR.wheelbase_m
    assert abs(off) < 0.05
    assert abs(error) < 0.02


@given(turns, shifts, speeds)
@settings(deadline=None)
def test_a_camera_further_left_steers_more_to_the_right(turn: float, shift: float, speed: float) -> None:
    center, shifted = label(CAR, turn, 0.0, 0.0, speed), label(CAR, turn, shift, 0.0, speed)
    assert (shifted - center) * np.sign(shift) <= 1e-6


def test_the_rule_on_a_straight_line_by_hand() -> None:
    # 1 m left of a straight line at 10 m/s: back within 20 m, -6 / 400 per metre; 0.1 rad: -0.4 / 20.
    assert label(CAR, 0.0, 1.0, 0.0, 10.0) == pytest.approx(
        np.arctan(-CAR.wheelbase_m * 6 / 400) / CAR.max_turn_rad, abs=1e-6
    )
    assert label(CAR, 0.0, 0.0, 0.1, 10.0) == pytest.approx(
        np.arctan(-CAR.wheelbase_m * 0.4 / 20) / CAR.max_turn_rad, abs=1e-6
    )


def test_a_constant_adds_the_same_whatever_turn_and_speed() -> None:
    actions = np.random.default_rng(0).uniform(-0.7, 0.7, (STEPS, 2)).astype(np.float32)
    offsets = np.tile(fixed_offsets(CAR)[0], (STEPS, 1))
    added = constant_label(CAR, actions, offsets) - actions
    assert np.allclose(added[:, 0], label(CAR, 0.0, 0.5, 0.14, 10.0), atol=1e-6)
    assert added[0, 0] < 0
    assert not added[:, 1].any()
    assert np.abs(constant_label(CAR, actions * 2, offsets)).max() <= 2 * 0.7


def test_fixed_offsets_are_those_of_the_task() -> None:
    assert np.allclose(fixed_offsets(CAR), [[0.5, 0.14], [0, 0], [-0.5, -0.14]])
    assert fixed_offsets(CAR).dtype == np.float32


# Through files and windows.


def drive_episode(seed: int, offsets: bool = True, **options: Any):
    episode = make_episode(seed, STEPS, CAR, env_id="ForestPilot/Drive-v0", **options)
    episode.observations["state"][:, 0] += 8.0
    if offsets:
        episode.camera_offsets = random_offsets(np.random.default_rng(seed), STEPS + 1)
    return episode


def make_dataset(folder: Path, *episodes: Any) -> Dataset:
    dataset = Dataset.create(folder, CAR, "ForestPilot/Drive-v0")
    for episode in episodes:
        dataset.add(episode)
    return dataset


def test_offsets_of_every_picture_are_stored_with_the_episode(tmp_path: Path) -> None:
    episode = drive_episode(3)
    path = make_dataset(tmp_path, episode).path_of(0, 3)
    assert np.array_equal(load_episode(path).camera_offsets, episode.camera_offsets)
    part = load_episode(path, start=5, stop=9)
    assert np.array_equal(part.camera_offsets, episode.camera_offsets[5:10])
    part.validate()
    assert load_episode(make_dataset(tmp_path / "old", drive_episode(4, False)).path_of(0, 4)).camera_offsets is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda offsets: offsets[:-1], r"camera_offsets.*must be float32 \(31, 3, any\)"),
        (lambda offsets: offsets * np.float32(np.nan), "camera_offsets has NaN"),
        (lambda offsets: offsets + np.float32(0.1), "moves the center camera"),
    ],
)
def test_wrong_offsets_are_refused(spoil: Any, message: str) -> None:
    episode = drive_episode(3)
    with pytest.raises(EpisodeError, match=message):
        dataclasses.replace(episode, camera_offsets=spoil(episode.camera_offsets)).validate()


def told(batch: Batch, row: int) -> tuple[int, int]:
    """(first step, camera) that the pictures of a window tell."""
    _, step, camera = batch.views[row, 0, 0, 0, 0].tolist()
    return step, camera


@pytest.mark.parametrize("cache_bytes", [0, 2**30])
@pytest.mark.parametrize("expert", [True, False])
@pytest.mark.parametrize("side_labels", ["asked", "geometric", "constant"])
def test_windows_carry_the_labels_of_their_pose(
    tmp_path: Path, side_labels: Any, expert: bool, cache_bytes: int
) -> None:
    source = drive_episode(9, expert=expert)
    reader = WindowReader([make_dataset(tmp_path, source)], 4, side_labels=side_labels, cache_bytes=cache_bytes)
    batch = reader.sample(120, np.random.default_rng(0))
    center_actions = source.expert_actions[:, 1] if expert else source.actions
    assert (batch.costs is not None) == (expert and side_labels == "asked")
    assert {told(batch, row)[1] for row in range(120)} == {0, 1, 2}
    for row in range(120):
        step, camera = told(batch, row)
        steps = slice(step, step + 4)
        state, goal, offsets = source.observations["state"], source.observations["goal"], source.camera_offsets
        wanted = center_actions[steps]
        if camera != 1 and side_labels == "constant":
            wanted = constant_label(CAR, wanted, offsets[:, camera])
        elif camera != 1 and side_labels == "asked" and expert:
            wanted = source.expert_actions[steps, camera]
        elif camera != 1:
            wanted = geometric_label(CAR, wanted, offsets[steps, camera], state[steps, 0])
        assert np.array_equal(batch.actions[row], wanted)
        seen = side_view(CAR, state[steps], goal[steps], offsets[steps, camera, 1])
        assert np.array_equal(batch.state[row], seen[0])
        assert np.array_equal(batch.goal[row], goal[steps])
        if batch.costs is not None:
            assert np.array_equal(batch.costs[row], source.expert_costs[steps, camera])


def test_demonstrated_drives_carry_the_poses_of_their_cameras(tmp_path: Path) -> None:
    mix = ScenarioMix(options=DriveOptions(side_cameras="random", length=60.0), width=32, height=24)
    dataset = collect(CollectConfig(out=str(tmp_path / "drives"), task="drive", episodes=2, workers=1, mix=mix))
    spec = dataset.task_spec
    assert spec.turn_kind == "steering"
    episodes = {header.meta.seed: load_episode(header.path) for header in dataset.episodes}
    for episode in episodes.values():
        assert episode.camera_offsets.shape == (episode.num_steps + 1, 3, 3)
        assert len(np.unique(episode.camera_offsets[:, 0, 0])) == episode.num_steps + 1
    batch = WindowReader([dataset], 1, side_labels="geometric").sample(200, np.random.default_rng(0))
    assert batch.views.shape == (200, 1, 1, 24, 32, 3)
    asked = np.concatenate([e.expert_actions[:, :, 0] for e in episodes.values()])
    rules = [
        geometric_label(
            spec,
            np.repeat(e.expert_actions[:, 1:2], 3, axis=1),
            e.camera_offsets[:-1, :, :2],
            e.observations["state"][:-1, :1],
        )
        for e in episodes.values()
    ]
    rule = np.concatenate(rules)[..., 0]
    # The rule is no expert, but it is nearer to one than leaving the label as it is.
    sides, center = [0, 2], asked[:, 1:2]
    assert np.abs(rule - asked)[:, sides].mean() < 0.8 * np.abs(center - asked)[:, sides].mean()
    assert np.corrcoef((rule - center)[:, sides].ravel(), (asked - center)[:, sides].ravel())[0, 1] > 0.5


@pytest.mark.parametrize("side_labels", ["asked", "geometric"])
def test_only_the_expert_answers_for_another_speed(side_labels: Any, tmp_path: Path) -> None:
    """Speed and yaw rate of the state change with the speed that was asked about, on the same arc."""
    source = drive_episode(3)
    faster = np.random.default_rng(0).uniform(-6, 4, (STEPS + 1, 3, 1)).astype(np.float32)
    faster[:, 1] = 0
    source.camera_offsets = np.concatenate([source.camera_offsets, faster], axis=2)
    dataset = make_dataset(tmp_path / "data", source)
    assert np.array_equal(load_episode(dataset.path_of(0, 3)).camera_offsets, source.camera_offsets)
    speed, yaw_rate = CAR.index("forward_mps"), CAR.index("yaw_rate_radps")
    before = source.observations["state"][:-1]
    told = {}
    for camera in range(3):
        shares = np.eye(3)[camera]
        reader = WindowReader([dataset], STEPS, side_labels=side_labels, side_probabilities=shares)
        told[camera] = reader.sample(1, np.random.default_rng(1)).state[0]
    asked = float(side_labels == "asked")
    for camera in range(3):
        expected = before[:, speed] + asked * faster[:-1, camera, 0]
        assert np.allclose(told[camera][:, speed], expected, atol=1e-5)
        arc = np.where(asked * faster[:-1, camera, 0] != 0, expected / np.maximum(before[:, speed], 3.0), 1.0)
        assert np.allclose(told[camera][:, yaw_rate], before[:, yaw_rate] * arc, atol=1e-5)


def test_without_recorded_offsets_the_cameras_stand_as_the_task_says(tmp_path: Path) -> None:
    source = drive_episode(9, offsets=False)
    batch = WindowReader([make_dataset(tmp_path, source)], 4, side_labels="geometric").sample(60)
    for row in range(60):
        step, camera = told(batch, row)
        center, speed = source.expert_actions[step : step + 4, 1], source.observations["state"][step : step + 4, 0]
        if camera != 1:
            assert np.array_equal(batch.actions[row], geometric_label(CAR, center, fixed_offsets(CAR)[camera], speed))


def test_none_leaves_the_side_cameras_out(tmp_path: Path) -> None:
    batch = WindowReader([make_dataset(tmp_path, drive_episode(9))], 4, side_labels="none").sample(60)
    assert {told(batch, row)[1] for row in range(60)} == {1}
    assert batch.costs is not None


@pytest.mark.parametrize("side_labels", ["asked", "geometric"])
def test_memory_of_the_cache_is_counted_right(tmp_path: Path, side_labels: Any) -> None:
    reader = WindowReader([make_dataset(tmp_path, drive_episode(9), drive_episode(4))], 4, side_labels=side_labels)
    assert reader.cache_bytes_used == sum(steps.num_bytes for steps in reader._cache.values())


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_the_mirror_image_of_what_the_left_camera_learns_is_what_the_right_one_learns(seed: int) -> None:
    """Labels are made before windows are mirrored: offsets need no mirroring of their own."""
    rng = np.random.default_rng(seed)
    mirror_state, mirror_goal = np.float32(CAR.state_mirror), np.float32(CAR.goal_mirror)
    state = rng.normal(0, 0.3, (1, 4, CAR.state_size)).astype(np.float32)
    goal = np.zeros((1, 4, 2), np.float32)
    goal[..., 1] = 1.0
    actions = rng.uniform(-0.5, 0.5, (1, 4, 2)).astype(np.float32)
    offset = np.array([rng.uniform(0, 1.2), rng.uniform(-0.2, 0.2)])

    def window(state: np.ndarray, goal: np.ndarray, actions: np.ndarray, offset: np.ndarray) -> Batch:
        told_state, told_goal = side_view(CAR, state, goal, float(offset[1]))
        labels = geometric_label(CAR, actions, offset, state[..., 0])
        arrays = (np.zeros((1, 4, 1, 6, 8, 3), np.uint8), told_state, told_goal, labels)
        return Batch(*arrays, None, np.ones((1, 4), dtype=bool))

    flipped = mirror(window(state, goal, actions, offset), CAR, np.ones(1, dtype=bool))
    mirrored = window(state * mirror_state, goal * mirror_goal, actions * np.float32([-1, 1]), -offset)
    for name in ("state", "goal", "actions"):
        assert np.allclose(getattr(flipped, name), getattr(mirrored, name), atol=1e-5)


@pytest.mark.parametrize("side_cameras", ["random", "random-path"])
def test_demonstrated_flights_repeat_what_their_drawn_cameras_saw(side_cameras: str, tmp_path: Path) -> None:
    mix = ScenarioMix(options=DroneOptions(side_cameras=side_cameras), width=32, height=24)
    dataset = collect(CollectConfig(out=str(tmp_path / "flights"), episodes=1, workers=1, mix=mix))
    header = dataset.episodes[0]
    episode = load_episode(header.path)
    assert episode.camera_offsets.shape == (episode.num_steps + 1, 3, 6)
    assert header.path.read_bytes().startswith(b"ForestPilot episode 3 "), "older versions would learn another state"
    env = make_env(TASKS.get("drone"), **header.meta.env_kwargs)
    env.reset(seed=header.meta.seed)
    for step in range(10):
        seen, _, _, _, info = env.step(episode.actions[step])
        assert np.array_equal(info["camera_offsets"], episode.camera_offsets[step + 1])
        assert np.array_equal(seen["left"], episode.observations["left"][step + 1])
    env.close()
    spec = dataset.task_spec
    center, left = (WindowReader([dataset], 4, side_labels="asked", side_probabilities=np.eye(3)[k]) for k in (1, 0))
    asked = left.sample(20, np.random.default_rng(0))
    own = center.sample(20, np.random.default_rng(0))
    drifts = np.abs(asked.state[..., spec.index("left_mps")] - own.state[..., spec.index("left_mps")])
    assert drifts.max() > 1.0 and not np.array_equal(asked.costs, own.costs)


def test_the_constant_of_drawn_cameras_is_that_of_fixed_ones(tmp_path: Path) -> None:
    """What the left camera sees is answered by going right, wherever it looks."""
    episode = make_episode(3, STEPS, DRONE)
    episode.camera_offsets = np.zeros((STEPS + 1, 3, 6), np.float32)
    episode.camera_offsets[:, [0, 2], :5] = np.random.default_rng(0).normal(size=(STEPS + 1, 2, 5))
    dataset = Dataset.create(tmp_path, DRONE, "ForestPilot/Drone-v0")
    dataset.add(episode)
    answers = []
    for camera in range(3):
        reader = WindowReader([dataset], STEPS, side_labels="constant", side_probabilities=np.eye(3)[camera])
        answers.append(reader.sample(1, np.random.default_rng(1)).actions[0, :, 0])
    step = DRONE.side_yaw_rad / DRONE.max_turn_rad
    assert np.allclose(answers[0], np.clip(answers[1] - step, -1, 1), atol=1e-6)
    assert np.allclose(answers[2], np.clip(answers[1] + step, -1, 1), atol=1e-6)
