"""Worker processes: where they come from, and what each does first.

On Linux they are forked from a server process (`forkserver`), which has imported what they need and does nothing else:
a fork takes milliseconds, and importing torch takes seconds of each process. Elsewhere each is a new interpreter
(`spawn`).
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing import get_context, parent_process
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

PACKAGE = __name__.partition(".")[0]

_needed: set[str] = set()


@functools.cache
def worker_context() -> BaseContext:
    """The context that pipes and shared memory of worker processes are made with."""
    return get_context("forkserver" if sys.platform == "linux" else "spawn")


def workers_will_need(module: str) -> None:
    """Have the server import a module; called before the first worker process is made, it spares each of them that.

    Args:
        module: dotted name.
    """
    _needed.add(module)


def worker_process(target: Callable[..., object], *args: Any) -> BaseProcess:
    """A process that is to call `target(*args)`, in the environment that this one has now; not started yet.

    The server is started with the first one, and imports those modules of ours that this process has imported by then.
    """
    context = worker_context()
    if context.get_start_method() == "forkserver":
        here = [name for name in sys.modules if name.partition(".")[0] == PACKAGE]
        context.set_forkserver_preload(sorted(_needed.union(here)))
    process: BaseProcess = context.Process(target=_begin, args=(dict(os.environ), target, args), daemon=True)  # type: ignore[attr-defined]
    return process


def _begin(environment: Mapping[str, str], target: Callable[..., object], args: tuple[Any, ...]) -> None:
    """What a worker process does; the server's environment is that of its own start."""
    os.environ.clear()
    os.environ.update(environment)
    target(*args)


def leave_signals_to_parent() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
