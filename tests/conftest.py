"""What every test gets: one thread per library, a quiet pygame, no window and no leftovers in the home folder."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator

# Before the first import of NumPy, Numba or torch: on two shared cores more threads only disturb one another.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

from pathlib import Path

import hypothesis
import pytest

# How long an example takes is the machine's affair: on a busy one a test must not fail for that.
hypothesis.settings.register_profile("forestpilot", deadline=None)
hypothesis.settings.load_profile("forestpilot")

# What a shell or nohup starts in the background ignores Ctrl-C or hang-ups, which tests send.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) == signal.SIG_IGN:
        signal.signal(_signal, _handler)


# No test cuts the power, so none learns anything by waiting for the disk; what a failing flush does is tested by name.
os.fsync = lambda descriptor: None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Import all tests, and torch with them, without looking for garbage; what is there then stays until the end, so
    that no test looks through it again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(autouse=True)
def own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in its own folder, so that a default such as runs/demo never lands in the checkout."""
    monkeypatch.chdir(tmp_path)
