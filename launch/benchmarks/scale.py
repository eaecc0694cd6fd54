"""What a cluster would give: recorded times of workers and of the driver, and a model of the driver with N workers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.launch.benchmarks.driver_model import DriverCosts, simulate
from forestpilot.sim.scratch import scratch

CORES = (2, 8, 64, 1000, 10_000)
RESULT_BYTES = 4000
"""What is sent of an episode that the worker writes itself: actions, hashes of the states, figures."""
PENDING = 500
"""Tasks that wait in vain while it is measured how long a look at them takes."""


def bench_scale(episodes: int = 16, seconds: float = 5.0) -> dict[str, Any]:
    """Record expert episodes on one core, write them as a driver does, and simulate clusters. Times are of the
    processor, so that other programs do not count; those of the driver have the network and the disk left out.

    Args:
        episodes: of the expert, recorded in the forest with three 64x48 cameras and labels.
        seconds: about how long Ray is measured.

    Returns:
        `bytes_per_episode`, packed; `worker_s_per_episode`; the driver's `store_ms_per_episode` (processor) and
        `store_wall_ms_per_episode` (until it is on the disk); where Ray is installed `ray_ms_per_episode` (to take it),
        `look_us_per_task` and `begin_ms_per_task`; `driver_episodes_per_s`, what these leave room for; for each number
        of cores the simulated `episodes_per_s`, `network_MB_per_s` into the driver, `driver_busy` and `workers_busy`;
        under `shared_storage` the same where workers write episodes themselves.
    """
    with scratch("bench") as folder:
        durations_s, finished, dataset, job = _record(folder, episodes)
        figures, store_s = _store(job, dataset, finished)
        took = _ray(finished, seconds)
    figures["worker_s_per_episode"] = round(float(np.mean(durations_s)), 3)
    looking = {"look_s": took["look_s"], "begin_s": took["begin_s"]}
    figures |= _simulated(
        durations_s, DriverCosts(store_s + took["episode_s"], **looking), figures["bytes_per_episode"]
    )
    if took["episode_s"]:
        figures["ray_ms_per_episode"] = round(1e3 * took["episode_s"], 2)
        figures["ray_ms_per_result"] = round(1e3 * took["result_s"], 2)
        figures["look_us_per_task"] = round(1e6 * took["look_s"], 2)
        figures["begin_ms_per_task"] = round(1e3 * took["begin_s"], 3)
        figures["shared_storage"] = _simulated(durations_s, DriverCosts(took["result_s"], **looking), RESULT_BYTES)
    return figures


def _simulated(durations_s: list[float], costs: DriverCosts, bytes_per_episode: float) -> dict[str, Any]:
    """What clusters would give whose driver has these costs."""
    figures: dict[str, Any] = {"driver_episodes_per_s": round(1 / costs.episode_s)}
    for cores in CORES:
        load = simulate(cores, durations_s, costs, episodes_per_core=24 if cores <= 1000 else 8)
        figures[f"cores_{cores}"] = {
            "episodes_per_s": round(load.episodes_per_s, 1),
            "network_MB_per_s": round(load.episodes_per_s * bytes_per_episode / 1e6, 2),
            "driver_busy": round(load.driver_busy, 2),
            "workers_busy": round(load.workers_busy, 2),
        }
    return figures


def _record(folder: Path, count: int) -> tuple[list[float], list[Any], Any, Any]:
    """Processor seconds of each episode, the episodes, and the dataset and job that they are for."""
    from forestpilot.data_collection.episodes.dataset import Dataset
    from forestpilot.data_collection.rollouts.pilots import ExpertPilot
    from forestpilot.data_collection.rollouts.pool import Job, finished_episodes
    from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
    from forestpilot.sim.tasks import DEFAULT_TASK, TASKS

    task, mix = TASKS.get(DEFAULT_TASK), ScenarioMix()
    dataset = Dataset.create(folder / "data", task_spec_of(task, mix), task.bare_env_id)
    scenarios = tuple(mix.scenario(seed, task) for seed in range(count))
    list(finished_episodes(Job(task.name, scenarios[:1], ExpertPilot), dataset))  # what is compiled once does not count
    job = Job(task.name, scenarios, ExpertPilot, dataset=str(dataset.folder))
    before_s = time.process_time()
    finished = list(finished_episodes(job, dataset))
    spent_s = time.process_time() - before_s
    steps = np.array([len(each.result.actions) for each in finished], float)
    return (steps * spent_s / steps.sum()).tolist(), finished, dataset, job


def _store(job: Any, dataset: Any, finished: list[Any]) -> tuple[dict[str, Any], float]:
    """How large episodes are, and what it takes to write them; the best of three times, each over all."""
    from forestpilot.data_collection.rollouts.pool import store

    spent = []
    for _ in range(3):
        started_s, before_s = time.perf_counter(), time.process_time()
        for episode in finished:
            store(job, dataset, episode)
        spent.append((time.process_time() - before_s, time.perf_counter() - started_s))
    cpu_s, wall_s = (min(times) / len(finished) for times in zip(*spent))
    size = float(np.mean([sum(map(len, each.packed.parts)) for each in finished]))
    figures = {
        "bytes_per_episode": round(size),
        "store_ms_per_episode": round(1e3 * cpu_s, 2),
        "store_wall_ms_per_episode": round(1e3 * wall_s, 2),
    }
    return figures, cpu_s


def _ray(finished: list[Any], seconds: float) -> dict[str, float]:
    """What Ray takes of the driver; nothing where it is not installed."""
    from importlib.util import find_spec

    if find_spec("ray") is None:
        return {"episode_s": 0.0, "result_s": 0.0, "look_s": 0.0, "begin_s": 0.0}
    from forestpilot.data_collection.rollouts.pools.handful import to_send
    from forestpilot.data_collection.rollouts.pools.ray_cluster import connected

    with ExitStack() as stack:
        ray = stack.enter_context(connected("", 1))
        episode_s = _taking(ray, ray.put([to_send(each) for each in finished]), seconds / 4)
        parcels = ray.put([dataclasses.replace(each, packed=None) for each in finished])
        result_s = _taking(ray, parcels, seconds / 4)
        before_s = time.process_time()
        nowhere = ray.remote(_stream).options(num_returns="streaming", resources={"nowhere": 1})
        pending = [nowhere.remote(parcels, 1) for _ in range(PENDING)]
        begin_s = (time.process_time() - before_s) / PENDING
        looks, before_s = 0, time.process_time()
        while looks < 3 or time.process_time() - before_s < seconds / 4:
            ray.wait(pending, num_returns=len(pending), timeout=0)
            looks += 1
        look_s = 2 * (time.process_time() - before_s) / looks / PENDING  # the driver looks twice
    return {"episode_s": episode_s, "result_s": result_s, "look_s": look_s, "begin_s": begin_s}


def _taking(ray: Any, parcels: Any, seconds: float) -> float:
    """Processor seconds in which the driver takes what a worker hands out, for each of them."""
    streaming = ray.remote(_stream).options(num_returns="streaming", _generator_backpressure_num_objects=4)
    for each in streaming.remote(parcels, 50):
        ray.get(each)
    count, spent_s = 0, 0.0
    while spent_s < seconds:
        before_s = time.process_time()
        for each in streaming.remote(parcels, 200):
            ray.get(each)
            count += 1
        spent_s += time.process_time() - before_s
    return spent_s / count


def _stream(parcels: list[Any], count: int) -> Iterator[Any]:
    """Hand out episodes that were recorded before, in a worker."""
    for number in range(count):
        yield parcels[number % len(parcels)]
