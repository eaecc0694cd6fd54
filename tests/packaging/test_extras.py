"""Who wants the environments alone needs neither torch nor matplotlib."""

from __future__ import annotations

from pathlib import Path

import pytest

from forestpilot.sim.extras import EXTRAS
from tests.packaging.installation import Installed

MAKES = """
import forestpilot, gymnasium
for name in ("Drone", "Drive"):
    env = gymnasium.make(f"forestpilot:ForestPilot/{name}-v0")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()
"""
BLOCKS = f"""
import sys

class Blocked:
    \"\"\"Finds no library that an extra brings, as if it were not installed.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(EXTRAS)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def without_extras(tmp_path: Path) -> Path:
    """A folder that, on the path, makes Python find no library of an extra, also in spawned processes."""
    folder = tmp_path / "without-extras"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKS, encoding="utf-8")
    return folder


def test_making_an_environment_imports_no_library_of_an_extra(installed: Installed, tmp_path: Path) -> None:
    told = installed.run([installed.python, "-X", "importtime", "-c", MAKES], tmp_path).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines() if "|" in line}
    assert "numba" in imported
    assert imported & set(EXTRAS) == set()


@pytest.mark.slow
def test_expert_flights_are_collected_and_scored_without_any_extra(
    installed: Installed, without_extras: Path, tmp_path: Path
) -> None:
    installed.run([installed.python, "-c", MAKES], tmp_path, path=without_extras)
    command = installed.command
    installed.run([command, "--help"], tmp_path, path=without_extras)
    installed.run([command, "collect", "--episodes", "1", "--out", "data"], tmp_path, path=without_extras)
    evaluate = ["evaluate", "--policy", "blind", "--episodes", "1", "--workers", "1", "--out", "out"]
    installed.run([command, *evaluate], tmp_path, path=without_extras)
    doctor = installed.run([command, "doctor"], tmp_path, path=without_extras).stdout
    assert "ForestPilot can work here." in doctor
    assert 'pip install "forestpilot[train]"' in doctor


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "extra"),
    [
        (["train", "--data", "data", "--out", "runs/clone"], "train"),
        (["replay", "out", "--video", "videos"], "video"),
        (["report", "out"], "report"),
        (["collect", "--pilot", "keyboard", "--web", "--out", "mine"], "web"),
    ],
)
def test_what_needs_an_extra_says_which(
    installed: Installed, without_extras: Path, made: Path, args: list[str], extra: str
) -> None:
    told = installed.run([installed.command, *args], made, path=without_extras, code=2).stderr
    assert f'pip install "forestpilot[{extra}]"' in told
    assert "Traceback" not in told
