"""How many cores a process may use: its affinity, and the share that its control groups grant."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from forestpilot.sim import cores

MOUNTS_V1 = "31 23 0:28 {root} {mount} rw - cgroup cgroup rw,cpu,cpuacct\n"
MOUNTS_V2 = "31 23 0:28 {root} {mount} rw,relatime shared:4 - cgroup2 cgroup2 rw\n"


def make_proc(folder: Path, groups: str, mounts: str, root: str = "/") -> tuple[Path, Path]:
    """Folders of the process and of its control groups."""
    mount = folder / "groups"
    mount.mkdir()
    (folder / "cgroup").write_text(groups)
    (folder / "mountinfo").write_text("23 1 0:5 / /proc rw - proc proc rw\n" + mounts.format(root=root, mount=mount))
    return folder, mount


@pytest.mark.parametrize(("written", "granted"), [("150000 100000\n", 1.5), ("max 100000\n", math.inf)])
def test_version_2_grants_what_cpu_max_says(tmp_path: Path, written: str, granted: float) -> None:
    proc, mount = make_proc(tmp_path, "0::/job\n", MOUNTS_V2)
    (mount / "job").mkdir()
    (mount / "job" / "cpu.max").write_text(written)
    assert cores.granted_cores(proc) == granted


def test_the_least_of_all_groups_above_counts(tmp_path: Path) -> None:
    proc, mount = make_proc(tmp_path, "0::/slice/job\n", MOUNTS_V2)
    (mount / "slice" / "job").mkdir(parents=True)
    (mount / "slice" / "cpu.max").write_text("200000 100000\n")
    (mount / "slice" / "job" / "cpu.max").write_text("800000 100000\n")
    assert cores.granted_cores(proc) == 2.0


@pytest.mark.parametrize(("quota", "granted"), [("50000\n", 0.5), ("-1\n", math.inf)])
def test_version_1_grants_quota_over_period(tmp_path: Path, quota: str, granted: float) -> None:
    proc, mount = make_proc(tmp_path, "5:memory:/else\n4:cpu,cpuacct:/docker/abc\n", MOUNTS_V1, root="/docker/abc")
    (mount / "cpu.cfs_quota_us").write_text(quota)
    (mount / "cpu.cfs_period_us").write_text("100000\n")
    assert cores.granted_cores(proc) == granted


@pytest.mark.parametrize("mounts", ["", "nothing like it\n"])
def test_without_control_groups_nothing_bounds(tmp_path: Path, mounts: str) -> None:
    proc, _ = make_proc(tmp_path, "", mounts)
    assert cores.granted_cores(proc) == math.inf
    assert cores.granted_cores(tmp_path / "missing") == math.inf


@pytest.mark.parametrize(("allowed", "granted", "usable"), [(8, math.inf, 8), (8, 1.5, 2), (8, 0.1, 1), (2, 16.0, 2)])
def test_usable_is_what_both_allow(monkeypatch: pytest.MonkeyPatch, allowed: int, granted: float, usable: int) -> None:
    monkeypatch.setattr(cores, "allowed_cores", lambda: allowed)
    monkeypatch.setattr(cores, "granted_cores", lambda: granted)
    assert cores.usable_cores.__wrapped__() == usable
