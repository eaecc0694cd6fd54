"""Orders exchanged: windows of a batch are told one another's, and learn what the expert answered for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.data_collection.windows.hindsight import EXCHANGED, require_relabel
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import ANSWERS, DEMONSTRATION, ORDER, VECTOR
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.worlds.coloured import parse_order
from tests.helpers.episodes import ENV_ID
from tests.helpers.specs import make_spec

ROWS = 60


def collected(folder: Path, kind: str) -> Dataset:
    options = DroneOptions(density=(0.02,), orders=("training",), goal_kind=kind, side_cameras="random")
    mix = ScenarioMix(options=options, width=32, height=24, control_hz=5, speeds=(4.0, 4.0))
    return collect(CollectConfig(str(folder), "drone", episodes=2, workers=1, mix=mix))


@pytest.fixture(scope="module", params=[ORDER, DEMONSTRATION])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return collected(tmp_path_factory.mktemp("orders") / "data", request.param)


def orders_of(batch: Batch) -> np.ndarray:
    """(B, 3) numbers of the orders that are told."""
    if batch.goal_order is not None:
        return np.asarray(batch.goal_order)
    return batch.goal[:, 0, 3:].reshape(len(batch.goal), 3, 3).argmax(-1)


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_same_pictures_have_the_answers_for_another_order(dataset: Dataset, on_disk: bool) -> None:
    disk = 10**9 if on_disk else 0
    plain = WindowReader([dataset], 2, side_labels="asked").sample(ROWS, np.random.default_rng(0))
    with_others = WindowReader([dataset], 2, side_labels="asked", relabel=EXCHANGED, disk_cache_bytes=disk)
    given = with_others.sample(ROWS, np.random.default_rng(0))
    with_others.close()
    assert np.array_equal(given.views, plain.views) and np.array_equal(given.state, plain.state)
    known = {parse_order(header.meta.env_kwargs["order"]) for header in dataset.episodes}
    own, told = orders_of(plain), orders_of(given)
    assert len(known) == 2 and {tuple(order) for order in told.tolist()} == known
    assert 0 < (own != told).any(axis=1).sum() < ROWS
    ahead = given.grounds[..., 0].astype(int)
    is_same = np.take_along_axis(own, ahead, 1) == np.take_along_axis(told, ahead, 1)
    alike = np.isclose(given.costs, plain.costs).all(axis=-1)
    assert alike[is_same].all() and not alike[~is_same].all()
    assert np.allclose(given.actions[is_same], plain.actions[is_same])
    answers = given.grounds[..., 1:].reshape(ROWS, 2, 3, -1)
    for row, step in np.ndindex(ROWS, 2):
        expected = answers[row, step, told[row, ahead[row, step]]]
        assert np.array_equal(np.concatenate([given.actions[row, step], given.costs[row, step]]), expected)


def test_what_is_shown_goes_with_the_order(dataset: Dataset) -> None:
    batch = WindowReader([dataset], 2, relabel=EXCHANGED).sample(ROWS, np.random.default_rng(0))
    if batch.goal_order is None:
        assert np.array_equal(batch.goal[:, 0, 3:], batch.goal[:, 1, 3:])
        return
    shown = {view.tobytes(): tuple(order) for view, order in zip(batch.goal_view, batch.goal_order.tolist())}
    assert len(shown) == 2 and len(set(shown.values())) == 2


def test_what_has_no_answers_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="kind vector tell no order; collect others"):
        require_relabel(EXCHANGED, make_spec(goal_kind=VECTOR))
    for given in ({"side_labels": "geometric"}, {"ahead": 3}):
        with pytest.raises(InvalidArgumentError, match="labels are the expert's answers, one for each step"):
            WindowReader([dataset], 2, relabel=EXCHANGED, **given)  # type: ignore[arg-type]
    episode = load_episode(dataset.episodes[0].path)
    seen = {key: values for key, values in episode.observations.items() if key != ANSWERS}
    old = Dataset.create(tmp_path, dataset.task_spec, ENV_ID)
    old.add(dataclasses.replace(episode, observations=seen))
    with pytest.raises(DatasetError, match="what the expert would have done for other orders"):
        WindowReader([old], 2, relabel=EXCHANGED)
