"""Threads that wait do not spin for long: told to torch before it is loaded, whoever imports what first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from forestpilot.policies import openmp
from forestpilot.policies.openmp import bound_spinning, use_one_thread

TELL = "import os; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_NUM_THREADS'))"


def run_python(code: str, **variables: str) -> str:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code], env={**bare, "PYTHONPATH": path, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_bounds_the_spinning_before_torch_is_loaded() -> None:
    seen = run_python(
        "import sys; from forestpilot.policies import openmp; assert 'torch' not in sys.modules;"
        f"from forestpilot.policies import VisuomotorPolicy; assert 'torch' in sys.modules; {TELL};"
        "print(openmp.describe())"
    )
    assert seen.splitlines()[0] == "2000 None"
    assert seen.splitlines()[1].startswith("(True, 'GOMP_SPINCOUNT=2000;")


@pytest.mark.parametrize("own", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}, {"OMP_NUM_THREADS": "3"}])
def test_what_the_user_has_set_stays(own: dict[str, str]) -> None:
    environment = dict(own)
    bound_spinning(environment)
    use_one_thread(environment)
    assert own.items() <= environment.items()
    assert ("GOMP_SPINCOUNT" in environment) == ("OMP_WAIT_POLICY" not in own)


def test_who_imported_torch_first_is_told_by_the_doctor() -> None:
    seen = run_python("import torch; from forestpilot.launch.verbs.doctor import _threads; print(_threads())")
    assert "status='note'" in seen
    assert "before that" in seen


def test_other_processes_have_it_too() -> None:
    code = "\n".join(
        [
            "import subprocess, sys",
            "import forestpilot.policies",
            f"print(subprocess.run([sys.executable, '-c', {TELL!r}], capture_output=True, text=True).stdout)",
        ]
    )
    assert run_python(code).split() == ["2000", "None"]


@pytest.mark.parametrize(
    ("granted", "told"), [(2, {"OMP_NUM_THREADS": "3", "NUMBA_NUM_THREADS": "2"}), (8, {"OMP_NUM_THREADS": "3"})]
)
def test_threads_follow_what_a_container_grants(
    monkeypatch: pytest.MonkeyPatch, granted: int, told: dict[str, str]
) -> None:
    monkeypatch.setattr(openmp, "allowed_cores", lambda: 8)
    monkeypatch.setattr(openmp, "usable_cores", lambda: granted)
    environment = {"OMP_NUM_THREADS": "3"}
    openmp.bound_threads(environment)
    assert environment == told
