"""Goals in hindsight: which state becomes the goal, how it reads from each camera, and what is learned on the way."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import Episode, EpisodeError
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_POLICY
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.hindsight import RELABELS, goal_step, goals_seen_from
from forestpilot.data_collection.windows.side_labels import geometric_label
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cameras import FORWARD
from forestpilot.sim.goals import GOAL_MIRRORS, PLACE, VECTOR, distance_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

SPEC = small_spec(goal_kind=VECTOR, goal_mirror=GOAL_MIRRORS[VECTOR])
STEPS = 12


def make_dataset(folder: Path, *episodes: Episode) -> Dataset:
    dataset = Dataset.create(folder, SPEC, ENV_ID)
    for episode in episodes:
        dataset.add(episode)
    return dataset


def told_at(batch, row: int) -> tuple[int, int, int]:
    seed, step, camera = batch.views[row, 0, 0, 0, 0].tolist()
    return seed, step, camera


def reached_at(source: Episode, row_place: np.ndarray, goal: np.ndarray) -> int:
    """The step of an episode whose place a goal (3,), told from a place, is."""
    bearing = np.arctan2(goal[1], goal[0]) + row_place[2]
    place = row_place[:2] + distance_of(float(goal[2])) * np.array([np.cos(bearing), np.sin(bearing)])
    return int(np.hypot(*(source.observations[PLACE][:-1, :2] - place).T).argmin())


def test_the_goal_is_a_state_after_the_window_or_the_last_one(tmp_path: Path) -> None:
    sources = {seed: make_episode(seed, STEPS + seed, SPEC) for seed in (1, 2)}
    dataset = make_dataset(tmp_path, *sources.values())
    for relabel in ("final", "future"):
        batch = WindowReader([dataset], 3, relabel=relabel).sample(200, np.random.default_rng(0))
        later = []
        for row in range(200):
            seed, step, _ = told_at(batch, row)
            places = sources[seed].observations[PLACE][step : step + 3]
            reached = [reached_at(sources[seed], place, goal) for place, goal in zip(places, batch.goal[row])]
            assert len(set(reached)) == 1
            last = STEPS + seed - 1
            assert reached[0] == last if relabel == "final" else min(step + 3, last) <= reached[0] <= last
            later.append(reached[0] - step)
            assert np.array_equal(batch.actions[row], sources[seed].expert_actions[step : step + 3, 1])
            assert np.array_equal(batch.costs[row], sources[seed].expert_costs[step : step + 3, 1])
        assert len(set(later)) > 8


def test_goals_stay_as_they_were_told_without_relabelling(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, make_episode(1, STEPS, SPEC))
    plain = WindowReader([dataset], 3).sample(20, np.random.default_rng(0))
    same = WindowReader([dataset], 3, relabel="none").sample(20, np.random.default_rng(0))
    assert plain.grounds is None and np.array_equal(plain.goal, same.goal) and np.array_equal(plain.views, same.views)
    final = WindowReader([dataset], 3, relabel="final").sample(20, np.random.default_rng(0))
    assert np.array_equal(final.views, plain.views) and not np.array_equal(final.goal, plain.goal)


def test_goals_do_not_reach_over_a_place_where_the_vehicle_was_put_elsewhere(tmp_path: Path) -> None:
    displaced = np.arange(STEPS) == 7
    source = dataclasses.replace(make_episode(1, STEPS, SPEC), displaced=displaced)
    batch = WindowReader([make_dataset(tmp_path, source)], 2, relabel="final").sample(60, np.random.default_rng(0))
    for row in range(60):
        _, step, _ = told_at(batch, row)
        end = reached_at(source, source.observations[PLACE][step], batch.goal[row, 0])
        assert end == (6 if step < 7 else STEPS - 1)


def test_what_was_done_is_learned_whoever_did_it(tmp_path: Path) -> None:
    own = make_episode(1, STEPS, SPEC, expert=False)
    failed = dataclasses.replace(own, actor=np.full(STEPS, ACTOR_POLICY, np.uint8))
    dataset = make_dataset(tmp_path, failed)
    batch = WindowReader([dataset], 3, relabel="future").sample(20, np.random.default_rng(0))
    assert batch.mask.all()
    for row in range(20):
        _, step, _ = told_at(batch, row)
        assert np.array_equal(batch.actions[row], failed.actions[step : step + 3])
    with pytest.raises(DatasetError, match="nothing to learn from"):
        WindowReader([dataset], 3)


def test_the_expert_is_believed_where_it_drove_and_the_rule_where_a_policy_did(tmp_path: Path) -> None:
    actor = np.where(np.arange(STEPS) < 6, ACTOR_EXPERT, ACTOR_POLICY).astype(np.uint8)
    source = dataclasses.replace(make_episode(1, STEPS, SPEC), actor=actor)
    reader = WindowReader([make_dataset(tmp_path, source)], 1, side_labels="asked", relabel="future")
    batch = reader.sample(100, np.random.default_rng(0))
    assert batch.costs is None and not reader.has_costs
    yaw = SPEC.side_yaw_rad
    for row in range(100):
        _, step, camera = told_at(batch, row)
        if step < 6:
            assert np.array_equal(batch.actions[row, 0], source.expert_actions[step, camera])
            continue
        offset = np.array([[0.0, (yaw, 0.0, -yaw)[camera]]])
        expected = geometric_label(SPEC, source.actions[step][None], offset, np.zeros(1))[0]
        assert np.allclose(batch.actions[row, 0], expected, atol=1e-6)


def test_from_memory_from_disk_and_from_the_files_come_the_same_windows(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, make_episode(1, STEPS, SPEC), make_episode(2, 3, SPEC))
    batches = []
    for memory, disk in ((2**30, 0), (0, 2**30), (0, 0)):
        reader = WindowReader(
            [dataset], 5, side_labels="asked", relabel="future", cache_bytes=memory, disk_cache_bytes=disk
        )
        batches.append(reader.sample(40, np.random.default_rng(0)))
        if disk:
            batches.append(reader.share().open().sample(40, np.random.default_rng(0)))
        reader.close()
    for other in batches[1:]:
        for name in ("views", "state", "goal", "actions", "mask", "grounds"):
            assert np.array_equal(getattr(batches[0], name), getattr(other, name)), name


def test_side_cameras_see_the_goal_from_where_they_are(tmp_path: Path) -> None:
    """Flown, not made up: at every step and camera the relabelled goal lies where the camera's own eye and axes say."""
    options = DroneOptions(goals="anywhere", goals_within=30.0, side_cameras="random")
    mix = ScenarioMix(options=options, width=32, height=24, control_hz=5)
    recorder = EpisodeRecorder("drone", mix.scenario(3, TASKS.get("drone")), expert=True, record=True)
    pilot, poses, running = ExpertPilot(), [], True
    while running and recorder.num_steps < 12:
        views = recorder.env.views
        poses.append((views.eyes.astype(np.float64), np.arctan2(views.axes[:, FORWARD, 1], views.axes[:, FORWARD, 0])))
        decision = pilot.act({}, [recorder.pilot_info], np.array([0]))
        running = not recorder.step(decision.actions[0], ACTOR_EXPERT)
    episode, spec = recorder.episode("expert"), recorder.env.task_spec
    recorder.close()
    dataset = Dataset.create(tmp_path, spec, ENV_ID)
    dataset.add(episode)
    batch = WindowReader([dataset], 1, side_labels="asked", relabel="final").sample(60, np.random.default_rng(0))
    goal = episode.observations[PLACE][len(poses) - 1, :2]
    by_picture = {
        episode.observations[c][k].tobytes(): (k, i)
        for i, c in enumerate(("left", "center", "right"))
        for k in range(len(poses))
    }
    for row in range(60):
        step, camera = by_picture[batch.views[row, 0, 0].tobytes()]
        eye, yaw = poses[step][0][camera], poses[step][1][camera]
        place = batch.grounds[row, 0]
        assert np.hypot(*(place[:2] - eye[:2])) < 0.25  # eyes sit some centimetres before the body's middle
        assert abs((place[2] - yaw + np.pi) % (2 * np.pi) - np.pi) < 1e-3
        assert np.allclose(batch.goal[row, 0], goals_seen_from(VECTOR, place[None, None], goal[None])[0, 0])


def test_goals_told_by_bearing_alone_cannot_be_relabelled(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path, small_spec(), ENV_ID)
    dataset.add(make_episode(1, 4))
    with pytest.raises(ValueError, match=r"collect others with --mix\.options\.goal-kind vector"):
        WindowReader([dataset], 2, relabel="future")
    with pytest.raises(ValueError, match="relabel is 'past'; allowed: none, final, future"):
        WindowReader([dataset], 2, relabel="past")


def test_an_episode_that_does_not_say_where_it_was_is_no_episode_of_such_goals(tmp_path: Path) -> None:
    episode = make_episode(1, 4, SPEC)
    del episode.observations[PLACE]
    with pytest.raises(EpisodeError, match="place"):
        make_dataset(tmp_path, episode)


def test_the_goal_step_is_in_the_rest_of_the_stretch() -> None:
    assert RELABELS == ("none", "final", "future", "orders")
    assert goal_step("none", 3, 10, 0.5) == -1
    assert goal_step("final", 3, 10, 0.5) == 9
    assert [goal_step("future", 3, 10, share) for share in (0.0, 0.5, 0.999)] == [3, 6, 9]
    assert goal_step("future", 10, 10, 0.9) == 9
    assert [goal_step("future", 3, 10, share, most_steps=2) for share in (0.0, 0.5, 0.999)] == [3, 4, 4]
    assert goal_step("future", 9, 10, 0.999, most_steps=5) == 9


def test_goals_in_hindsight_may_be_bound_to_what_came_soon(tmp_path: Path) -> None:
    source = make_episode(1, 40, SPEC)
    reader = WindowReader([make_dataset(tmp_path, source)], 1, relabel="future", relabel_within_s=0.5)
    batch = reader.sample(100, np.random.default_rng(0))
    later = set()
    for row in range(100):
        _, step, _ = told_at(batch, row)
        later.add(reached_at(source, source.observations[PLACE][step], batch.goal[row, 0]) - step)
    assert later <= {0, 1, 2, 3, 4, 5} and {1, 5} <= later
    with pytest.raises(ValueError, match="relabel_within has no effect where relabel is none"):
        TrainConfig(relabel_within=2.0)
