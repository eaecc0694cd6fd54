"""The one place that imports PyBullet, so that its build banner appears nowhere.

The C extension prints the banner itself while it is imported (on standard output or standard error, by version), so
redirecting `sys.stdout` is not enough: file descriptors 1 and 2 point at the null device during the import, and C's
buffers are flushed while they still do. Use `from forestpilot.sim.bullet_import import pybullet`.
"""

import contextlib
import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

__all__ = ["pybullet", "silent_descriptors"]


def _flush_buffers() -> None:
    """Empty Python's and C's output buffers; without this the banner comes out when the process exits."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


@contextlib.contextmanager
def silent_descriptors() -> Iterator[None]:
    """Point file descriptors 1 and 2 at the null device, for C code that prints; exceptions still come through."""
    _flush_buffers()
    saved = []
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in (1, 2):
            try:
                saved.append((descriptor, os.dup(descriptor)))
            except OSError:  # closed, as in a daemon: nothing can be printed to it
                continue
            os.dup2(null, descriptor)
        yield
    finally:
        _flush_buffers()
        for descriptor, copy in saved:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(null)


def _import_silently(name: str) -> ModuleType:
    """Import a module, showing nothing of what it prints."""
    if name in sys.modules:
        return sys.modules[name]
    with silent_descriptors():
        return importlib.import_module(name)


pybullet = _import_silently("pybullet")
