"""`make soak`: step both environments and the rollout pool for hours, and see that nothing grows.

    make soak ARGS="--hours 2 --out runs/soak.json"

Every minute a line: memory, file handles and threads of this process and of its workers together. The first tenth of
the time fills caches and allocators and does not count; the verdict compares the medians of the next tenth and of the
last. A process that was stopped (`kill -STOP`) goes on where it was: a round counts for `LONGEST_ROUND_S` at most.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix, make_env, task_spec_of
from forestpilot.sim.tasks import TASKS

TASKS_SOAKED = ("drone", "drive")
STEPS_A_ROUND = 200
"""Steps of each environment in this process, between two jobs of the pool."""
TRIPS_A_JOB = 4
TRIP_S = 3.0
"""Time limit of a recorded trip: short, because beginning and ending is where things get lost."""
LONGEST_ROUND_S = 120.0
MOST_GROWTH_MB = 20.0
WORKERS = 2
INTERVAL_S = 60.0
Advance = Callable[[], int]


@dataclass(frozen=True)
class Sample:
    """What this process and its workers hold."""

    time_s: float
    """Time stepped so far."""
    steps: int
    """Steps of the environments of this process so far."""
    trips: int
    """Trips recorded by the pool so far."""
    own_mb: float
    """Resident memory of this process."""
    all_mb: float
    """Resident memory of it and its workers."""
    handles: int
    """Open files, pipes and sockets of all."""
    threads: int
    """Threads of all."""


def soak(duration_s: float, out: Path, interval_s: float = INTERVAL_S, workers: int = WORKERS) -> dict[str, object]:
    """Step for a time; the samples and the verdict so far stand in `out` after each interval."""
    samples: list[Sample] = []
    time_s = 0.0
    steps = 0
    trips = 0
    advances = [_stepping(task) for task in TASKS_SOAKED]
    with tempfile.TemporaryDirectory(prefix="forestpilot-soak-") as folder, RolloutPool(workers) as pool:
        seed = 0
        while time_s < duration_s:
            started = time.monotonic()
            steps += sum(advance() for advance in advances)
            for task in TASKS_SOAKED:
                trips += _record_trips(pool, task, seed, Path(folder))
            seed += TRIPS_A_JOB
            time_s += min(time.monotonic() - started, LONGEST_ROUND_S)
            if not samples or time_s - samples[-1].time_s >= interval_s or time_s >= duration_s:
                samples.append(_sample(time_s, steps, trips))
                print(_line(samples[-1]), flush=True)
                _write(out, samples)
    report = verdict(samples)
    print(json.dumps(report, indent=2))
    return report


def verdict(samples: Sequence[Sample]) -> dict[str, object]:
    """Growth from the second tenth of the samples to the last tenth, and whether it is little enough."""
    tenth = max(1, len(samples) // 10)
    early, late = samples[tenth : 2 * tenth] or samples[:1], samples[-tenth:]

    def growth(name: str) -> float:
        return statistics.median(getattr(s, name) for s in late) - statistics.median(getattr(s, name) for s in early)

    grown = {name: round(growth(name), 1) for name in ("own_mb", "all_mb", "handles", "threads")}
    good = grown["all_mb"] < MOST_GROWTH_MB and grown["handles"] <= 0 and grown["threads"] <= 0
    last = samples[-1]
    return {
        "hours": round(last.time_s / 3600, 3),
        "steps": last.steps,
        "trips": last.trips,
        "growth": grown,
        "good": good,
    }


def _stepping(task: str) -> Advance:
    """Takes the next steps along the expert's labels, through one new world after the other."""
    steps = _steps(task)

    def advance() -> int:
        for _ in range(STEPS_A_ROUND):
            next(steps)
        return STEPS_A_ROUND

    return advance


def _steps(task: str) -> Iterator[None]:
    """One step after the other, for ever; each environment lives for a few worlds."""
    seed = 0
    while True:
        env = make_env(TASKS.get(task), expert=True)
        for _ in range(5):
            _, info = env.reset(seed=seed % 1_000_000)
            seed += 1
            over = False
            while not over:
                _, _, terminated, truncated, info = env.step(info["expert_action"][1])
                over = terminated or truncated
                yield
        env.close()


def _record_trips(pool: RolloutPool, task: str, seed: int, folder: Path) -> int:
    """Short trips of the expert into a dataset that is deleted again."""
    mix = ScenarioMix()
    kind = TASKS.get(task)
    where = folder / task
    Dataset.create(str(where), task_spec_of(kind, mix), kind.bare_env_id)
    scenarios = []
    for number in range(seed, seed + TRIPS_A_JOB):
        scenario = mix.scenario(number % 1_000_000, kind)
        scenarios.append(Scenario(scenario.seed, {**scenario.env_kwargs, "time_limit_s": TRIP_S}))
    results = pool.run(Job(task, tuple(scenarios), ExpertPilot, dataset=str(where)))
    recorded = len(Dataset.open(str(where)))
    assert recorded == len(results) == TRIPS_A_JOB, f"{recorded} episodes recorded of {TRIPS_A_JOB}"
    shutil.rmtree(where)
    return recorded


def _sample(time_s: float, steps: int, trips: int) -> Sample:
    own = os.getpid()
    processes = [own, *(child.pid for child in multiprocessing.active_children() if child.pid)]
    return Sample(
        time_s=round(time_s, 1),
        steps=steps,
        trips=trips,
        own_mb=round(_status(own, "VmRSS") / 1e3, 1),
        all_mb=round(sum(_status(pid, "VmRSS") for pid in processes) / 1e3, 1),
        handles=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in processes),
        threads=sum(_status(pid, "Threads") for pid in processes),
    )


def _status(pid: int, name: str) -> int:
    """A number of /proc/PID/status; memory in kB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status tells no {name}")


def _line(sample: Sample) -> str:
    return (
        f"{sample.time_s / 60:6.1f} min  {sample.steps:8d} steps  {sample.trips:6d} trips  {sample.all_mb:7.1f} MB "
        f"({sample.own_mb:.1f} here)  {sample.handles} handles  {sample.threads} threads"
    )


def _write(out: Path, samples: Sequence[Sample]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {**verdict(samples), "samples": [asdict(sample) for sample in samples]}
    write_new_file(out, [(json.dumps(content, indent=1) + "\n").encode()])


def main() -> int:
    """Soak as the command line says; exit code 1 where something grows."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="seconds between two samples")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes of the rollout pool")
    parser.add_argument("--out", type=Path, default=Path("runs/soak.json"))
    given = parser.parse_args()
    duration_s = 3600 * given.hours + 60 * given.minutes or 7200.0
    return 0 if soak(duration_s, given.out, given.interval, given.workers)["good"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
