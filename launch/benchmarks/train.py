"""How fast policies train: the real loop on made-up episodes, from the window reader to the optimizer."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.envs.task_spec import TaskSpec


def bench_train(
    memory: str = "lstm",
    head: str = "turn-costs",
    threads: int = 2,
    batch_windows: int = 24,
    window: int = 8,
    seconds: float = 8.0,
) -> dict[str, Any]:
    """Measure the training loop, sampling, mirroring and jitter included.

    Args:
        memory: the policy's memory, by its registered name.
        head: the policy's head, likewise.
        threads: torch threads; the number in use before is restored.
        batch_windows: windows per gradient step.
        window: steps per window.
        seconds: about how long to measure.

    Returns:
        `frames_per_s` (window steps learned from per second), `steps_per_s` (gradient steps), `act_ms_1` and
        `act_ms_25` (milliseconds for one action of one episode and for those of 25, on one thread), `parameters`, and
        the arguments.
    """
    import torch

    from forestpilot.policies.networks.heads import HEADS
    from forestpilot.policies.networks.memories import MEMORIES
    from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy

    threads_before = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch.set_num_threads(threads)
            dataset = make_up_dataset(Path(folder) / "data")
            shape = PolicyConfig(memory=MEMORIES.get(memory).Config(), head=HEADS.get(head).Config(), window=window)
            policy = VisuomotorPolicy.seeded(shape, dataset.task_spec, seed=0)
            steps_per_s = _steps_per_s(policy, dataset, batch_windows, seconds)
            torch.set_num_threads(1)
            latencies = {f"act_ms_{episodes}": _act_ms(policy, episodes) for episodes in (1, 25)}
        finally:
            torch.set_num_threads(threads_before)
    return {
        "frames_per_s": round(steps_per_s * batch_windows * window),
        "steps_per_s": round(steps_per_s, 1),
        **latencies,
        "parameters": policy.num_parameters,
        "memory": memory,
        "head": head,
        "threads": threads,
        "batch_windows": batch_windows,
        "window": window,
    }


def _steps_per_s(policy: Any, dataset: Any, batch_windows: int, seconds: float) -> float:
    """Gradient steps per second of the training loop, after a short run to warm up."""
    from forestpilot.policies.training.loop import make_reader, train
    from forestpilot.policies.training.train_config import TrainConfig

    config = TrainConfig(policy=policy.config, steps=30, batch_windows=batch_windows, tensorboard=False)
    reader = make_reader(policy, [dataset], config)

    def measure(config: TrainConfig) -> float:
        with tempfile.TemporaryDirectory() as run_folder:
            return train(policy, reader, config, run_folder).frames_per_s / (batch_windows * policy.config.window)

    return measure(dataclasses.replace(config, steps=max(30, int(seconds * measure(config)))))


def _act_ms(policy: Any, episodes: int, repeats: int = 200) -> float:
    """Median milliseconds of one call of `act` for a batch of episodes."""
    spec = policy.spec
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (episodes, spec.image_height, spec.image_width, 3), dtype=np.uint8)
    state = rng.normal(0, 0.1, (episodes, spec.state_size)).astype(np.float32)
    observations = dict.fromkeys(("left", "center", "right"), images) | {"state": state}
    observations["goal"] = np.tile(np.array([1.0, 0.0], dtype=np.float32), (episodes, 1))
    carry = None
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        _, carry = policy.act(observations, carry)
        times.append(time.perf_counter() - started)
    return round(1e3 * float(np.median(times)), 3)


def make_up_dataset(folder: Path, episodes: int = 12, steps: int = 80) -> Any:
    """Episodes of noise: the loop's speed does not depend on what the pictures show."""
    from forestpilot.data_collection.episodes.dataset import Dataset
    from forestpilot.data_collection.episodes.episode import ACTOR_EXPERT, Episode, EpisodeMeta
    from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
    from forestpilot.sim.tasks import DEFAULT_TASK, TASKS

    task = TASKS.get(DEFAULT_TASK)
    rng = np.random.default_rng(0)
    spec = task_spec_of(task, ScenarioMix())
    dataset = Dataset.create(folder, spec, task.bare_env_id)
    for seed in range(episodes):
        meta = EpisodeMeta(
            outcome="success",
            seed=seed,
            env_id=task.bare_env_id,
            env_kwargs={},
            control_hz=spec.control_hz,
            renderer=spec.renderer,
            package_version="bench",
            dagger_round=0,
            policy_id="expert",
            progress_m=40.0,
            task_spec=spec.to_dict(),
        )
        episode = Episode(
            observations=_noise(rng, spec, steps + 1),
            actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
            expert_actions=rng.uniform(-1, 1, (steps, 3, 2)).astype(np.float32),
            expert_costs=rng.uniform(0, 10, (steps, 3, spec.num_candidates)).astype(np.float32),
            actor=np.full(steps, ACTOR_EXPERT, dtype=np.uint8),
            rewards=np.zeros(steps, dtype=np.float32),
            terminated=np.arange(steps) == steps - 1,
            truncated=np.zeros(steps, dtype=np.bool_),
            meta=meta,
        )
        dataset.add(episode)
    return dataset


def _noise(rng: np.random.Generator, spec: TaskSpec, count: int) -> dict[str, np.ndarray]:
    """Observations in which nothing is to be seen."""
    size = (count, spec.image_height, spec.image_width, 3)
    observations = {name: rng.integers(0, 256, size, dtype=np.uint8) for name in CAMERA_NAMES}
    observations["state"] = rng.normal(0, 0.2, (count, spec.state_size)).astype(np.float32)
    observations["goal"] = np.tile(np.array([1.0, 0.0], dtype=np.float32), (count, 1))
    return observations
