"""Run many trips: a few side by side in each process, on as many processes as there are cores, and record them."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from data_collection.dataset import Dataset, package_version
from data_collection.episode import Episode, EpisodeMeta
from data_collection.pilots import Decision, ExpertPilot, Pilot, PilotFactory
from data_collection.progress import Progress, SilentProgress
from data_collection.trips import TASKS, FinishedTrip, Trip, TripMix, make_env, save_trip, task_of, task_spec_of
from sim.errors import ForestPilotError
from sim.worlds.world import split_of

SLOTS = 8
"""Trips side by side in one process: enough for a policy to profit from batching; each costs 36 MB."""
OBSERVATION_KEYS = ("left", "center", "right", "state", "goal")


@dataclass(frozen=True)
class Job:
    """A handful of trips for one process, and where their records go."""

    task: str
    """Name of the task."""
    trips: tuple[Trip, ...]
    """Which trips to run."""
    pilot: PilotFactory
    """Makes the pilot inside the process."""
    dataset: str | None = None
    """Folder of the dataset that episodes are added to, with the expert's labels; None records none."""
    dagger_round: int = 0
    """Round that episodes are filed under."""
    trips_folder: str | None = None
    """Folder for the actions and state hashes that `replay` repeats; None stores none."""
    policy: str = ""
    """Name of the baseline or folder of the checkpoint that acts, for `replay`."""
    fingerprint: str = ""
    """Which weights act."""


class _Slot:
    """One trip under way."""

    def __init__(self, job: Job, trip: Trip, expert: bool) -> None:
        self.job, self.trip, self._recording = job, trip, job.dataset is not None
        self.env = make_env(job.task, **trip.env_kwargs, expert=expert or self._recording)
        self.observation, self.info = self.env.reset(seed=trip.seed)
        self._clearance: float = self.info["clearance_m"]
        self._speeds: list[float] = []
        self._steps_off_line = 0
        self._hashes = [self.env.state_hash()]
        self._steps: list[dict[str, Any]] = []
        self._observations = [self.observation] if self._recording else []
        self._offsets = [self.info["camera_offsets"]]

    def step(self, action: np.ndarray, actor: int) -> bool:
        """Take one step; returns whether the trip is over."""
        labels = {k: self.info.get(k) for k in ("expert_action", "expert_costs")}
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self._clearance = min(self._clearance, self.info["clearance_m"])
        self._speeds.append(self.info["speed_mps"])
        self._steps_off_line += bool(self.info.get("lane_departure", False))
        self._hashes.append(self.env.state_hash())
        record = {
            "actions": action,
            "actor": actor,
            "rewards": reward,
            "terminated": terminated,
            "truncated": truncated,
        }
        self._steps.append({**record, **labels} if self._recording else record)
        if self._recording:
            self._observations.append(self.observation)
            self._offsets.append(self.info["camera_offsets"])
        return terminated or truncated

    def finished(self) -> FinishedTrip:
        """The finished trip."""
        return FinishedTrip(
            trip=self.trip,
            outcome=self.info["outcome"],
            progress_m=self.info["progress_m"],
            time_s=len(self._steps) / self.env.task_spec.control_hz,
            min_clearance_m=self._clearance,
            mean_speed_mps=float(np.mean(self._speeds)),
            distance_m=float(np.sum(self._speeds)) / self.env.task_spec.control_hz,
            interventions=self.info.get("interventions", 0),
            off_line_s=self._steps_off_line / self.env.task_spec.control_hz,
            actions=np.array([s["actions"] for s in self._steps], np.float32),
            state_hashes=np.array(self._hashes, np.uint64),
        )

    def episode(self, policy_id: str) -> Episode:
        """The finished trip as an episode with the expert's labels."""
        spec, job = self.env.task_spec, self.job
        column = {k: [s[k] for s in self._steps] for k in self._steps[0]}
        meta = EpisodeMeta(
            outcome=self.info["outcome"], seed=self.trip.seed, env_id=TASKS[job.task].bare_env_id,
            env_kwargs=self.trip.env_kwargs, control_hz=spec.control_hz, renderer=spec.renderer,
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
            camera_offsets=np.array(self._offsets, np.float32),
        )


def roll_out(job: Job) -> Iterator[FinishedTrip]:
    """Run a job's trips in this process, `SLOTS` side by side, recording as the job says; yields each as it ends."""
    pilot = job.pilot()
    waiting = list(reversed(job.trips))
    count = min(SLOTS, len(waiting))
    pilot.begin(count)
    dataset = Dataset.open(job.dataset, check=False) if job.dataset else None
    slots: dict[int, _Slot] = {}
    while waiting or slots:
        for k in range(count):
            if k not in slots and waiting:
                slots[k] = _Slot(job, waiting.pop(), pilot.needs_expert)
                pilot.restart(k, slots[k].trip.seed)
        active = sorted(slots)
        decision = _decide(pilot, [slots[k] for k in active], active)
        for i, k in enumerate(active):
            if slots[k].step(decision.actions[i], int(decision.actor[i])):
                yield _finish(slots.pop(k), pilot, dataset)


def _decide(pilot: Pilot, trips: list[_Slot], slots: list[int]) -> Decision:
    observations = {k: np.stack([f.observation[k] for f in trips]) for k in OBSERVATION_KEYS}
    infos = [{**f.info, "depth": f.env.frames.depth} for f in trips]  # type: ignore[union-attr]
    return pilot.act(observations, infos, np.array(slots))


def _finish(slot: _Slot, pilot: Pilot, dataset: Dataset | None) -> FinishedTrip:
    """Write the records of a finished trip and free its environment."""
    trip = dataclasses.replace(slot.finished(), fingerprint=slot.job.fingerprint)
    if dataset is not None:
        dataset.add(slot.episode(pilot.name))
    if slot.job.trips_folder:
        save_trip(Path(slot.job.trips_folder), slot.job.task, pilot.name, slot.job.policy, trip)
    slot.env.close()
    return trip


class RolloutPool:
    """Worker processes that run jobs; they live across calls, because starting one costs seconds.

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

    def run(self, job: Job, progress: Progress | None = None, name: str = "roll out") -> list[FinishedTrip]:
        """Run a job on all workers, in small batches so that none waits long for another.

        Returns:
            The trips in the order of `job.trips`, whichever worker ran them.

        Raises:
            ForestPilotError: a worker process died.
        """
        with (progress or SilentProgress()).stage(name, total=len(job.trips)) as stage:
            done: list[FinishedTrip] = []
            for trip in self._finished(job):
                done.append(trip)
                successes = sum(f.succeeded for f in done)
                stage.advance(success=f"{successes}/{len(done)}")
        order = {trip.seed: i for i, trip in enumerate(job.trips)}
        return sorted(done, key=lambda trip: order[trip.trip.seed])

    def _finished(self, job: Job) -> Iterator[FinishedTrip]:
        if self._executor is None:
            yield from roll_out(job)
            return
        pending: set[Future[list[FinishedTrip]]] = set()
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


def _split(job: Job, workers: int) -> list[Job]:
    """Parts of about one batch of slots each, at least one per worker."""
    count = max(workers, math.ceil(len(job.trips) / SLOTS))
    return [dataclasses.replace(job, trips=job.trips[i::count]) for i in range(count) if job.trips[i::count]]


def _run_all(job: Job) -> list[FinishedTrip]:
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


@dataclass(frozen=True)
class CollectConfig:
    """Collect demonstrations; killed or interrupted, the same command goes on where it stopped."""

    out: str
    """Folder of the dataset."""
    task: str = "drone"
    """Task to demonstrate: drone or drive."""
    pilot: str = "expert"
    """Who demonstrates: expert."""
    episodes: int = 100
    """Number of trips."""
    seed: int = 0
    """First world seed; training worlds are 0 to 999,999."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes; by default one per core."""
    mix: TripMix = TripMix()
    """Which worlds and speeds are run."""

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
    """Let the expert fly or drive through `config.episodes` worlds and record each trip.

    Returns:
        The dataset, everything in it.
    """
    spec = task_spec_of(config.task, config.mix)
    dataset = Dataset.create(config.out, spec, task_of(config.task).bare_env_id)
    seeds = range(config.seed, config.seed + config.episodes)
    trips = tuple(config.mix.trip(seed, config.task) for seed in seeds if not dataset.has(0, seed))
    if trips:
        job = Job(config.task, trips, ExpertPilot, dataset=config.out)
        if pool is not None:
            pool.run(job, progress, "collect")
        else:
            with RolloutPool(min(config.workers, len(trips))) as own:
                own.run(job, progress, "collect")
    dataset.refresh()
    return dataset
