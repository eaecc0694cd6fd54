"""How many cores this process may use: what every default number of processes and threads follows.

A machine's count of cores says little inside a container, under `taskset` or in a batch job: what counts is the
affinity and, on Linux, the share of processor time that the control groups above the process grant.
Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), and for version 1 sched-bwc (cpu.cfs_quota_us).
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self")


@functools.cache
def usable_cores() -> int:
    """How many cores this process may use, at least one; a share of 1.5 cores counts as two."""
    return max(1, math.ceil(min(allowed_cores(), granted_cores())))


def allowed_cores() -> int:
    """How many cores the affinity allows, or the machine has where there is no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def granted_cores(proc: Path = PROC) -> float:
    """Cores' worth of processor time that the control groups of this process grant; infinite where none bounds it.

    Args:
        proc: folder in which the kernel tells of the process.
    """
    try:
        return min((_share(folder) for folder in _groups(proc)), default=math.inf)
    except (OSError, ValueError, IndexError):
        return math.inf  # no Linux, or a kernel that tells it in other words


def _groups(proc: Path) -> Iterator[Path]:
    """Folders of the control groups that could bound processor time, from the process's own up to the outermost."""
    memberships = [line.split(":", 2) for line in (proc / "cgroup").read_text(encoding="utf-8").splitlines()]
    for line in (proc / "mountinfo").read_text(encoding="utf-8").splitlines():
        # ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS [...] - TYPE SOURCE OPTIONS
        left, _, right = line.partition(" - ")
        root, mount = left.split()[3:5]
        kind, _, options = right.split()
        controllers = [] if kind == "cgroup2" else options.split(",")
        if kind != "cgroup2" and not (kind == "cgroup" and "cpu" in controllers):
            continue
        for _, names, path in memberships:
            if ("cpu" in names.split(",")) if controllers else not names:
                yield from _upwards(Path(mount), root, path)


def _upwards(mount: Path, root: str, path: str) -> Iterator[Path]:
    """The group's folder and those above it, up to where its tree is mounted."""
    # A container sees the whole path, but only what is below `root` is mounted.
    inside = os.path.relpath(path, root)
    folder = mount if inside.startswith("..") else mount / inside
    yield folder
    while folder != mount and mount in folder.parents:
        folder = folder.parent
        yield folder


def _share(folder: Path) -> float:
    """Cores' worth of time that one control group grants."""
    quota_file, period_file = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
    if (folder / "cpu.max").is_file():
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    elif quota_file.is_file() and period_file.is_file():
        quota, period = (file.read_text(encoding="ascii").strip() for file in (quota_file, period_file))
    else:
        return math.inf
    if quota == "max" or int(quota) <= 0:
        return math.inf
    return int(quota) / int(period)
