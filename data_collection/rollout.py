"""Fly many flights: a few side by side in each process, on as many processes as there are cores, and record them."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import signal
import threading
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Any

import gymnasium
import numpy as np

from data_collection.dataset import Dataset, package_version
from data_collection.episode import Episode, EpisodeMeta
from data_collection.files import write_new_file
from data_collection.pilots import Decision, ExpertPilot, Pilot, PilotFactory
from data_collection.progress import Progress, SilentProgress
from sim.envs.base import VehicleEnv
from sim.envs.task_spec import TaskSpec
from sim.errors import ForestPilotError
from sim.worlds.forest import split_of

ENV_IDS = {"drone": "sim:ForestPilot/Drone-v0"}
SLOTS = 12
"""Flights side by side in one process: enough for a policy to profit from batching."""
OBSERVATION_KEYS = ("left", "center", "right", "state", "goal")


@dataclass(frozen=True)
class Flight:
    """One flight to fly: a world and the arguments of its environment."""

    seed: int
    """World seed."""
    env_kwargs: dict[str, Any]
    """Arguments of the environment, plain JSON values."""


@dataclass
class Flown:
    """What is left of a flight: one row of results, and what it takes to repeat it."""

    flight: Flight
    """What was flown."""
    outcome: str
    """success, collision, out_of_bounds or timeout."""
    progress_m: float
    """Metres made good towards the goal."""
    time_s: float
    """Duration in seconds."""
    min_clearance_m: float
    """Least distance from the body to a trunk, in metres."""
    mean_speed_mps: float
    """Mean speed in m/s, the start from hover included."""
    actions: np.ndarray
    """(T, 2) float32."""
    state_hashes: np.ndarray
    """(T+1,) uint64, one per state from the start on."""
    fingerprint: str = ""
    """Which weights flew, so that an evaluation can tell whether a stored flight is still theirs."""

    def row(self, policy: str) -> dict[str, Any]:
        """This flight as a row of outcomes.csv."""
        kwargs = self.flight.env_kwargs
        return {
            "policy": policy,
            "seed": self.flight.seed,
            "outcome": self.outcome,
            "success": int(self.outcome == "success"),
            "progress_m": round(self.progress_m, 3),
            "time_s": round(self.time_s, 3),
            "min_clearance_m": round(self.min_clearance_m, 4),
            "mean_speed_mps": round(self.mean_speed_mps, 3),
            "density": kwargs.get("density"),
            "speed": kwargs.get("speed"),
            "preset": kwargs.get("preset"),
        }


@dataclass(frozen=True)
class FlightMix:
    """Which forests and speeds are flown; each flight draws its own from its seed."""

    presets: tuple[str, ...] = ("default",)
    """Forest presets: `default` (trunks 0.24-0.70 m) or `loquercio` (0.6 m); each flight draws one."""
    densities: tuple[float, ...] = (0.04,)
    """Trees per square metre; each flight draws one. Published: 0.0204, 0.0278, 0.04."""
    speeds: tuple[float, float] = (5.0, 5.0)
    """Least and largest speed set point in m/s; each flight draws one in between."""
    control_hz: int = 10
    """Actions per second; must divide 240."""
    width: int = 64
    """Width of each camera image in pixels."""
    height: int = 48
    """Height of each camera image in pixels."""
    renderer: str = "raycast"
    """Renderer: raycast, tiny or egl."""
    domain_randomisation: bool = True
    """Draw colours, light, fog and textures per world."""

    def __post_init__(self) -> None:
        if not self.presets or not self.densities:
            raise ValueError("presets and densities need at least one entry each")
        if not 1.0 <= self.speeds[0] <= self.speeds[1] <= 12.0:
            raise ValueError(f"speeds are {self.speeds} m/s; allowed: 1 <= least <= largest <= 12")

    def flight(self, seed: int) -> Flight:
        """The flight through the world of this seed."""
        rng = np.random.default_rng([seed, 0xF117])
        kwargs: dict[str, Any] = {
            "preset": self.presets[rng.integers(len(self.presets))],
            "density": self.densities[rng.integers(len(self.densities))],
            "speed": round(float(rng.uniform(*self.speeds)), 3),
            "control_hz": self.control_hz, "width": self.width, "height": self.height,
            "renderer": self.renderer, "domain_randomisation": self.domain_randomisation,
        }  # fmt: skip
        return Flight(seed, kwargs)


@dataclass(frozen=True)
class Job:
    """A handful of flights for one process, and where their records go."""

    task: str
    """Name of the task."""
    flights: tuple[Flight, ...]
    """What to fly."""
    pilot: PilotFactory
    """Makes the pilot inside the process."""
    dataset: str | None = None
    """Folder of the dataset that episodes are added to, with the expert's labels; None records none."""
    dagger_round: int = 0
    """Round that episodes are filed under."""
    flights_folder: str | None = None
    """Folder for the actions and state hashes that `replay` repeats; None stores none."""
    policy: str = ""
    """Name of the baseline or folder of the checkpoint that flies, for `replay`."""
    fingerprint: str = ""
    """Which weights fly."""


def make_env(task: str, **kwargs: Any) -> VehicleEnv:
    """The task's environment without Gymnasium's wrappers.

    Raises:
        ValueError: unknown task, or an argument out of range.
    """
    if task not in ENV_IDS:
        raise ValueError(f"task is {task!r}; allowed: {', '.join(ENV_IDS)}")
    env = gymnasium.make(ENV_IDS[task], disable_env_checker=True, **kwargs).unwrapped
    assert isinstance(env, VehicleEnv)
    return env


def task_spec_of(task: str, mix: FlightMix) -> TaskSpec:
    """The task spec that all flights of a mix share."""
    env = make_env(task, **mix.flight(0).env_kwargs)
    try:
        return env.task_spec
    finally:
        env.close()


class _Slot:
    """One flight under way."""

    def __init__(self, job: Job, flight: Flight, expert: bool) -> None:
        self.job, self.flight, self._recording = job, flight, job.dataset is not None
        self.env = make_env(job.task, **flight.env_kwargs, expert=expert or self._recording)
        self.observation, self.info = self.env.reset(seed=flight.seed)
        self._clearance, self._speeds = self.info["clearance_m"], []
        self._hashes = [self.env.state_hash()]
        self._steps: list[dict[str, Any]] = []
        self._observations = [self.observation] if self._recording else []

    def step(self, action: np.ndarray, actor: int) -> bool:
        """Take one step; returns whether the flight is over."""
        labels = {k: self.info.get(k) for k in ("expert_action", "expert_costs")}
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self._clearance = min(self._clearance, self.info["clearance_m"])
        self._speeds.append(self.info["speed_mps"])
        self._hashes.append(self.env.state_hash())
        record = {"actions": action, "actor": actor, "rewards": reward, "terminated": terminated, "truncated": truncated}
        self._steps.append({**record, **labels} if self._recording else record)
        if self._recording:
            self._observations.append(self.observation)
        return terminated or truncated

    def flown(self) -> Flown:
        """The finished flight."""
        return Flown(
            flight=self.flight,
            outcome=self.info["outcome"],
            progress_m=self.info["progress_m"],
            time_s=len(self._steps) / self.env.task_spec.control_hz,
            min_clearance_m=self._clearance,
            mean_speed_mps=float(np.mean(self._speeds)),
            actions=np.array([s["actions"] for s in self._steps], np.float32),
            state_hashes=np.array(self._hashes, np.uint64),
        )

    def episode(self, policy_id: str) -> Episode:
        """The finished flight as an episode with the expert's labels."""
        spec, job = self.env.task_spec, self.job
        column = {k: [s[k] for s in self._steps] for k in self._steps[0]}
        meta = EpisodeMeta(
            outcome=self.info["outcome"], seed=self.flight.seed, env_id=ENV_IDS[job.task].split(":")[1],
            env_kwargs=self.flight.env_kwargs, control_hz=spec.control_hz, renderer=spec.renderer,
            package_version=package_version(), dagger_round=job.dagger_round, policy_id=policy_id,
            progress_m=self.info["progress_m"], task_spec=spec.to_dict(),
        )  # fmt: skip
        return Episode(
            observations={k: np.stack([o[k] for o in self._observations]) for k in OBSERVATION_KEYS},
            actions=np.array(column["actions"], np.float32),
            expert_actions=np.array(column["expert_action"], np.float32),
            expert_costs=np.array(column["expert_costs"], np.float32),
            actor=np.array(column["actor"], np.uint8),
            rewards=np.array(column["rewards"], np.float32),
            terminated=np.array(column["terminated"], bool),
            truncated=np.array(column["truncated"], bool),
            meta=meta,
        )


def fly(job: Job) -> Iterator[Flown]:
    """Fly a job's flights in this process, `SLOTS` side by side, recording as the job says; yields each as it ends."""
    pilot = job.pilot()
    waiting = list(reversed(job.flights))
    count = min(SLOTS, len(waiting))
    pilot.begin(count)
    dataset = Dataset.open(job.dataset, check=False) if job.dataset else None
    slots: dict[int, _Slot] = {}
    while waiting or slots:
        for k in range(count):
            if k not in slots and waiting:
                slots[k] = _Slot(job, waiting.pop(), pilot.needs_expert)
                pilot.restart(k, slots[k].flight.seed)
        active = sorted(slots)
        decision = _decide(pilot, [slots[k] for k in active], active)
        for i, k in enumerate(active):
            if slots[k].step(decision.actions[i], int(decision.actor[i])):
                yield _finish(slots.pop(k), pilot, dataset)


def _decide(pilot: Pilot, flights: list[_Slot], slots: list[int]) -> Decision:
    observations = {k: np.stack([f.observation[k] for f in flights]) for k in OBSERVATION_KEYS}
    infos = [{**f.info, "depth": f.env.frames.depth} for f in flights]  # type: ignore[union-attr]
    return pilot.act(observations, infos, np.array(slots))


def _finish(slot: _Slot, pilot: Pilot, dataset: Dataset | None) -> Flown:
    """Write the records of a finished flight and free its environment."""
    flown = dataclasses.replace(slot.flown(), fingerprint=slot.job.fingerprint)
    if dataset is not None:
        dataset.add(slot.episode(pilot.name))
    if slot.job.flights_folder:
        save_flight(Path(slot.job.flights_folder), slot.job, pilot.name, flown)
    slot.env.close()
    return flown


FLIGHT_FIGURES = ("outcome", "progress_m", "time_s", "min_clearance_m", "mean_speed_mps", "fingerprint")


def flight_path(folder: Path, policy: str, seed: int) -> Path:
    """Where the flight of a policy through a world is stored."""
    return folder / f"{policy}-{seed:08d}.npz"


def save_flight(folder: Path, job: Job, policy: str, flown: Flown) -> Path:
    """Store what `replay` needs to repeat a flight: arguments, seed, actions and state hashes, whole or not at all."""
    meta = {
        "task": job.task, "env_id": ENV_IDS[job.task], "env_kwargs": flown.flight.env_kwargs, "seed": flown.flight.seed,
        "policy": policy, "policy_path": job.policy, "package_version": package_version(),
        "control_hz": flown.flight.env_kwargs.get("control_hz"), **{key: getattr(flown, key) for key in FLIGHT_FIGURES},
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, actions=flown.actions, state_hashes=flown.state_hashes, meta=np.array(json.dumps(meta))
    )
    path = flight_path(folder, policy, flown.flight.seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_new_file(path, [buffer.getvalue()])
    return path


def load_flight(path: Path) -> Flown:
    """The flight that `save_flight` stored.

    Raises:
        ForestPilotError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            flight = Flight(meta["seed"], meta["env_kwargs"])
            figures = {key: meta[key] for key in FLIGHT_FIGURES}
            return Flown(flight=flight, actions=stored["actions"], state_hashes=stored["state_hashes"], **figures)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ForestPilotError(f"{path} is not a stored flight ({error}); delete it and evaluate again") from error


class RolloutPool:
    """Worker processes that fly jobs; they live across calls, because starting one costs seconds.

    Use it as a context manager. With one worker everything runs in this process.

    Args:
        workers: number of processes.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; allowed: 1 and up")
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> RolloutPool:
        if self.workers > 1:
            self._executor = ProcessPoolExecutor(self.workers, get_context("spawn"), initializer=_start_worker)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=kind is None, cancel_futures=True)

    def run(self, job: Job, progress: Progress | None = None, name: str = "fly") -> list[Flown]:
        """Fly a job on all workers, in small batches so that none waits long for another.

        Returns:
            The flights in the order of `job.flights`, whichever worker flew them.

        Raises:
            ForestPilotError: a worker process died.
        """
        with (progress or SilentProgress()).stage(name, total=len(job.flights)) as stage:
            done: list[Flown] = []
            for flown in self._flown(job):
                done.append(flown)
                successes = sum(f.outcome == "success" for f in done)
                stage.advance(success=f"{successes}/{len(done)}")
        order = {flight.seed: i for i, flight in enumerate(job.flights)}
        return sorted(done, key=lambda flown: order[flown.flight.seed])

    def _flown(self, job: Job) -> Iterator[Flown]:
        if self._executor is None:
            yield from fly(job)
            return
        pending: set[Future[list[Flown]]] = set()
        try:
            pending = {self._executor.submit(_fly_all, part) for part in _split(job, self.workers)}
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield from future.result()
        except BrokenProcessPool as error:
            raise ForestPilotError(
                "a rollout process died (out of memory, or killed); what was recorded is safe: run the same command again"
            ) from error
        finally:
            for future in pending:
                future.cancel()


def _split(job: Job, workers: int) -> list[Job]:
    """Parts of about one batch of slots each, at least one per worker."""
    count = max(workers, math.ceil(len(job.flights) / SLOTS))
    return [dataclasses.replace(job, flights=job.flights[i::count]) for i in range(count) if job.flights[i::count]]


def _fly_all(job: Job) -> list[Flown]:
    return list(fly(job))


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class CollectConfig:
    """Collect demonstrations; killed or interrupted, the same command goes on where it stopped."""

    out: str
    """Folder of the dataset."""
    task: str = "drone"
    """Task to demonstrate: drone."""
    pilot: str = "expert"
    """Who demonstrates: expert."""
    episodes: int = 100
    """Number of flights."""
    seed: int = 0
    """First world seed; training worlds are 0 to 999,999."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes; by default one per core."""
    mix: FlightMix = FlightMix()
    """Which forests and speeds are flown."""

    def __post_init__(self) -> None:
        if self.pilot != "expert":
            raise ValueError(f"pilot is {self.pilot!r}; allowed: expert")
        if self.episodes < 1:
            raise ValueError(f"episodes is {self.episodes}; allowed: 1 and up")
        if split_of(self.seed) != "train" or split_of(self.seed + self.episodes - 1) != "train":
            raise ValueError(
                f"seeds {self.seed} to {self.seed + self.episodes - 1} are not all training worlds (0 to 999,999); "
                "demonstrations in validation or test worlds would spoil the results"
            )


def collect(config: CollectConfig, progress: Progress | None = None, pool: RolloutPool | None = None) -> Dataset:
    """Fly the expert through `config.episodes` worlds and record each flight.

    Returns:
        The dataset, everything in it.
    """
    spec = task_spec_of(config.task, config.mix)
    dataset = Dataset.create(config.out, spec, ENV_IDS[config.task].split(":")[1])
    seeds = range(config.seed, config.seed + config.episodes)
    flights = tuple(config.mix.flight(seed) for seed in seeds if not dataset.has(0, seed))
    if flights:
        job = Job(config.task, flights, ExpertPilot, dataset=config.out)
        if pool is not None:
            pool.run(job, progress, "collect")
        else:
            with RolloutPool(min(config.workers, len(flights))) as own:
                own.run(job, progress, "collect")
    dataset.refresh()
    return dataset
