"""How fast episodes are written and windows are read back, and how small real flights become on disk."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def bench_data(
    flights: int = 8, copies: int = 5, window: int = 8, batch: int = 64, seconds: float = 2.0
) -> dict[str, Any]:
    """Measure the dataset on flights of the expert: three 64x48 cameras, labels included, one process.

    Args:
        flights: expert flights to record.
        copies: how often each is written, under other seeds.
        window: steps per window.
        batch: windows per draw.
        seconds: about how long each kind of reading is measured.

    Returns:
        `steps_per_s_written` (flushed to disk); `open_ms_per_episode` (every byte checked); `load_steps_per_s` (disk to
        cache); `windows_per_s_disk`, `windows_per_s_memory` and `windows_per_s_memory_reused` (into an earlier batch);
        `compression_ratio` (raw bytes by bytes on disk); `bytes_per_step` on disk; `steps`; `window`; `batch`.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures, dataset = _write(Path(folder), flights, copies)
        return figures | _read(dataset, window, batch, seconds) | {"window": window, "batch": batch}


def _write(folder: Path, flights: int, copies: int) -> tuple[dict[str, Any], Any]:
    from data_collection.dataset import Dataset
    from data_collection.episode import load_episode

    flown = _expert_dataset(folder / "flown", flights)
    episodes = [load_episode(header.path) for header in flown.episodes]
    dataset = Dataset.create(folder / "data", flown.task_spec, flown.env_id)
    writing_s = 0.0
    for copy in range(copies):
        for episode in episodes:
            meta = dataclasses.replace(episode.meta, seed=episode.meta.seed + flights * copy)
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
    from data_collection.windows import WindowReader

    started = time.perf_counter()
    dataset = type(dataset).open(dataset.folder)
    opened = time.perf_counter()
    in_memory = WindowReader([dataset], window, cache_bytes=2**40)
    loaded = time.perf_counter()
    on_disk = WindowReader([dataset], window, cache_bytes=0)
    rng = np.random.default_rng(0)
    reused = in_memory.sample(batch, rng)
    return {
        "open_ms_per_episode": round(1e3 * (opened - started) / len(dataset), 2),
        "load_steps_per_s": round(dataset.total_steps / (loaded - opened)),
        "windows_per_s_disk": _rate(lambda: on_disk.sample(batch, rng), batch, seconds),
        "windows_per_s_memory": _rate(lambda: in_memory.sample(batch, rng), batch, seconds),
        "windows_per_s_memory_reused": _rate(lambda: in_memory.sample(batch, rng, out=reused), batch, seconds),
    }


def _expert_dataset(folder: Path, flights: int) -> Any:
    """A dataset of expert flights through training worlds."""
    from data_collection.dataset import Dataset
    from data_collection.flights import ENV_IDS, FlightMix, task_spec_of
    from data_collection.pilots import ExpertPilot
    from data_collection.rollout import Job, fly

    mix = FlightMix()
    dataset = Dataset.create(folder, task_spec_of("drone", mix), ENV_IDS["drone"].split(":")[1])
    for _ in fly(Job("drone", tuple(mix.flight(seed) for seed in range(flights)), ExpertPilot, dataset=str(folder))):
        pass
    dataset.refresh()
    return dataset


def _raw_bytes(episode: Any) -> int:
    arrays = [*episode.observations.values(), *vars(episode).values()]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _rate(draw: Callable[[], Any], batch: int, seconds: float) -> int:
    """Windows per second of repeated draws."""
    draw()
    started, draws = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        draw()
        draws += 1
    return round(draws * batch / (time.perf_counter() - started))
