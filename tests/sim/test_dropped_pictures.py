"""Pictures that do not arrive: which ones follows from seed and step, and nothing but the pictures is another."""

from __future__ import annotations

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.replay import StoredEpisode, replay_episode
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.sim.envs.dropped_pictures import is_dropped
from forestpilot.sim.envs.seeing import Seeing
from forestpilot.sim.tasks import TASKS

SEED, STEPS, SHARE = 3, 12, 0.5
CAMERAS = ("left", "center", "right")


def recorded(task: str, share: float) -> EpisodeRecorder:
    mix = ScenarioMix(width=32, height=24, dropped_pictures=share)
    recorder = EpisodeRecorder(task, mix.scenario(SEED, TASKS.get(task)), expert=False, record=True)
    for step in range(STEPS):
        recorder.step(np.array([0.3 * np.sin(step), 0.5], np.float32), 1)
    recorder.close()
    return recorder


@pytest.mark.parametrize("task", ["drone", "drive"])
def test_the_pictures_of_some_steps_are_black_and_nothing_else_changes(task: str) -> None:
    whole, dropped = recorded(task, 0.0), recorded(task, SHARE)
    assert np.array_equal(whole.finished().state_hashes, dropped.finished().state_hashes)
    seen, unseen = (one.episode("test").observations for one in (whole, dropped))
    black = np.array([is_dropped(SEED, step, SHARE) for step in range(STEPS + 1)])
    assert 0 < black.sum() < STEPS
    for camera in CAMERAS:
        assert not unseen[camera][black].any()
        assert np.array_equal(unseen[camera][~black], seen[camera][~black])
    assert np.array_equal(unseen["state"], seen["state"]) and np.array_equal(unseen["goal"], seen["goal"])


def test_a_replay_shows_what_the_policy_saw() -> None:
    recorder = recorded("drone", SHARE)
    finished = recorder.finished()
    seen = recorder.episode("test").observations
    stored = StoredEpisode(
        actions=finished.actions,
        state_hashes=finished.state_hashes,
        env_id=TASKS.get("drone").env_id,
        env_kwargs=finished.scenario.env_kwargs,
        seed=SEED,
        policy="test",
        policy_path="",
        outcome=finished.outcome,
    )
    steps = replay_episode(stored)  # not to its end, for the episode was left off before
    for step in range(STEPS):
        assert np.array_equal(next(steps).observation["center"], seen["center"][step])


def test_none_are_dropped_unless_it_is_asked_for() -> None:
    task = TASKS.get("drone")
    assert "dropped_pictures" not in ScenarioMix().scenario(SEED, task).env_kwargs
    assert ScenarioMix(dropped_pictures=0.25).scenario(SEED, task).env_kwargs["dropped_pictures"] == 0.25
    assert not any(is_dropped(SEED, step, 0.0) for step in range(STEPS))
    assert all(is_dropped(SEED, step, 1.0) for step in range(STEPS))


def test_about_the_share_is_dropped_and_what_a_smaller_share_drops_a_larger_one_does() -> None:
    quarter, half = (
        np.array([[is_dropped(seed, step, share) for step in range(50)] for seed in range(40)]) for share in (0.25, 0.5)
    )
    assert abs(quarter.mean() - 0.25) < 0.04 and abs(half.mean() - 0.5) < 0.04
    assert not (quarter & ~half).any()
    assert len({row.tobytes() for row in half}) == len(half)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    for config in (Seeing, ScenarioMix):
        with pytest.raises(ValueError, match="dropped_pictures is"):
            config(dropped_pictures=share)
