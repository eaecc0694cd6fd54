"""A dataset as LeRobot reads it, and back: the layout as its format v3.0 is written down, and equal episodes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import OPTIONAL_ARRAYS, Episode, load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.export.feature_stats import FeatureStats
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.lerobot import LerobotConfig, LerobotExporter
from forestpilot.data_collection.export.lerobot_import import LerobotImporter
from forestpilot.data_collection.export.parquet import ParquetFile
from forestpilot.data_collection.windows.training_steps import read_at
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import GOAL_IMAGE
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

STEPS = 12
CENTER = "observation.images.center"


def episodes() -> list[Episode]:
    """Two demonstrations, one of them put elsewhere on the way, and a learner's with labels at some steps."""
    displaced = np.arange(STEPS) == 5
    asked = np.arange(STEPS) % 4 < 2
    actor = np.full(STEPS, ACTOR_POLICY, np.uint8)
    actor[-1] = ACTOR_HUMAN
    return [
        make_episode(0, STEPS),
        dataclasses.replace(make_episode(1, STEPS), displaced=displaced),
        dataclasses.replace(make_episode(2, STEPS, outcome="collision"), actor=actor, labelled=asked),
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    dataset = Dataset.create(tmp_path_factory.mktemp("data") / "dataset", small_spec(), ENV_ID)
    for episode in episodes():
        dataset.add(episode)
    return dataset


@pytest.fixture(scope="module")
def exported(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lerobot") / "out"
    return LerobotExporter().export(dataset, out, LerobotConfig(pictures="lossless"))


def table(folder: Path, name: str) -> dict[str, Any]:
    """Columns of the only file of a kind."""
    (path,) = (folder / name).rglob("*.parquet")
    columns: dict[str, Any] = parquet.read_table(path).to_pydict()
    return columns


def test_the_layout_is_that_of_version_3(exported: Path) -> None:
    info = json.loads((exported / "meta" / "info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 10
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (4, 3 * STEPS, 1)
    rows = table(exported, "data")
    assert set(rows) == {name for name, feature in info["features"].items() if feature["dtype"] != "video"}
    assert rows["index"] == list(range(3 * STEPS))
    assert rows["episode_index"] == [0] * STEPS + [1] * 5 + [2] * 7 + [3] * STEPS
    assert rows["frame_index"][STEPS : STEPS + 5] == list(range(5))
    assert np.allclose(np.array(rows["timestamp"]) * 10, rows["frame_index"])
    own = table(exported, "meta/episodes")
    assert own["dataset_from_index"] == [0, 12, 17, 24] and own["dataset_to_index"] == [12, 17, 24, 36]
    assert own["length"] == [12, 5, 7, 12]
    assert np.allclose(own[f"videos/{CENTER}/from_timestamp"], [0, 1.2, 1.7, 2.4])
    assert own["tasks"] == [["fly to the goal through the forest at 5 m/s"]] * 4
    for name, feature in info["features"].items():
        if feature["dtype"] == "video":
            path = exported / info["video_path"].format(video_key=name, chunk_index=0, file_index=0)
            assert path.is_file() and feature["info"]["video.fps"] == 10
        else:
            assert np.array(rows[name]).reshape(3 * STEPS, -1).shape[1] == np.prod(feature["shape"])


def test_pandas_finds_tasks_by_their_sentence(exported: Path) -> None:
    path = exported / "meta" / "tasks.parquet"
    assert json.loads(parquet.read_schema(path).metadata[b"pandas"])["index_columns"] == ["task"]
    tasks = {"task_index": [0], "task": ["fly to the goal through the forest at 5 m/s"]}
    assert parquet.read_table(path).to_pydict() == tasks


def test_figures_are_those_of_all_steps(exported: Path, dataset: Dataset) -> None:
    stats = json.loads((exported / "meta" / "stats.json").read_text())
    whole = [load_episode(header.path) for header in dataset.episodes]
    states = np.concatenate([episode.observations["state"][:-1] for episode in whole]).astype(np.float64)
    assert np.allclose(stats["observation.state"]["mean"], states.mean(0))
    assert np.allclose(stats["observation.state"]["std"], states.std(0))
    assert np.allclose(stats["observation.state"]["min"], states.min(0))
    pictures = np.concatenate([episode.observations["center"][:-1] for episode in whole]) / 255
    assert np.array(stats[CENTER]["mean"]).shape == (3, 1, 1)
    assert np.allclose(np.ravel(stats[CENTER]["mean"]), pictures.mean((0, 1, 2)))
    assert np.allclose(np.ravel(stats[CENTER]["std"]), pictures.std((0, 1, 2)))
    assert stats[CENTER]["count"] == [3 * STEPS]


def test_quantiles_of_pictures_are_those_of_their_pixels() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    told = FeatureStats.of(pictures).as_lists()
    for name, share in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):
        assert np.allclose(np.ravel(told[name]), np.quantile(pictures / 255, share, axis=(0, 1, 2)), atol=0.01)


def test_there_and_back_is_equal(exported: Path, dataset: Dataset, tmp_path: Path) -> None:
    back = LerobotImporter(exported).import_to(tmp_path / "back")
    assert len(back) == len(dataset)
    for header in dataset.episodes:
        before = load_episode(header.path)
        after = load_episode(back.path_of(0, header.meta.seed))
        assert after.meta == before.meta and after.rerun == before.rerun
        for name in ("actions", "actor", "rewards", "terminated", "truncated", *OPTIONAL_ARRAYS):
            np.testing.assert_equal(getattr(after, name), getattr(before, name), err_msg=name)
        for key, values in before.observations.items():
            np.testing.assert_array_equal(after.observations[key], values, err_msg=key)
    assert len(LerobotImporter(exported).import_to(tmp_path / "back")) == len(dataset), "it goes on"


def test_goals_that_are_pictures_come_back_too(tmp_path: Path) -> None:
    spec = dataclasses.replace(small_spec(), goal_kind="image")
    episode = make_episode(0, STEPS, spec)
    goal = np.repeat(episode.observations["center"][:1], STEPS + 1, axis=0)
    episode = dataclasses.replace(episode, observations={**episode.observations, GOAL_IMAGE: goal})
    dataset = Dataset.create(tmp_path / "data", spec, ENV_ID)
    dataset.add(episode)
    out = LerobotExporter().export(dataset, tmp_path / "out", LerobotConfig(pictures="lossless"))
    back = LerobotImporter(out).import_to(tmp_path / "back")
    after = load_episode(back.episodes[0].path)
    for key, values in episode.observations.items():
        np.testing.assert_array_equal(after.observations[key], values, err_msg=key)


def test_video_loses_little(dataset: Dataset, tmp_path: Path) -> None:
    # Noise, which no video is made for: smooth pictures come out far better.
    LerobotExporter().export(dataset, tmp_path / "out", LerobotConfig(crf=0))
    back = LerobotImporter(tmp_path / "out").import_to(tmp_path / "back")
    before, after = (load_episode(own.episodes[0].path).observations["center"] for own in (dataset, back))
    assert 0 < np.abs(before[:-1].astype(int) - after[:-1]).mean() < 12
    np.testing.assert_array_equal(before[-1], after[-1])


@pytest.mark.parametrize(("action", "frames"), [("taught", 36), ("executed", 36), ("expert", 30)])
def test_the_action_is_the_one_that_is_wanted(dataset: Dataset, tmp_path: Path, action: Any, frames: int) -> None:
    out = LerobotExporter().export(dataset, tmp_path / "out", LerobotConfig(action=action))
    rows = table(out, "data")
    assert len(rows["index"]) == frames
    learner = load_episode(dataset.episodes[2].path)
    assert learner.labelled is not None and learner.expert_actions is not None
    own = np.array(rows["action"])[24:]
    if action == "executed":
        np.testing.assert_array_equal(own, learner.actions)
    elif action == "taught":
        np.testing.assert_array_equal(own[learner.labelled], learner.expert_actions[learner.labelled, 1])
        np.testing.assert_array_equal(own[~learner.labelled], learner.actions[~learner.labelled])
    else:
        np.testing.assert_array_equal(own, learner.expert_actions[learner.labelled, 1])
        assert all(rows["labelled"])


def test_files_have_a_largest_size(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = LerobotConfig(pictures="lossless")
    object.__setattr__(config, "file_mb", 1e-3)
    out = LerobotExporter().export(dataset, tmp_path / "out", config)
    assert len(list((out / "videos" / CENTER).rglob("*.mp4"))) == 3
    back = LerobotImporter(out).import_to(tmp_path / "back")
    for header in dataset.episodes:
        before, after = (load_episode(own.path_of(0, header.meta.seed)).observations for own in (dataset, back))
        np.testing.assert_array_equal(before["left"], after["left"])


def test_the_tables_of_episodes_have_few_row_groups(exported: Path, tmp_path: Path) -> None:
    """Each of their hundreds of columns takes memory for each row group."""
    (path,) = (exported / "meta" / "episodes").rglob("*.parquet")
    assert parquet.ParquetFile(path).num_row_groups == 1
    file = ParquetFile(tmp_path / "rows.parquet", rows_together=3)
    for _ in range(5):
        file.write({"n": np.arange(2)})
    file.close()
    own = parquet.ParquetFile(tmp_path / "rows.parquet")
    assert [own.metadata.row_group(group).num_rows for group in range(own.num_row_groups)] == [4, 4, 2]
    assert own.read().to_pydict() == {"n": [0, 1] * 5}


def damaged(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "damaged"))


def test_what_cannot_come_back_is_told(exported: Path, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ImportDataError, match=r"no LeRobot dataset: no info\.json"):
        LerobotImporter(tmp_path).import_to(tmp_path / "back")
    folder = damaged(exported, tmp_path)
    info = json.loads((folder / "meta" / "info.json").read_text())
    (folder / "meta" / "info.json").write_text(json.dumps({**info, "fps": 30}))
    with pytest.raises(ImportDataError, match="30 pictures a second"):
        LerobotImporter(folder).import_to(tmp_path / "back")
    (folder / "meta" / "info.json").write_text(json.dumps({**info, "codebase_version": "v2.1"}))
    with pytest.raises(ImportDataError, match=r"version v2\.1"):
        LerobotImporter(folder).import_to(tmp_path / "back")
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    video = next((folder / "videos").rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:200])
    with pytest.raises(ImportDataError, match="mp4 cannot be read"):
        LerobotImporter(folder).import_to(tmp_path / "back")
    (table_path,) = (folder / "meta" / "episodes").rglob("*.parquet")
    table_path.write_bytes(b"PAR1")
    with pytest.raises(ImportDataError, match="parquet cannot be read"):
        LerobotImporter(folder).import_to(tmp_path / "back")
    (folder / "forestpilot" / "episodes.h5").unlink()
    with pytest.raises(ImportDataError, match="only what `forestpilot export` wrote"):
        LerobotImporter(folder).import_to(tmp_path / "back")
    some = LerobotExporter().export(dataset, tmp_path / "expert", LerobotConfig(action="expert"))
    with pytest.raises(ImportDataError, match="lacks 6 of its 13 pictures"):
        LerobotImporter(some).import_to(tmp_path / "part")


def test_each_view_can_be_an_episode_of_its_own(dataset: Dataset, tmp_path: Path) -> None:
    out = LerobotExporter().export(dataset, tmp_path / "out", LerobotConfig(pictures="lossless", views="apart"))
    info = json.loads((out / "meta" / "info.json").read_text())
    assert [name for name, told in info["features"].items() if told["dtype"] == "video"] == [CENTER]
    rows = {name: np.array(values) for name, values in table(out, "data").items()}
    lengths = table(out, "meta/episodes")["length"]
    assert lengths == [12, 12, 12, 5, 7, 5, 7, 5, 7, 12, *(6 * [2])], "side cameras only where somebody was asked"
    first = load_episode(dataset.episodes[0].path)
    spec = dataset.task_spec
    for number, camera in ((0, 1), (1, 0), (2, 2)):
        own = slice(number * STEPS, (number + 1) * STEPS)
        assert first.expert_actions is not None
        np.testing.assert_array_equal(rows["action"][own], first.expert_actions[:, camera])
        yaw_rad = spec.side_yaw_rad * (1 - camera)
        offset = np.full((STEPS, 2), yaw_rad, np.float32)
        told = read_at(spec, first.observations["state"][:-1], first.observations["goal"][:-1], offset, True)
        np.testing.assert_allclose(rows["observation.state"][own], told[0], atol=1e-6)
        np.testing.assert_allclose(rows["observation.environment_state"][own], told[1], atol=1e-6)
    with pytest.raises(ImportDataError, match=r"only what .* comes back \(with its views together\)"):
        LerobotImporter(out).import_to(tmp_path / "back")
    with pytest.raises(InvalidArgumentError, match="nobody acted at the side cameras"):
        LerobotConfig(views="apart", action="executed")
