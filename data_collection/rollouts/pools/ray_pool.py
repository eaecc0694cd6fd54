"""Episodes on a Ray cluster: a task for each handful of scenarios, begun again where its worker dies.

Workers hand back every episode as it ends, and wait where the driver has not taken the last ones; the driver alone
writes files. So its memory is bounded, and what a dead worker had finished is not run again. What a pilot needs is put
into Ray's object store, from where each machine fetches it once. Where all workers see the driver's folders, as those
of a cluster do that is started on its machine, they read and write by themselves.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.rollouts.luggage import packed, rooted
from forestpilot.data_collection.rollouts.pool import SLOTS, FinishedEpisode, Job, RolloutPool, given_up, store
from forestpilot.data_collection.rollouts.pools import PoolConfig, RayConfig
from forestpilot.data_collection.rollouts.pools.handful import Order, run_handful
from forestpilot.data_collection.rollouts.pools.ray_cluster import (
    ClusterError,
    connected,
    is_started_here,
    require_reachable,
)
from forestpilot.data_collection.rollouts.results import EpisodeResult
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.sim.errors import ForestPilotError

ResultT = TypeVar("ResultT")
LARGEST_HANDFUL = 4 * SLOTS
"""Scenarios of one task: enough that what each task costs by itself is little, few enough that the last tasks end
together."""
UNTAKEN = 2
"""Episodes that a task may have finished and the driver not taken; then it waits."""
WRITERS = 16
"""Episodes that the driver writes at once: the processor is done with one in two milliseconds, the disk is not."""
COUNT_EVERY_S = 5.0
"""How often the cores of the cluster are counted anew."""
TRIES = 10
"""How often a scenario is begun whose worker dies each time; clusters take machines away."""


class RayPool(RolloutPool):
    """Runs episodes on a Ray cluster; what is no episode (`submit`) is done by processes of this machine.

    Args:
        workers: processes of this machine, and cores of a cluster that is started here.
        config: its options.
    """

    Config = RayConfig

    def __init__(self, workers: int, config: PoolConfig | None = None) -> None:
        super().__init__(workers, config)
        self._config = config if isinstance(config, RayConfig) else RayConfig()
        self._connection: AbstractContextManager[Any] | None = None
        self._ray: Any = None
        self._local = False
        self._shared = False

    @classmethod
    def require_there(cls, config: PoolConfig) -> None:
        """See `RolloutPool.require_there`.

        Raises:
            ClusterError: the cluster cannot be reached.
            MissingExtraError: Ray is not installed.
        """
        assert isinstance(config, RayConfig)
        require_reachable(config.address)

    def __enter__(self) -> RayPool:
        """Connect.

        Raises:
            ClusterError: the cluster cannot be reached.
        """
        self._shared = self._config.shared_storage or is_started_here(self._config.address)
        self._connection = connected(self._config.address, self.workers)
        self._ray = self._connection.__enter__()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        self._local = False
        if self._connection is not None:
            connection, self._connection, self._ray = self._connection, None, None
            connection.__exit__(None, None, None)

    def submit(
        self,
        function: Callable[..., ResultT],
        *args: Any,
        answer: Callable[[Any], Any] | None = None,
        urgent: bool = False,
    ) -> Future[ResultT]:
        """Let a process of this machine call a function; see `RolloutPool.submit`."""
        if not self._local:
            self._local = True
            super().__enter__()
        return super().submit(function, *args, answer=answer, urgent=urgent)

    def _finished(
        self, job: Job, scenarios: Iterator[Scenario], note: Callable[[str], object]
    ) -> Iterator[EpisodeResult]:
        if self._ray is None:
            raise ForestPilotError("this pool is not connected; use it in a with statement")
        dataset = Dataset.open(job.dataset, check=False) if job.dataset else None
        handfuls = _Handfuls(self._ray, job, dataset, scenarios, self._config.tasks, self._shared)
        try:
            if self._shared:
                yield from (finished.result for finished in handfuls.finished(note))
            else:
                yield from stored(job, dataset, handfuls.finished(note))
        finally:
            handfuls.cancel()


def stored(job: Job, dataset: Dataset | None, episodes: Iterator[FinishedEpisode]) -> Iterator[EpisodeResult]:
    """Write episodes down, several side by side, for each waits until the disk has it; yields each that is kept.

    Args:
        job: says where they go.
        dataset: that they are recorded for, if they are.
        episodes: as they come; at most `WRITERS` are held.
    """
    with ThreadPoolExecutor(WRITERS, "forestpilot-writer") as writers:
        writing: deque[tuple[Future[None], EpisodeResult]] = deque()
        for finished in episodes:
            writing.append((writers.submit(store, job, dataset, finished), finished.result))
            while writing and (len(writing) == WRITERS or writing[0][0].done()):
                written, result = writing.popleft()
                written.result()
                yield result
        for written, result in writing:
            written.result()
            yield result


class _Handful:
    """A task, and the scenarios whose episodes it still owes."""

    def __init__(self, scenarios: list[Scenario]) -> None:
        self.held = {scenario.seed: scenario for scenario in scenarios}


class _Handfuls:
    """A job in handfuls, as many at once as the cluster has cores."""

    def __init__(
        self, ray: Any, job: Job, dataset: Dataset | None, scenarios: Iterator[Scenario], tasks: int, shared: bool
    ) -> None:
        self._ray = ray
        self._tasks = tasks
        self._scenarios = scenarios
        self._left = len(job.scenarios)
        self._count = 0
        self._counted = -math.inf
        self._again: list[Scenario] = []
        self._losses: Counter[int] = Counter()
        self._given_up: list[int] = []
        self._running: dict[Any, _Handful] = {}
        self._job = dataclasses.replace(_rooted(job) if shared else job, scenarios=())
        self._order = ray.put(
            Order(
                job=self._job,
                luggage={} if shared else packed(job.pilot),
                task_spec=dataset.task_spec if dataset is not None else None,
                env_id=dataset.env_id if dataset is not None else "",
                shared_storage=shared,
                version=package_version(),
            )
        )
        self._task = ray.remote(_run).options(
            num_cpus=1, max_retries=0, num_returns="streaming", _generator_backpressure_num_objects=UNTAKEN
        )

    def finished(self, note: Callable[[str], object]) -> Iterator[FinishedEpisode]:
        """Each episode as it ends."""
        reason = ""
        while self._fill():
            self._ray.wait(list(self._running), num_returns=1)
            ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
            for task in ready:
                try:
                    finished = self._take(task)
                except self._ray.exceptions.RayTaskError as error:
                    raise _cause(error) from error
                except self._ray.exceptions.RayError as error:
                    reason = f"a worker of the cluster died ({type(error).__name__})"
                    lost = self._lose(task)
                    note(f"{reason}; {lost} episodes begin anew")
                    continue
                if finished is not None:
                    yield finished
        if self._given_up:
            raise given_up(reason, TRIES, self._given_up)

    def cancel(self) -> None:
        """Begin nothing more, and end what runs."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._running.clear()

    def _fill(self) -> bool:
        """Begin as many handfuls as there are cores, if there is so much to do; returns whether any run."""
        tasks = self._tasks or self._cores()
        while len(self._running) < tasks:
            scenarios = self._next(tasks)
            if not scenarios:
                break
            slots = min(SLOTS, len(scenarios))
            self._running[self._task.remote(self._order, scenarios, slots)] = _Handful(scenarios)
        return bool(self._running)

    def _cores(self) -> int:
        """Cores of the cluster, which grows and shrinks; to ask takes as long as to take an episode.

        Raises:
            ClusterError: it has none.
        """
        now = time.monotonic()
        if now - self._counted > COUNT_EVERY_S:
            self._count = int(self._ray.cluster_resources().get("CPU", 0))
            self._counted = now
        if not self._count:
            raise ClusterError("the Ray cluster has no cores; `ray start` on a machine of it with --num-cpus")
        return self._count

    def _next(self, tasks: int) -> list[Scenario]:
        """The scenarios of the next handful. Those that were lost with their worker come first; one that was lost twice
        comes alone, so that it takes no other with it."""
        if self._again:
            if self._losses[self._again[0].seed] > 1:
                return [self._again.pop(0)]
            once = [scenario for scenario in self._again if self._losses[scenario.seed] == 1][:SLOTS]
            self._again = [scenario for scenario in self._again if scenario not in once]
            return once
        share = math.ceil(self._left / (2 * tasks))
        size = min(LARGEST_HANDFUL, max(share, min(SLOTS, math.ceil(self._left / tasks))))
        scenarios: list[Scenario] = []
        while len(scenarios) < size and (scenario := next(self._scenarios, None)) is not None:
            scenarios.append(scenario)
        self._left -= len(scenarios)
        return scenarios

    def _take(self, task: Any) -> FinishedEpisode | None:
        """The next episode of a task; None where it has no more."""
        try:
            finished: FinishedEpisode = self._ray.get(next(task))
        except StopIteration:
            del self._running[task]
            return None
        del self._running[task].held[finished.result.scenario.seed]
        return finished

    def _lose(self, task: Any) -> int:
        """What a dead worker held is to be begun again; returns how many episodes that are."""
        held = self._running.pop(task).held
        for seed, scenario in held.items():
            self._losses[seed] += 1
            if self._losses[seed] < TRIES:
                self._again.append(scenario)
            else:
                self._given_up.append(seed)
        return len(held)


def _rooted(job: Job) -> Job:
    """The job, its folders named from the root on: a cluster's workers have another working directory."""
    return dataclasses.replace(
        job,
        pilot=rooted(job.pilot),
        dataset=job.dataset and str(Path(job.dataset).absolute()),
        results_folder=job.results_folder and str(Path(job.results_folder).absolute()),
    )


def _run(order: Order, scenarios: list[Scenario], slots: int) -> Iterator[FinishedEpisode]:
    """A handful of the order, in a worker."""
    job = dataclasses.replace(order.job, scenarios=tuple(scenarios))
    yield from run_handful(order, job, slots)


def _cause(error: Any) -> Exception:
    """What went wrong in a worker, as it would have been raised here."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error
