"""A library that only some need: asked for late, and its absence said in words that help."""

from __future__ import annotations

import builtins
import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from forestpilot.sim.extras import EXTRAS, MissingExtraError, require

WITHOUT_EXTRAS = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def test_a_module_is_imported_when_it_is_there() -> None:
    assert require("os.path") is importlib.import_module("os.path")


def test_the_extra_that_brings_a_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(MissingExtraError, match=r'websockets is not installed.*pip install "forestpilot\[web\]"'):
        require("websockets.sync.server")
    with pytest.raises(ModuleNotFoundError, match="somebody_elses"):
        require("somebody_elses")
    assert issubclass(MissingExtraError, builtins.ImportError)


def test_who_wants_the_environments_and_the_expert_alone_needs_no_extra() -> None:
    code = (
        "import forestpilot.launch.verbs.doctor\n"
        "import forestpilot.launch.verbs.collect, forestpilot.launch.verbs.evaluate, forestpilot.launch.verbs.replay\n"
        "import forestpilot.data_collection.people.live, forestpilot.data_collection.people.relabelling\n"
        "import gymnasium; gymnasium.make('forestpilot:ForestPilot/Drone-v0').reset(seed=0)"
    )
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
