"""Decoded steps on disk: drawn from as from memory, shared between processes, made anew where they are no good."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.windows import decoded, decoding
from forestpilot.data_collection.windows.decoded import (
    DECODED_FOLDER,
    DecodedCacheWarning,
    decoded_bytes,
    remove_abandoned,
)
from forestpilot.data_collection.windows.windows import Batch, WindowReader
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec

ROOT = Path(__file__).parents[2]
BYTES = 10**9


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    for seed in (5, 3, 4):
        made.add(make_episode(seed, 20 + seed))
    return made


def reader_of(dataset: Dataset, **options: Any) -> WindowReader:
    return WindowReader([dataset], 6, **({"disk_cache_bytes": BYTES, "side_labels": "asked"} | options))


def drawn(reader: Any, count: int = 64) -> Batch:
    return reader.sample(count, np.random.default_rng(0))


def equal(ours: Batch, theirs: Batch) -> bool:
    return all(a is b if a is None else np.array_equal(a, b) for a, b in zip(ours, theirs))


def files_of(dataset: Dataset) -> list[Path]:
    return sorted((dataset.folder / DECODED_FOLDER).rglob("*.steps"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"side_labels": "none", "ahead": 2},
        {"side_labels": "geometric"},
        {"side_labels": "none", "cameras": ("left", "center", "right")},
    ],
)
def test_windows_from_decoded_steps_are_those_from_memory(dataset: Dataset, options: dict[str, Any]) -> None:
    in_memory = reader_of(dataset, disk_cache_bytes=0, **options)
    on_disk = reader_of(dataset, **options)
    assert len(files_of(dataset)) == 3
    assert on_disk.cache_bytes_used == 0
    assert equal(drawn(in_memory), drawn(on_disk))
    on_disk.close()
    assert equal(drawn(in_memory), drawn(reader_of(dataset, cache_bytes=0, **options)))


def test_decoded_steps_go_with_their_last_reader_unless_they_are_to_be_kept(dataset: Dataset) -> None:
    first, second = reader_of(dataset), reader_of(dataset)
    assert decoded_bytes(dataset.folder) > 10000
    first.close()
    assert len(files_of(dataset)) == 3, "the second reader still draws from them"
    second.close()
    assert not (dataset.folder / DECODED_FOLDER).exists()
    assert equal(drawn(second), drawn(reader_of(dataset, disk_cache_bytes=0))), "sampling makes them again"
    second.close()
    reader_of(dataset, keep_disk_cache=True).close()
    assert len(files_of(dataset)) == 3


def test_steps_that_a_killed_reader_left_are_removed_and_kept_ones_stay(dataset: Dataset) -> None:
    reader = reader_of(dataset)
    remove_abandoned(dataset.folder)
    assert len(files_of(dataset)) == 3, "somebody draws from them"
    for folder in reader._decoded.values():
        folder._user.release(force=True)  # as the system does for the dead
    remove_abandoned(dataset.folder)
    assert not (dataset.folder / DECODED_FOLDER).exists()

    reader_of(dataset, keep_disk_cache=True).close()
    remove_abandoned(dataset.folder)
    assert len(files_of(dataset)) == 3
    for path in files_of(dataset):
        path.unlink()
    remove_abandoned(dataset.folder)
    assert not (dataset.folder / DECODED_FOLDER).exists(), "a removal that was killed halfway is completed"


def test_kept_steps_are_used_again_without_a_look_into_the_episodes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = drawn(reader_of(dataset, keep_disk_cache=True))

    def refuse(*_: Any) -> None:
        raise AssertionError("an episode was unpacked")

    monkeypatch.setattr(decoded, "open_episode", refuse)
    assert equal(drawn(reader_of(dataset)), wanted)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blank(path: Path) -> None:
    """As a disk may leave a file behind after a power loss: its length is right, its content is not there."""
    content = path.read_bytes()
    path.write_bytes(content[: decoded.HEADER_BYTES].ljust(len(content), b"\0"))


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(decoded.HEADER_BYTES + 100, len(content), 500):
        content[place] ^= 4
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [halve, blank, alter, empty])
def test_damaged_steps_are_noticed_and_made_anew(dataset: Dataset, damage: Any) -> None:
    wanted = drawn(reader_of(dataset, keep_disk_cache=True))
    kept = {path: path.read_bytes() for path in files_of(dataset)}
    for path in kept:
        damage(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert equal(drawn(reader_of(dataset)), wanted)
    assert {path: path.read_bytes() for path in files_of(dataset)} == kept
    told = [str(warning.message) for warning in caught if warning.category is DecodedCacheWarning]
    assert len(told) == 1, "once, not for every file"


def test_steps_of_an_episode_that_has_changed_are_made_anew(dataset: Dataset) -> None:
    reader_of(dataset, keep_disk_cache=True).close()
    episode = make_episode(4, 24)
    episode.expert_actions[:] = 0.25
    dataset.replace(episode)
    with pytest.warns(DecodedCacheWarning, match="older episode"):
        reader = reader_of(dataset)
    assert equal(drawn(reader), drawn(reader_of(dataset, disk_cache_bytes=0)))


def brighter(images: np.ndarray, state: np.ndarray) -> np.ndarray:
    return images + 1


def test_other_settings_have_steps_of_their_own(dataset: Dataset) -> None:
    readers = [
        reader_of(dataset),
        reader_of(dataset, side_labels="none"),
        reader_of(dataset, human_delay_s=0.2),
        reader_of(dataset, prepare=brighter),
        reader_of(dataset, prepare=lambda images, state: images[:, :6]),
    ]
    assert len({path.parent for path in files_of(dataset)}) == 5
    assert np.array_equal(drawn(readers[3]).views, drawn(readers[0]).views + 1)


def test_a_bound_is_kept_and_what_lies_beyond_it_is_drawn_all_the_same(dataset: Dataset) -> None:
    wanted = drawn(reader_of(dataset, disk_cache_bytes=0))
    reader_of(dataset, keep_disk_cache=True).close()
    sizes = [path.stat().st_size for path in files_of(dataset)]
    shutil.rmtree(dataset.folder / DECODED_FOLDER)
    bound = max(sizes) + 1000
    with pytest.warns(DecodedCacheWarning, match="no more decoded episodes"):
        reader = reader_of(dataset, disk_cache_bytes=bound)
    assert len(files_of(dataset)) == 1
    assert decoded_bytes(dataset.folder) <= bound
    assert equal(drawn(reader), wanted)
    assert reader.cache_bytes_used > 0, "the others are held in memory"
    with pytest.warns(DecodedCacheWarning):
        without_memory = reader_of(dataset, disk_cache_bytes=bound, cache_bytes=0)
    assert equal(drawn(without_memory), wanted)


def test_steps_of_other_settings_that_nobody_uses_make_room(dataset: Dataset) -> None:
    reader_of(dataset, keep_disk_cache=True).close()
    bound = decoded_bytes(dataset.folder) + 1000
    reader_of(dataset, disk_cache_bytes=bound, prepare=brighter)
    assert len({path.parent for path in files_of(dataset)}) == 1
    assert len(files_of(dataset)) == 3


def test_a_full_disk_is_done_without(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = drawn(reader_of(dataset, disk_cache_bytes=0))
    monkeypatch.setattr(decoded, "FREE_BYTES_LEFT", 2**62)
    with pytest.warns(DecodedCacheWarning, match="of the disk are free"):
        reader = reader_of(dataset)
    assert not files_of(dataset)
    assert equal(drawn(reader), wanted)


def test_writing_that_fails_halfway_leaves_nothing_behind(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, part: bytes) -> int:
        raise OSError(28, "No space left on device")

    wanted = drawn(reader_of(dataset, disk_cache_bytes=0))
    monkeypatch.setattr(os, "write", fail)
    with pytest.warns(DecodedCacheWarning, match="no space left"):
        reader = reader_of(dataset)
    monkeypatch.undo()
    assert equal(drawn(reader), wanted)
    assert not [path for path in (dataset.folder / DECODED_FOLDER).rglob("*") if "steps" in path.name]


def test_steps_of_a_dataset_that_cannot_be_written_to_lie_elsewhere(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    (dataset.folder / DECODED_FOLDER).write_bytes(b"in the way")  # root may write to folders that nobody may write to
    with pytest.warns(DecodedCacheWarning, match="are kept in .*elsewhere"):
        reader = reader_of(dataset, keep_disk_cache=True)
    assert len(list((tmp_path / "elsewhere").rglob("*.steps"))) == 3
    assert equal(drawn(reader), drawn(reader_of(dataset, disk_cache_bytes=0)))
    assert equal(drawn(reader.share().open()), drawn(reader))
    reader.close()
    assert not list((tmp_path / "elsewhere").rglob("*.steps"))


def test_where_nothing_can_be_written_steps_are_held_in_memory(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    (dataset.folder / DECODED_FOLDER).write_bytes(b"in the way")
    with pytest.warns(DecodedCacheWarning, match="held in memory"):
        reader = reader_of(dataset)
    assert equal(drawn(reader), drawn(reader_of(dataset, disk_cache_bytes=0)))
    assert reader.cache_bytes_used > 0


def test_the_folder_can_be_deleted_at_any_time(dataset: Dataset) -> None:
    reader = reader_of(dataset, cache_bytes=0)
    wanted = drawn(reader)
    shutil.rmtree(dataset.folder / DECODED_FOLDER)
    assert equal(drawn(reader), wanted)
    assert len(files_of(dataset)) == 3
    reader.close()
    assert not (dataset.folder / DECODED_FOLDER).exists()


def test_the_folder_is_marked_as_a_cache(dataset: Dataset) -> None:
    folder = dataset.folder / DECODED_FOLDER
    reader = reader_of(dataset)
    assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert (folder / ".gitignore").read_text() == "*\n"
    assert "3 decoded on disk" in reader.describe()


DRAW = """
import pickle, sys, time
import numpy as np
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.windows import decoded, decoding

def refuse(*_):
    raise AssertionError("an episode was unpacked")

decoded.open_episode = refuse
with open(sys.argv[1], "rb") as file:
    drawer = pickle.load(file).open()
print(drawer.sample(64, np.random.default_rng(0)).views.sum(), drawer.cache_bytes_used, flush=True)
sys.stdin.read()
drawer.close()
"""


def test_another_process_draws_the_same_windows_by_a_recipe(dataset: Dataset, tmp_path: Path) -> None:
    reader = reader_of(dataset)
    recipe = reader.share()
    here = pickle.loads(pickle.dumps(recipe)).open()
    assert equal(drawn(here), drawn(reader))
    assert (here.num_episodes, here.num_labels, here.has_costs, here.has_gaps) == (3, 72, True, False)
    here.close()
    (tmp_path / "recipe").write_bytes(pickle.dumps(recipe))
    command = [sys.executable, "-c", DRAW, str(tmp_path / "recipe")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split() == [str(drawn(reader).views.sum()), "0"]
        reader.close()
        assert len(files_of(dataset)) == 3, "the other process still draws from them"
        process.kill()
    reader_of(dataset).close()
    assert not (dataset.folder / DECODED_FOLDER).exists(), "a process that was killed holds nothing back"


def test_a_recipe_tells_of_the_episodes_so_far(dataset: Dataset) -> None:
    reader = reader_of(dataset)
    before = reader.share().open()
    dataset.add(make_episode(9, 30))
    assert reader.extend() == 1
    assert before.num_episodes == 3
    assert equal(drawn(reader.share().open()), drawn(reader))
    assert equal(drawn(reader), drawn(reader_of(dataset, disk_cache_bytes=0)))


def test_readers_that_cannot_be_shared_say_why(dataset: Dataset) -> None:
    with pytest.raises(InvalidArgumentError, match="disk_cache_bytes is 0"):
        reader_of(dataset, disk_cache_bytes=0).share()
    with pytest.raises(InvalidArgumentError, match="cannot be pickled"):
        reader_of(dataset, prepare=lambda images, state: images).share()


def test_readers_that_hold_much_in_their_own_memory_are_not_shared(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "FREE_BYTES_LEFT", 2**62)
    with pytest.warns(DecodedCacheWarning):
        reader = reader_of(dataset)
    with pytest.raises(InvalidArgumentError, match="72 of 72 steps have no room on disk"):
        reader.share()


def test_a_damaged_episode_is_set_aside_before_it_is_decoded(dataset: Dataset) -> None:
    path = dataset.episodes[0].path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="truncated"):
        reader = reader_of(dataset)
    assert reader.num_episodes == 2
    assert (dataset.folder / "quarantine" / path.name).exists()


def test_windows_that_lie_in_different_places_are_those_from_memory(dataset: Dataset) -> None:
    wanted = drawn(reader_of(dataset, disk_cache_bytes=0))
    reader = reader_of(dataset)
    held, deleted, damaged = (header.path for header in dataset.episodes)
    with open_episode(held) as demo:
        reader._cache[held] = reader._loader.load(demo, 0, dataset.episodes[0].num_steps)
    for path in files_of(dataset):
        if path.stem == deleted.stem:
            path.unlink()
        if path.stem == damaged.stem:
            alter(path)
    with pytest.warns(DecodedCacheWarning, match="damaged"):
        assert equal(drawn(reader), wanted)


@pytest.mark.parametrize("options", [{}, {"side_labels": "none", "ahead": 3}])
def test_looking_ahead_readies_what_is_drawn_then(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    asked: dict[str, list[tuple[int, int]]] = {"look_ahead": [], "read": []}
    reader = reader_of(dataset, cache_bytes=0, **options)
    advise = os.posix_fadvise

    def remember(descriptor: int, place: int, size: int, advice: int) -> None:
        asked["look_ahead"].append((place, size))
        advise(descriptor, place, size, advice)

    read = os.preadv

    def read_and_remember(descriptor: int, buffers: list[memoryview], place: int) -> int:
        asked["read"].append((place, sum(len(buffer) for buffer in buffers)))
        return read(descriptor, buffers, place)

    monkeypatch.setattr(os, "posix_fadvise", remember)
    monkeypatch.setattr(os, "preadv", read_and_remember)
    reader.look_ahead(32, np.random.default_rng(3))
    reader.sample(32, np.random.default_rng(3))
    assert sorted(asked["look_ahead"]) == sorted(asked["read"])
    assert len(asked["read"]) == 32
    reader.cache_bytes = reader.total_steps * 2**20
    reader.look_ahead(32, np.random.default_rng(3))
    assert len(asked["look_ahead"]) == 32, "what is small enough is in memory anyhow"
    reader.cache_bytes = 0
    shutil.rmtree(dataset.folder / DECODED_FOLDER)
    reader.look_ahead(32, np.random.default_rng(3))


def test_what_a_killed_process_left_half_written_is_removed(dataset: Dataset) -> None:
    reader_of(dataset, keep_disk_cache=True).close()
    half = files_of(dataset)[0].with_name(".r0000-s00000003.steps.0123.tmp")
    half.write_bytes(b"half")
    reader = reader_of(dataset)
    assert not half.exists()
    assert equal(drawn(reader), drawn(reader_of(dataset, disk_cache_bytes=0)))


def test_many_episodes_are_decoded_in_processes_before_the_first_window(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = drawn(reader_of(dataset, disk_cache_bytes=0))
    damaged = dataset.add(make_episode(8, 30))
    dataset.refresh()
    damaged.write_bytes(damaged.read_bytes()[:-10])
    monkeypatch.setattr(decoding, "MIN_STEPS", 50)
    made: list[Path] = []
    monkeypatch.setattr(decoded.DecodedFolder, "make", lambda folder, source: made.append(source.path))
    with pytest.warns(UserWarning, match="truncated"):
        reader = reader_of(dataset, workers=2)
    assert made == [damaged], "all others are there"
    assert len(files_of(dataset)) == 3
    assert equal(drawn(reader), wanted)


def test_processes_that_run_already_decode_where_they_are_lent(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = drawn(reader_of(dataset, disk_cache_bytes=0))
    monkeypatch.setattr(decoding, "MIN_STEPS_RUNNING", 50)
    monkeypatch.setattr(decoding, "SOURCES_PER_TASK_RUNNING", 2)
    parts: list[int] = []

    def submit(function: Any, *arguments: Any) -> Future[Any]:
        parts.append(len(arguments[-1]))
        done: Future[Any] = Future()
        done.set_result(function(*arguments, None))
        return done

    reader = reader_of(dataset, workers=2, submit=submit)
    assert parts == [2, 1]
    assert len(files_of(dataset)) == 3
    assert equal(drawn(reader), wanted)
    dataset.add(make_episode(6, 30))
    reader.extend()
    assert parts == [2, 1], "so few steps are decoded here"
    assert len(files_of(dataset)) == 4


def test_processes_decode_no_more_than_there_is_room_for(dataset: Dataset) -> None:
    reader = reader_of(dataset)
    sources = [stretch.source for stretch in reader._stretches]
    folder = decoded.DecodedFolder(dataset.folder / DECODED_FOLDER / "others", reader._loader, BYTES)
    assert folder.missing(sources) == sources
    assert folder.make(sources[1])
    assert folder.missing(sources) == [sources[0], sources[2]]
    bound = decoded_bytes(dataset.folder) + folder._file_bytes(sources[0]) + 100
    assert decoded.DecodedFolder(folder.folder, folder.loader, bound).missing(sources) == [sources[0]]
