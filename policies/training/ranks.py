"""Training under torchrun: processes that it has started, on one machine or several, compute the shards of a step.

    torchrun --standalone --nproc-per-node 2 --max-restarts 3 -m forestpilot.launch.cli train --data DATASET --out RUN

Rank 0 trains as one process would: it alone reads the run folder, writes into it and says how far it is. For each step
it sends the weights to the other ranks and gathers the gradients of their shards, which it adds up in their order; so a
step comes to the same, bit for bit, as in one process. The other ranks draw their windows themselves, from the decoded
steps beside the datasets: where ranks run on several machines, all see these under the same names.

A rank that dies takes the others with it, and torchrun starts all again; rank 0 goes on from its last saved state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType

import torch
import torch.distributed as dist
from torch import Tensor

from forestpilot.policies.networks.device import DeviceName, device_of
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.training.flat import FlatLayout
from forestpilot.policies.training.meeting import meet
from forestpilot.policies.training.shard_pool import (
    SILENT_LIMIT_S,
    ShardPool,
    ShardProcessError,
    Shards,
    learned_from,
    pickled_lesson,
)
from forestpilot.policies.training.shards import Lesson, ShardResult, StepResult, add_up, compute_shard
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError

TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells every process."""
MEET_S = 300.0
"""How long ranks wait for each other at the start; machines come up at their own time."""
BACKENDS = {"cuda": "cpu:gloo,cuda:nccl"}
"""How tensors travel, by what computes: words by gloo, and from GPU to GPU by nccl."""
_STOP, _LESSON, _STEP = range(3)


class RankError(ShardProcessError):
    """A process that torchrun started has died, or cannot be reached."""

    exit_code = 1


def started_by_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """True in a process that torchrun (or another launcher that speaks like it) has started."""
    return all(name in environment for name in TORCHRUN_VARIABLES)


class Ranks(ShardPool):
    """The processes that torchrun has started, as a pool; use it as a context manager.

        with Ranks() as ranks:
            if ranks.rank == 0:
                train(policy, reader, config, folder, pool=ranks)
            else:
                ranks.help()

    Args:
        device: what computes; of GPUs, each rank takes the one of its number on its machine.

    Attributes:
        device: what this rank computes with.
        rank: number of this process.
        size: how many there are.
    """

    def __init__(self, device: DeviceName = "cpu") -> None:
        super().__init__()
        self.device = device_of(device, int(os.environ.get("LOCAL_RANK", "0")))
        self.rank = int(os.environ["RANK"])
        self.size = int(os.environ["WORLD_SIZE"])
        self._is_open = False

    def __enter__(self) -> Ranks:
        """Wait for the other ranks.

        Raises:
            RankError: they do not come.
        """
        try:
            store, _, _ = next(dist.rendezvous("env://"))
            dist.init_process_group(
                BACKENDS.get(self.device.type, "gloo"),
                store=meet(store, self.rank, self.size, MEET_S),
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=SILENT_LIMIT_S),
            )
        except (RuntimeError, ValueError, TimeoutError) as error:
            raise RankError(f"the other ranks of this training cannot be reached: {_first_line(error)}") from error
        self._is_open = True
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_open and self.rank == 0 and not (kind and issubclass(kind, RankError)):
            with suppress(RuntimeError):  # somebody has died meanwhile
                self.tell(_STOP)
        with suppress(RuntimeError):
            dist.destroy_process_group()
        self._is_open = False

    @property
    def processes(self) -> int:
        """Processes that take part, this one included."""
        return self.size

    @contextmanager
    def teach(self, lesson: Lesson) -> Iterator[Shards]:
        """Get ready for a round of training; the policy's weights lie in the first row meanwhile.

        Raises:
            InvalidArgumentError: there are fewer shards than ranks, or the windows cannot be drawn by other processes.
        """
        count = lesson.config.shards
        if count < self.size:
            raise InvalidArgumentError(
                f"shards is {count} and there are {self.size} processes: some would have nothing to do; give --shards "
                f"{self.size} or more, in all trainings that are to be compared, for it changes what is drawn"
            )
        content = pickled_lesson(lesson)
        if content is None:
            raise InvalidArgumentError(
                "other processes cannot draw the windows of this training: their pictures must be decoded on disk "
                "(give disk_cache_gb some gigabytes), and the objective must be one that can be pickled"
            )
        layout = FlatLayout(lesson.policy.to(self.device))
        rows = torch.zeros(1 + _padded(count, self.size), layout.size, device=self.device)
        layout.live_in(rows[0])
        try:
            with torch_threads(self.threads), _deaths_told():
                self.tell(_LESSON, len(content))
                dist.broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8), src=0)
                yield _RankShards(self, lesson, layout, rows)
        finally:
            layout.release()
            lesson.policy.to("cpu")

    def help(self) -> None:
        """Compute what rank 0 asks for until it has enough; for all other ranks.

        Raises:
            RankError: another rank has died.
        """
        rows, layout, lesson = torch.zeros(0, 0), None, None
        with torch_threads(self.threads), _deaths_told():
            while True:
                kind, number, measured = self.tell()
                if kind == _STOP:
                    return
                if kind == _LESSON:
                    if lesson is not None:
                        lesson.reader.close()
                    content = torch.zeros(number, dtype=torch.uint8)
                    dist.broadcast(content, src=0)
                    lesson, layout = learned_from(content.numpy().tobytes(), self.device)
                    rows = torch.zeros(1 + _padded(lesson.config.shards, self.size), layout.size, device=self.device)
                    layout.live_in(rows[0], keep=False)
                    continue
                assert lesson is not None and layout is not None
                compute_together(self, lesson, layout, rows, number, bool(measured))

    def tell(self, kind: int = 0, number: int = 0, measured: bool = False) -> list[int]:
        """What rank 0 says to all: what comes, the step or the number of bytes, whether figures are wanted."""
        message = torch.tensor([kind, number, int(measured)], dtype=torch.int64)
        dist.broadcast(message, src=0)
        told: list[int] = message.tolist()
        return told


class _RankShards(Shards):
    """The shards of the steps of one lesson, on all ranks."""

    def __init__(self, ranks: Ranks, lesson: Lesson, layout: FlatLayout, rows: Tensor) -> None:
        super().__init__(lesson, layout, rows)
        self._ranks = ranks
        self._rows = rows

    def compute(self, step: int, measured: bool = False) -> StepResult:
        """See `Shards.compute`.

        Raises:
            RankError: another rank has died.
        """
        with _deaths_told():
            self._ranks.tell(_STEP, step, measured)
            results = compute_together(self._ranks, self.lesson, self.layout, self._rows, step, measured)
        return add_up(results, self.gradients[: len(results)])


def compute_together(
    ranks: Ranks, lesson: Lesson, layout: FlatLayout, rows: Tensor, step: int, measured: bool
) -> list[ShardResult]:
    """A step's gradients: each rank computes its shards, rank 0 gets them all.

    Args:
        ranks: who computes.
        lesson: what is learned, and how.
        layout: of the policy's parameters.
        rows: (1 + shards, P), made even by the number of ranks: weights, which rank 0 sends, and gradients.
        step: number of the step in the round.
        measured: whether figures are wanted.

    Returns:
        On rank 0 the result of each shard; elsewhere of this rank's own.
    """
    count = lesson.config.shards
    dist.broadcast(rows[0], src=0)
    gradients = rows[1:]
    own = []
    for shard in range(ranks.rank, count, ranks.size):
        own.append(compute_shard(lesson, layout, step, shard, gradients, measured))
    for first in range(0, len(gradients), ranks.size):
        at_root = list(gradients[first : first + ranks.size]) if ranks.rank == 0 else None
        dist.gather(gradients[first + ranks.rank], at_root, dst=0)
    everybody: list[list[ShardResult] | None] | None = [None] * ranks.size if ranks.rank == 0 else None
    dist.gather_object(own, everybody, dst=0)
    if everybody is None:
        return own
    results: list[ShardResult] = []
    for shard in range(count):
        of_rank = everybody[shard % ranks.size]
        assert of_rank is not None
        results.append(of_rank[shard // ranks.size])
    return results


@contextmanager
def _deaths_told() -> Iterator[None]:
    """Say in our words what torch says of ranks that have died."""
    try:
        yield
    except ForestPilotError:
        raise
    except RuntimeError as error:
        raise RankError(
            f"another rank of this training died, or cannot be reached ({_first_line(error)}); what was trained is "
            "kept: run the same command again, or give torchrun --max-restarts"
        ) from error


def _padded(count: int, size: int) -> int:
    """The next multiple of `size`."""
    return -(-count // size) * size


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
