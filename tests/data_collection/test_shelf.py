"""The shelf: an episode of the expert's that one run has recorded is another's too, under its own name."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, QuarantineWarning
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.data_collection.rollouts.shelf import Shelf
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

SCENARIOS = [Scenario(seed, {"speed": 5.0}) for seed in (1, 2)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A shelf with the episodes of worlds 1 and 2, from the dataset `first`."""
    (tmp_path / "shelf").mkdir()
    dataset = Dataset.create(tmp_path / "first", small_spec(), ENV_ID)
    for scenario in SCENARIOS:
        dataset.add(make_episode(scenario.seed, steps=3))
    shelf = Shelf(tmp_path / "shelf")
    shelf.keep(dataset, "drone", 0, SCENARIOS)
    return shelf


def lent(tmp_path: Path, shelf: Shelf, scenarios: list[Scenario], task: str = "drone") -> Dataset:
    dataset = Dataset.create(tmp_path / "second", small_spec(), ENV_ID)
    shelf.lend(dataset, task, 0, scenarios)
    return dataset


def test_what_is_lent_is_the_same_file_and_takes_no_room(tmp_path: Path, shelf: Shelf) -> None:
    dataset = lent(tmp_path, shelf, SCENARIOS)
    assert [header.meta.seed for header in dataset.episodes] == [1, 2]
    assert os.path.samefile(tmp_path / "first/episodes" / dataset.episodes[0].path.name, dataset.episodes[0].path)


@pytest.mark.parametrize("task", ["drive", "drone"])
def test_other_episodes_are_not_lent(tmp_path: Path, shelf: Shelf, task: str) -> None:
    others = SCENARIOS
    if task == "drone":
        others = [dataclasses.replace(scenario, env_kwargs={"speed": 6.0}) for scenario in SCENARIOS]
    assert not lent(tmp_path, shelf, others, task).episodes


def test_who_changes_or_removes_an_episode_changes_no_other_run(tmp_path: Path, shelf: Shelf) -> None:
    dataset = lent(tmp_path, shelf, SCENARIOS)
    dataset.replace(make_episode(1, steps=2))
    dataset.discard(dataset.episodes[1].path)
    assert [header.num_steps for header in Dataset.open(tmp_path / "first").episodes] == [3, 3]


def test_a_damaged_one_is_set_aside_and_put_there_anew(tmp_path: Path, shelf: Shelf) -> None:
    damaged = sorted(shelf.folder.iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.warns(QuarantineWarning):
        dataset = lent(tmp_path, shelf, SCENARIOS)
    assert [header.meta.seed for header in dataset.episodes] == [2]
    dataset.add(make_episode(1, steps=3))
    shelf.keep(dataset, "drone", 0, SCENARIOS)
    assert os.path.samefile(damaged, dataset.path_of(0, 1))


def test_where_there_are_no_hard_links_files_are_copied(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    dataset = lent(tmp_path, shelf, SCENARIOS)
    assert [header.num_steps for header in dataset.episodes] == [3, 3]
