"""Run many episodes: a few side by side in each process, on as many processes as there are cores, and record them."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.rollouts.pilots import Decision, Pilot, PilotFactory
from forestpilot.data_collection.rollouts.recorder import OBSERVATION_KEYS, EpisodeRecorder
from forestpilot.data_collection.rollouts.results import EpisodeResult, save_result
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError

SLOTS = 8
"""Episodes side by side in one process: enough for a policy to profit from batching; each costs 36 MB."""


@dataclass(frozen=True)
class Job:
    """A handful of episodes for one process, and where their records go."""

    task: str
    """Name of the task."""
    scenarios: tuple[Scenario, ...]
    """Which scenarios to run."""
    pilot: PilotFactory
    """Makes the pilot inside the process."""
    dataset: str | None = None
    """Folder of the dataset that episodes are added to, with the expert's labels; None records none."""
    dagger_round: int = 0
    """Round that episodes are filed under."""
    results_folder: str | None = None
    """Folder for the actions and state hashes that `replay` repeats; None stores none."""
    policy: str = ""
    """Name of the baseline or folder of the checkpoint that acts, for `replay`."""
    fingerprint: str = ""
    """Which weights act."""


def roll_out(job: Job) -> Iterator[EpisodeResult]:
    """Run a job's episodes in this process, `SLOTS` side by side, recording as the job says; yields each as it ends."""
    pilot = job.pilot()
    waiting = list(reversed(job.scenarios))
    count = min(SLOTS, len(waiting))
    pilot.begin(count)
    dataset = Dataset.open(job.dataset, check=False) if job.dataset else None
    slots: dict[int, EpisodeRecorder] = {}
    while waiting or slots:
        for k in range(count):
            if k not in slots and waiting:
                record = job.dataset is not None
                expert = pilot.needs_expert or record
                slots[k] = EpisodeRecorder(job.task, waiting.pop(), expert, record)
                pilot.restart(k, slots[k].scenario.seed)
        active = sorted(slots)
        decision = _decide(pilot, [slots[k] for k in active], active)
        for i, k in enumerate(active):
            labelled = decision.labelled is None or bool(decision.labelled[i])
            spread = None if decision.disagreement is None else float(decision.disagreement[i])
            if slots[k].step(decision.actions[i], int(decision.actor[i]), labelled, disagreement=spread):
                yield _finish(job, slots.pop(k), pilot, dataset)


def _decide(pilot: Pilot, episodes: list[EpisodeRecorder], slots: list[int]) -> Decision:
    observations = {k: np.stack([f.observation[k] for f in episodes]) for k in OBSERVATION_KEYS}
    return pilot.act(observations, [episode.pilot_info for episode in episodes], np.array(slots))


def _finish(job: Job, running: EpisodeRecorder, pilot: Pilot, dataset: Dataset | None) -> EpisodeResult:
    """Write the records of a finished episode and free its environment."""
    episode = dataclasses.replace(running.finished(), fingerprint=job.fingerprint)
    # The episode comes last: it is what says that the episode is done.
    if job.results_folder:
        save_result(Path(job.results_folder), job.task, pilot.name, job.policy, episode)
    if dataset is not None:
        dataset.add(running.episode(pilot.name, job.dagger_round))
    running.close()
    return episode


class RolloutPool:
    """Worker processes that run jobs; they live across calls, because starting one costs seconds.

    Use it as a context manager. With one worker everything runs in this process.

    Args:
        workers: number of processes.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InvalidArgumentError(f"workers is {workers}; allowed: 1 and up")
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> RolloutPool:
        if self.workers > 1:
            self._executor = ProcessPoolExecutor(self.workers, get_context("spawn"), initializer=_start_worker)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=kind is None, cancel_futures=True)

    def run(self, job: Job, progress: Progress | None = None, name: str = "roll out") -> list[EpisodeResult]:
        """Run a job on all workers, in small batches so that none waits long for another.

        Returns:
            The episodes in the order of `job.scenarios`, whichever worker ran them.

        Raises:
            ForestPilotError: a worker process died.
        """
        with (progress or SilentProgress()).stage(name, total=len(job.scenarios)) as stage:
            done: list[EpisodeResult] = []
            for episode in self._finished(job):
                done.append(episode)
                successes = sum(f.succeeded for f in done)
                stage.advance(success=f"{successes}/{len(done)}")
        order = {scenario.seed: i for i, scenario in enumerate(job.scenarios)}
        return sorted(done, key=lambda episode: order[episode.scenario.seed])

    def _finished(self, job: Job) -> Iterator[EpisodeResult]:
        if self._executor is None:
            yield from roll_out(job)
            return
        pending: set[Future[list[EpisodeResult]]] = set()
        try:
            pending = {self._executor.submit(_run_all, part) for part in _split(job, self.workers)}
            while pending:
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield from future.result()
        except BrokenProcessPool as error:
            raise ForestPilotError(
                "a rollout process died (out of memory, or killed); what was recorded is safe: "
                "run the same command again"
            ) from error
        finally:
            for future in pending:
                future.cancel()


@contextmanager
def borrowed(pool: RolloutPool | None, workers: int) -> Iterator[RolloutPool]:
    """The pool that is lent, left open afterwards; or, where none is, one of `workers` processes, closed afterwards."""
    if pool is not None:
        yield pool
        return
    with RolloutPool(workers) as own:
        yield own


def _split(job: Job, workers: int) -> list[Job]:
    """Parts of about one batch of slots each, at least one per worker."""
    count = max(workers, math.ceil(len(job.scenarios) / SLOTS))
    return [
        dataclasses.replace(job, scenarios=job.scenarios[i::count]) for i in range(count) if job.scenarios[i::count]
    ]


def _run_all(job: Job) -> list[EpisodeResult]:
    return list(roll_out(job))


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
