"""Other people's modules may be called launch or sim, and stand first on the path: nothing of ours minds.

ROS 2 has a package `launch`, and its setup script puts it on PYTHONPATH, before site-packages; users have a `sim.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.installation import Installed

RAISES = "raise RuntimeError('this is somebody else, not ForestPilot')\n"
FLIES = """
import gymnasium


def fly():
    env = gymnasium.make("forestpilot:ForestPilot/Drone-v0", expert=True)
    observation, info = env.reset(seed=7)
    env.step(info["expert_action"][1])
    env.close()


if __name__ == "__main__":
    fly()
"""
COLLECTS = f"""{FLIES}
    from forestpilot.launch.verbs import VERBS

    collect = VERBS.get("collect")
    collect.run(collect.Config(out="python", episodes=2, workers=2))
"""


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A folder in which other people's modules have the names of our folders."""
    folder = tmp_path / "others"
    for package in ("launch", "policies"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text(RAISES, encoding="utf-8")
    for module in ("sim", "data_collection"):
        (folder / f"{module}.py").write_text(RAISES, encoding="utf-8")
    return folder


def test_a_script_beside_a_sim_py_finds_the_environments(installed: Installed, others: Path) -> None:
    (others / "flies.py").write_text(FLIES, encoding="utf-8")
    installed.run([installed.python, "flies.py"], others)


@pytest.mark.slow
def test_the_command_and_its_workers_find_the_environments(installed: Installed, others: Path, tmp_path: Path) -> None:
    collect = ["collect", "--episodes", "2", "--workers", "2", "--out", "command"]
    installed.run([installed.command, *collect], tmp_path, path=others)
    assert len(list((tmp_path / "command").rglob("*.hdf5"))) == 2


@pytest.mark.slow
def test_a_script_and_its_workers_find_the_environments(installed: Installed, others: Path, tmp_path: Path) -> None:
    (tmp_path / "collects.py").write_text(COLLECTS, encoding="utf-8")
    installed.run([installed.python, "collects.py"], tmp_path, path=others)
    assert len(list((tmp_path / "python").rglob("*.hdf5"))) == 2
