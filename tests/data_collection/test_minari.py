"""A dataset as Minari reads it: the layout of its "Dataset Standards", version 0.5.4."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.minari import MAIN_DATA, METADATA, MinariConfig, MinariExporter
from forestpilot.data_collection.export.minari_import import MinariImporter
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

STEPS = 12


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A success, an episode that was put elsewhere before steps 5 and 6, and one that was stopped early."""
    dataset = Dataset.create(tmp_path_factory.mktemp("data") / "dataset", small_spec(), ENV_ID)
    displaced = np.isin(np.arange(STEPS), (5, 6))
    kwargs = {"speed": 5.0, "pose_noise": {"every_s": 1.0}}
    running = np.zeros(STEPS, bool)
    for episode in (
        make_episode(0, STEPS),
        dataclasses.replace(make_episode(1, STEPS, env_kwargs=kwargs), displaced=displaced),
        dataclasses.replace(make_episode(2, STEPS, outcome="running"), terminated=running),
    ):
        dataset.add(episode)
    return dataset


@pytest.fixture(scope="module")
def exported(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MinariExporter().export(dataset, tmp_path_factory.mktemp("minari") / "flights-v2")


def metadata_of(folder: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads((folder / METADATA).read_text())
    return metadata


def test_metadata_tell_spaces_environment_and_counts(exported: Path) -> None:
    told = metadata_of(exported)
    assert (told["dataset_id"], told["data_format"], told["minari_version"]) == ("flights-v2", "hdf5", "0.5.4")
    assert told["jpeg_encoding"] is False
    assert (told["total_episodes"], told["total_steps"]) == (4, 12 + 4 + 6 + 12)
    spaces = json.loads(told["observation_space"])
    assert spaces["type"] == "Dict" and set(spaces["subspaces"]) == {"left", "center", "right", "state", "goal"}
    center = spaces["subspaces"]["center"]
    assert (center["type"], center["dtype"], center["shape"]) == ("Box", "uint8", [12, 16, 3])
    assert np.array(center["low"]).shape == np.array(center["high"]).shape == (12, 16, 3)
    action = json.loads(told["action_space"])
    assert action == {"type": "Box", "dtype": "float32", "shape": [2], "low": [-1.0, -1.0], "high": [1.0, 1.0]}
    env = gymnasium.envs.registration.EnvSpec.from_json(told["env_spec"])
    assert env.id == ENV_ID and env.kwargs == {"speed": 5.0}


def test_the_environment_is_known_where_only_the_command_runs(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command registers no environment until it makes one."""
    monkeypatch.delitem(sys.modules, "forestpilot.sim.envs.registration")
    monkeypatch.delitem(gymnasium.registry, ENV_ID)
    assert ENV_ID in metadata_of(MinariExporter().export(dataset, tmp_path / "out"))["env_spec"]


def test_every_episode_has_the_observation_after_its_last_step(exported: Path, dataset: Dataset) -> None:
    with h5py.File(exported / MAIN_DATA) as file:
        assert sorted(file) == [f"episode_{number}" for number in range(4)]
        lengths = []
        for number in range(4):
            group = file[f"episode_{number}"]
            steps = len(group["rewards"])
            assert (group.attrs["id"], group.attrs["total_steps"]) == (number, steps)
            assert group["actions"].shape == (steps, 2)
            assert all(len(values) == steps + 1 for values in group["observations"].values())
            assert all(len(values) == steps for values in group["infos"].values())
            assert group["terminations"][-1] != group["truncations"][-1], "every episode ends in one way"
            assert not group["terminations"][:-1].any() and not group["truncations"][:-1].any()
            lengths.append(steps)
            pictures = group["observations/left"][:, 0, 0, 1].tolist()
            assert pictures == list(range(pictures[0], pictures[0] + steps + 1)), "one follows upon the other"
        assert lengths == [12, 4, 6, 12]
        assert [group.attrs["seed"] for group in file.values()] == [0, 1, 1, 2]
        whole = load_episode(dataset.episodes[0].path)
        for key, values in whole.observations.items():
            np.testing.assert_array_equal(file[f"episode_0/observations/{key}"], values)
        np.testing.assert_array_equal(file["episode_0/rewards"], whole.rewards)


def test_the_name_follows_the_folder_or_what_is_asked_for(dataset: Dataset, tmp_path: Path) -> None:
    assert metadata_of(MinariExporter().export(dataset, tmp_path / "my flights"))["dataset_id"] == "my-flights-v0"
    config = MinariConfig(id="forestpilot/flights-v1")
    assert metadata_of(MinariExporter().export(dataset, tmp_path / "x", config))["dataset_id"] == config.id
    with pytest.raises(InvalidArgumentError, match=r"--to\.id is 'flights'"):
        MinariConfig(id="flights")


def test_actions_are_those_that_are_wanted(dataset: Dataset, tmp_path: Path) -> None:
    whole = load_episode(dataset.episodes[0].path)
    assert whole.expert_actions is not None
    for action, wanted in (("executed", whole.actions), ("taught", whole.expert_actions[:, 1])):
        config = MinariConfig(action=action)  # type: ignore[arg-type]
        with h5py.File(MinariExporter().export(dataset, tmp_path / action, config) / MAIN_DATA) as file:
            np.testing.assert_array_equal(file["episode_0/actions"], wanted)
            np.testing.assert_array_equal(file["episode_0/infos/executed_action"], whole.actions)


def _jpeg(metadata: dict[str, Any], file: h5py.File) -> None:
    metadata["jpeg_encoding"] = True


def _resampled(metadata: dict[str, Any], file: h5py.File) -> None:
    metadata["control_hz"] = 30


def _without_a_camera(metadata: dict[str, Any], file: h5py.File) -> None:
    del file["episode_0/observations/left"]


def _shorter(metadata: dict[str, Any], file: h5py.File) -> None:
    values = file["episode_0/observations/left"][:-1]
    del file["episode_0/observations/left"]
    file["episode_0/observations/left"] = values


def _without_an_episode(metadata: dict[str, Any], file: h5py.File) -> None:
    del file["episode_3"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_jpeg, "are lossy"),
        (_resampled, "30 steps a second, what was exported 10"),
        (_without_a_camera, "no /episode_0/observations/left"),
        (_shorter, r"is uint8 \(12, 12, 16, 3\); it must be uint8 \(13, 12, 16, 3\)"),
        (_without_an_episode, "has no episode_3"),
    ],
)
def test_what_somebody_changed_is_named(dataset: Dataset, tmp_path: Path, change: Any, told: str) -> None:
    folder = MinariExporter().export(dataset, tmp_path / "out")
    metadata = metadata_of(folder)
    with h5py.File(folder / MAIN_DATA, "r+") as file:
        change(metadata, file)
    (folder / METADATA).write_text(json.dumps(metadata))
    with pytest.raises(ImportDataError, match=told):
        MinariImporter(folder).import_to(tmp_path / "back")
