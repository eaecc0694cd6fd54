"""Files that were damaged, and what reads them: each ends in the same content, a named error or a quarantine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MOST_BYTES = 1 << 30
"""Memory that reading a damaged file may ask for."""
MOST_S = 10.0
"""Processor time that it may take."""
BATCH = 100
"""Mutants for each forked process."""
Reader = Callable[[Path], Any]
"""Reads a folder; returns something whose `repr` tells all that was read."""


@dataclass(frozen=True)
class Target:
    """A file that is damaged, and who reads it."""

    kind: str
    """What sort of file."""
    folder: Path
    """What the reader is given."""
    path: Path
    """The file."""


def read_dataset(folder: Path) -> Any:
    """All that a training sees of a dataset; what was put aside is named."""
    from forestpilot.data_collection.episodes.dataset import Dataset, QuarantineWarning
    from forestpilot.data_collection.episodes.episode import load_episode

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dataset = Dataset.open(folder)
        episodes = [(header.path.name, _episode(load_episode(header.path))) for header in dataset.episodes]
    if any(issubclass(warning.category, QuarantineWarning) for warning in told):
        return Named("quarantine")
    return dataset.task_spec, episodes


def _episode(episode: Any) -> Any:
    return {name: _digest(value) for name, value in vars(episode).items()}


def read_policy(folder: Path) -> Any:
    """A policy that would act, and what is told of it."""
    from forestpilot.policies.networks.checkpoint import describe_policy, load_policy

    policy = load_policy(folder)
    weights = {name: _digest(tensor.detach().numpy()) for name, tensor in policy.state_dict().items()}
    return weights, policy.config, policy.spec, describe_policy(folder)


def read_state(folder: Path) -> Any:
    """A training that would go on."""
    from forestpilot.policies.networks.checkpoint import load_state

    tensors, facts = load_state(folder / "training.safetensors")
    return {name: _digest(tensors[name].numpy()) for name in sorted(tensors)}, facts


def read_evaluation(folder: Path) -> Any:
    """What a report tells of an evaluation."""
    from forestpilot.launch.reading.evaluations import read_evaluation
    from forestpilot.launch.reading.json_files import read_json

    evaluation = read_evaluation(folder)
    summary, wrong = read_json(folder / "summary.json")
    notes = [*evaluation.notes, *filter(None, [wrong])]
    return Named(notes[0]) if notes else (evaluation, summary)


def read_trip(folder: Path) -> Any:
    """A trip that would be replayed."""
    from forestpilot.data_collection.rollouts.results import load_result

    trips = [load_result(path) for path in sorted(folder.glob("*.npz"))]
    return [(trip.figures, trip.scenario, _digest(trip.actions), _digest(trip.state_hashes)) for trip in trips]


def read_run(folder: Path) -> Any:
    """Whose folder it is."""
    from forestpilot.data_collection.episodes.run import read_run

    stored = read_run(folder)
    return stored and (stored.verb, stored.version, stored.config)


def read_rounds(folder: Path) -> Any:
    """Rounds that an algorithm would go on with, and what a report tells of them."""
    from forestpilot.launch.reading.tables import read_dagger
    from forestpilot.policies.algorithms.rounds import read_rounds

    run = read_dagger(folder)
    rounds = read_rounds(folder)
    return Named(run.notes[0]) if run.notes else (run, rounds)


def read_metrics(folder: Path) -> Any:
    """Curves of a training."""
    from forestpilot.launch.reading.tables import read_training

    run = read_training(folder)
    return Named(run.notes[0]) if run.notes else run


def read_cells(folder: Path) -> Any:
    """Cells that a study would go on with."""
    from forestpilot.launch.studies.cells import CellStore

    store = CellStore(folder)
    cells = []
    for path in sorted(store.folder.glob("*.json")):
        arm, x, _, seed = path.stem.rsplit("-", 3)
        cells.append(store.load(arm, float(x), int(seed)))
    return Named("a cell was set aside, and is run again") if None in cells else cells


def read_study(folder: Path) -> Any:
    """What a report tells of a study."""
    from forestpilot.launch.reading.tables import read_study

    run = read_study(folder)
    return Named(run.notes[0]) if run.notes else run


@dataclass(frozen=True)
class Named:
    """What is wrong was named."""

    words: str


READERS: dict[str, Reader] = {
    "episode": read_dataset,
    "dataset.json": read_dataset,
    "policy.json": read_policy,
    "policy.safetensors": read_policy,
    "training.safetensors": read_state,
    "outcomes.csv": read_evaluation,
    "summary.json": read_evaluation,
    "trip": read_trip,
    "config.json": read_run,
    "rounds.csv": read_rounds,
    "validation.json": read_rounds,
    "metrics.csv": read_metrics,
    "cell": read_cells,
    "results.json": read_study,
}


def targets(base: Path) -> list[Target]:
    """Every file below a folder that somebody of ours reads again."""
    found = []
    for path in sorted(base.rglob("*")):
        if not path.is_file():
            continue
        kind, folder = path.name, path.parent
        if path.suffix == ".hdf5" and folder.name == "episodes":
            kind, folder = "episode", folder.parent
        elif path.suffix == ".npz" and folder.name == "episodes":
            kind = "trip"
        elif path.suffix == ".json" and folder.name == "cells":
            kind, folder = "cell", folder.parent
        elif kind == "validation.json":
            folder = folder.parents[1]
        if kind in READERS:
            found.append(Target(kind, folder, path))
    return found


def mutate(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """(what was done, the damaged bytes)."""
    name = rng.choice(sorted(MUTATIONS))
    return name, MUTATIONS[name](bytearray(data), rng)


def _flip(data: bytearray, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    return bytes(data)


def _flips(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.randint(2, 40)):
        _flip(data, rng)
    return bytes(data)


def _cut(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def _cut_a_bit(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: -rng.randint(1, min(64, len(data)))])


def _cut_lines(data: bytearray, rng: random.Random) -> bytes:
    lines = bytes(data).splitlines(keepends=True)
    lines.pop(rng.randrange(len(lines)))
    return b"".join(lines)


def _double_line(data: bytearray, rng: random.Random) -> bytes:
    lines = bytes(data).splitlines(keepends=True)
    place = rng.randrange(len(lines))
    return b"".join([*lines[:place], lines[place], *lines[place:]])


def _digit(data: bytearray, rng: random.Random) -> bytes:
    places = [place for place, byte in enumerate(data) if chr(byte).isdigit()]
    place = rng.choice(places or [0])
    data[place] = ord(str((data[place] - 48 + rng.randint(1, 9)) % 10))
    return bytes(data)


def _zeros(data: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    length = min(len(data) - start, rng.choice([1, 8, 512, 4096]))
    data[start : start + length] = bytes(length)
    return bytes(data)


def _noise(data: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    length = min(len(data) - start, rng.choice([4, 64, 512]))
    data[start : start + length] = rng.randbytes(length)
    return bytes(data)


def _size(data: bytearray, rng: random.Random) -> bytes:
    """A large number where a size may stand."""
    start = rng.randrange(max(1, len(data) - 8))
    data[start : start + 8] = rng.choice([2**31, 2**40, 2**63 - 1]).to_bytes(8, "little")[: len(data) - start]
    return bytes(data)


def _append(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data) + rng.choice([b"\0" * 512, b"1,2,3\n", b"}", rng.randbytes(64)])


def _swap(data: bytearray, rng: random.Random) -> bytes:
    size = min(512, max(1, len(data) // 4))
    first, second = sorted(rng.sample(range(max(2, len(data) - size + 1)), 2))
    one, other = bytes(data[first : first + size]), bytes(data[second : second + size])
    data[second : second + size], data[first : first + size] = one, other
    return bytes(data)


MUTATIONS: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "one bit": _flip, "bits": _flips, "cut off": _cut, "cut a bit": _cut_a_bit, "a line less": _cut_lines,
    "a line twice": _double_line, "a digit": _digit, "zeros": _zeros, "noise": _noise, "a huge size": _size,
    "appended": _append, "swapped": _swap,
}  # fmt: skip


def run_mutants(base: Path, scratch: Path, count: int, seed: int, only: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Damage files and read them, in forked processes; yields a report for each."""
    rng = random.Random(seed)
    files = targets(base)
    kinds = sorted({target.kind for target in files if target.kind in (set(only) or READERS)})
    done = 0
    while done < count:
        batch = []
        for _ in range(min(BATCH, count - done)):
            kind = rng.choice(kinds)
            batch.append((rng.choice([target for target in files if target.kind == kind]), rng.getrandbits(32)))
        done += len(batch)
        while batch:
            reports = list(_in_a_process(base, scratch, batch))
            yield from reports
            batch = batch[len(reports) :]


def _in_a_process(base: Path, scratch: Path, batch: list[tuple[Target, int]]) -> Iterator[dict[str, Any]]:
    """Reports on a batch, up to the one that the process did not survive."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(base, scratch)
    out, into = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(out)
        _be_the_reader(base, scratch, batch, into)
    os.close(into)
    reports = []
    with open(out, encoding="utf-8") as pipe:
        for line in pipe:
            reports.append(json.loads(line))
            yield reports[-1]
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if len(reports) < len(batch):
        target, number = batch[len(reports)]
        told = {"kind": target.kind, "file": str(target.path.relative_to(base)), "seed": number}
        yield {**told, "mutation": "", "verdict": "crash", "detail": f"the process ended with {code}"}


def _be_the_reader(base: Path, scratch: Path, batch: list[tuple[Target, int]], into: int) -> None:
    """What the forked process does; it never returns."""
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 2)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MOST_BYTES, size + MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGPROF, _out_of_time)
        whole: dict[tuple[str, Path], str] = {}
        with open(into, "w", encoding="utf-8", buffering=1) as pipe:
            for target, number in batch:
                print(json.dumps(_report(base, scratch, target, number, whole)), file=pipe, flush=True)
        os._exit(0)
    finally:
        os._exit(97)


def _report(
    base: Path, scratch: Path, target: Target, number: int, whole: dict[tuple[str, Path], str]
) -> dict[str, Any]:
    rng = random.Random(number)
    folder = scratch / target.folder.relative_to(base)
    path = scratch / target.path.relative_to(base)
    read = READERS[target.kind]
    key = (target.kind, folder)
    if key not in whole:
        whole[key] = repr(read(folder))
    mutation, data = mutate(target.path.read_bytes(), rng)
    path.write_bytes(data)
    told = {"kind": target.kind, "file": str(target.path.relative_to(base)), "seed": number, "mutation": mutation}
    started = time.process_time()
    verdict, detail = _verdict(read, folder, whole[key])
    _restore(folder, target.folder)
    return {**told, "verdict": verdict, "detail": detail[:300], "seconds": round(time.process_time() - started, 3)}


def _verdict(read: Reader, folder: Path, whole: str) -> tuple[str, str]:
    from forestpilot.sim.errors import ForestPilotError

    signal.setitimer(signal.ITIMER_PROF, MOST_S)
    try:
        found = read(folder)
    except ForestPilotError as error:
        return "named", str(error)
    except MemoryError:
        return "memory", "more than 1 GB"
    except TimeoutError:
        return "slow", f"more than {MOST_S:.0f} s"
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if isinstance(found, Named):
        return "named", found.words
    if repr(found) == whole:
        return "same", ""
    return "believed", _first_difference(whole, repr(found))


def _restore(folder: Path, original: Path) -> None:
    """The folder as it was, without quarantine and what else readers have made."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)


def _first_difference(one: str, other: str) -> str:
    place = next((n for n, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return f"...{one[max(0, place - 60) : place + 40]}... became ...{other[max(0, place - 60) : place + 40]}..."


def _out_of_time(*_: Any) -> None:
    raise TimeoutError


def _digest(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (
            hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=8).hexdigest(),
            value.shape,
            value.dtype,
        )
    if isinstance(value, dict):
        return {name: _digest(item) for name, item in value.items()}
    return value
