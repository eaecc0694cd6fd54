"""A dataset as robomimic reads it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.episodes.rerun import RERUN_ATTRIBUTE, Rerun
from forestpilot.data_collection.export.importer import ImportDataError
from forestpilot.data_collection.export.robomimic import RobomimicConfig, RobomimicExporter
from forestpilot.data_collection.export.robomimic_import import RobomimicImporter
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
            np.testing.assert_array_equal(demo["next_obs/state"], episode.observations["state"][1:])


def test_what_was_taught_is_the_action_and_what_was_done_where_nobody_said_anything(
    dataset: Dataset, tmp_path: Path
) -> None:
    learner = episodes()[4]
    assert learner.expert_actions is not None
    taught = np.where(ASKED[:, None], learner.expert_actions[:, 1], learner.actions)
    for action, wanted in (("taught", taught), ("executed", learner.actions)):
        config = RobomimicConfig(action=action)  # type: ignore[arg-type]
        with h5py.File(RobomimicExporter().export(dataset, tmp_path / action, config)) as file:
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


def exported(dataset: Dataset, out: Path, config: RobomimicConfig | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Every demonstration's arrays."""
    with h5py.File(RobomimicExporter().export(dataset, out, config)) as file:
        demos: dict[str, dict[str, np.ndarray]] = {}
        for name, demo in file["data"].items():
            demos[name] = {}
            demo.visititems(
                lambda key, item, own=demos[name]: (
                    own.update({key: item[:]}) if isinstance(item, h5py.Dataset) else None
                )
            )
            assert all(len(values) == demo.attrs["num_samples"] for values in demos[name].values())
        assert file["data"].attrs["total"] == sum(len(arrays["actions"]) for arrays in demos.values())
    return demos


def test_an_episode_is_a_demonstration_for_each_stretch_where_the_vehicle_was_put_elsewhere(tmp_path: Path) -> None:
    displaced = np.isin(np.arange(STEPS), (3, 4, 9))
    kwargs = {"speed": 5.0, "pose_noise": {"every_s": 1.0}}
    episode = dataclasses.replace(make_episode(7, STEPS, env_kwargs=kwargs), displaced=displaced)
    dataset = Dataset.create(tmp_path / "dataset", small_spec(), ENV_ID)
    dataset.add(episode)
    dataset.add(make_episode(8, STEPS))

    demos = exported(dataset, tmp_path / "plain", RobomimicConfig(next_obs=False))
    pictures = {name: arrays["obs/center"][:, 0, 0, 1].tolist() for name, arrays in demos.items()}
    whole = list(range(STEPS))
    assert pictures == {"demo_0": whole[:3], "demo_1": [3], "demo_2": whole[4:9], "demo_3": whole[9:], "demo_4": whole}
    assert [arrays["dones"][-1] for arrays in demos.values()] == [0, 0, 0, 1, 1]

    # What followed upon the step before was seen from where the vehicle had been put.
    demos = exported(dataset, tmp_path / "next")
    pictures = {name: arrays["obs/center"][:, 0, 0, 1].tolist() for name, arrays in demos.items()}
    assert pictures == {"demo_0": [0, 1], "demo_1": whole[4:8], "demo_2": whole[9:], "demo_3": whole}
    for arrays in demos.values():
        np.testing.assert_array_equal(arrays["next_obs/center"][:, 0, 0, 1], arrays["obs/center"][:, 0, 0, 1] + 1)

    with h5py.File(tmp_path / "plain") as file:
        masks = {name: set(file[f"mask/{name}"].asstr()[:]) for name in file["mask"]}
        env = json.loads(file["data"].attrs["env_args"])
    assert masks["success"] == {f"demo_{number}" for number in range(5)}
    assert env["env_kwargs"] == {"speed": 5.0}, "who tries out what was learned is put elsewhere by nobody"


def test_an_episode_that_begins_again_before_a_crash_stands_beside_the_first(tmp_path: Path) -> None:
    crash = make_episode(3, STEPS, outcome="collision")
    lead_in = crash.actions[:8].tolist()
    again = dataclasses.replace(
        make_episode(3, 6, env_kwargs={"speed": 5.0, "lead_in": lead_in}), rerun=Rerun(take=1, weight=4.0)
    )
    dataset = Dataset.create(tmp_path / "dataset", small_spec(), ENV_ID)
    for episode in (again, crash, make_episode(4, STEPS), make_episode(5, STEPS)):
        dataset.add(episode)
    assert sorted(len(arrays["actions"]) for arrays in exported(dataset, tmp_path / "out").values()) == [6, 12, 12, 12]
    for seed in range(6):
        out = RobomimicExporter().export(
            dataset, tmp_path / f"valid-{seed}", RobomimicConfig(valid_share=0.34, seed=seed)
        )
        with h5py.File(out) as file:
            (rerun,) = (name for name, demo in file["data"].items() if RERUN_ATTRIBUTE in demo.attrs)
            assert json.loads(file["data"][rerun].attrs[RERUN_ATTRIBUTE]) == {"take": 1, "weight": 4.0}
            worlds = {}
            for name, demo in file["data"].items():
                worlds[name] = json.loads(demo.attrs["episode_meta"])["seed"]
            sides = [{worlds[name] for name in file[f"mask/{side}"].asstr()[:]} for side in ("train", "valid")]
            assert not sides[0] & sides[1], "the end of an episode would tell of its beginning"
            assert "lead_in" not in json.loads(file["data"].attrs["env_args"])["env_kwargs"]


def test_who_exports_is_told_of_weights_that_robomimic_does_not_know(tmp_path: Path) -> None:
    notes: list[str] = []

    class Listening(SilentProgress):
        def note(self, message: str) -> None:
            notes.append(message)

    dataset = Dataset.create(tmp_path / "dataset", small_spec(), ENV_ID)
    dataset.add(make_episode(3, STEPS))
    RobomimicExporter().export(dataset, tmp_path / "plain", progress=Listening())
    assert not notes
    dataset.add(dataclasses.replace(make_episode(3, STEPS), rerun=Rerun(take=1, weight=4.0)))
    RobomimicExporter().export(dataset, tmp_path / "weighed", progress=Listening())
    assert len(notes) == 1 and "have a weight in 1 of" in notes[0]


def test_links_take_no_room_and_lead_there_wherever_both_are_moved(tmp_path: Path) -> None:
    before = tmp_path / "before"
    dataset = Dataset.create(before / "dataset", small_spec(), ENV_ID)
    for seed in range(3):
        dataset.add(make_episode(seed, 100))
    out = RobomimicExporter().export(dataset, before / "exports.hdf5")
    assert out.stat().st_size < dataset.file_bytes / 3
    before.rename(tmp_path / "after")
    with h5py.File(tmp_path / "after" / "exports.hdf5") as file:
        np.testing.assert_array_equal(file["data/demo_2/obs/left"], make_episode(2, 100).observations["left"][:-1])
    (tmp_path / "after" / "dataset").rename(tmp_path / "gone")
    with h5py.File(tmp_path / "after" / "exports.hdf5") as file:
        for key in ("obs/left", "next_obs/state"):
            with pytest.raises(OSError, match="read data"):  # not zeros, which somebody would train from
                file[f"data/demo_2/{key}"][:]


def require_same(before: Episode, after: Episode) -> None:
    for field in dataclasses.fields(Episode):
        np.testing.assert_equal(getattr(after, field.name), getattr(before, field.name), err_msg=field.name)


def test_links_lead_back_to_equal_episodes_as_long_as_they_lead_anywhere(dataset: Dataset, tmp_path: Path) -> None:
    out = RobomimicExporter().export(dataset, tmp_path / "out.hdf5", RobomimicConfig(action="expert"))
    back = RobomimicImporter(out).import_to(tmp_path / "back")
    assert len(RobomimicImporter(out)) == len(back) == len(dataset) and back.env_id == dataset.env_id
    for before, after in zip(dataset.episodes, back.episodes):
        require_same(load_episode(before.path), load_episode(after.path))
    kept = back.episodes[0].path.stat().st_mtime_ns
    back.episodes[1].path.unlink()
    assert len(RobomimicImporter(out).import_to(tmp_path / "back")) == len(dataset)
    assert back.episodes[0].path.stat().st_mtime_ns == kept, "what was there already is not written again"
    (tmp_path / "elsewhere" / "deeper").mkdir(parents=True)
    moved = out.rename(tmp_path / "elsewhere" / "deeper" / "out.hdf5")
    with pytest.raises(ImportDataError, match=r"links to .*r0000-s00000000\.hdf5, which cannot be read"):
        RobomimicImporter(moved).import_to(tmp_path / "again")


def test_a_copy_holds_the_same_and_every_library_unpacks_it(dataset: Dataset, tmp_path: Path) -> None:
    linked = exported(dataset, tmp_path / "linked")
    copied = exported(dataset, tmp_path / "copied", RobomimicConfig(copy=True))
    assert set(linked) == set(copied)
    for name, arrays in linked.items():
        assert set(arrays) == set(copied[name])
        for key, values in arrays.items():
            np.testing.assert_array_equal(copied[name][key], values, err_msg=key)
    with h5py.File(tmp_path / "copied") as file:
        assert {values.compression for group in file["episodes"].values() for values in group.values()} == {"gzip"}


def test_only_what_the_expert_answered_is_exported_where_nothing_else_is_wanted(
    dataset: Dataset, tmp_path: Path
) -> None:
    demos = exported(dataset, tmp_path / "expert", RobomimicConfig(action="expert"))
    learner = episodes()[4]
    assert learner.expert_actions is not None
    answers = np.concatenate([demos[f"demo_{number}"]["actions"] for number in range(4, len(demos))])
    np.testing.assert_array_equal(answers, learner.expert_actions[ASKED, 1])
