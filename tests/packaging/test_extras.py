"""Who wants the environments alone needs neither torch nor matplotlib."""

from __future__ import annotations

from pathlib import Path

import pytest

from forestpilot.sim.extras import EXTRAS
from tests.packaging.conftest import Made
from tests.packaging.installation import Answer, Installed

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


FLIES = [
    ["--help"],
    ["collect", "--episodes", "1", "--out", "flown"],
    ["evaluate", "--policy", "blind", "--episodes", "1", "--workers", "1", "--out", "scored"],
    ["doctor"],
]
"""What needs no extra; the doctor makes an environment of every task."""
NEEDS = {
    "train": ["train", "--data", "data", "--out", "runs/clone"],
    "video": ["replay", "out", "--video", "videos"],
    "report": ["report", "out"],
    "web": ["collect", "--pilot", "keyboard", "--web", "--out", "mine"],
}
"""What needs one, by its name."""


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on the path, makes Python find no library of an extra, also in spawned processes."""
    folder = tmp_path_factory.mktemp("without-extras")
    (folder / "sitecustomize.py").write_text(BLOCKS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def answers(installed: Installed, without_extras: Path, made: Made) -> list[Answer]:
    """What the commands answer where no extra is installed, beside a dataset and an evaluation."""
    return installed.answers([*FLIES, *NEEDS.values()], made.folder, path=without_extras)


def test_making_an_environment_imports_no_library_of_an_extra(installed: Installed, tmp_path: Path) -> None:
    told = installed.run([installed.python, "-X", "importtime", "-c", MAKES], tmp_path).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines() if "|" in line}
    assert "numba" in imported
    assert imported & set(EXTRAS) == set()


@pytest.mark.slow
def test_expert_flights_are_collected_and_scored_without_any_extra(answers: list[Answer], made: Made) -> None:
    assert [answer.code for answer in answers[: len(FLIES)]] == [0] * len(FLIES), answers
    assert len(list((made.folder / "flown").rglob("*.hdf5"))) == 1
    assert (made.folder / "scored" / "outcomes.csv").is_file()
    doctor = answers[len(FLIES) - 1].text
    assert all(f"frame of {task} " in doctor for task in ("drive", "drone"))
    assert "ForestPilot can work here." in doctor
    assert 'pip install "forestpilot[train]"' in doctor


@pytest.mark.slow
@pytest.mark.parametrize("extra", NEEDS)
def test_what_needs_an_extra_says_which(extra: str, answers: list[Answer]) -> None:
    refused = answers[len(FLIES) + list(NEEDS).index(extra)]
    assert refused.code == 2
    assert f'pip install "forestpilot[{extra}]"' in refused.text
    assert "Traceback" not in refused.text
