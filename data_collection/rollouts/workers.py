"""Processes that work for this one: urgent tasks first, and a task can ask this process something while it runs.

A task is a function of a module and its arguments; its last argument is `ask`, which sends a value to whoever submitted
the task and waits for the answer. That is how rollouts get their next scenario, and how films say how far they are.

A process that dies, or says nothing for `SILENT_LIMIT_S`, is replaced, and its task is done again.
"""

from __future__ import annotations

import heapq
import itertools
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from multiprocessing.sharedctypes import RawValue
from typing import Any

from forestpilot.data_collection.episodes.processes import leave_signals_to_parent, worker_context, worker_process
from forestpilot.sim.errors import ForestPilotError

Ask = Callable[[Any], Any]
"""Sends a value to the process that submitted the task; returns its answer."""
DIED = "a rollout process died (out of memory, or killed); what was recorded is safe: run the same command again"
SILENT_LIMIT_S = 900.0
"""A process at work that neither asks nor calls `beat` for so long hangs. An episode beats at every step; to compile,
the longest silence of all, takes a minute on a slow machine."""
CLOSE_S = 60.0
"""Until a process that has nothing more to do is ended."""
TRIES = 3
"""How often a task is done, where its process dies each time."""
_NEWBORN_DEATHS = 3
"""Processes for each place that may die without a word, one after the other, before nobody believes in the next."""
_own_beats: Any = None
"""In a worker process: the number that says that it is alive."""


def beat() -> None:
    """Say that this process does not hang; anywhere but in a worker process nobody listens."""
    if _own_beats is not None:
        _own_beats.value += 1


class WorkerLostError(ForestPilotError):
    """The process that did a task has died, or hung; says how."""


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
    tries: int
    """How often it may still be begun."""


@dataclass
class _Worker:
    """A process, and what it is doing."""

    process: BaseProcess
    pipe: Connection
    beats: Any
    """A number that it counts up."""
    task: _Task | None = None
    beats_seen: int = 0
    silent_s: float = 0.0
    """For how long nothing was heard of it, at work; time in which this process was stopped itself left out."""
    hung: bool = False
    """It was ended for its silence."""

    def heard(self) -> None:
        """It has said something."""
        self.beats_seen = self.beats.value
        self.silent_s = 0.0


class Workers:
    """Processes that live across tasks, because starting one costs seconds.

    Args:
        count: number of processes.
        silent_limit_s: see `SILENT_LIMIT_S`.
    """

    def __init__(self, count: int, silent_limit_s: float = SILENT_LIMIT_S) -> None:
        self._silent_limit_s = silent_limit_s
        self._looked = time.monotonic()
        self._deaths = 0
        self._workers = [self._start() for _ in range(count)]
        self._waiting: list[tuple[bool, int, _Task]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._broken = False
        self._wake, self._woken = worker_context().Pipe()
        self._thread = threading.Thread(target=self._serve, name="forestpilot-workers", daemon=True)
        self._thread.start()

    def submit(
        self, function: Callable[..., Any], *args: Any, answer: Ask, urgent: bool = True, tries: int = TRIES
    ) -> Future[Any]:
        """Let a process call `function(*args, ask)`.

        Args:
            function: of a module, so that it can be pickled.
            args: picklable.
            answer: answers what the task asks; called in a thread of this process, so quickly.
            urgent: goes before all that is not.
            tries: how often it is done, where its process dies each time.

        Returns:
            The future result; WorkerLostError where its process died as often as that.
        """
        task = _Task(bytes(ForkingPickler.dumps((function, args))), answer, Future(), tries)
        with self._lock:
            if self._broken:
                raise ForestPilotError(DIED)
            self._queue(task, urgent)
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
                worker.process.kill()  # one that was stopped would not hear of anything gentler
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(CLOSE_S)
            worker.process.kill()
            worker.process.join()
        self._wake.close()
        self._woken.close()

    def _serve(self) -> None:
        """Hand out tasks and hear what becomes of them, until all is over."""
        while True:
            pipes = {worker.pipe: worker for worker in self._workers}
            for ready in wait([self._woken, *pipes], timeout=self._look_every_s):
                if ready is self._woken:
                    self._woken.recv_bytes()
                elif not self._hear(pipes[ready]):  # type: ignore[index]
                    self._replace(pipes[ready])  # type: ignore[index]
            self._end_silent()
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
                if task.future.running() or task.future.set_running_or_notify_cancel():
                    worker.task = task
                    worker.heard()
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
        worker.heard()
        self._deaths = 0
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

    @property
    def _look_every_s(self) -> float:
        """Time between two looks at who is silent, in seconds."""
        return min(5.0, self._silent_limit_s / 4)

    def _start(self) -> _Worker:
        """A new process."""
        here, there = worker_context().Pipe()
        beats = RawValue("Q", 0)
        process = worker_process(_work, there, beats)
        process.start()
        there.close()
        return _Worker(process, here, beats)

    def _queue(self, task: _Task, urgent: bool) -> None:
        heapq.heappush(self._waiting, (not urgent, next(self._order), task))

    def _end_silent(self) -> None:
        """Kill those of which nothing is heard for too long; their pipes then say that they are dead."""
        # While this process is stopped, or the machine asleep, the others are as well: such a gap counts for one look.
        awake_s = min(time.monotonic() - self._looked, 2 * self._look_every_s)
        self._looked = time.monotonic()
        for worker in self._workers:
            if worker.task is None or worker.beats.value != worker.beats_seen:
                worker.heard()
                continue
            worker.silent_s += awake_s
            limit_s = self._silent_limit_s if worker.beats_seen else SILENT_LIMIT_S  # it is starting up
            if worker.silent_s > limit_s:
                worker.hung = True
                worker.process.kill()

    def _replace(self, worker: _Worker) -> None:
        """Start another process in place of a dead one, and do its task again."""
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()
        reason = self._reason(worker)
        self._deaths += 1
        with self._lock:
            if self._deaths > _NEWBORN_DEATHS * len(self._workers):
                self._broken = True
        if not self._broken:
            self._workers[self._workers.index(worker)] = self._start()
        task, worker.task = worker.task, None
        if task is None:
            return
        task.tries -= 1
        if task.tries and not self._broken:
            with self._lock:
                self._queue(task, urgent=True)
        else:
            task.future.set_exception(WorkerLostError(reason))

    def _reason(self, worker: _Worker) -> str:
        """How a process ended."""
        if worker.hung:
            return f"a rollout process said nothing for {worker.silent_s:.0f} s and was ended"
        code = worker.process.exitcode or 0
        how = f"killed by signal {-code}, out of memory?" if code < 0 else f"exit code {code}"
        return f"a rollout process died ({how})"

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
            if task.future.running() or task.future.set_running_or_notify_cancel():
                task.future.set_exception(ForestPilotError(DIED))


def _answered(task: _Task, value: Any) -> tuple[Any, Exception | None]:
    """The answer to what a task asks, or the error that it met, which then ends the task."""
    try:
        return task.answer(value), None
    except Exception as error:
        return None, _picklable(error)


def _work(pipe: Connection, beats: Any) -> None:
    """What a process does: one task after the other, until the pipe is closed."""
    global _own_beats
    _own_beats = beats
    beat()
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
