"""How long the demo takes: this checkout's and another's in turns, cold and warm, alone and beside a busy process."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import forestpilot
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.kernels.warm_up import MODULE as WARM_UP
from forestpilot.sim.scratch import scratch

SMALLEST = (
    *("--dagger.rounds", "0", "--dagger.expert-episodes", "2", "--dagger.first-steps", "2"),
    *("--dagger.validation-episodes", "2", "--drive.rounds", "0", "--drive.expert-episodes", "2"),
    *("--drive.first-steps", "2", "--drive.validation-episodes", "2", "--episodes", "2", "--roads", "2"),
)
"""Options of a demo that only compiles every kernel; any version knows them."""
BUSY = "while True: pass"
"""What the other process does."""
PR_SET_CHILD_SUBREAPER = 36
"""Of Linux: orphans become this process's children."""
ORPHANS_S = 2.0
"""How long their end is waited for, at most."""
LOG_LINES = 12
"""So many lines of a demo that failed are shown."""


@dataclass(frozen=True)
class Checkout:
    """A version of ForestPilot whose demo can be run."""

    python_path: Path
    """Folder that its packages are imported from."""
    module: str
    """Module of its command."""
    compiler: str = ""
    """Module that compiles all kernels, which `make install` runs at its end; empty for versions that had none."""

    @classmethod
    def here(cls) -> Checkout:
        """The version that is running."""
        return cls(Path(forestpilot.__path__[0]).parent, "forestpilot.launch.cli", WARM_UP)

    @classmethod
    def at(cls, folder: Path) -> Checkout:
        """The version in a folder: of 0.2 and later, or of 0.1, whose packages lay at the top.

        Raises:
            InvalidArgumentError: there is none.
        """
        folder = folder.resolve()
        package = folder / ".package" / "forestpilot"
        if (package / "launch" / "cli.py").is_file():
            compiler = WARM_UP if (package.parent / f"{WARM_UP.replace('.', '/')}.py").is_file() else ""
            return cls(package.parent, "forestpilot.launch.cli", compiler)
        if (folder / "launch" / "cli.py").is_file():
            return cls(folder, "launch.cli")
        raise InvalidArgumentError(
            f"{folder} is no checkout of ForestPilot; make one with `git worktree add {folder} COMMIT`"
        )

    def environment(self, cache: Path) -> dict[str, str]:
        """The environment of its commands, whose compiled kernels lie in a folder."""
        return {**os.environ, "PYTHONPATH": str(self.python_path), "NUMBA_CACHE_DIR": str(cache)}


@dataclass
class Runs:
    """Figures of the demos of one checkout under one condition, one for each training seed."""

    s: list[float] = field(default_factory=list)
    """Duration in seconds."""
    cpu_s: list[float] = field(default_factory=list)
    """Time of all its processes on all cores, seconds."""
    policy_s: list[float] = field(default_factory=list)
    """From the command to the drone's finished policy, seconds."""
    successes: list[str] = field(default_factory=list)
    """Test forests that this policy crossed, `98/100`."""


def bench_demo(
    against: Path | None = None,
    contended: bool = False,
    seeds: int = 1,
    start: str = "both",
    arguments: Sequence[str] = (),
) -> dict[str, Any]:
    """Run whole demos, each as a command of its own in a fresh folder, with the environment that this process has.

    Args:
        against: another checkout, whose demos take turns with this one's.
        contended: also run this one's beside a process that keeps a core busy.
        seeds: training seeds; each is a turn.
        start: `cold` with no kernel compiled, `installed` with those that `make install` compiles, which is where the
            first demo starts, `warm` with all of them, or `both` (cold and warm).
        arguments: further options of the demos.

    Returns:
        For each start, and `contended`: for `here` and `against` durations `s`, time on all cores `cpu_s`, seconds to
        the drone's policy `policy_s` and its `successes`, one for each seed; `ratio` and `policy_ratio`, the medians
        over seeds of here by against (or contended by warm) of `s` and of `policy_s`.

    Raises:
        ForestPilotError: a demo failed; its last lines are shown.
    """
    checkouts = {"here": Checkout.here()}
    if against is not None:
        checkouts["against"] = Checkout.at(against)
    starts = ("cold", "warm") if start == "both" else (start,)
    if contended and "warm" not in starts:
        raise InvalidArgumentError("contended is compared with warm: give --start warm or both")
    found: dict[str, dict[str, Runs]] = {name: {key: Runs() for key in checkouts} for name in starts}
    if contended:
        found["contended"] = {"here": Runs()}
    with scratch("bench") as folder:
        turns = _Turns(folder, arguments)
        for seed in range(seeds):
            for name, runs in found.items():
                # The first of a turn is the other one each time, so that a slow minute falls on both.
                order = list(runs) if seed % 2 == 0 else list(reversed(runs))
                for key in order:
                    turns.run(name, key, checkouts[key], seed, runs[key])
    figures: dict[str, Any] = {}
    for name, runs in found.items():
        base = found["warm"]["here"] if name == "contended" else runs.get("against")
        figures[name] = _figures(runs, base)
    return figures


def _figures(runs: dict[str, Runs], base: Runs | None) -> dict[str, Any]:
    figures: dict[str, Any] = {key: vars(run) for key, run in runs.items()}
    if base is not None:
        figures["ratio"] = _median_ratio(runs["here"].s, base.s)
        figures["policy_ratio"] = _median_ratio(runs["here"].policy_s, base.policy_s)
    return figures


def _median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over seeds of the ratio of two figures."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


class _Turns:
    """Runs demos one after the other, and tells how far it is."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self._folder = folder
        self._arguments = tuple(arguments)
        self._kernels: dict[str, Path] = {}
        self._count = 0
        self._progress = make_progress()

    def run(self, name: str, key: str, checkout: Checkout, seed: int, runs: Runs) -> None:
        """Run one demo and add its figures."""
        if name in ("cold", "installed") or key not in self._kernels:
            # What a cold demo compiles is what the warm ones find.
            self._kernels[key] = self._folder / f"kernels-{key}-{seed}"
            self._kernels[key].mkdir()
            if name == "installed":
                self._compile(key, checkout, self._kernels[key])
            elif name != "cold":
                self._demo(f"warming up, {key}", checkout, self._kernels[key], SMALLEST)
        cache = self._kernels[key]
        with contextlib.ExitStack() as stack:
            if name == "contended":
                stack.enter_context(busy_process())
            out = self._demo(
                f"{name}, {key}, seed {seed}", checkout, cache, ("--dagger.seed", str(seed), *self._arguments), runs
            )
        runs.successes.append(successes_of_dagger(out / "evaluation" / "outcomes.csv"))

    def _compile(self, key: str, checkout: Checkout, cache: Path) -> None:
        """Compile what an installation of the checkout compiles."""
        if not checkout.compiler:
            return
        started = time.time()
        subprocess.run([sys.executable, "-m", checkout.compiler], env=checkout.environment(cache), check=True)
        self._progress.note(f"compiling, {key}: {time.time() - started:.1f} s")

    def _demo(
        self, title: str, checkout: Checkout, cache: Path, arguments: Sequence[str], runs: Runs | None = None
    ) -> Path:
        """Run a demo; returns its run folder.

        Raises:
            ForestPilotError: it failed.
        """
        self._count += 1
        place = self._folder / f"demo-{self._count}"
        out = place / "runs"
        place.mkdir()
        command = [sys.executable, "-m", checkout.module, "demo", "--out", str(out), *arguments]
        log = place / "log"
        cpu_s = _children_cpu_s()
        with log.open("w") as file, _orphans_inherited():
            started = time.time()
            code, group = _run_to_its_end(
                command, cwd=place, env=checkout.environment(cache), stdout=file, stderr=subprocess.STDOUT
            )
            elapsed = time.time() - started
            _see_orphans_end(group)
        if code:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise ForestPilotError(f"the demo ({title}) failed with code {code}:\n{last}")
        self._progress.note(f"{title}: {elapsed:.1f} s")
        if runs is not None:
            runs.s.append(round(elapsed, 3))
            runs.cpu_s.append(round(_children_cpu_s() - cpu_s, 3))
            runs.policy_s.append(round((out / "policy.safetensors").stat().st_mtime - started, 3))
        return out


def successes_of_dagger(outcomes: Path) -> str:
    """How many test worlds DAgger's policy completed, `98/100`, as an evaluation's outcomes.csv says."""
    with outcomes.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["policy"] == "dagger"]
    return f"{sum(row['success'] in ('1', 'True') for row in rows)}/{len(rows)}"


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """Keep a core busy, as another program would, for the `with` block."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _orphans_inherited() -> Iterator[None]:
    """In the `with` block, have what a command leaves behind be a child of this process, so that its time counts: the
    server that workers are forked from ends after the command."""
    if sys.platform != "linux":
        yield
        return
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _run_to_its_end(command: Sequence[str], **options: Any) -> tuple[int, int]:
    """Run a command in a process group of its own; returns its exit code and the number of the group."""
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            return process.wait(), process.pid
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise


def _see_orphans_end(group: int) -> None:
    """Wait for what a command has left behind in its process group."""
    end = time.monotonic() + ORPHANS_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end:
            if os.waitpid(-group, os.WNOHANG)[0] == 0:
                time.sleep(0.05)


def _children_cpu_s() -> float:
    """Time that processes which this one has started and seen end spent computing, their own children's included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
