"""A folder of episodes: damage set aside, tasks kept apart, several writers, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import (
    Dataset,
    DatasetError,
    QuarantineWarning,
    RendererWarning,
    SpecMismatchError,
    require_one_task,
)
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.errors import EpisodeError, SchemaVersionError
from forestpilot.data_collection.episodes.files import DiskFullError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    dataset = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    for seed in (2, 1):
        dataset.add(make_episode(seed))
    return dataset


def test_episodes_are_found_again_in_the_order_of_their_names(dataset: Dataset) -> None:
    dataset.add(make_episode(0, dagger_round=1))
    reopened = Dataset.open(dataset.folder)
    for each in (dataset, reopened):
        keys = [(header.meta.dagger_round, header.meta.seed) for header in each.episodes]
        assert keys == [(0, 1), (0, 2), (1, 0)]
        assert len(each) == 3
        assert each.total_steps == 60
    assert reopened.episodes == dataset.episodes
    assert reopened.task_spec == small_spec()
    assert reopened.env_id == ENV_ID


def test_a_resumed_command_knows_what_is_there(dataset: Dataset) -> None:
    assert dataset.has(0, 2)
    assert not dataset.has(1, 2)
    assert not dataset.has(0, 3)
    resumed = Dataset.create(dataset.folder, small_spec(), ENV_ID)
    assert len(resumed) == 2
    with pytest.raises(DatasetError, match="there already"):
        resumed.add(make_episode(2))


def test_a_dataset_describes_itself(dataset: Dataset) -> None:
    description = json.loads((dataset.folder / "dataset.json").read_text())
    assert description["fps"] == 10
    assert description["renderer"] == "raycast"
    assert description["schema_version"] == 1
    assert description["env_id"] == ENV_ID


def test_summary_counts_by_round(dataset: Dataset) -> None:
    dataset.add(make_episode(5, 7, dagger_round=2, outcome="collision", policy_id="student"))
    summary = dataset.summary()
    assert summary["episodes"] == 3
    assert summary["steps"] == 47
    assert summary["successes"] == 2
    assert summary["rounds"][2] == {"episodes": 1, "steps": 7, "successes": 0}
    assert summary["file_bytes"] == sum(path.stat().st_size for path in (dataset.folder / "episodes").iterdir())


def test_new_episodes_of_other_processes_are_found_by_refresh(dataset: Dataset) -> None:
    other = Dataset.open(dataset.folder, check=False)
    assert len(other) == 0
    other.add(make_episode(9))
    assert [header.meta.seed for header in dataset.refresh()] == [9]
    assert dataset.refresh() == []
    dataset.episodes[0].path.unlink()
    dataset.refresh()
    assert [header.meta.seed for header in dataset.episodes] == [2, 9]


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def alter(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "truncated"),
        (alter, "checksum"),
        (lambda content: b"", "no ForestPilot episode"),
        (lambda content: b"\x89HDF\r\n\x1a\n" + content, "no ForestPilot episode"),
    ],
)
def test_a_damaged_file_is_set_aside_with_its_reason(dataset: Dataset, damage: Any, reason: str) -> None:
    path = dataset.episodes[0].path
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.warns(QuarantineWarning, match=reason):
        reopened = Dataset.open(dataset.folder)
    assert [header.meta.seed for header in reopened.episodes] == [2]
    assert (dataset.folder / "quarantine" / path.name).read_bytes() == damaged
    (line,) = (dataset.folder / "quarantine" / "reasons.txt").read_text().splitlines()
    assert line.startswith(f"{path.name}\t")
    assert reason in line
    assert not reopened.has(0, 1)
    reopened.add(make_episode(1))
    assert len(Dataset.open(dataset.folder)) == 2


def test_the_same_episode_can_be_quarantined_twice(dataset: Dataset) -> None:
    path = dataset.episodes[0].path
    for _ in range(2):
        path.write_bytes(b"damaged")
        with pytest.warns(QuarantineWarning):
            dataset = Dataset.open(dataset.folder)
        dataset.add(make_episode(1))
    names = sorted(entry.name for entry in (dataset.folder / "quarantine").iterdir())
    assert names == ["r0000-s00000001.2.hdf5", "r0000-s00000001.hdf5", "reasons.txt"]
    assert len((dataset.folder / "quarantine" / "reasons.txt").read_text().splitlines()) == 2


def test_a_damaged_file_that_cannot_be_moved_is_left_out(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dataset.episodes[0].path
    path.write_bytes(b"damaged")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.warns(QuarantineWarning, match="could not be moved"):
        reopened = Dataset.open(dataset.folder)
    assert [header.meta.seed for header in reopened.episodes] == [2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reopened.refresh() == []


def test_an_episode_of_another_schema_is_refused_and_not_moved(dataset: Dataset) -> None:
    path = dataset.episodes[0].path
    path.write_bytes(path.read_bytes().replace(b"episode 1 ", b"episode 9 ", 1))
    with pytest.raises(SchemaVersionError, match="version 9; this ForestPilot reads versions 1, 2, 3"):
        Dataset.open(dataset.folder)
    assert path.exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"schema_version": 2}, SchemaVersionError, "version 2; this ForestPilot reads 1"),
        ({"format": "other"}, DatasetError, "does not describe"),
        ({"task_spec": {"task": "drone"}}, SpecMismatchError, "not this version's"),
    ],
)
def test_a_foreign_description_is_refused(dataset: Dataset, change: dict, error: type, message: str) -> None:
    path = dataset.folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match=message):
        Dataset.open(dataset.folder)


def test_a_damaged_or_missing_description_says_what_to_do(dataset: Dataset, tmp_path: Path) -> None:
    (dataset.folder / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="Restore it"):
        Dataset.open(dataset.folder)
    with pytest.raises(DatasetError, match="forestpilot collect"):
        Dataset.open(tmp_path / "nothing")


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match="holds files but no dataset"):
        Dataset.create(tmp_path, small_spec(), ENV_ID)


def test_a_folder_whose_first_command_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "episodes").mkdir()
    (tmp_path / "config.json").write_text("{}")  # what a run writes where it is interrupted
    assert len(Dataset.create(tmp_path, small_spec(), ENV_ID)) == 0


OTHER_TASKS = [
    ({"image_width": 32}, "image_width: (16 against 32|32 against 16)"),
    ({"control_hz": 20}, "control_hz: (10 against 20|20 against 10)"),
    ({"candidate_turns_rad": (-1.0, 0.0, 1.0)}, "candidate_turns_rad"),
    ({"side_yaw_rad": 0.2}, "side_yaw_rad"),
    ({"task": "drive"}, "task: (drone against drive|drive against drone)"),
]


@pytest.mark.parametrize(("change", "message"), OTHER_TASKS)
def test_data_of_another_task_is_refused_naming_the_difference(
    dataset: Dataset, tmp_path: Path, change: dict, message: str
) -> None:
    other = small_spec(**change)
    with pytest.raises(SpecMismatchError, match=message):
        Dataset.create(dataset.folder, other, ENV_ID)
    with pytest.raises(SpecMismatchError, match=message):
        dataset.add(make_episode(7, spec=other))
    with pytest.raises(SpecMismatchError, match=message):
        require_one_task([dataset, Dataset.create(tmp_path / "other", other, ENV_ID)])
    assert len(Dataset.open(dataset.folder)) == 2


def test_an_environment_of_another_id_is_refused(dataset: Dataset) -> None:
    with pytest.raises(SpecMismatchError, match="Drive-v0"):
        Dataset.create(dataset.folder, small_spec(), "ForestPilot/Drive-v0")


def test_another_renderer_warns(dataset: Dataset, tmp_path: Path) -> None:
    spec = small_spec(renderer="tiny")
    with pytest.warns(RendererWarning, match=r"'tiny' joins data drawn by 'raycast'"):
        require_one_task([dataset, Dataset.create(tmp_path / "tiny", spec, ENV_ID)])
    with pytest.warns(RendererWarning):
        dataset.add(make_episode(7, spec=spec))
    assert len(dataset) == 3


@pytest.mark.parametrize(
    ("key", "cut", "message"),
    [
        ("left", lambda values: values[:, :6], r"'left'.*\(6, 16, 3\).*\(12, 16, 3\)"),
        ("state", lambda values: values[:, :4], r"'state'.*\(4,\).*\(10,\)"),
        ("goal", None, "'goal'.*None"),
    ],
)
def test_an_episode_that_does_not_fit_its_task_is_refused(dataset: Dataset, key: str, cut: Any, message: str) -> None:
    episode = make_episode(7)
    values = episode.observations.pop(key)
    if cut:
        episode.observations[key] = np.ascontiguousarray(cut(values))
    with pytest.raises(EpisodeError, match=message):
        dataset.add(episode)
    assert not dataset.has(0, 7)


def test_an_episode_is_validated_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    validate, calls = Episode.validate, []
    monkeypatch.setattr(Episode, "validate", lambda episode: (calls.append(episode), validate(episode)))
    dataset.add(make_episode(7))
    assert len(calls) == 1
    dataset.replace(make_episode(7))
    assert len(calls) == 2


def test_costs_of_another_number_of_candidates_are_refused(dataset: Dataset) -> None:
    episode = make_episode(7)
    episode.expert_costs = episode.expert_costs[:, :, :5]
    with pytest.raises(EpisodeError, match="5 candidates; the task spec has 21"):
        dataset.add(episode)


def test_a_full_disk_loses_nothing_that_was_written(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFullError, match="no space left"):
        dataset.add(make_episode(7))
    monkeypatch.undo()
    assert len(dataset) == len(Dataset.open(dataset.folder)) == 2
    assert not list((dataset.folder / "episodes").glob(".*"))
    dataset.add(make_episode(7))
    assert len(dataset) == 3


WRITER = """
import sys
from forestpilot.data_collection.episodes.dataset import Dataset
from tests.helpers.episodes import make_episode
dataset = Dataset.open(sys.argv[1], check=False)
first = int(sys.argv[2])
for seed in range(first, first + int(sys.argv[3])):
    dataset.add(make_episode(seed, 30))
    print(seed, flush=True)
"""


def start_writer(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_kill_9_loses_at_most_the_episode_in_hand(tmp_path: Path) -> None:
    folder = Dataset.create(tmp_path / "data", small_spec(), ENV_ID).folder
    acknowledged: list[int] = []
    for kill in range(3):
        writer = start_writer(folder, 1000 * kill, 1000)
        assert writer.stdout is not None
        acknowledged.append(int(writer.stdout.readline()))
        time.sleep(0.05 + 0.013 * kill)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().split()]
        assert writer.wait() == -signal.SIGKILL
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing may need quarantine
        dataset = Dataset.open(folder)
    found = [header.meta.seed for header in dataset.episodes]
    assert set(acknowledged) <= set(found)
    assert len(found) <= len(acknowledged) + 3
    assert np.array_equal(load_episode(dataset.path_of(0, 0)).actions, make_episode(0, 30).actions)
    assert not list((folder / "episodes").glob(".*"))


STUCK_WRITER = """
import os, time
os.fsync = lambda descriptor: (print("half", flush=True), time.sleep(60))
"""


def test_a_writer_killed_half_way_leaves_no_episode_and_its_rest_is_swept_up(dataset: Dataset) -> None:
    command = [sys.executable, "-c", STUCK_WRITER + WRITER, str(dataset.folder), "7", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        (rest,) = (dataset.folder / "episodes").glob(".*.tmp")
        assert len(Dataset.open(dataset.folder)) == 2
        assert rest.exists()  # its writer lives
        writer.kill()
    assert len(Dataset.open(dataset.folder)) == 2
    assert not rest.exists()
    assert not (dataset.folder / "quarantine").exists()


def test_several_processes_write_side_by_side_while_others_open(tmp_path: Path) -> None:
    folder = Dataset.create(tmp_path / "data", small_spec(), ENV_ID).folder
    writers = [start_writer(folder, first, 12) for first in (0, 100)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while any(writer.poll() is None for writer in writers):
            for header in Dataset.open(folder).episodes:  # opening sweeps up temporary files: those in use must stay
                assert header.num_steps == 30
        assert [writer.wait() for writer in writers] == [0, 0]
        assert len(Dataset.open(folder)) == 24
