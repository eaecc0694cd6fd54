"""Keyframes: steps whose label changes most are drawn oftener, and nothing else changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.windows.keyframes import Keyframes, label_changes
from forestpilot.data_collection.windows.windows import WindowReader
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

STEPS = 40
CHANGES_AT = (10, 30)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two episodes whose label is 0, then 0.5 from step 10 on, and 0 again from step 30 on."""
    found = Dataset.create(tmp_path_factory.mktemp("data"), small_spec(), ENV_ID)
    for seed in range(2):
        episode = make_episode(seed, STEPS)
        labels = np.zeros((STEPS, 3, 2), np.float32)
        labels[CHANGES_AT[0] : CHANGES_AT[1], :, 1] = 0.5
        found.add(dataclasses.replace(episode, expert_actions=labels))
    return found


def starts(dataset: Dataset, keyframes: Keyframes, count: int = 3000) -> np.ndarray:
    """Shares of drawn steps whose label is 0.5, windows of one step."""
    reader = WindowReader([dataset], 1, keyframes=keyframes)
    batch = reader.sample(count, np.random.default_rng(0))
    reader.close()
    return batch.actions[:, 0]


def test_changes_are_distances_from_the_label_before() -> None:
    actions = np.array([[0, 0], [0, 0], [3, 4], [3, 4], [0, 0]], np.float32)
    known = np.array([True, True, True, False, True])
    assert label_changes(actions, known).tolist() == [0.0, 0.0, 5.0, 0.0, 0.0]


def test_keyframes_are_drawn_so_much_oftener(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = WindowReader([dataset], 1, keyframes=Keyframes(weight=10.0, share=0.05))
    weights = np.diff(np.concatenate([[0.0], reader.recipe().shares]))
    expected = np.ones(2 * STEPS)
    expected[[10, 30, STEPS + 10, STEPS + 30]] = 10.0
    assert weights.tolist() == expected.tolist()
    reader.close()


def test_without_a_weight_the_same_windows_are_drawn(dataset: Dataset) -> None:
    plain = starts(dataset, Keyframes())
    assert np.array_equal(plain, starts(dataset, Keyframes(weight=1.0, share=0.5)))
    assert WindowReader([dataset], 1).recipe().shares is None
    assert not np.array_equal(plain, starts(dataset, Keyframes(weight=10.0, share=0.05)))


def test_labels_that_never_change_have_no_keyframes(tmp_path: Path) -> None:
    still = Dataset.create(tmp_path, small_spec(), ENV_ID)
    still.add(dataclasses.replace(make_episode(0, STEPS), expert_actions=np.zeros((STEPS, 3, 2), np.float32)))
    assert WindowReader([still], 1, keyframes=Keyframes(weight=10.0)).recipe().shares is None
