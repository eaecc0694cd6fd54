"""Data that lies elsewhere: fetched once where it fits, else part by part; whole files, nothing at random."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes import remote
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.episodes.remote import FarDatasets, Room, fetched, is_address
from forestpilot.launch import cli
from forestpilot.launch.verbs.inspect import Config as InspectConfig
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.algorithms.demonstrations import open_demonstrations
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training import parts
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.made_up import make_policy_config
from tests.helpers.specs import small_spec

fsspec = pytest.importorskip("fsspec")
EPISODES = 6
PROGRESS = SilentProgress()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = Dataset.create(tmp_path_factory.mktemp("data") / "dataset", small_spec(), ENV_ID)
    for seed in range(EPISODES):
        made.add(make_episode(seed, 12))
    return made


@pytest.fixture
def far(dataset: Dataset) -> Iterator[str]:
    """The dataset in fsspec's memory, beside what is no episode."""
    files = fsspec.filesystem("memory")
    files.put(f"{dataset.folder}/", "/flights", recursive=True)
    files.pipe_file("/flights/episodes/notes.txt", b"no episode")
    files.pipe_file("/flights/episodes/..evil.hdf5", b"no episode")
    yield "memory://flights"
    files.rm("/flights", recursive=True)


def half_room(dataset: Dataset) -> int:
    """Bytes for two episodes in each of two parts."""
    return 4 * max(header.file_bytes for header in dataset.episodes)


def config_of(place: str, out: Path, **values: object) -> TrainConfig:
    settings = {"steps": 12, "batch_windows": 4, "tensorboard": False, "log_every": 4, "checkpoint_every": 4}
    policy = make_policy_config(view={"height": 8, "width": 16})
    return TrainConfig(data=(place,), out=str(out), policy=policy, **(settings | values))  # type: ignore[arg-type]


def same_weights(first: VisuomotorPolicy, second: VisuomotorPolicy) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_addresses_are_told_from_folders() -> None:
    assert is_address("s3://bucket/flights") and is_address("memory://flights")
    assert not is_address("datasets/flights") and not is_address("C:/flights")


@pytest.mark.parametrize("kind", ["memory", "file", "both"])
def test_what_fits_teaches_the_same_to_the_bit(dataset: Dataset, far: str, kind: str, tmp_path: Path) -> None:
    place = far if kind == "memory" else f"file://{dataset.folder}"
    config = config_of(place, tmp_path / "far")
    here = config_of(str(dataset.folder), tmp_path / "here")
    if kind == "both":
        config = config_of(str(dataset.folder), tmp_path / "far")
        config = TrainConfig(**{**vars(config), "data": (str(dataset.folder), far)})
        here = TrainConfig(**{**vars(here), "data": (str(dataset.folder), str(dataset.folder))})
    assert same_weights(clone(config), clone(here))
    assert not (tmp_path / "far" / "remote").exists(), "copies are gone"


def test_each_part_is_another_and_a_round_has_all(
    dataset: Dataset, far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    fetch = remote.FarDataset.fetch
    monkeypatch.setattr(
        remote.FarDataset, "fetch", lambda self, name, to: (fetched.append(name), fetch(self, name, to))[1]
    )
    room = Room(tmp_path / "room", half_room(dataset))
    datasets = FarDatasets([far], room, seed=3)
    assert datasets.num_parts == 3 and datasets.num_bytes == dataset.file_bytes
    seen = []
    for number in range(6):
        (part,) = datasets.part(number, PROGRESS)
        seen.append([header.meta.seed for header in part.episodes])
        datasets._ahead.result()  # type: ignore[union-attr]
        copies = sum(path.stat().st_size for path in room.folder.rglob("*.hdf5"))
        assert copies <= room.most_bytes
    datasets.close()
    assert [len(part) for part in seen] == [2] * 6
    for turn in (seen[:3], seen[3:]):
        assert sorted(seed for part in turn for seed in part) == list(range(EPISODES))
    assert seen[:3] != seen[3:], "shuffled anew"
    assert len(fetched) == 7 * 2, "each file once a round, and the part that comes next"
    again = FarDatasets([far], Room(tmp_path / "other", half_room(dataset)), seed=3)
    (part,) = again.part(4, PROGRESS)
    again.close()
    assert [header.meta.seed for header in part.episodes] == seen[4], "whatever came before"


def test_a_training_in_parts_that_was_killed_ends_as_one_that_was_not(
    dataset: Dataset, far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gigabytes = half_room(dataset) / 1e9
    whole = clone(config_of(far, tmp_path / "whole", remote_gb=gigabytes))

    visited: list[int] = []
    part = FarDatasets.part

    def until_the_fifth(self: FarDatasets, number: int, progress: object) -> list[Dataset]:
        visited.append(number)
        if len(visited) == 6:
            raise KeyboardInterrupt
        return part(self, number, PROGRESS)

    config = config_of(far, tmp_path / "killed", remote_gb=gigabytes)
    with monkeypatch.context() as killed:
        killed.setattr(FarDatasets, "part", until_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            clone(config)
    assert visited == list(range(6))
    assert (tmp_path / "killed" / "remote").exists(), "what was fetched is not fetched again"
    assert same_weights(clone(config), whole)
    assert not (tmp_path / "killed" / "remote").exists()
    assert same_weights(clone(config), whole), "it is finished"


def test_few_parts_are_visited_again_and_again(dataset: Dataset, far: str, tmp_path: Path) -> None:
    numbers: list[int] = []

    class Counting(FarDatasets):
        def part(self, number: int, progress: object) -> list[Dataset]:
            numbers.append(number)
            return []

    datasets = Counting([far], Room(tmp_path, half_room(dataset)), 0)
    reader = parts.PartsReader(datasets, 210, lambda _: MadeUp(), PROGRESS)  # type: ignore[arg-type, return-value]
    for step in range(210):
        reader.go_to(step)
    datasets.close()
    assert numbers == list(range(21)), "seven rounds of three parts: at least twenty"


class MadeUp:
    def close(self) -> None: ...


def test_what_cannot_be_had_is_told_in_a_line(dataset: Dataset, far: str, tmp_path: Path) -> None:
    room = Room(tmp_path / "room", 10**9)
    with pytest.raises(DatasetError, match=r"memory://nowhere is no dataset: it has no dataset\.json"):
        FarDatasets(["memory://nowhere"], room, 0)
    with pytest.raises(DatasetError, match=r"abc://flights cannot be read: Protocol not known: abc"):
        FarDatasets(["abc://flights"], room, 0)
    with pytest.raises(DatasetError, match=r"half of the room for copies is .*--remote-gb"):
        FarDatasets([far], Room(tmp_path / "room", 1000), 0)
    with pytest.raises(DatasetError, match="is an address"):
        Dataset.open(far)
    datasets = FarDatasets([far], room, 0)
    fsspec.filesystem("memory").rm("/flights/episodes/r0000-s00000002.hdf5")
    with pytest.raises(DatasetError, match=r"has lost r0000-s00000002\.hdf5 since it was listed"):
        datasets.part(0, PROGRESS)


def test_what_is_needed_whole_is_fetched_once_and_told_where_it_does_not_fit(
    dataset: Dataset, far: str, tmp_path: Path
) -> None:
    room = Room(tmp_path / "room", 10**9)
    for _ in range(2):
        first, second = fetched([str(dataset.folder), far], room, PROGRESS)
        assert first == str(dataset.folder)
        copies = sorted(Path(second, "episodes").glob("*.hdf5"))
        assert [copy.read_bytes() for copy in copies] == [header.path.read_bytes() for header in dataset.episodes]
    times = [copy.stat().st_mtime_ns for copy in copies]
    policy = VisuomotorPolicy.seeded(make_policy_config(view={"height": 8, "width": 16}), small_spec(), 0)
    (opened,) = open_demonstrations([far], policy, room, PROGRESS)
    assert len(opened) == EPISODES
    assert [copy.stat().st_mtime_ns for copy in copies] == times, "not fetched again"
    with pytest.raises(DatasetError, match=r"GB, and the room for copies is .* give it more \(remote_gb\)"):
        fetched([far], Room(tmp_path / "small", half_room(dataset)), PROGRESS)
    assert not (tmp_path / "small").exists()


def test_what_lies_elsewhere_is_exported_and_looked_at_as_what_is_here(
    dataset: Dataset, far: str, tmp_path: Path
) -> None:
    for name, place in (("here", str(dataset.folder)), ("far", far)):
        assert cli.main(["export", "robomimic", place, "--out", str(tmp_path / name), "--to.copy"]) == 0
    assert (tmp_path / "here").read_bytes() == (tmp_path / "far").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"here", "here.md", "far", "far.md"}, "copies are gone"
    assert cli.main(["export", "robomimic", far, "--out", str(tmp_path / "linked")]) == 2
    assert cli.main(["inspect", far, "--out", str(tmp_path / "page.html")]) == 0
    assert "memory://flights" in (tmp_path / "page.html").read_text()
    with pytest.raises(InvalidArgumentError, match="no folder that the page could lie in; give --out"):
        InspectConfig(datasets=(far,))


def test_a_network_that_fails_now_and_then_is_asked_again(
    far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = remote.FarDataset(far)
    failures = [OSError("reset"), OSError("reset")]
    get_file = type(found._files).get_file

    def sometimes(self: object, *args: object) -> None:
        if failures:
            raise failures.pop()
        get_file(self, *args)

    monkeypatch.setattr(type(found._files), "get_file", sometimes)
    name, size = found.episodes[0]
    found.fetch(name, tmp_path / name)
    assert (tmp_path / name).stat().st_size == size
    failures += [OSError("reset")] * remote.TRIES
    with pytest.raises(DatasetError, match=r"cannot be fetched \(reset\); the same command goes on"):
        found.fetch(name, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_damaged_copy_is_set_aside(dataset: Dataset, tmp_path: Path) -> None:
    away = tmp_path / "away"
    shutil.copytree(dataset.folder, away)
    damaged = sorted((away / "episodes").glob("*.hdf5"))[0]
    bytes_ = bytearray(damaged.read_bytes())
    bytes_[-100] ^= 1
    damaged.write_bytes(bytes(bytes_))
    datasets = FarDatasets([f"file://{away}"], Room(tmp_path / "room", 10**9), 0)
    with pytest.warns(UserWarning, match="damaged episode"):
        (part,) = datasets.part(0, PROGRESS)
    assert len(part) == EPISODES - 1 and damaged.exists()
    np.testing.assert_array_equal(len(datasets.seeds), EPISODES)
