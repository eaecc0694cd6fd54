"""How long torch's threads spin when they wait: bounded, before torch is loaded, unless the user has said something.

Threads of GNU's OpenMP, with which torch computes on Linux, wait for each other by spinning, for millions of turns. On
two cores of which another program uses one, a step of training then takes 25 times as long as with one thread.
ForestPilot trains and acts on one thread a process, and has processes side by side; the bound is for what else uses
torch in the same process. The library reads it once, when it is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

from forestpilot.sim.cores import allowed_cores, usable_cores

SPIN_VARIABLE = "GOMP_SPINCOUNT"
SPIN_COUNT = 2000
"""Turns: as long as an ordinary wait inside a layer, so that an idle machine hardly notices."""
THREADS_VARIABLE = "OMP_NUM_THREADS"
"""What torch and NumPy's BLAS go by."""
NUMBA_VARIABLE = "NUMBA_NUM_THREADS"
OWN_SETTINGS = (SPIN_VARIABLE, "OMP_WAIT_POLICY")
"""By either of these a user has said how threads wait."""

_came_too_late = False


def bound_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Bound the spinning in this process and in those it starts. A user's own setting stays as it is."""
    global _came_too_late
    if any(name in environment for name in OWN_SETTINGS):
        return
    _came_too_late = "torch" in sys.modules
    environment[SPIN_VARIABLE] = str(SPIN_COUNT)


def bound_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let libraries start no more threads than a container grants cores, in this process and in those it starts; they
    follow the affinity by themselves. A user's own setting stays as it is."""
    if usable_cores() < allowed_cores():
        for name in (THREADS_VARIABLE, NUMBA_VARIABLE):
            environment.setdefault(name, str(usable_cores()))


def use_one_thread(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let libraries compute on one thread by default, in this process and in those it starts: for a command, which has
    processes side by side instead. A user's own setting stays as it is."""
    environment.setdefault(THREADS_VARIABLE, "1")


def describe() -> tuple[bool, str]:
    """(whether it is as it should be, what is in force) in this process, in words."""
    told = [f"{name}={os.environ[name]}" for name in (THREADS_VARIABLE, *OWN_SETTINGS) if name in os.environ]
    settings = ", ".join(told) or "nothing is set"
    if _came_too_late:
        return False, (
            f"{settings}, but torch was loaded before that: where it computes on several threads they spin without "
            f"bound; import forestpilot.policies before torch, or set {SPIN_VARIABLE}={SPIN_COUNT} before Python starts"
        )
    return True, f"{settings}; training and policies compute on one thread a process"
