"""From the command to the first picture where no kernel is compiled yet: what everyone waits for once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from forestpilot.sim.kernels.listed import listed_kernels
from forestpilot.sim.kernels.warm_up import MODULE as WARM_UP
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
        `kernels`, how many there are; `cold_first_picture_s` and `warm_first_picture_s`, from the start of a process to
        the first picture and label of a drone; `all_kernels_s`, until the last kernel is compiled that was missing.
    """
    figures: dict[str, Any] = {"kernels": len(listed_kernels())}
    with scratch("bench") as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
        started = time.perf_counter()
        figures["cold_first_picture_s"] = _seconds_of(["-c", FIRST_PICTURE], environment)
        _seconds_of(["-m", WARM_UP], environment)  # waits until the last kernel is there
        figures["all_kernels_s"] = time.perf_counter() - started
        figures["warm_first_picture_s"] = _seconds_of(["-c", FIRST_PICTURE], environment)
    return figures


def _seconds_of(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """How long a Python process takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True)
    return time.perf_counter() - started
