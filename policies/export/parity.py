"""An exported policy held against the one that it was made of: the same actions, and how long a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset, require_same_task
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.export.exporter import ExportError
from forestpilot.policies.export.runner import OnnxPolicy
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy

Recording = dict[str, np.ndarray]
"""Observations (T, B, ...) of some episodes."""
MADE_UP_STEPS = 12
"""Steps of a recording that is made up."""
REPEATS = 12
"""How often times are taken; the best counts."""
TIMED_STEPS = 25
"""Steps of each of them."""


class Parity(NamedTuple):
    """How far two policies differ."""

    differences: NDArray[np.float64]
    """(n,) largest difference of each step's action."""

    @property
    def steps(self) -> int:
        """Steps compared."""
        return len(self.differences)

    @property
    def largest(self) -> float:
        """Largest difference at any step."""
        return float(self.differences.max())

    def share_beyond(self, tolerance: float) -> float:
        """Share of the steps that differ by more."""
        return float((self.differences > tolerance).mean())


def recorded(policy: VisuomotorPolicy, folder: Path, steps: int) -> list[Recording]:
    """Observations of the first steps of a dataset, an episode each.

    Raises:
        DatasetError: there is no dataset.
        SpecMismatchError: it is of another task, or has other pictures.
        ExportError: it is empty.
    """
    dataset = Dataset.open(folder)
    require_same_task(policy.spec, dataset.task_spec, f"the dataset in {folder}")
    recordings = []
    for header in dataset.episodes:
        if steps <= 0:
            break
        episode = load_episode(header.path, policy.observation_keys)
        count = min(steps, episode.num_steps)
        recordings.append({key: values[:count, None] for key, values in episode.observations.items()})
        steps -= count
    if not recordings:
        raise ExportError(f"{folder} has no episode to compare by; collect some first")
    return recordings


def made_up(policy: VisuomotorPolicy, batch: int, seed: int = 0) -> Recording:
    """Observations of some steps of `batch` episodes, out of nothing: soft pictures, and a state that tilts."""
    rng = np.random.default_rng(seed)
    spec = policy.spec
    recording = {}
    for key in policy.observation_keys:
        size = {"state": spec.state_size, "goal": spec.goal_size}.get(key)
        if size is None:
            recording[key] = _soft_pictures(rng, (MADE_UP_STEPS, batch, *policy.prepare.image_shape))
        else:
            recording[key] = rng.normal(0, 0.2, (MADE_UP_STEPS, batch, size)).astype(np.float32)
    return recording


def _soft_pictures(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Pictures (..., H, W, 3) uint8 that change so little from pixel to pixel that a 64th of a pixel does not show."""
    *_, height, width, _ = shape
    corners = rng.uniform(0, 255, (*shape[:-3], 2, 2, 3))
    down = np.linspace(0, 1, height)[:, None, None]
    across = np.linspace(0, 1, width)[None, :, None]
    upper = corners[..., :1, :1, :] * (1 - across) + corners[..., :1, 1:, :] * across
    lower = corners[..., 1:, :1, :] * (1 - across) + corners[..., 1:, 1:, :] * across
    return (upper * (1 - down) + lower * down).astype(np.uint8)


def compare(policy: VisuomotorPolicy, runner: OnnxPolicy, recordings: list[Recording]) -> Parity:
    """Let both act on the same observations, each with what it carries itself, and the same noise."""
    differences = []
    with torch_threads(1):
        for recording in recordings:
            steps, batch = recording["state"].shape[:2]
            seeds = range(batch)
            carry = policy.begin(batch, seeds)
            carried = runner.begin(batch)
            draw = runner.noise_for(seeds)
            for step in range(steps):
                seen = {key: values[step] for key, values in recording.items()}
                wanted, carry = policy.act(seen, carry)
                noise = None if draw is None else draw.next()
                actions, carried = runner.act(seen, carried, noise)
                differences.append(np.abs(actions.astype(np.float64) - wanted).max())
    return Parity(np.array(differences))


def cpu_times(policy: VisuomotorPolicy, runner: OnnxPolicy, recording: Recording) -> tuple[float, float]:
    """Seconds of CPU time that a step of one episode takes, as exported and by torch, with a thread each.

    Both are timed by turns, and the best times count, so that what else runs on the machine hardly shows.
    """
    seen = {key: np.ascontiguousarray(values[0, :1]) for key, values in recording.items()}
    carry = policy.begin(1)
    carried = runner.begin(1)
    draw = runner.noise_for(range(1))

    def torch_step() -> None:
        policy.act(seen, carry)

    def exported_step() -> None:
        runner.act(seen, carried, None if draw is None else draw.next())

    ours, theirs = [], []
    with torch_threads(1):
        for _ in range(REPEATS):
            ours.append(_cpu_s(exported_step))
            theirs.append(_cpu_s(torch_step))
    return min(ours), min(theirs)


def _cpu_s(step: Callable[[], None]) -> float:
    start = time.process_time()
    for _ in range(TIMED_STEPS):
        step()
    return (time.process_time() - start) / TIMED_STEPS
