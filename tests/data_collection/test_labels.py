"""What an episode teaches is told once: to training, to whoever counts labels and to whoever inspects them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.episode import Episode, save_episode
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.episodes.header import read_header
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY, EpisodeLabels, Teacher
from forestpilot.data_collection.windows.training_steps import StepLoader
from tests.helpers.episodes import make_episode
from tests.helpers.specs import small_spec

STEPS = 20
CENTER = 1


def changed(**changes: object) -> Episode:
    return dataclasses.replace(make_episode(3, STEPS), **changes)


def who(*actors: int) -> np.ndarray:
    return np.resize(np.array(actors, np.uint8), STEPS)


SAID = np.linspace(-1, 1, 2 * STEPS, dtype=np.float32).reshape(STEPS, 2)
KNOWN = np.arange(STEPS) % 3 == 0
UNTOLD = {"expert_actions": None, "expert_costs": None}
EPISODES = {
    "expert": (changed(), Teacher.EXPERT, True, STEPS),
    "policy, the expert asked at some steps": (
        changed(actor=who(ACTOR_POLICY), labelled=KNOWN), Teacher.EXPERT, True, int(KNOWN.sum()),
    ),
    "expert without costs": (changed(expert_costs=None), Teacher.EXPERT, False, STEPS),
    "watching human": (changed(human_actions=SAID, labelled=KNOWN), Teacher.WATCHER, False, int(KNOWN.sum())),
    "watching human, all told": (changed(human_actions=SAID), Teacher.WATCHER, False, STEPS),
    "human at the wheel": (changed(actor=who(ACTOR_HUMAN), **UNTOLD), Teacher.DRIVER, False, STEPS),
    "human and policy": (changed(actor=who(ACTOR_HUMAN, ACTOR_POLICY), **UNTOLD), Teacher.DRIVER, False, STEPS // 2),
    "policy alone": (changed(actor=who(ACTOR_POLICY), **UNTOLD), Teacher.DRIVER, False, 0),
    "expert and policy, not asked": (
        changed(actor=who(ACTOR_EXPERT, ACTOR_POLICY), **UNTOLD), Teacher.DRIVER, False, STEPS // 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EPISODES)
@pytest.mark.parametrize("delay_s", [0.0, 0.25])
def test_memory_file_header_and_training_say_the_same(name: str, delay_s: float, tmp_path: Path) -> None:
    episode, teacher, costs, count = EPISODES[name]
    hz = episode.meta.control_hz
    path = save_episode(tmp_path / "episode.hdf5", episode)
    header = read_header(path)
    assert header.has_expert_costs == costs
    assert header.num_labels == count
    lesson = episode.labels.lesson(hz, delay_s)
    loader = StepLoader(small_spec(), ("center",), "none", None, human_delay_s=delay_s)
    with open_episode(path) as demo:
        stored = EpisodeLabels(demo)
        assert stored.teacher is episode.labels.teacher is teacher
        np.testing.assert_array_equal(stored.labelled_steps, episode.labelled_steps)
        for own, told in zip(lesson, stored.lesson(hz, delay_s), strict=True):
            np.testing.assert_array_equal(own, told)
        learned = loader.load(demo, 4, 15)
    np.testing.assert_array_equal(learned.actions[0], lesson.actions[4:15])
    np.testing.assert_array_equal(learned.mask, lesson.known[4:15])
    assert (learned.costs is not None) == costs


def test_what_a_human_did_is_learned_from_where_they_saw_the_reason() -> None:
    episode = EPISODES["human at the wheel"][0]
    late = episode.labels.lesson(control_hz=10, human_delay_s=0.2)
    np.testing.assert_array_equal(late.actions[:-2], episode.actions[2:])
    assert np.flatnonzero(~late.known).tolist() == [STEPS - 2, STEPS - 1]


@pytest.mark.parametrize("name", ["expert", "watching human", "policy alone"])
def test_a_delay_moves_nothing_that_no_human_did_at_the_wheel(name: str) -> None:
    labels = EPISODES[name][0].labels
    for prompt, late in zip(labels.lesson(10), labels.lesson(10, human_delay_s=0.5), strict=True):
        np.testing.assert_array_equal(prompt, late)


def test_a_human_who_says_what_to_do_comes_before_the_expert() -> None:
    labels = EPISODES["watching human"][0].labels
    np.testing.assert_array_equal(labels.lesson(10).actions, SAID)
    assert labels.expert_actions() is None
    assert labels.expert_costs() is None


def test_the_expert_is_read_where_it_is_asked_for() -> None:
    episode = EPISODES["expert"][0]
    answers = episode.labels.expert_actions(slice(2, 5))
    assert episode.expert_actions is not None
    np.testing.assert_array_equal(answers, episode.expert_actions[2:5])
    np.testing.assert_array_equal(episode.labels.lesson(10).actions, episode.expert_actions[:, CENTER])
