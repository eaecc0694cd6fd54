"""Two commands on one folder: one waits and is told for whom, or both share the work; the dead block nobody."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.files import written_whole
from forestpilot.data_collection.episodes.locks import LOCK_FILE, Claims, holders, written_by_one
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from tests.helpers.episodes import make_episode

TINY = ScenarioMix(width=32, height=24)


class Listener(SilentProgress):
    """Hears what is noted."""

    def __init__(self, when_told: Callable[[], object] = lambda: None) -> None:
        self.notes: list[str] = []
        self._when_told = when_told

    def note(self, message: str) -> None:
        self.notes.append(message)
        self._when_told()


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    """A lock keeps threads of one process apart as it does processes."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def hold(folder: Path, held: threading.Event, enough: threading.Event, shared: bool = False) -> None:
    with written_by_one(folder, shared=shared):
        held.set()
        enough.wait(30)
        (folder / "done").touch()


def test_the_second_waits_for_the_first_and_is_told_who_it_is(tmp_path: Path) -> None:
    held, enough = threading.Event(), threading.Event()
    first = in_a_thread(lambda: hold(tmp_path, held, enough))
    assert held.wait(30)
    listener = Listener(enough.set)
    with written_by_one(tmp_path, listener):
        assert (tmp_path / "done").exists(), "the first is through"
    first.join()
    (told,) = listener.notes
    assert f"{tmp_path} is being written by " in told and "since 20" in told
    assert socket.gethostname() in told
    assert [path.name for path in tmp_path.iterdir()] == ["done"]


def test_who_shares_waits_only_for_who_does_not(tmp_path: Path) -> None:
    held, enough = threading.Event(), threading.Event()
    first = in_a_thread(lambda: hold(tmp_path, held, enough, shared=True))
    assert held.wait(30)
    silent = Listener()
    with written_by_one(tmp_path, silent, shared=True):
        assert len(holders(tmp_path / LOCK_FILE)) == 2
    assert silent.notes == []
    told = Listener(enough.set)
    with written_by_one(tmp_path, told):
        assert len(told.notes) == 1
    first.join()


def test_a_dead_holder_blocks_nobody_and_is_not_named(tmp_path: Path) -> None:
    dead = {"pid": 2**22 + 1, "host": socket.gethostname(), "command": "forestpilot train", "since": "2026-01-01"}
    (tmp_path / LOCK_FILE).write_text(f"{json.dumps(dead)}\nno JSON\n")
    assert holders(tmp_path / LOCK_FILE) == []
    listener = Listener()
    with written_by_one(tmp_path, listener):
        assert len(holders(tmp_path / LOCK_FILE)) == 1
    assert listener.notes == [] and list(tmp_path.iterdir()) == []


def test_who_holds_a_folder_may_hold_it_again_and_one_made_for_nothing_goes(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with written_by_one(folder), written_by_one(folder):
        assert (folder / LOCK_FILE).exists()
    assert list(tmp_path.iterdir()) == []


def test_what_dead_writers_left_anywhere_in_a_run_goes_at_the_next_start(tmp_path: Path) -> None:
    deep = tmp_path / "rounds" / "round-00"
    deep.mkdir(parents=True)
    (tmp_path / "config.json").write_text("{}")
    dead = [tmp_path / ".config.json.0f.tmp", deep / ".policy.json.1f.tmp", deep / ".film.mp4.2f.tmp.lock"]
    for path in dead:
        path.touch()
    with written_whole(deep / "living.bin") as living:
        living.write_bytes(b"half")
        with written_by_one(tmp_path):
            assert living.exists() and not any(path.exists() for path in dead)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["config.json", "living.bin"]


def test_what_could_not_be_removed_when_it_was_written_goes_at_the_end(tmp_path: Path) -> None:
    with written_by_one(tmp_path):
        (tmp_path / ".config.json.0f.tmp.lock").touch()
    assert list(tmp_path.iterdir()) == []


def test_below_a_folder_that_is_no_run_nothing_is_touched(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / ".a.0f.tmp").touch()
    (tmp_path / ".film.mp4.0f.tmp").touch()
    with written_by_one(tmp_path):
        pass
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".a.0f.tmp"]


def test_an_item_is_one_processs_until_it_lets_go(tmp_path: Path) -> None:
    with Claims(tmp_path) as second:
        with Claims(tmp_path) as first:
            assert first.take(3) and first.take(4) and second.take(5)
            assert not second.take(3)
            first.let_go()
            assert second.take(3) and not first.take(5)
            assert first.take(6)
        assert second.take(6), "whoever is gone has let go"


class MakingUp:
    """A pool that records made-up episodes."""

    workers = 1

    def __init__(self, before_each: Callable[[int], object] = lambda seed: None) -> None:
        self.seeds: list[int] = []
        self._before_each = before_each

    def run(self, job: Any, progress: Any, name: str, hand_out: Any) -> None:
        dataset = Dataset.open(job.dataset, check=False)
        for scenario in hand_out:
            self._before_each(scenario.seed)
            self.seeds.append(scenario.seed)
            made = make_episode(scenario.seed, steps=3, spec=dataset.task_spec, env_kwargs=scenario.env_kwargs)
            dataset.add(made)


def test_two_collections_share_the_work(tmp_path: Path) -> None:
    config = CollectConfig(out=str(tmp_path / "data"), episodes=6, workers=1, mix=TINY)
    second = MakingUp()
    listener = Listener()
    threads = []

    def begin_the_second(seed: int) -> None:
        if seed == 0:
            waits = threading.Event()
            listener._when_told = waits.set
            threads.append(in_a_thread(lambda: collect(config, listener, second)))  # type: ignore[arg-type]
            assert waits.wait(30), "it has recorded all but the world that is in hand"

    first = MakingUp(begin_the_second)
    dataset = collect(config, pool=first)  # type: ignore[arg-type]
    threads[0].join()
    assert first.seeds == [0] and second.seeds == [1, 2, 3, 4, 5]
    assert [header.meta.seed for header in dataset.episodes] == [0, 1, 2, 3, 4, 5]
    assert "another process records the last 1 of these" in listener.notes[0]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["config.json", "dataset.json", "episodes"]


def test_what_another_collection_dies_with_is_taken_over(tmp_path: Path) -> None:
    config = CollectConfig(out=str(tmp_path / "data"), episodes=3, workers=1, mix=TINY)
    folder = tmp_path / "data"
    folder.mkdir()
    dying = Claims(folder)
    assert dying.take(1)
    listener = Listener(lambda: dying.__exit__(None, None, None))
    pool = MakingUp()
    assert len(collect(config, listener, pool)) == 3  # type: ignore[arg-type]
    assert pool.seeds == [0, 2, 1] and len(listener.notes) == 1
