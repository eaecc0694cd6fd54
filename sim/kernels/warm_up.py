"""Compile all listed kernels that are missing on disk, in two processes: `python -m forestpilot.sim.kernels.warm_up`.

`make install` does it last. Whoever calls a kernel that is missing does it as well, instead of compiling that one alone
and the next one at its first call; it goes on as soon as that one is there, while the others are compiled.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numba

from forestpilot.sim.cores import usable_cores
from forestpilot.sim.kernels.listed import Listed, listed_kernels

MODULE = "forestpilot.sim.kernels.warm_up"
WITHIN = "FORESTPILOT_COMPILES"
"""Environment variable of processes that compile: what they miss is theirs to compile."""
PLAIN = {"NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING": "1"}
"""Numba colours messages of types that do not fit, which it goes on to catch and forget; this spares it the trouble."""
MOST_PROCESSES = 2
START_S = 1.5
"""How long a process takes until it compiles."""
POLL_S = 0.05
"""How often somebody who waits for a kernel looks whether it is there."""


def compile_missing(name: str, arguments: Any) -> bool:
    """Compile all listed kernels that are missing, if this is one of them; at most once in a process.

    Args:
        name: `package.module:function` of a kernel that is missing.
        arguments: Numba's types of the arguments that it is called with.

    Returns:
        Whether it is there now.
    """
    kernel = _listed(name, arguments)
    if WITHIN in os.environ or kernel is None:
        return False
    compiling = _compiling()
    while compiling.is_alive() and _is_missing(kernel):
        compiling.join(POLL_S)
    return not _is_missing(kernel)


@functools.cache
def _compiling() -> threading.Thread:
    """The thread of this process that has all missing kernels compiled; it is started once."""
    thread = threading.Thread(target=_compile_all_if_possible, name="forestpilot-kernels", daemon=True)
    thread.start()
    return thread


def _compile_all_if_possible() -> None:
    # No other process, or no folder to write to: kernels are compiled in this process, one by one.
    with contextlib.suppress(OSError):
        compile_all()


def compile_all() -> int:
    """Compile all listed kernels that are missing, and say so; several processes wait for one another.

    Returns:
        How many there were.
    """
    with _locked(_lock_path()) as lock:
        missing = [kernel for kernel in listed_kernels() if _is_missing(kernel)]
        if missing:
            shares = in_shares(missing, min(MOST_PROCESSES, usable_cores()))
            seconds = START_S + max(sum(kernel.seconds for kernel in share) for share in shares)
            print(f"compiling {len(missing)} kernels, once: about {seconds:.0f} s", file=sys.stderr, flush=True)
            _compile_side_by_side(shares, lock)
    return len(missing)


def in_shares(kernels: Iterable[Listed], count: int) -> list[list[Listed]]:
    """Kernels in so many shares, at most, of about equal time; those of one module have helpers in common and stay
    together."""
    modules: dict[str, list[Listed]] = {}
    for kernel in kernels:
        modules.setdefault(kernel.module, []).append(kernel)
    shares: list[list[Listed]] = [[] for _ in range(count)]
    for members in sorted(modules.values(), key=_seconds, reverse=True):
        min(shares, key=_seconds).extend(members)
    return [share for share in shares if share]


def _seconds(kernels: Iterable[Listed]) -> float:
    return sum(kernel.seconds for kernel in kernels)


def _compile_side_by_side(shares: Sequence[Sequence[Listed]], lock: int) -> None:
    """One process for each share; returns when all have ended. They hold the lock, a descriptor, for as long as they
    compile, even where this process ends before they do.
    """
    environment = {**os.environ, **PLAIN, WITHIN: "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes = []
    try:
        for share in shares:
            modules = sorted({kernel.module for kernel in share})
            command = [sys.executable, "-m", MODULE, *modules]
            processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=(lock,)))
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _listed(name: str, arguments: Any) -> Listed | None:
    """A kernel with types of arguments, if it is in the list."""
    for kernel in listed_kernels():
        if kernel.name == name and kernel.types() == tuple(arguments):
            return kernel
    return None


def _is_missing(kernel: Listed) -> bool:
    """Tell if a kernel is not on disk; one that is no longer what is listed is none that could be compiled."""
    try:
        return not kernel.dispatcher()._cache.holds(kernel.types())
    except (ImportError, AttributeError, KeyError):
        return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """A locked file's descriptor; the lock goes with the last process that has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_path() -> Path:
    """A file in the folder in which the first kernel's machine code lies.

    Raises:
        OSError: there is no folder to write to.
    """
    folder = listed_kernels()[0].dispatcher()._cache.cache_path
    if folder is None:
        raise OSError("no folder for machine code can be written to")
    return Path(folder) / "kernels.lock"


def main(modules: Sequence[str]) -> None:
    """Compile the listed kernels of some modules in this process, or, without any, all that are missing."""
    if not modules:
        compile_all()
        return
    for kernel in listed_kernels():
        if kernel.module in modules and _is_missing(kernel):
            with contextlib.suppress(numba.errors.NumbaError):  # its arguments are others by now
                kernel.dispatcher().compile(kernel.types())


if __name__ == "__main__":
    # What a compiler makes it keeps: looking through it for garbage takes a tenth of the time and finds little.
    gc.disable()
    main(sys.argv[1:])
