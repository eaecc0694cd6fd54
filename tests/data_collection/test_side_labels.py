"""Labels of side cameras: by rule, by the expert, at every pose that a camera can have; checked as geometry."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_collection.augmentation import flip_batch
from data_collection.dataset import Dataset
from data_collection.episode import EpisodeError, load_episode
from data_collection.side_labels import RETURN_S, constant_label, fixed_offsets, geometric_label
from data_collection.windows import Batch, WindowReader
from sim.envs.task_spec import TaskSpec, side_view
from tests.data_collection.episodes import make_drive_spec, make_episode, make_spec, random_offsets

DRONE, CAR = make_spec(), make_drive_spec()
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


def drive(spec: TaskSpec, turn: float, pose: np.ndarray, distance_m: float) -> np.ndarray:
    """(4000, 2) positions along a circle of the turn's curvature, integrated; pose is x, y, heading."""
    curvature = np.tan(turn * spec.max_turn_rad) / spec.wheelbase_m
    step, path, (x, y, heading) = distance_m / 4000, [], pose
    for _ in range(4000):
        middle = heading + 0.5 * step * curvature
        x, y, heading = x + step * np.cos(middle), y + step * np.sin(middle), heading + step * curvature
        path.append((x, y))
    return np.array(path)


@pytest.mark.parametrize(("turn", "speed"), [(0.0, 10.0), (0.3, 6.0), (-0.2, 10.0), (0.1, 18.0), (0.6, 1.0)])
@pytest.mark.parametrize(("shift", "yaw"), [(1.0, 0.0), (-0.6, 0.1), (0.3, -0.2)])
def test_a_car_at_the_shifted_pose_is_back_on_the_line_after_two_seconds(
    turn: float, speed: float, shift: float, yaw: float
) -> None:
    """A slow twin: both cars are driven step by step, and the second crosses the first one's line where it should."""
    distance = max(speed * RETURN_S, 4.0)
    line = drive(CAR, turn, np.zeros(3), distance)
    answer = label(CAR, turn, shift, yaw, speed)
    assert abs(answer) < 1.0
    back = drive(CAR, answer, np.array([0.0, shift, yaw]), 1.2 * distance)
    assert np.hypot(*(back - line[-1]).T).min() < 0.02


@given(turns, shifts, speeds)
@settings(deadline=None)
def test_a_camera_further_left_steers_more_to_the_right(turn: float, shift: float, speed: float) -> None:
    assume(abs(shift) > 0.01)
    center, shifted = label(CAR, turn, 0.0, 0.0, speed), label(CAR, turn, shift, 0.0, speed)
    assert (shifted - center) * np.sign(shift) <= 1e-6


def test_the_rule_for_a_straight_line_by_hand() -> None:
    # 1 m left of a straight line at 10 m/s: a circle through (20, -1), of curvature -2 / 401 per metre.
    wanted = np.arctan(2.4 * -2 / 401) / 0.52
    assert label(CAR, 0.0, 1.0, 0.0, 10.0) == pytest.approx(wanted, abs=1e-6)


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
        (lambda offsets: offsets[:-1], r"camera_offsets.*must be float32 \(31, 3, 2\)"),
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
        return Batch(*map(torch.from_numpy, arrays), None, torch.ones((1, 4), dtype=torch.bool))

    flipped = flip_batch(window(state, goal, actions, offset), CAR, torch.ones(1, dtype=torch.bool))
    mirrored = window(state * mirror_state, goal * mirror_goal, actions * np.float32([-1, 1]), -offset)
    for name in ("state", "goal", "actions"):
        assert torch.allclose(getattr(flipped, name), getattr(mirrored, name), atol=1e-5)
