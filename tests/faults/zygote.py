"""Runs commands in forked processes: everything is imported once, and a run costs what it does, not what it imports.

A fault strikes in the middle: the process is killed before, in or after its n-th operation on files, gets an error or a
short write from it, or a signal at a moment of wall time.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LIMIT_S = 600.0
"""A command that takes longer, on a machine that does much else, hangs."""
OPERATIONS = ("open", "write", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "ftruncate", "link")
"""Functions of `os` that change files."""
REMOVALS = ("unlink", "remove", "rmdir")
"""Those that work on a full disk as well."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong."""

    kind: str
    """`kill` (before the operation), `kill-after`, `kill-half` (half of what is written is there), `signal`, `stop`,
    `error`, `short`; `count` only counts."""
    at: float = 0
    """Number of the operation; for signals the moment in seconds."""
    number: int = 0
    """Signal, or errno."""
    sticky: bool = False
    """The error stays, as that of a full disk does."""

    def __str__(self) -> str:
        name = self.kind
        if self.kind == "signal":
            name = signal.Signals(self.number).name
        elif self.kind == "error":
            name = errno.errorcode[self.number]
        unit = " s" if self.kind in ("signal", "stop") else ". operation"
        return f"{name} at {self.at:g}{unit}"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    """Exit code, or minus the signal."""
    said: str
    """What it wrote on standard error."""
    seconds: float
    peak_mb: float
    operations: int

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.said


def warm_up(verbs: Iterable[str]) -> None:
    """Import what verbs need, and load the kernels that they call; nothing that starts a thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    from forestpilot.data_collection.rollouts.scenarios import make_env
    from forestpilot.launch.verbs import get_verb
    from forestpilot.sim.tasks import TASKS

    verbs = set(verbs)
    for verb in verbs:
        get_verb(verb)
    if verbs - {"collect", "export"}:
        _import_libraries()
    for task in ("drone", "drive"):
        env = make_env(TASKS.get(task), expert=True, width=32, height=24, render_mode="rgb_array")
        _, info = env.reset(seed=0)
        for _ in range(5):
            *_, info = env.step(info["expert_action"][1])
        env.render()
        env.close()


def _import_libraries() -> None:
    """What some verbs import when they come to it."""
    import av  # noqa: F401
    import cv2
    import matplotlib.figure  # noqa: F401
    import torch

    import forestpilot.policies.training.loop  # noqa: F401

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def freeze_time() -> None:
    """Store nothing that wall time decides, so that what a command makes can be compared byte by byte."""
    loop = sys.modules.get("forestpilot.policies.training.loop")
    if loop is not None:
        loop._rate = lambda *_: 1.0  # type: ignore[attr-defined]
    from forestpilot.launch.pages import dates

    now_s = 1.8e9
    frozen = SimpleNamespace(strftime=time.strftime, gmtime=lambda at_s: time.gmtime(now_s if at_s is None else at_s))
    dates.time = frozen  # type: ignore[assignment]


def run(
    arguments: list[str], folder: Path, fault: Fault | None = None, prepare: Callable[[], None] | None = None
) -> Ended:
    """Run a command in a forked process, in a folder.

    Args:
        arguments: what stands after `forestpilot`.
        folder: where it runs.
        fault: what goes wrong; by default operations are counted.
        prepare: is called in the process before the command.
    """
    fault = fault or Fault("count")
    said = folder / ".said"
    counted = folder / ".counted"
    started = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _be_the_command(arguments, folder, fault, prepare, said, counted)
    if fault.kind in ("signal", "stop"):
        _strike(child, fault)
    status, peak_kb = _wait(child, started + LIMIT_S)
    code = os.waitstatus_to_exitcode(status)
    words = said.read_text(errors="replace") if said.exists() else ""
    operations = int(counted.read_text() or 0) if counted.exists() else 0
    for path in (said, counted):
        path.unlink(missing_ok=True)
    return Ended(code, words, time.monotonic() - started, peak_kb / 1e3, operations)


def _wait(child: int, deadline: float) -> tuple[int, int]:
    """Status and peak memory in kB of a process, which is killed if it takes too long."""
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return status, used.ru_maxrss
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGALRM)
            deadline = time.monotonic() + 60
        time.sleep(0.003)


def _strike(child: int, fault: Fault) -> None:
    """Send a signal at its moment, unless the process has ended before."""
    deadline = time.monotonic() + fault.at
    while time.monotonic() < deadline:
        time.sleep(min(0.005, max(0.0, deadline - time.monotonic())))
    if fault.kind == "stop":
        os.kill(child, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(child, signal.SIGCONT)
    else:
        os.kill(child, fault.number)


def _be_the_command(
    arguments: list[str],
    folder: Path,
    fault: Fault,
    prepare: Callable[[], None] | None,
    said: Path,
    counted: Path,
) -> None:
    """What the forked process does; it never returns."""
    code = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(folder)
        for number, path in ((0, os.devnull), (1, os.devnull), (2, str(said))):
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        freeze_time()
        if prepare is not None:
            prepare()
        real_write = os.write
        operations = Operations(fault)
        operations.install()
        from forestpilot.launch.cli import main

        try:
            code = main(arguments)
        except KeyboardInterrupt:
            code = 130
        sys.stderr.flush()
        operations.remove()
        descriptor = os.open(counted, os.O_WRONLY | os.O_CREAT)
        real_write(descriptor, str(operations.count).encode())
    except KeyboardInterrupt:  # it struck before the command had begun
        code = 130
        said.write_text("interrupted before it began")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        code = 98
    finally:
        os._exit(code)


class Operations:
    """Stands between a program and the functions that change files, counts calls, and strikes at one."""

    def __init__(self, fault: Fault) -> None:
        self.count = 0
        self._fault = fault
        self._before: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        """Take the place of the functions."""
        for name in OPERATIONS:
            real = getattr(os, name)
            self._put(os, name, self._write(real) if name == "write" else self._wrapped(real, name))
        wrapped = self._wrapped(builtins.open, "builtin")
        self._put(builtins, "open", wrapped)
        self._put(io, "open", wrapped)

    def remove(self) -> None:
        """Put the functions back."""
        for where, name, real in self._before:
            setattr(where, name, real)

    def _put(self, where: Any, name: str, new: Any) -> None:
        self._before.append((where, name, getattr(where, name)))
        setattr(where, name, new)

    def _wrapped(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not _changes(name, args, kwargs):
                return real(*args, **kwargs)
            kind = self._next(str(args[0]) if args else None, name)
            result = real(*args, **kwargs)
            if kind in ("kill-after", "kill-half"):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    def _write(self, real: Callable[..., int]) -> Callable[..., int]:
        def write(descriptor: int, data: Any) -> int:
            if descriptor < 3:
                return real(descriptor, data)
            kind = self._next(None)
            part = memoryview(data)[: max(1, len(data) // 2)] if kind in ("kill-half", "short") else data
            written = real(descriptor, part)
            if kind in ("kill-after", "kill-half"):
                os.kill(os.getpid(), signal.SIGKILL)
            return written

        return write

    def _next(self, path: str | None, name: str = "") -> str:
        """Count an operation; strike before it, or return what is to be done with it."""
        fault = self._fault
        if fault.number == errno.ENOSPC and name in REMOVALS:
            return ""
        number = self.count
        self.count += 1
        if not (number == fault.at or (fault.sticky and number > fault.at)):
            return ""
        if fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.kind == "error":
            raise OSError(fault.number, os.strerror(fault.number), path)
        return fault.kind


def _changes(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call changes files."""
    if name == "open":
        return bool(args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if len(args) > 1 else False
    if name == "builtin":
        mode = args[1] if len(args) > 1 else kwargs.get("mode", "r")
        return not isinstance(args[0], int) and any(letter in mode for letter in "wax+")
    return True
