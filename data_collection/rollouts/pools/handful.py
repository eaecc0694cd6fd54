"""What a task of a cluster does: run a handful of scenarios, and hand back each episode as it ends."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.rollouts.luggage import Luggage, digest_of, unpacked
from forestpilot.data_collection.rollouts.pool import FinishedEpisode, Job, finished_episodes, store
from forestpilot.data_collection.rollouts.pools.ray_cluster import require_same_version
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.scratch import scratch_folder


@dataclass(frozen=True)
class Order:
    """A job as it is told to every worker of a cluster, once for each machine."""

    job: Job
    """What to run; its scenarios are told handful by handful."""
    luggage: Luggage
    """Files that its pilot needs."""
    task_spec: TaskSpec | None
    """Of the dataset that is recorded; None where none is, or where workers write it themselves."""
    env_id: str
    """Of that dataset."""
    shared_storage: bool
    """Workers write down episodes."""
    version: str
    """ForestPilot's on the driver."""


def run_handful(order: Order, job: Job, slots: int) -> Iterator[FinishedEpisode]:
    """Run some scenarios in this process.

    Args:
        order: what is the same for all handfuls.
        job: the order's, with these scenarios.
        slots: episodes side by side.

    Raises:
        ClusterError: this machine has another version of ForestPilot.
    """
    require_same_version(order.version, package_version(), socket.gethostname())
    if order.shared_storage:
        dataset = Dataset.open(job.dataset, check=False) if job.dataset else None
        for finished in finished_episodes(job, dataset, slots=slots):
            store(job, dataset, finished)
            yield dataclasses.replace(finished, packed=None)
        return
    dataset = None
    if order.task_spec is not None:
        dataset = Dataset(Path(), order.task_spec, order.env_id)
    job = dataclasses.replace(
        job, pilot=unpacked(job.pilot, order.luggage, _own_folder() / digest_of(order.luggage)[:16])
    )
    for finished in finished_episodes(job, dataset, slots=slots):
        yield to_send(finished)


def to_send(finished: FinishedEpisode) -> FinishedEpisode:
    """The episode with its bytes as arrays, which the other side reads where they lie in shared memory."""
    if finished.packed is None:
        return finished
    parts = tuple(np.frombuffer(part, np.uint8) for part in finished.packed.parts)
    return dataclasses.replace(finished, packed=finished.packed._replace(parts=parts))


@cache
def _own_folder() -> Path:
    """A folder of this process; the next one removes it where this one is killed."""
    return scratch_folder("luggage")
