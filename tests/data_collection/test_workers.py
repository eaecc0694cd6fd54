"""Worker processes: urgent tasks first, answers on the way, errors and deaths told, nobody left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from ctypes import c_ulonglong
from pathlib import Path
from typing import Any

import pytest

from forestpilot.data_collection.rollouts import workers as workers_module
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.workers import WorkerLostError, Workers, beat
from forestpilot.sim.errors import ForestPilotError


def double(value: int, ask: Any) -> int:
    return 2 * value


def add_up(ask: Any) -> list[int]:
    return list(iter(lambda: ask("more"), None))


def wait_for(path: str, ask: Any) -> None:
    ask("waiting")
    while not Path(path).exists():
        time.sleep(0.01)


def fail(ask: Any) -> None:
    raise ValueError("no such thing")


def fail_oddly(ask: Any) -> None:
    class LocalError(Exception):
        pass

    raise LocalError("cannot travel")


def result_that_cannot_travel(ask: Any) -> Any:
    return lambda: None


def die(ask: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(path: str, ask: Any) -> str:
    if not Path(path).exists():
        Path(path).touch()
        die(ask)
    return "done"


def stop_once(path: str, ask: Any) -> str:
    if not Path(path).exists():
        if Path(path).parent.exists():
            Path(path).touch()
        ask("hanging")
        os.kill(os.getpid(), signal.SIGSTOP)
    return "done"


def nothing(value: Any) -> None:
    """Answer None."""


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers(1)
    yield made
    made.close(at_once=False)


def test_a_task_is_done_and_asks_on_the_way(workers: Workers) -> None:
    numbers = iter([1, 2, 3])
    futures = [
        workers.submit(double, 4, answer=nothing),
        workers.submit(add_up, answer=lambda _: next(numbers, None)),
    ]
    assert [future.result(60) for future in futures] == [8, [1, 2, 3]]


def test_an_error_in_an_answer_ends_the_task_that_asked_and_no_other(workers: Workers) -> None:
    def refuse(value: Any) -> None:
        raise BrokenPipeError("nobody reads what is told")

    refused = workers.submit(add_up, answer=refuse)
    other = workers.submit(double, 4, answer=nothing)
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        refused.result(60)
    assert other.result(60) == 8


def test_what_is_urgent_goes_first(workers: Workers, tmp_path: Path) -> None:
    order: list[str] = []
    gate = workers.submit(wait_for, str(tmp_path / "open"), answer=nothing)
    later = workers.submit(double, 1, answer=nothing, urgent=False)
    later.add_done_callback(lambda _: order.append("film"))
    sooner = workers.submit(double, 2, answer=nothing)
    sooner.add_done_callback(lambda _: order.append("episodes"))
    given_up = workers.submit(double, 3, answer=nothing)
    assert given_up.cancel()
    (tmp_path / "open").touch()
    assert (gate.result(60), later.result(60), sooner.result(60)) == (None, 2, 4)
    assert order == ["episodes", "film"]


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        (fail, ValueError, "no such thing"),
        (fail_oddly, ForestPilotError, "LocalError: cannot travel"),
        (result_that_cannot_travel, Exception, "pickle"),
    ],
)
def test_an_error_comes_back_with_its_place_and_the_worker_goes_on(
    workers: Workers, task: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as told:
        workers.submit(task, answer=nothing).result(60)
    assert "Traceback" in str(told.value.__cause__)
    assert workers.submit(double, 4, answer=nothing).result(60) == 8


def test_what_cannot_be_sent_is_told_to_whoever_sends_it(workers: Workers) -> None:
    with pytest.raises(Exception, match="pickle"):
        workers.submit(lambda ask: None, answer=nothing)


def test_a_task_whose_process_dies_is_done_again_by_another(workers: Workers, tmp_path: Path) -> None:
    futures = [
        workers.submit(die_once, str(tmp_path / "died"), answer=nothing),
        workers.submit(double, 1, answer=nothing),
    ]
    assert [future.result(60) for future in futures] == ["done", 2]


def test_a_task_whose_processes_all_die_is_told_and_others_go_on(workers: Workers) -> None:
    deadly = workers.submit(die, answer=nothing, tries=1)
    with pytest.raises(WorkerLostError, match=r"died .killed by signal 9"):
        deadly.result(60)
    assert workers.submit(double, 1, answer=nothing).result(60) == 2


class Watched(Workers):
    """Is patient until a task says that it hangs now, and again once its process has been ended."""

    def hurry(self, _: Any) -> None:
        self._silent_limit_s = 0.1

    def _replace(self, worker: Any) -> None:
        self._silent_limit_s = 900.0
        super()._replace(worker)


def test_a_process_that_hangs_is_ended_and_its_task_done_again(tmp_path: Path) -> None:
    workers = Watched(1)
    assert workers.submit(stop_once, str(tmp_path / "stopped"), answer=workers.hurry).result(120) == "done"
    hanging = workers.submit(stop_once, str(tmp_path / "missing" / "stopped"), answer=workers.hurry, tries=1)
    with pytest.raises(WorkerLostError, match="said nothing"):
        hanging.result(120)
    workers.close(at_once=True)


def test_a_beat_in_time_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "_own_beats", c_ulonglong(6))
    beat()
    assert workers_module._own_beats.value == 7


def test_processes_that_die_newly_born_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "_work", os.kill)  # whatever it is given, it fails
    workers = Workers(1)
    future = workers.submit(double, 1, answer=nothing, tries=100)
    with pytest.raises(ForestPilotError, match="died"):
        future.result(120)
    with pytest.raises(ForestPilotError, match="process died"):
        workers.submit(double, 1, answer=nothing)
    workers.close(at_once=True)


def test_a_pool_that_ends_by_an_error_stops_in_the_middle_of_a_task(tmp_path: Path) -> None:
    started: Future[Any] = Future()
    pool = RolloutPool(2).__enter__()
    future = pool.submit(wait_for, str(tmp_path / "never"), answer=started.set_result)
    started.result(60)
    pool.__exit__(KeyboardInterrupt, None, None)
    with pytest.raises(ForestPilotError, match="process died"):
        future.result(1)


def test_a_pool_that_ends_well_finishes_what_waits() -> None:
    with RolloutPool(2) as pool:
        futures = [pool.submit(double, value) for value in range(4)]
    assert [future.result(0) for future in futures] == [0, 2, 4, 6]


def test_with_one_worker_a_task_is_done_here() -> None:
    with RolloutPool(1) as pool:
        assert pool.submit(double, 3).result(0) == 6
        assert isinstance(pool.submit(fail).exception(0), ValueError)
