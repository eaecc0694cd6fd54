"""From the command to the first picture where no kernel is compiled yet: what everyone waits for once."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import Any

from forestpilot.sim.kernels.listed import listed_kernels
from forestpilot.sim.scratch import scratch

FIRST_PICTURE = """
import gymnasium, forestpilot.sim.envs.registration
env = gymnasium.make("ForestPilot/Drone-v0", expert=True, disable_env_checker=True)
env.reset(seed=0)
"""
"""What is timed: a process that resets a drone among trees, with pictures and the expert's answer."""


def bench_cold(seconds: float = 0.0) -> dict[str, Any]:
    """Measure in a folder of machine code that is empty at first, and removed at the end.

    Args:
        seconds: not used: it takes as long as compiling takes.

    Returns:
        `kernels`, how many are compiled; `cold` and `warm`, each with `first_picture_s`, from the start of a process to
        the first picture and label of a drone, and `cpu_s` of all processes together meanwhile.
    """
    figures: dict[str, Any] = {"kernels": len(listed_kernels())}
    with scratch("bench") as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
        for state in ("cold", "warm"):
            spent_s = _children_s()
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", FIRST_PICTURE], env=environment, check=True)
            figures[state] = {"first_picture_s": time.perf_counter() - started, "cpu_s": _children_s() - spent_s}
    return figures


def _children_s() -> float:
    """CPU time that ended child processes have spent, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
