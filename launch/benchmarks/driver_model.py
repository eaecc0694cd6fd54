"""A model of the driver of a cluster: recorded times, any number of workers, no cluster.

It follows `forestpilot.data_collection.rollouts.pools.ray_pool`: workers run handfuls of episodes and wait where two
episodes are not yet taken; the driver looks who is ready, takes one episode of each, writes it, and begins new tasks.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forestpilot.data_collection.rollouts.pools.ray_pool import LARGEST_HANDFUL, UNTAKEN


@dataclass(frozen=True)
class DriverCosts:
    """What the driver's work takes, in seconds."""

    episode_s: float
    """To take an episode and write it."""
    look_s: float
    """To look who is ready, for each task that runs."""
    begin_s: float
    """To begin a task."""


@dataclass(frozen=True)
class Load:
    """What came of a simulated cluster."""

    episodes_per_s: float
    """Episodes written in a second, in the second half of the time."""
    driver_busy: float
    """Share of that time in which the driver worked, 0 to 1."""
    workers_busy: float
    """Share in which workers did not wait, 0 to 1."""


class _Worker:
    """A core: when it was last free, and what it has finished that nobody has taken."""

    def __init__(self) -> None:
        self.left = 0
        self.untaken = 0
        self.is_running = False
        self.worked_s = 0.0


def simulate(
    cores: int, durations_s: Sequence[float], costs: DriverCosts, episodes_per_core: int = 24, seed: int = 0
) -> Load:
    """Let a cluster record episodes.

    Args:
        cores: workers.
        durations_s: recorded times of episodes on one core; each episode draws one of them.
        costs: of the driver.
        episodes_per_core: how long it goes on.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    total = cores * episodes_per_core
    drawn = iter(rng.choice(np.asarray(durations_s, float), 2 * total + cores * LARGEST_HANDFUL))
    workers = [_Worker() for _ in range(cores)]
    ready: list[int] = []
    ends: list[tuple[float, int]] = []
    taken_at: list[float] = []
    now = busy_s = 0.0

    def work(number: int, at: float) -> None:
        worker = workers[number]
        if worker.left and worker.untaken < UNTAKEN and not worker.is_running:
            worker.left -= 1
            worker.is_running = True
            duration = float(next(drawn))
            worker.worked_s += duration
            heapq.heappush(ends, (at + duration, number))

    def finish_until(at: float) -> None:
        while ends and ends[0][0] <= at:
            ended, number = heapq.heappop(ends)
            workers[number].is_running = False
            workers[number].untaken += 1
            ready.append(number)
            work(number, ended)

    for number, worker in enumerate(workers):
        now += costs.begin_s
        worker.left = int(rng.integers(1, LARGEST_HANDFUL + 1))  # so that they do not all end at the same time
        work(number, now)
    while len(taken_at) < total:
        finish_until(now)
        if not ready:
            now = ends[0][0]
            continue
        started = now
        now += costs.look_s * cores
        finish_until(now)
        seen, ready[:] = list(dict.fromkeys(ready)), []
        for number in seen:
            now += costs.episode_s
            finish_until(now)
            worker = workers[number]
            worker.untaken -= 1
            if worker.untaken:
                ready.append(number)
            if not worker.left and not worker.is_running and not worker.untaken:
                now += costs.begin_s
                worker.left = LARGEST_HANDFUL
            work(number, now)
            taken_at.append(now)
        ready[:] = [number for number in dict.fromkeys(ready) if workers[number].untaken]
        busy_s += now - started
    half = len(taken_at) // 2
    rate = (len(taken_at) - half) / (taken_at[-1] - taken_at[half - 1])
    worked_s = sum(worker.worked_s for worker in workers)
    return Load(rate, min(1.0, busy_s / now), min(1.0, worked_s / (now * cores)))
