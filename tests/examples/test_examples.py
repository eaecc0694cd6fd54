"""Every example runs from top to bottom, as it would from the command line, with tiny settings."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = {
    "dagger_in_100_lines.py": "--rounds 1 --flights 1 --steps 3 --test-flights 1",
    "my_camera.py": "--episodes 1 --steps 3 --test-flights 1 --workers 1",
    "my_network.py": "--rounds 1 --flights 1 --steps 3 --test-flights 1",
    "sides_from_above.py": "--flights 2 --test-flights 1",
    "sb3_ppo.py": "--steps 16 --envs 2 --rollout 8 --test-flights 1",
}
"""Arguments with which an example takes a few seconds."""
NEEDS = {"sb3_ppo.py": "stable_baselines3"}
"""Libraries that are extras."""
ELSEWHERE = {"fly_onnx.py"}
"""Run by tests/policies/test_onnx.py, for there is the file that it flies."""


def run_example(name: str, monkeypatch: pytest.MonkeyPatch, arguments: str) -> None:
    """Run an example as `python examples/NAME ARGUMENTS` would."""
    monkeypatch.setattr(sys, "argv", [name, *arguments.split()])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.mark.parametrize("name", sorted(TINY))
def test_an_example_runs(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = NEEDS.get(name)
    if library and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed; pip install 'forestpilot[rl]' brings it")
    run_example(name, monkeypatch, TINY[name])
    assert " of 1 test forests crossed" in capsys.readouterr().out
    assert list(tmp_path.rglob("*")), "what it makes stays in the folder that it is run in"


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*TINY, *ELSEWHERE}


@pytest.mark.parametrize("name", sorted({*TINY, *ELSEWHERE}))
def test_an_example_says_how_it_is_run(name: str) -> None:
    assert f"    python examples/{name} --" in (EXAMPLES / name).read_text(encoding="utf-8").split('"""')[1]
