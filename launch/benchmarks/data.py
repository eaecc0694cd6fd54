"""How fast episodes are written and windows are read back, and how small real episodes become on disk."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.sim.scratch import scratch

LEAST_TURNS = 3
"""Trainings of each kind that are compared: the first is slower than those after it."""


def bench_data(
    episodes: int = 8, copies: int = 5, window: int = 8, batch: int = 64, seconds: float = 2.0
) -> dict[str, Any]:
    """Measure the dataset on episodes of the expert: three 64x48 cameras, labels included, one process.

    Args:
        episodes: expert episodes to record.
        copies: how often each is written, under other seeds.
        window: steps per window.
        batch: windows per draw.
        seconds: about how long each kind of reading is measured.

    Returns:
        `steps_per_s_written` (flushed to disk); `open_ms_per_episode` (every byte checked); `load_steps_per_s` (disk to
        memory); `decode_steps_per_s` (disk to decoded files); `windows_per_s_disk` (from decoded files),
        `windows_per_s_unpacked` (from the episodes themselves), `windows_per_s_memory` and
        `windows_per_s_memory_reused` (into an earlier batch); `training_rate_from_disk` (gradient steps a second of
        processor time with windows from decoded files, a tenth of which may be held in memory, by those with windows
        from memory, in turns);
        `compression_ratio` (raw bytes by bytes on disk); `bytes_per_step` on disk; `steps`; `window`; `batch`.
    """
    with scratch("bench") as folder:
        figures, dataset = _write(folder, episodes, copies)
        figures |= _read(dataset, window, batch, seconds)
        figures["training_rate_from_disk"] = _training_rate_from_disk(dataset, window, seconds)
        return figures | {"window": window, "batch": batch}


def _write(folder: Path, count: int, copies: int) -> tuple[dict[str, Any], Any]:
    from forestpilot.data_collection.episodes.dataset import Dataset
    from forestpilot.data_collection.episodes.episode import load_episode

    recorded = _expert_dataset(folder / "recorded", count)
    episodes = [load_episode(header.path) for header in recorded.episodes]
    dataset = Dataset.create(folder / "data", recorded.task_spec, recorded.env_id)
    writing_s = 0.0
    for copy in range(copies):
        for episode in episodes:
            meta = dataclasses.replace(episode.meta, seed=episode.meta.seed + count * copy)
            started = time.perf_counter()
            dataset.add(dataclasses.replace(episode, meta=meta))
            writing_s += time.perf_counter() - started
    raw_bytes = copies * sum(_raw_bytes(episode) for episode in episodes)
    return {
        "steps_per_s_written": round(dataset.total_steps / writing_s),
        "compression_ratio": round(raw_bytes / dataset.file_bytes, 2),
        "bytes_per_step": round(dataset.file_bytes / dataset.total_steps),
        "steps": dataset.total_steps,
    }, dataset


def _read(dataset: Any, window: int, batch: int, seconds: float) -> dict[str, Any]:
    from forestpilot.data_collection.windows.windows import WindowReader

    started = time.perf_counter()
    dataset = type(dataset).open(dataset.folder)
    opened = time.perf_counter()
    in_memory = WindowReader([dataset], window, cache_bytes=2**40)
    loaded = time.perf_counter()
    on_disk = WindowReader([dataset], window, cache_bytes=0, disk_cache_bytes=2**40)
    decoded = time.perf_counter()
    unpacked = WindowReader([dataset], window, cache_bytes=0)
    rng = np.random.default_rng(0)
    reused = in_memory.sample(batch, rng)
    figures = {
        "open_ms_per_episode": round(1e3 * (opened - started) / len(dataset), 2),
        "load_steps_per_s": round(dataset.total_steps / (loaded - opened)),
        "decode_steps_per_s": round(dataset.total_steps / (decoded - loaded)),
        "windows_per_s_disk": _rate(lambda: on_disk.sample(batch, rng), batch, seconds),
        "windows_per_s_unpacked": _rate(lambda: unpacked.sample(batch, rng), batch, seconds),
        "windows_per_s_memory": _rate(lambda: in_memory.sample(batch, rng), batch, seconds),
        "windows_per_s_memory_reused": _rate(lambda: in_memory.sample(batch, rng, out=reused), batch, seconds),
    }
    on_disk.close()
    return figures


def _training_rate_from_disk(dataset: Any, window: int, seconds: float) -> float:
    """Speed of training on a dataset ten times the bound of memory, by that of one in memory."""
    from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
    from forestpilot.policies.training.loop import make_reader, train
    from forestpilot.policies.training.train_config import TrainConfig

    config = TrainConfig(policy=PolicyConfig(window=window), steps=20, tensorboard=False)
    policy = VisuomotorPolicy.seeded(config.policy, dataset.task_spec, seed=0)
    in_memory = make_reader(policy, [dataset], dataclasses.replace(config, disk_cache_gb=0.0, cache_gb=1e3))
    tenth_gb = in_memory.cache_bytes_used / 10 / 1e9
    with closing(make_reader(policy, [dataset], dataclasses.replace(config, cache_gb=tenth_gb))) as on_disk:
        spent_s: dict[Any, list[float]] = {in_memory: [], on_disk: []}
        started = time.perf_counter()
        while time.perf_counter() - started < 3 * seconds or len(spent_s[on_disk]) < LEAST_TURNS:
            for reader in (in_memory, on_disk):
                with scratch("bench") as run_folder:
                    before_s = time.process_time()
                    train(policy, reader, config, run_folder)
                    spent_s[reader].append(time.process_time() - before_s)
    return round(min(spent_s[in_memory]) / min(spent_s[on_disk]), 3)


def _expert_dataset(folder: Path, episodes: int) -> Any:
    """A dataset of expert episodes through training worlds."""
    from forestpilot.data_collection.episodes.dataset import Dataset
    from forestpilot.data_collection.rollouts.pilots import ExpertPilot
    from forestpilot.data_collection.rollouts.pool import Job, roll_out
    from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
    from forestpilot.sim.tasks import DEFAULT_TASK, TASKS

    mix = ScenarioMix()
    task = TASKS.get(DEFAULT_TASK)
    dataset = Dataset.create(folder, task_spec_of(task, mix), task.bare_env_id)
    scenarios = tuple(mix.scenario(seed, task) for seed in range(episodes))
    for _ in roll_out(Job(task.name, scenarios, ExpertPilot, dataset=str(folder))):
        pass
    dataset.refresh()
    return dataset


def _raw_bytes(episode: Any) -> int:
    arrays = [*episode.observations.values(), *vars(episode).values()]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _rate(draw: Callable[[], Any], batch: int, seconds: float) -> int:
    """Windows per second of repeated draws."""
    draw()
    started = time.perf_counter()
    draws = 0
    while time.perf_counter() - started < seconds:
        draw()
        draws += 1
    return round(draws * batch / (time.perf_counter() - started))
