"""How fast policies train: the real loop on made-up episodes, from the window reader to the optimizer.

Ways to train take turns, each in a process of its own that has torch's threads wait in its own way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.launch.benchmarks.demo import busy_process
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.scratch import scratch

TURNS = 3
"""Turns of each way, alone and beside a busy process."""
UNBOUNDED = "300000"
"""How often a thread of GNU's OpenMP looks before it sleeps where nobody says anything."""
BOUNDED = "2000"


@dataclass(frozen=True)
class Way:
    """A way to train."""

    processes: int = 1
    """Processes that compute shards."""
    threads: int = 1
    """Torch threads of each."""
    spin_count: str = BOUNDED
    """How often a thread looks before it sleeps."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Of the training, where they are not the usual ones."""
    encoder: str = ""
    """Of the policy; empty for the usual one."""


AS_IN_0_1 = {"encoder": "cnn", "settings": {"batch_windows": 24, "shards": 1}}
WAYS = {
    "shards": Way(processes=2),
    "one_thread": Way(),
    "two_threads": Way(threads=2),
    "one_thread_as_in_0_1": Way(**AS_IN_0_1),  # type: ignore[arg-type]
    "two_threads_as_in_0_1": Way(threads=2, spin_count=UNBOUNDED, **AS_IN_0_1),  # type: ignore[arg-type]
}
"""Ways that are compared; a command trains in the first."""


def bench_train(
    memory: str = "lstm", head: str = "turn-costs", window: int = 8, seconds: float = 2.0, contended: bool = False
) -> dict[str, Any]:
    """Measure the training loop, sampling, mirroring and jitter included, in each of `WAYS`.

    Args:
        memory: the policy's memory, by its registered name.
        head: the policy's head, likewise.
        window: steps per window.
        seconds: about how long to measure each way in each turn.
        contended: also beside a process that keeps a core busy.

    Returns:
        `alone`, and `contended` if asked for: for each way `frames_per_s` (window steps learned from), `steps_per_s`
        (gradient steps) and, for one process on one thread, `frames_per_core_s` (per second of computing time); and
        of the way of a command the `ratio` to two threads as in 0.1, in frames and in steps. `act_ms_1` and
        `act_ms_25` (milliseconds for one action of one episode and for those of 25, on one thread), `parameters`, and
        the arguments.
    """
    shape = {"memory": memory, "head": head, "window": window}
    figures: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        trainers = {name: stack.enter_context(_Trainer.started(way, shape)) for name, way in WAYS.items()}
        figures["alone"] = _take_turns(trainers, seconds)
        if contended:
            with busy_process():
                figures["contended"] = _take_turns(trainers, seconds)
    return {**figures, **_acting(shape), **shape}


def _take_turns(trainers: Mapping[str, _Trainer], seconds: float) -> dict[str, Any]:
    """Figures of each way, the median of its turns."""
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in trainers}
    for _ in range(TURNS):
        for name, trainer in trainers.items():
            turns[name].append(trainer.train(seconds))
    figures: dict[str, Any] = {}
    for name, seen in turns.items():
        figures[name] = {key: round(statistics.median(turn[key] for turn in seen), 1) for key in seen[0]}
    usual, before = figures[next(iter(WAYS))], figures["two_threads_as_in_0_1"]
    figures["ratio"] = {key: round(usual[key] / before[key], 2) for key in ("frames_per_s", "steps_per_s")}
    return figures


class _Trainer:
    """A process that trains in its own way when it is asked to."""

    def __init__(self, way: Way, pipe: Connection) -> None:
        self._way = way
        self._pipe = pipe

    @classmethod
    @contextlib.contextmanager
    def started(cls, way: Way, shape: Mapping[str, Any]) -> Iterator[_Trainer]:
        """A process for the `with` block."""
        spawn = get_context("spawn")
        pipe, other_end = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(other_end, way, dict(shape)))
        before = os.environ.get("GOMP_SPINCOUNT")
        os.environ["GOMP_SPINCOUNT"] = way.spin_count
        try:
            process.start()
        finally:
            del os.environ["GOMP_SPINCOUNT"]
            if before is not None:
                os.environ["GOMP_SPINCOUNT"] = before
        other_end.close()
        try:
            yield cls(way, pipe)
        finally:
            pipe.close()  # it ends when nobody asks any more
            process.join()

    def train(self, seconds: float) -> dict[str, float]:
        """Train for about so long, after a short run to warm up the first time."""
        self._pipe.send(seconds)
        try:
            figures: dict[str, float] = self._pipe.recv()
        except EOFError as error:
            raise ForestPilotError("a process that trained died; what it said stands above") from error
        return figures


def _serve(pipe: Connection, way: Way, shape: Mapping[str, Any]) -> None:
    """Body of a trainer's process."""
    from forestpilot.policies.training.loop import make_reader, train
    from forestpilot.policies.training.shard_pool import ShardPool
    from forestpilot.policies.training.train_config import TrainConfig

    with scratch("bench") as folder, ShardPool(way.processes, way.threads) as pool:
        dataset = make_up_dataset(folder / "data")
        policy = _make_policy(shape, dataset.task_spec, way.encoder)
        config = TrainConfig(policy=policy.config, tensorboard=False, **way.settings)
        frames = config.batch_windows * policy.config.window
        reader = make_reader(policy, [dataset], config)

        def run(steps: int) -> dict[str, float]:
            cpu_s = time.process_time()
            with scratch("bench") as out:
                result = train(policy, reader, dataclasses.replace(config, steps=steps), out, pool=pool)
            figures = {"frames_per_s": result.frames_per_s, "steps_per_s": result.frames_per_s / frames}
            if way.processes == way.threads == 1:
                figures["frames_per_core_s"] = steps * frames / (time.process_time() - cpu_s)
            return figures

        rate = run(10)["steps_per_s"]
        while pool.processes < min(way.processes, config.shards):
            rate = run(30)["steps_per_s"]
        with contextlib.suppress(EOFError):
            while True:
                figures = run(max(3, int(pipe.recv() * rate)))
                rate = figures["steps_per_s"]
                pipe.send(figures)
        reader.close()


def _make_policy(shape: Mapping[str, Any], spec: TaskSpec, encoder: str = "") -> Any:
    from forestpilot.data_collection.episodes.plain import from_plain
    from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy

    values = {**shape, "encoder": encoder} if encoder else shape
    return VisuomotorPolicy.seeded(from_plain(PolicyConfig, values), spec, seed=0)


def _acting(shape: Mapping[str, Any]) -> dict[str, Any]:
    """How long an action takes on one thread, and how large the policy is."""
    from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
    from forestpilot.policies.networks.threads import torch_threads
    from forestpilot.sim.tasks import DEFAULT_TASK, TASKS

    policy = _make_policy(shape, task_spec_of(TASKS.get(DEFAULT_TASK), ScenarioMix()))
    with torch_threads(1):
        latencies = {f"act_ms_{episodes}": _act_ms(policy, episodes) for episodes in (1, 25)}
    return {**latencies, "parameters": policy.num_parameters}


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
    from forestpilot.data_collection.episodes.episode import Episode
    from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT
    from forestpilot.data_collection.episodes.meta import EpisodeMeta
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
