"""The one place that imports PyBullet, so that its build banner never reaches standard output.

The C extension prints the banner with `printf` while it is imported, so redirecting `sys.stdout` is not enough: file
descriptor 1 itself points at the null device during the import, and C's buffer is flushed while it still does. Use `from sim.bullet_import import pybullet`.
"""

import ctypes
import importlib
import os
import sys
from types import ModuleType

__all__ = ["pybullet"]


def _flush_c_buffers() -> None:
    """Empty C's stdio buffers; without this the banner appears when the process exits, unless stdout is a terminal."""
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


def _import_silently(name: str) -> ModuleType:
    """Import a module while file descriptor 1 points at the null device."""
    if name in sys.modules:
        return sys.modules[name]
    try:
        saved = os.dup(1)
    except OSError:  # no standard output at all (a daemon): nothing can be printed to it
        return importlib.import_module(name)
    if sys.stdout is not None:
        sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        return importlib.import_module(name)
    finally:
        _flush_c_buffers()
        os.dup2(saved, 1)
        os.close(null)
        os.close(saved)


pybullet = _import_silently("pybullet")
