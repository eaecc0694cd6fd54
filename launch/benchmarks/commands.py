"""Commands of this checkout and of another one, in turns: how long they take, and on all cores together."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from forestpilot.launch.benchmarks.demo import Checkout
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.sim.errors import ForestPilotError

LOG_LINES = 12
"""So many lines of a command that failed are shown."""


class Used(NamedTuple):
    """Time that a command took."""

    s: float
    """From its start to its end, seconds."""
    cpu_s: float
    """Of all its processes on all cores, seconds."""

    def without(self, other: Used) -> Used:
        """What it took longer than another one."""
        return Used(self.s - other.s, self.cpu_s - other.cpu_s)


def checkouts(against: Path | None) -> dict[str, Checkout]:
    """This checkout, and the other one where there is one.

    Raises:
        InvalidArgumentError: there is no checkout in that folder.
    """
    found = {"here": Checkout.here()}
    if against is not None:
        found["against"] = Checkout.at(against)
    return found


def run_command(checkout: Checkout, folder: Path, *arguments: str) -> Used:
    """Run `forestpilot ARGUMENTS` of a checkout in a folder.

    Raises:
        ForestPilotError: it failed; its last lines are shown.
    """
    command = [sys.executable, "-m", checkout.module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(checkout.python_path), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    elapsed = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-LOG_LINES:])
        raise ForestPilotError(f"forestpilot {' '.join(arguments)} failed with code {done.returncode}:\n{last}")
    return Used(elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def in_turns(
    runs: dict[str, Checkout], measure: Callable[[str, Checkout], dict[str, Used]], turns: int
) -> dict[str, Any]:
    """Measure each checkout so many times, the other one first every other time.

    Args:
        runs: by name; `here`, and maybe `against`.
        measure: returns times by name.
        turns: how many times.

    Returns:
        For each checkout and name the medians `s` and `cpu_s`; for each name `ratio_cpu`, the median over turns of
        here by against.
    """
    progress = make_progress()
    taken: dict[str, list[dict[str, Used]]] = {key: [] for key in runs}
    for turn in range(turns):
        for key in list(runs) if turn % 2 == 0 else list(reversed(runs)):
            taken[key].append(measure(key, runs[key]))
            told = ", ".join(f"{name} {used.cpu_s:.1f} s of CPU" for name, used in taken[key][-1].items())
            progress.note(f"turn {turn + 1} of {turns}, {key}: {told}")
    figures: dict[str, Any] = {key: _medians(found) for key, found in taken.items()}
    if "against" in runs:
        figures["ratio_cpu"] = _ratios(taken["here"], taken["against"])
    return figures


def _medians(found: Sequence[dict[str, Used]]) -> dict[str, dict[str, float]]:
    medians = {}
    for name in found[0]:
        medians[name] = {
            "s": round(statistics.median(each[name].s for each in found), 3),
            "cpu_s": round(statistics.median(each[name].cpu_s for each in found), 3),
        }
    return medians


def _ratios(here: Sequence[dict[str, Used]], against: Sequence[dict[str, Used]]) -> dict[str, float]:
    ratios = {}
    for name in here[0]:
        pairs = zip(here, against, strict=True)
        ratios[name] = round(statistics.median(ours[name].cpu_s / theirs[name].cpu_s for ours, theirs in pairs), 3)
    return ratios
