"""Episodes without actions: recorded, stored, exported as videos and back; whoever needs actions says so."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, LackingError
from forestpilot.data_collection.episodes.episode import load_episode, save_episode, without_actions
from forestpilot.data_collection.episodes.errors import EpisodeError
from forestpilot.data_collection.episodes.header import read_header
from forestpilot.data_collection.export import EXPORTERS, IMPORTERS, ExportError, ImportDataError
from forestpilot.data_collection.export.video import VideoConfig
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.viewpoints import VIEWPOINTS
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

MIX = ScenarioMix(width=32, height=24, speeds=(12.0, 12.0))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One flight, seen and not felt, and from behind."""
    chase = VIEWPOINTS.get("chase").Config()
    out = tmp_path_factory.mktemp("seen") / "data"
    return collect(CollectConfig(str(out), episodes=1, workers=1, mix=MIX, observations_only=True, viewpoint=chase))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same flight, with all."""
    return collect(CollectConfig(str(tmp_path_factory.mktemp("done") / "data"), episodes=1, workers=1, mix=MIX))


def test_what_was_seen_is_recorded_and_what_was_done_is_not(seen: Dataset, done: Dataset) -> None:
    (header,), (whole,) = seen.episodes, done.episodes
    assert header.lacks == seen.lacks == ("actions",) and whole.lacks == done.lacks == ()
    assert header.num_labels == 0 and whole.num_labels == whole.num_steps == header.num_steps
    episode, other = load_episode(header.path), load_episode(whole.path)
    assert np.isnan(episode.actions).all() and episode.expert_actions is None and episode.expert_costs is None
    for key, values in other.observations.items():
        np.testing.assert_array_equal(episode.observations[key], values)
    assert episode.observations["view_chase"].shape == other.observations["center"].shape
    assert b"actions" not in header.path.read_bytes()


def test_another_kind_of_demonstrations_does_not_join_them(seen: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="observations_only: True there, False asked"):
        collect(CollectConfig(str(seen.folder), episodes=1, workers=1, mix=MIX))
    with pytest.raises(InvalidArgumentError, match="observations-only and --viewpoint are for the expert"):
        CollectConfig(str(tmp_path), pilot="keyboard", observations_only=True)


def test_actions_that_are_known_in_part_are_refused(tmp_path: Path) -> None:
    episode = make_episode(0, 5)
    actions = episode.actions.copy()
    actions[2] = np.nan
    with pytest.raises(EpisodeError, match="actions has NaN or infinity, first at step 2"):
        save_episode(tmp_path / "e.hdf5", dataclasses.replace(episode, actions=actions))


def test_an_episode_without_any_picture_is_refused(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    episode = without_actions(make_episode(0, 5))
    blind = {key: values for key, values in episode.observations.items() if values.ndim != 4}
    with pytest.raises(EpisodeError, match="no picture of any camera"):
        dataset.add(dataclasses.replace(episode, observations=blind))


def test_older_versions_would_refuse_it_and_others_are_of_theirs_as_before(seen: Dataset, done: Dataset) -> None:
    assert seen.episodes[0].path.read_bytes().startswith(b"ForestPilot episode 4 ")
    assert done.episodes[0].path.read_bytes().startswith(b"ForestPilot episode 1 ")


def test_who_needs_actions_says_so(seen: Dataset, tmp_path: Path) -> None:
    with pytest.raises(LackingError, match=r"lacks actions, and training needs them; .*forestpilot bco"):
        WindowReader([seen], 4)
    with pytest.raises(LackingError, match="lacks actions, and training needs them"):
        WindowReader([seen], 4, relabel="none", side_labels="geometric")
    for name in EXPORTERS:
        if "actions" in EXPORTERS.get(name).needs:
            with pytest.raises(LackingError, match="lacks actions, and this format needs them"):
                EXPORTERS.get(name)().export(seen, tmp_path / name)
            assert not (tmp_path / name).exists()


@pytest.mark.parametrize(("viewpoint", "keys"), [("vehicle", {"left", "center", "right"}), ("chase", {"view_chase"})])
def test_videos_come_back_as_what_they_show(seen: Dataset, tmp_path: Path, viewpoint: str, keys: set[str]) -> None:
    folder = EXPORTERS.get("video")().export(seen, tmp_path / "out", VideoConfig(viewpoint=viewpoint, lossless=True))
    assert len(list(folder.glob("*.mp4"))) == len(keys)
    back = IMPORTERS.get("video")(folder).import_to(tmp_path / "back")
    before, after = load_episode(seen.episodes[0].path), load_episode(back.episodes[0].path)
    pictures = {key for key, values in after.observations.items() if values.ndim == 4}
    assert pictures == keys and np.isnan(after.actions).all()
    for key, values in after.observations.items():
        np.testing.assert_array_equal(values, before.observations[key])
    assert set(back.lacks) == {"actions", "left", "center", "right"} - keys
    assert read_header(back.episodes[0].path).meta == before.meta


def test_a_film_with_loss_is_near_what_was_seen(seen: Dataset, tmp_path: Path) -> None:
    folder = EXPORTERS.get("video")().export(seen, tmp_path / "out")
    back = IMPORTERS.get("video")(folder).import_to(tmp_path / "back")
    before, after = load_episode(seen.episodes[0].path), load_episode(back.episodes[0].path)
    off = after.observations["center"].astype(float) - before.observations["center"]
    assert 0 < np.abs(off).mean() < 8


def test_what_nobody_filmed_is_flown_again(seen: Dataset, done: Dataset, tmp_path: Path) -> None:
    folder = EXPORTERS.get("video")().export(done, tmp_path / "out", VideoConfig(viewpoint="chase", lossless=True))
    back = IMPORTERS.get("video")(folder).import_to(tmp_path / "back")
    filmed = load_episode(seen.episodes[0].path).observations["view_chase"]
    np.testing.assert_array_equal(load_episode(back.episodes[0].path).observations["view_chase"], filmed)
    with pytest.raises(ExportError, match="neither pictures from the viewpoint tower nor actions"):
        EXPORTERS.get("video")().export(seen, tmp_path / "tower", VideoConfig(viewpoint="tower"))


def test_a_flight_that_does_not_repeat_itself_is_not_filmed(done: Dataset, tmp_path: Path) -> None:
    other = Dataset.create(tmp_path / "data", done.task_spec, done.env_id)
    episode = load_episode(done.episodes[0].path)
    actions = episode.actions.copy()
    actions[3] = -actions[3] + 0.5
    other.add(dataclasses.replace(episode, actions=np.clip(actions, -1, 1)))
    with pytest.raises(ExportError, match="does not repeat itself"):
        EXPORTERS.get("video")().export(other, tmp_path / "out", VideoConfig(viewpoint="side"))


def test_a_side_file_that_names_a_film_elsewhere_is_refused(seen: Dataset, tmp_path: Path) -> None:
    folder = EXPORTERS.get("video")().export(seen, tmp_path / "out")
    (side,) = folder.glob("*.json")
    told = json.loads(side.read_text())
    told["pictures"]["center"] = "../elsewhere.mp4"
    side.write_text(json.dumps(told))
    with pytest.raises(ImportDataError, match="no file beside it"):
        IMPORTERS.get("video")(folder).import_to(tmp_path / "back")
