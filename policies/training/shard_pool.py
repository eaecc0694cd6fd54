"""Processes that compute the shards of a step side by side, each on one thread.

Threads of one process wait for each other after every layer, a hundred times a step, and by spinning: on a machine that
does something else besides, that costs far more than it brings. Processes wait once a step, and sleep.

This process computes too. Weights and gradients lie in memory that all share; a pipe to each process says when.
"""

from __future__ import annotations

import pickle
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forestpilot.data_collection.episodes.processes import worker_context, worker_process
from forestpilot.policies.networks.device import device_of
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.training.batches import SharedReader, TrainingBatch
from forestpilot.policies.training.flat import ALIGNMENT, FlatLayout
from forestpilot.policies.training.shards import Lesson, ShardResult, StepResult, add_up, compute_shard, draw_shard
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError

START_AFTER_S = 1.0
"""Training time after which processes are started: a training that is shorter would be over before they are there."""
SILENT_LIMIT_S = 900.0
"""A process that computes shards of one step for so long hangs; the slowest step seen takes seconds."""
LOOK_S = 5.0
CPU = torch.device("cpu")


class ShardProcessError(ForestPilotError):
    """A process that computed shards died."""


class ShardPool:
    """Processes for the shards of trainings, one after the other; they live across trainings, for starting one costs
    seconds.

        with ShardPool(workers=2) as pool:
            train(policy, reader, config, folder, pool=pool)

    Args:
        workers: processes at most, this one included. There are never more than shards.
        threads: torch threads of each. More than one changes the last digits of what comes out.
    """

    def __init__(self, workers: int = 1, threads: int = 1) -> None:
        if min(workers, threads) < 1:
            raise InvalidArgumentError(f"workers is {workers} and threads {threads}; allowed: 1 and up")
        self.workers = workers
        self.threads = threads
        self._floats: SharedFloats | None = None
        self._helpers: list[_Helper] = []
        self._lesson: bytes | None = None
        self._trained_s = 0.0

    def __enter__(self) -> ShardPool:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def processes(self) -> int:
        """Processes that have taken part lately, this one included; others may be starting."""
        return 1 + sum(helper.has_learned for helper in self._helpers)

    def stop(self) -> None:
        """End the processes; the next training starts new ones."""
        for helper in self._helpers:
            helper.stop()
        self._helpers = []

    @contextmanager
    def teach(self, lesson: Lesson) -> Iterator[Shards]:
        """Get ready for a round of training; meanwhile the policy's weights lie where all processes see them."""
        device = device_of(lesson.config.device)
        if device.type != "cpu":
            with taught_on(device, lesson, self.threads) as shards:
                yield shards
            return
        layout = FlatLayout(lesson.policy)
        processes = min(self.workers, lesson.config.shards)
        self._lesson = pickled_lesson(lesson) if processes > 1 else None
        rows = self._rows(1 + lesson.config.shards, layout.size)
        layout.live_in(rows[0])
        try:
            with torch_threads(self.threads):
                yield PooledShards(self, lesson, layout, rows)
        finally:
            self._lesson = None
            layout.release()

    def helpers(self, count: int) -> list[_Helper]:
        """Up to `count` processes that know the lesson by now. Those that are missing are started, or told."""
        if self._lesson is None or self._floats is None or self._trained_s < START_AFTER_S:
            return []
        while len(self._helpers) < count:
            self._helpers.append(_Helper(self._floats, self.threads))
        return [helper for helper in self._helpers[:count] if helper.knows(self._lesson)]

    def note_time(self, seconds: float) -> None:
        """Count time in which a training went on."""
        self._trained_s += seconds

    def _rows(self, rows: int, columns: int) -> Tensor:
        """Rows of floats for a lesson, which the processes see if they are to help."""
        if self._lesson is None:
            return torch.zeros(rows, columns)
        if self._floats is None or self._floats.size < rows * columns:
            self.stop()
            self._floats = SharedFloats(rows * columns)
        # What an earlier lesson has left there is nobody's.
        return self._floats.tensor(rows, columns).zero_()


class Shards(ABC):
    """The shards of the steps of one lesson, wherever they are computed.

    Attributes:
        lesson: what is learned, and how.
        layout: where each of the policy's parameters lies in a row.
        weights: (P,) float32, the row of the weights.
        gradients: (shards, P) float32; after a step the first row is the gradient of the whole batch.
    """

    def __init__(self, lesson: Lesson, layout: FlatLayout, rows: Tensor) -> None:
        self.lesson = lesson
        self.layout = layout
        self.weights = rows[0]
        self.gradients = rows[1:]

    @abstractmethod
    def compute(self, step: int, measured: bool = False) -> StepResult:
        """The gradient of a step, in the first row of `gradients`.

        Args:
            step: number of the step in the round.
            measured: whether `StepResult.figures` are wanted.

        Raises:
            ShardProcessError: a process died.
        """


class PooledShards(Shards):
    """Shards that the processes of a pool compute, and this one."""

    def __init__(self, pool: ShardPool, lesson: Lesson, layout: FlatLayout, rows: Tensor) -> None:
        super().__init__(lesson, layout, rows)
        self._pool = pool

    def compute(self, step: int, measured: bool = False) -> StepResult:
        """See `Shards.compute`."""
        started = time.perf_counter()
        count = self.lesson.config.shards
        helpers = self._pool.helpers(min(self._pool.workers, count) - 1)
        processes = 1 + len(helpers)
        results: dict[int, ShardResult] = {}
        try:
            for number, helper in enumerate(helpers, start=1):
                helper.send(_Request(step, range(number, count, processes), measured))
            for shard in range(0, count, processes):
                results[shard] = compute_shard(self.lesson, self.layout, step, shard, self.gradients, measured)
            for helper in helpers:
                results |= helper.receive()
        except BaseException:
            self._pool.stop()  # an answer may be on its way that nobody would take
            raise
        self._pool.note_time(time.perf_counter() - started)
        return add_up([results[shard] for shard in range(count)], self.gradients)


class ShardsOnDevice(Shards):
    """Shards that a GPU computes, one after the other, while a thread draws those of the next step."""

    def __init__(self, lesson: Lesson, layout: FlatLayout, rows: Tensor, drawer: ThreadPoolExecutor) -> None:
        super().__init__(lesson, layout, rows)
        self._drawer = drawer
        self._ahead: tuple[int, Future[list[TrainingBatch]]] | None = None

    def compute(self, step: int, measured: bool = False) -> StepResult:
        """See `Shards.compute`."""
        known = self._ahead is not None and self._ahead[0] == step
        drawing = self._ahead[1] if self._ahead is not None and known else self._drawer.submit(self._draw, step)
        batches = drawing.result()
        self._ahead = None
        if step + 1 < self.lesson.config.steps:
            self._ahead = step + 1, self._drawer.submit(self._draw, step + 1)
        results = []
        for shard, batch in enumerate(batches):
            results.append(compute_shard(self.lesson, self.layout, step, shard, self.gradients, measured, drawn=batch))
        return add_up(results, self.gradients)

    def _draw(self, step: int) -> list[TrainingBatch]:
        device = self.gradients.device
        return [draw_shard(self.lesson, step, shard).ready_for(device) for shard in range(self.lesson.config.shards)]


@contextmanager
def taught_on(device: torch.device, lesson: Lesson, threads: int) -> Iterator[Shards]:
    """Get ready for a round of training on a device; afterwards the policy is the CPU's again.

    Args:
        device: where the weights live meanwhile.
        lesson: the round.
        threads: torch threads of what the CPU computes.
    """
    policy = lesson.policy.to(device)
    layout = FlatLayout(policy)
    rows = torch.zeros(1 + lesson.config.shards, layout.size, device=device)
    layout.live_in(rows[0])
    try:
        with ThreadPoolExecutor(1, "forestpilot-drawer") as drawer, torch_threads(threads):
            yield ShardsOnDevice(lesson, layout, rows, drawer)
    finally:
        layout.release()
        policy.to("cpu")


class SharedFloats:
    """Float32 numbers in memory that is given to a process when it is started; gone with the last process.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = worker_context().RawArray("f", size + ALIGNMENT)

    def tensor(self, rows: int, columns: int) -> Tensor:
        """The first of them as (rows, columns), each row at a multiple of 64 bytes if `columns` is one of 16."""
        floats = np.frombuffer(self._memory, dtype=np.float32)
        start = -(floats.ctypes.data // floats.itemsize) % ALIGNMENT
        return torch.from_numpy(floats[start:][: rows * columns]).view(rows, columns)


class _Request(NamedTuple):
    """Shards that a helper is asked for."""

    step: int
    shards: range
    measured: bool


class _Helper:
    """A process that computes shards, and what it was told last."""

    def __init__(self, floats: SharedFloats, threads: int) -> None:
        self._pipe, other_end = worker_context().Pipe()
        self._process = worker_process(_help, other_end, floats, threads)
        self._lesson: bytes | None = None
        self._is_busy = True  # until it has come up
        # Ctrl-C is for this process, which ends the others; a new one would die of it before it could say so.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other_end.close()

    def knows(self, lesson: bytes) -> bool:
        """True if it is waiting for requests of this lesson; if it could be, but is not, it is told the lesson."""
        if self._is_busy and self._pipe.poll():
            self.receive()
            self._is_busy = False
        if self._is_busy:
            return False
        if self._lesson is not lesson:
            self.send(lesson)
            self._lesson = lesson
            self._is_busy = True
        return not self._is_busy

    @property
    def has_learned(self) -> bool:
        """True once it has understood a lesson."""
        return self._lesson is not None and not self._is_busy

    def send(self, message: bytes | _Request) -> None:
        """Tell it a lesson, or ask it for shards."""
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> dict[int, ShardResult]:
        """Its answer, by shard; raises what it ran into."""
        try:
            self._wait()
            answer: dict[int, ShardResult] | Exception = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _wait(self) -> None:
        """Wait for its answer, but not for ever; while this process is stopped as well, no time passes."""
        silent_s = 0.0
        looked = time.monotonic()
        while not self._pipe.poll(LOOK_S):
            now = time.monotonic()
            silent_s += min(now - looked, 2 * LOOK_S)
            looked = now
            if silent_s > SILENT_LIMIT_S:
                self._process.kill()
                raise self._death(f"said nothing for {silent_s:.0f} s and was ended")

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self._pipe.close()
        self._process.kill()  # one that was stopped would not hear of anything gentler
        self._process.join()

    def _death(self, how: str = "") -> ShardProcessError:
        self._process.join(1.0)
        how = how or f"died (out of memory, or killed; exit code {self._process.exitcode})"
        return ShardProcessError(
            f"a process that computed gradients {how}; what was trained is kept: run the same command again"
        )


def _help(pipe: Connection, floats: SharedFloats, threads: int) -> None:
    """Body of a helper: answers one message after the other until the pipe is closed, as it is when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    torch.set_num_threads(threads)
    student = _Student(floats)
    try:
        pipe.send({})
        while True:
            pipe.send(student.answer(pipe.recv()))
    except (EOFError, OSError):
        return


class _Student:
    """A helper's own copy of the lesson."""

    def __init__(self, floats: SharedFloats) -> None:
        self._floats = floats
        self._rows = torch.zeros(0, 0)
        self._lesson: Lesson | None = None
        self._layout: FlatLayout | None = None

    def answer(self, message: bytes | _Request) -> dict[int, ShardResult] | Exception:
        """Results by shard, none to a lesson; or the error that came of it."""
        try:
            if isinstance(message, bytes):
                self._learn(message)
                return {}
            return self._compute(message)
        except Exception as error:
            return _sendable(error)

    def _learn(self, pickled: bytes) -> None:
        if self._lesson is not None:
            self._lesson.reader.close()
        self._lesson, self._layout = learned_from(pickled)
        self._rows = self._floats.tensor(1 + self._lesson.config.shards, self._layout.size)
        self._layout.live_in(self._rows[0], keep=False)

    def _compute(self, request: _Request) -> dict[int, ShardResult]:
        assert self._lesson is not None and self._layout is not None
        results = {}
        for shard in request.shards:
            results[shard] = compute_shard(
                self._lesson, self._layout, request.step, shard, self._rows[1:], request.measured
            )
        return results


def learned_from(pickled: bytes, device: torch.device = CPU) -> tuple[Lesson, FlatLayout]:
    """The lesson that `pickled_lesson` made, its reader open, its policy on a device, and where its parameters lie."""
    lesson: Lesson = pickle.loads(pickled)
    lesson.policy.to(device)
    return replace(lesson, reader=lesson.reader.open()), FlatLayout(lesson.policy)


def pickled_lesson(lesson: Lesson) -> bytes | None:
    """The lesson for another process; None where it cannot go there."""
    learned = {name for name, _ in lesson.policy.named_parameters()}
    if lesson.policy.state_dict().keys() - learned or not isinstance(lesson.reader, SharedReader):
        return None  # running means and the like change with every shard, in the order of the shards
    try:
        return pickle.dumps(replace(lesson, reader=lesson.reader.share()))
    except (InvalidArgumentError, pickle.PicklingError, AttributeError, TypeError):
        return None  # a reader without decoded steps on disk; something that was made inside a function


def _sendable(error: Exception) -> Exception:
    """The error, or one of the same words where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ForestPilotError(f"{type(error).__name__}: {error}")
    return error
