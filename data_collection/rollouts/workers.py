"""Processes that work for this one: urgent tasks first, and a task can ask this process something while it runs.

A task is a function of a module and its arguments; its last argument is `ask`, which sends a value to whoever submitted
the task and waits for the answer. That is how rollouts get their next scenario, and how films say how far they are.
"""

from __future__ import annotations

import heapq
import itertools
import pickle
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

from forestpilot.data_collection.episodes.processes import leave_signals_to_parent
from forestpilot.sim.errors import ForestPilotError

Ask = Callable[[Any], Any]
"""Sends a value to the process that submitted the task; returns its answer."""
DIED = "a rollout process died (out of memory, or killed); what was recorded is safe: run the same command again"


class WorkerError(Exception):
    """Says where in a worker process an error came from; it is the cause of the error raised here."""


@dataclass
class _Task:
    """Something to do."""

    content: bytes
    """Function and arguments, pickled."""
    answer: Ask
    """Answers what the task asks."""
    future: Future[Any]
    """Gets the result."""


@dataclass
class _Worker:
    """A process, and what it is doing."""

    process: BaseProcess
    pipe: Connection
    task: _Task | None = None


class Workers:
    """Processes that live across tasks, because starting one costs seconds.

    Args:
        count: number of processes.
    """

    def __init__(self, count: int) -> None:
        context = get_context("spawn")
        self._workers: list[_Worker] = []
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there,), daemon=True)
            process.start()
            there.close()
            self._workers.append(_Worker(process, here))
        self._waiting: list[tuple[bool, int, _Task]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._broken = False
        self._wake, self._woken = context.Pipe()
        self._thread = threading.Thread(target=self._serve, name="forestpilot-workers", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[..., Any], *args: Any, answer: Ask, urgent: bool = True) -> Future[Any]:
        """Let a process call `function(*args, ask)`.

        Args:
            function: of a module, so that it can be pickled.
            args: picklable.
            answer: answers what the task asks; called in a thread of this process, so quickly.
            urgent: goes before all that is not.

        Returns:
            The future result; ForestPilotError where a process died.
        """
        task = _Task(bytes(ForkingPickler.dumps((function, args))), answer, Future())
        with self._lock:
            if self._broken:
                raise ForestPilotError(DIED)
            heapq.heappush(self._waiting, (not urgent, next(self._order), task))
        self._wake.send_bytes(b"")
        return task.future

    def close(self, at_once: bool) -> None:
        """End all processes; `at_once` in the middle of what they do, otherwise when all that waits is done."""
        with self._lock:
            unfinished = [task.future for _, _, task in self._waiting]
            unfinished += [worker.task.future for worker in self._workers if worker.task is not None]
        if not at_once:
            wait_for_futures(unfinished)
        with self._lock:
            self._broken = True
        self._wake.send_bytes(b"")
        self._thread.join()
        for worker in self._workers:
            if at_once:
                worker.process.terminate()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()
        self._wake.close()
        self._woken.close()

    def _serve(self) -> None:
        """Hand out tasks and hear what becomes of them, until all is over."""
        pipes = {worker.pipe: worker for worker in self._workers}
        while True:
            for ready in wait([self._woken, *pipes]):
                if ready is self._woken:
                    self._woken.recv_bytes()
                elif not self._hear(pipes[ready]):  # type: ignore[index]
                    self._give_up()
            with self._lock:
                if self._broken:
                    break
                self._hand_out()
        self._give_up()

    def _hand_out(self) -> None:
        """Give each idle process the most urgent task."""
        for worker in self._workers:
            while worker.task is None and self._waiting:
                _, _, task = heapq.heappop(self._waiting)
                if task.future.set_running_or_notify_cancel():
                    worker.task = task
                    with suppress(OSError):  # it has died; its pipe says so next
                        worker.pipe.send_bytes(task.content)

    def _hear(self, worker: _Worker) -> bool:
        """Hear what a process says; returns False where it has died."""
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            return False
        task = worker.task
        assert task is not None
        if kind == "ask":
            with suppress(OSError):
                worker.pipe.send(_answered(task, value))
            return True
        worker.task = None
        if kind == "done":
            task.future.set_result(value)
        else:
            error, told = value
            error.__cause__ = WorkerError(told)
            task.future.set_exception(error)
        return True

    def _give_up(self) -> None:
        """Tell everybody who waits that nothing will come."""
        with self._lock:
            self._broken = True
            tasks = [task for _, _, task in self._waiting]
            self._waiting.clear()
        for worker in self._workers:
            if worker.task is not None:
                worker.task.future.set_exception(ForestPilotError(DIED))
                worker.task = None
        for task in tasks:
            if task.future.set_running_or_notify_cancel():
                task.future.set_exception(ForestPilotError(DIED))


def _answered(task: _Task, value: Any) -> tuple[Any, Exception | None]:
    """The answer to what a task asks, or the error that it met, which then ends the task."""
    try:
        return task.answer(value), None
    except Exception as error:
        return None, _picklable(error)


def _work(pipe: Connection) -> None:
    """What a process does: one task after the other, until the pipe is closed."""
    leave_signals_to_parent()

    def ask(value: Any) -> Any:
        pipe.send(("ask", value))
        answer, error = pipe.recv()
        if error is not None:
            raise error
        return answer

    while True:
        try:
            content = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            function, args = pickle.loads(content)
            told = ForkingPickler.dumps(("done", function(*args, ask)))
        except Exception as error:
            told = ForkingPickler.dumps(("failed", (_picklable(error), traceback.format_exc())))
        pipe.send_bytes(told)


def _picklable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ForestPilotError(f"{type(error).__name__}: {error}")
    return error
