"""A dataset as robomimic reads it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.export.robomimic import RobomimicConfig, RobomimicExporter
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

STEPS = 12
ASKED = np.arange(STEPS) % 2 == 0


def episodes() -> list[Episode]:
    learner = dataclasses.replace(
        make_episode(4, STEPS, outcome="collision"), actor=np.full(STEPS, ACTOR_POLICY, np.uint8), labelled=ASKED
    )
    return [make_episode(seed, STEPS) for seed in range(4)] + [learner]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four demonstrations of the expert's, and a flight of a learner's that the expert was asked about."""
    dataset = Dataset.create(tmp_path_factory.mktemp("data") / "dataset", small_spec(), ENV_ID)
    for episode in episodes():
        dataset.add(episode)
    return dataset


def test_every_step_is_there_as_robomimic_reads_it(dataset: Dataset, tmp_path: Path) -> None:
    out = RobomimicExporter().export(dataset, tmp_path / "out.hdf5")
    with h5py.File(out) as file:
        assert file["data"].attrs["total"] == 5 * STEPS
        env = json.loads(file["data"].attrs["env_args"])
        assert env == {"env_name": f"forestpilot:{ENV_ID}", "type": 2, "env_kwargs": {"speed": 5.0}}
        assert sorted(file["data"]) == [f"demo_{number}" for number in range(5)]
        for number, episode in enumerate(episodes()):
            demo = file[f"data/demo_{number}"]
            assert demo.attrs["num_samples"] == STEPS
            np.testing.assert_array_equal(demo["rewards"], episode.rewards)
            assert demo["dones"][:].tolist() == [0] * (STEPS - 1) + [1]
            for key, values in episode.observations.items():
                assert demo[f"obs/{key}"].dtype == values.dtype
                np.testing.assert_array_equal(demo[f"obs/{key}"], values[:STEPS])
            assert demo["actions"].shape == (STEPS, 2)
            assert np.abs(demo["actions"]).max() <= 1.0
            assert "next_obs" not in demo


def test_what_was_taught_is_the_action_and_what_was_done_where_nobody_said_anything(
    dataset: Dataset, tmp_path: Path
) -> None:
    learner = episodes()[4]
    assert learner.expert_actions is not None
    taught = np.where(ASKED[:, None], learner.expert_actions[:, 1], learner.actions)
    for actions, wanted in (("taught", taught), ("done", learner.actions)):
        config = RobomimicConfig(actions=actions, next_obs=True)
        with h5py.File(RobomimicExporter().export(dataset, tmp_path / actions, config)) as file:
            demo = file["data/demo_4"]
            np.testing.assert_array_equal(demo["actions"], wanted)
            np.testing.assert_array_equal(demo["labelled"], ASKED)
            np.testing.assert_array_equal(demo["next_obs/left"][:-1], demo["obs/left"][1:])


def test_masks_part_the_demonstrations_and_name_the_successes(dataset: Dataset, tmp_path: Path) -> None:
    config = RobomimicConfig(valid_share=0.4)
    with h5py.File(RobomimicExporter().export(dataset, tmp_path / "out.hdf5", config)) as file:
        masks = {name: set(file[f"mask/{name}"].asstr()[:]) for name in file["mask"]}
    assert len(masks["valid"]) == 2
    assert masks["train"] | masks["valid"] == {f"demo_{number}" for number in range(5)}
    assert not masks["train"] & masks["valid"]
    assert masks["success"] == {f"demo_{number}" for number in range(4)}


def test_a_share_that_leaves_nothing_to_train_from_is_refused() -> None:
    with pytest.raises(ValueError, match=r"valid_share is 1\.0"):
        RobomimicConfig(valid_share=1.0)
