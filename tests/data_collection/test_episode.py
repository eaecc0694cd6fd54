"""One episode in one file: nothing lost, nothing half, nothing damaged unnoticed."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the decompressor
import numpy as np
import pytest

from forestpilot.data_collection.episodes import files
from forestpilot.data_collection.episodes.episode import CHUNK_STEPS, Episode, load_episode, save_episode
from forestpilot.data_collection.episodes.episode_file import HEADER_BYTES, open_episode
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError, EpisodeError, SchemaVersionError
from forestpilot.data_collection.episodes.files import (
    DiskFullError,
    remove_stale_temporaries,
    written_whole,
)
from forestpilot.data_collection.episodes.header import read_header
from forestpilot.data_collection.episodes.layout import read_rows
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from tests.helpers.episodes import make_episode


def arrays(episode: Episode) -> dict[str, np.ndarray]:
    values = {name: value for name, value in vars(episode).items() if isinstance(value, np.ndarray)}
    return values | episode.observations


@pytest.mark.parametrize("expert", [True, False])
@pytest.mark.parametrize("steps", [1, 7, 8, 20, 600])
def test_an_episode_comes_back_as_it_was_saved(tmp_path: Path, steps: int, expert: bool) -> None:
    saved = make_episode(3, steps, expert=expert)
    path = save_episode(tmp_path / "e.hdf5", saved)
    loaded = load_episode(path)
    loaded.validate()
    assert loaded.meta == saved.meta
    assert arrays(loaded).keys() == arrays(saved).keys()
    for name, values in arrays(saved).items():
        assert arrays(loaded)[name].dtype == values.dtype
        assert np.array_equal(arrays(loaded)[name], values)


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (3, 12), (None, None), (-4, None), (15, 99)])
def test_a_part_is_the_part_of_the_whole(tmp_path: Path, start: int | None, stop: int | None) -> None:
    saved = make_episode(3)
    path = save_episode(tmp_path / "e.hdf5", saved)
    part = load_episode(path, keys=["left", "state"], start=start, stop=stop)
    first, last, _ = slice(start, stop).indices(20)
    assert set(part.observations) == {"left", "state"}
    assert np.array_equal(part.observations["left"], saved.observations["left"][first : last + 1])
    assert np.array_equal(part.actions, saved.actions[first:last])
    assert np.array_equal(part.expert_costs, saved.expert_costs[first:last])
    part.validate()


def test_a_missing_key_or_an_empty_range_is_refused(tmp_path: Path) -> None:
    path = save_episode(tmp_path / "e.hdf5", make_episode(3))
    with pytest.raises(EpisodeError, match=r"no observation \['rear'\]; it has"):
        load_episode(path, keys=["rear"])
    with pytest.raises(EpisodeError, match="20 steps; none in 20:25"):
        load_episode(path, start=20, stop=25)


def test_the_file_has_the_layout_of_robomimic(tmp_path: Path) -> None:
    path = save_episode(tmp_path / "e.hdf5", make_episode(3))
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        assert file["data"].attrs["total"] == demo.attrs["num_samples"] == 20
        arguments = json.loads(file["data"].attrs["env_args"])
        assert arguments == {"env_name": "ForestPilot/Drone-v0", "type": 2, "env_kwargs": {"speed": 5.0}}
        assert demo["actions"].shape == (20, 2)
        assert demo["dones"][:].tolist() == [False] * 19 + [True]
        assert demo["obs/center"].chunks[0] == CHUNK_STEPS
        assert "32015" in str(demo["obs/center"]._filters)  # the registered id of Zstandard


def test_a_header_is_read_without_the_arrays(tmp_path: Path) -> None:
    episode = make_episode(3, expert=False)
    path = save_episode(tmp_path / "e.hdf5", episode)
    header = read_header(path)
    assert (header.num_steps, header.has_expert_costs) == (20, False)
    assert header.meta == episode.meta
    assert header.file_bytes == path.stat().st_size


def spoiled(field: str, index: Any, value: Any) -> Episode:
    episode = make_episode(1)
    array = getattr(episode, field) if hasattr(episode, field) else episode.observations[field]
    array[index] = value
    return episode


@pytest.mark.parametrize(
    ("episode", "message"),
    [
        (spoiled("state", (4, 2), np.nan), r"'state'.*NaN or infinity, first at step 4"),
        (spoiled("goal", (0, 0), np.inf), "'goal'.*NaN or infinity"),
        (spoiled("expert_costs", (7, 0, 3), np.nan), "expert_costs has NaN or infinity, first at step 7"),
        (spoiled("expert_actions", (7, 0, 1), np.nan), "expert_actions has NaN"),
        (spoiled("rewards", 3, np.nan), "rewards has NaN"),
        (spoiled("actions", (3, 0), 1.5), r"actions reaches 1\.500; allowed: -1 to 1"),
        (spoiled("actor", 0, 3), "actor is 3"),
        (spoiled("terminated", 2, True), "terminated is true before the last step"),
    ],
)
def test_bad_numbers_are_refused_with_their_place(tmp_path: Path, episode: Episode, message: str) -> None:
    with pytest.raises(EpisodeError, match=message):
        save_episode(tmp_path / "e.hdf5", episode)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "cut"),
    [
        ("actions", lambda values: values[:, :1]),
        ("expert_actions", lambda values: values[:, :2]),
        ("expert_costs", lambda values: values[:-1]),
        ("rewards", lambda values: values.astype(np.float64)),
        ("truncated", lambda values: values.astype(np.uint8)),
        ("actor", lambda values: values[:-1]),
    ],
)
def test_wrong_shapes_and_types_are_refused_by_name(field: str, cut: Any) -> None:
    episode = make_episode(1)
    with pytest.raises(EpisodeError, match=f"^{field} is .*it must be"):
        dataclasses.replace(episode, **{field: cut(getattr(episode, field))}).validate()


@pytest.mark.parametrize("key", ["left", "state", "goal"])
def test_observations_need_one_more_row_than_actions(key: str) -> None:
    episode = make_episode(1)
    episode.observations[key] = episode.observations[key][:-1]
    with pytest.raises(EpisodeError, match=f"{key}.*it must be .*21"):
        episode.validate()


def test_an_episode_without_steps_is_refused() -> None:
    with pytest.raises(EpisodeError, match="at least one step"):
        make_episode(1, steps=0).validate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "crash"}, "'crash'; allowed: running, success"),
        ({"control_hz": 0}, "control_hz is 0; allowed: 1"),
        ({"control_hz": 10.0}, "must be int"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_metadata_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EpisodeError, match=message):
        dataclasses.replace(make_episode(1).meta, **change)


@pytest.mark.parametrize("kwargs", [{"speed": np.float32(5)}, {"speed": float("nan")}])
def test_metadata_must_be_plain_json(kwargs: dict[str, Any]) -> None:
    with pytest.raises(EpisodeError, match="plain, finite JSON"):
        dataclasses.replace(make_episode(1).meta, env_kwargs=kwargs).to_json()


def test_unknown_metadata_is_refused() -> None:
    text = json.dumps(dataclasses.asdict(make_episode(1).meta) | {"weather": "rain"})
    with pytest.raises(EpisodeError, match="weather"):
        EpisodeMeta.from_json(text)


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 3000, -1])
def test_a_truncated_file_is_recognised(tmp_path: Path, length: int) -> None:
    path = save_episode(tmp_path / "e.hdf5", make_episode(3))
    path.write_bytes(path.read_bytes()[:length])
    for read in (load_episode, read_header):
        with pytest.raises(BrokenEpisodeError, match=r"e\.hdf5"):
            read(path)


def test_every_altered_bit_is_noticed(tmp_path: Path) -> None:
    path = save_episode(tmp_path / "e.hdf5", make_episode(3))
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(HEADER_BYTES, len(content), 200):
        altered = bytearray(content)
        altered[place] ^= 1 << int(place) % 8
        path.write_bytes(altered)
        with pytest.raises(BrokenEpisodeError, match="checksum"):
            read_header(path)


def test_another_schema_version_is_no_damage_but_an_error_of_its_own(tmp_path: Path) -> None:
    path = save_episode(tmp_path / "e.hdf5", make_episode(3))
    path.write_bytes(path.read_bytes().replace(b"ForestPilot episode 1 ", b"ForestPilot episode 9 ", 1))
    with pytest.raises(SchemaVersionError, match="version 9; this ForestPilot reads versions 1, 2, 3"):
        load_episode(path)


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_episode(tmp_path / "none.hdf5")


def test_rows_are_read_as_h5py_reads_them(tmp_path: Path) -> None:
    with open_episode(save_episode(tmp_path / "e.hdf5", make_episode(3, 20))) as demo:
        for name in ("actions", "terminated", "obs/left", "obs/state"):
            for first, last in ((0, None), (3, 9), (5, 5), (18, 99), (30, 40)):
                rows, meant = read_rows(demo, name, first, last), demo[name][first:last]
                assert rows.dtype == meant.dtype and np.array_equal(rows, meant)
        with pytest.raises(KeyError):
            read_rows(demo, "nothing")


@pytest.mark.parametrize("when", ["first write", "half way", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, code: int
) -> None:
    path = save_episode(tmp_path / "e.hdf5", make_episode(3))
    before = path.read_bytes()
    real_write = os.write

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    def half(descriptor: int, data: memoryview) -> int:
        return real_write(descriptor, data[: len(data) // 2]) if len(data) > 1000 else fail()

    name, replacement = {
        "first write": ("write", fail),
        "half way": ("write", half),
        "fsync": ("fsync", fail),
        "rename": ("replace", fail),
    }[when]
    monkeypatch.setattr(files.os, name, replacement)
    with pytest.raises(DiskFullError, match="make room and run the same command again"):
        save_episode(path, make_episode(4))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.hdf5"]


def test_other_errors_of_the_disk_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_episode(tmp_path / "no-such-folder" / "e.hdf5", make_episode(3))


def test_a_dead_writers_temporary_file_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    dead = tmp_path / ".a.hdf5.0.tmp"
    dead.write_bytes(b"half")
    (tmp_path / ".c.hdf5.2.tmp.lock").touch()
    with written_whole(tmp_path / "b.hdf5") as living:
        living.write_bytes(b"half")
        assert remove_stale_temporaries(tmp_path) == [dead.name]
        assert living.exists()
        living.write_bytes(b"all")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("b.hdf5", b"all")]


def test_a_writer_whose_lock_file_goes_before_it_is_locked_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_flock = files.fcntl.flock

    def cleared_away_first(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        next(tmp_path.glob("*.lock")).unlink()
        real_flock(descriptor, how)

    monkeypatch.setattr(files.fcntl, "flock", cleared_away_first)
    with written_whole(tmp_path / "b.hdf5") as living:
        living.write_bytes(b"all")
        assert remove_stale_temporaries(tmp_path) == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.hdf5"]


def test_what_a_block_has_written_is_gone_when_it_raises(tmp_path: Path) -> None:
    old = tmp_path / "b.bin"
    old.write_bytes(b"old")

    def write_half(path: Path, stop: type[BaseException], folder: bool) -> None:
        with written_whole(path) as unfinished:
            if folder:
                unfinished.mkdir()
            (unfinished / "part" if folder else unfinished).write_bytes(b"half")
            raise stop

    for path, stop, folder in ((old, KeyboardInterrupt, False), (tmp_path / "folder", ZeroDivisionError, True)):
        with pytest.raises(stop):
            write_half(path, stop, folder)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("b.bin", b"old")]


def test_a_folder_is_written_whole_too(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with written_whole(tmp_path / "set") as unfinished:
        (unfinished / "inner").mkdir(parents=True)
        (unfinished / "inner" / "part").write_bytes(b"all")
        assert not list((tmp_path / "set").iterdir())
    assert (tmp_path / "set" / "inner" / "part").read_bytes() == b"all"
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_importing_the_package_imports_no_torch_and_no_hdf5() -> None:
    import subprocess
    import sys

    code = """
import sys
sys.argv = ["forestpilot"]
import forestpilot.data_collection
assert not {"torch", "h5py", "numpy"} & set(sys.modules)
import forestpilot.data_collection.windows.windows
assert "torch" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
