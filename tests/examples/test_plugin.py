"""The example plug-in as an installed distribution: every verb takes its parts, with no edit in the project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from forestpilot.launch import cli

ROOT = Path(__file__).parents[2]
SMALL = ["--mix.width", "32", "--mix.height", "24", "--workers", "1"]
POLICY = ["--policy.head", "laplace", "--policy.encoder", "strips", "--policy.features", "16"]
MIX = ["--task", "rover", "--mix.options.row-spacing", "4.0", "--mix.speeds", "4", "4", *SMALL]
ROVER = {
    "collect": ["collect", "--episodes", "2", "--out", "data", *MIX],
    "train": [
        *("train", "--data", "data", "--steps", "10", "--out", "rover"),
        *(*POLICY, "--policy.head.least-scale", "0.1"),
    ],
    "dagger": [
        *("dagger", "--out", "dagger", *MIX, "--rounds", "1", "--expert-episodes", "2", "--episodes", "1"),
        *("--validation-episodes", "1", "--first-steps", "6", "--steps", "4", "--last-steps", "4"),
        *(f"--train.{option[2:]}" if option.startswith("--") else option for option in POLICY),
    ],
    "evaluate": [
        *("evaluate", "--task", "rover", "--policy", "rover", "--policy", "expert", "--episodes", "2", "--speed", "4"),
        *("--workers", "1", "--options.row-spacing", "4.5", "--out", "evaluation", "--width", "32", "--height", "24"),
    ],
    "replay": [
        *("replay", "evaluation", "--policy", "expert", "--last", "1", "--workers", "1"),
        *("--video", "videos", "--size", "320x180", "--fps", "10"),
    ],
    "report": ["report", "evaluation", "--out", "report.html", "--no-videos"],
    "export": ["export", "data", "--to", "npz", "--out", "npz"],
}
"""All the way from demonstrations to a report."""
MIXED = ("forest-rover", "orchard-drone")
"""Tasks in which the vehicle or the course is ForestPilot's own."""
PARTS = {"heads": "laplace", "encoders": "strips", "experts": "rover", "exporters": "npz"}
RUNS = """
import contextlib, io, json, os, sys
import pytest
from forestpilot.launch.cli import main

answers = {}
for name, command in json.load(sys.stdin).items():
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
        answers[name] = main(command), shown.getvalue()
os.chdir(sys.argv[1])
with contextlib.redirect_stdout(io.StringIO()) as shown:
    answers["pytest"] = int(pytest.main(sys.argv[2:])), shown.getvalue()
print(json.dumps(answers))
"""


def mixed(task: str) -> dict[str, list[str]]:
    """Commands that collect and evaluate the expert's episodes of a task."""
    evaluate = ["evaluate", "--task", task, "--policy", "expert", "--episodes", "1", "--speed", "3", "--workers", "1"]
    return {
        f"collect {task}": ["collect", "--task", task, "--episodes", "1", "--out", f"data-{task}", *SMALL],
        f"evaluate {task}": [*evaluate, "--out", task, "--width", "32", "--height", "24"],
    }


@dataclass(frozen=True)
class Used:
    """What came of using the plug-in."""

    folder: Path
    """Where the commands wrote."""
    answers: dict[str, tuple[int, str]]
    """Exit code and text of each command, by name."""

    def told(self, name: str, code: int = 0) -> str:
        """What a command printed; it must have ended with this exit code."""
        ended, text = self.answers[name]
        assert ended == code, f"{name}: {text[-5000:]}"
        return text


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Used:
    """Everything that the plug-in is for, in one process that finds it among its installed distributions."""
    target = tmp_path_factory.mktemp("site-packages")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    pip = [sys.executable, "-m", "pip", "install", *options, str(ROOT / "examples" / "plugin")]
    subprocess.run(pip, check=True, capture_output=True)
    path = os.pathsep.join([str(target), str(ROOT / ".package")])
    train = ["train", "--data", "data", "--policy.head", "mixture", "--policy.head.least-scale", "0.1"]
    commands = {"doctor": ["doctor"], "refused": train, **ROVER}
    for task in MIXED:
        commands |= mixed(task)
    files = [f"tests/contract/test_{file}.py" for file in PARTS]
    tests = ["-v", "-p", "no:cacheprovider", *files, "-k", " or ".join(PARTS.values())]
    folder = tmp_path_factory.mktemp("used")
    done = subprocess.run(
        [sys.executable, "-c", RUNS, str(ROOT), *tests],
        input=json.dumps(commands),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return Used(folder, json.loads(done.stdout.splitlines()[-1]))


def test_doctor_lists_what_the_plugin_registers(used: Used) -> None:
    said = used.told("doctor")
    # Text of tables may be cut or wrapped; names are short.
    for part in ("rover", "orchard", "pursuit", "strips", "laplace", "npz"):
        assert part in said
    assert "forestpilot-orchard" in said


def test_an_option_of_a_part_that_is_not_chosen_says_whose_it_is(used: Used) -> None:
    assert re.search(r"least-scale.*laplace", used.told("refused", code=2), re.DOTALL)


def test_the_rover_goes_all_the_way_from_demonstrations_to_a_report(used: Used) -> None:
    printed = "".join(used.told(name) for name in ROVER)
    assert "rover" in printed
    described = json.loads((used.folder / "rover" / "policy.json").read_text())
    assert described["config"]["head"] == {"part": "laplace", "least_scale": 0.1}
    outcomes = (used.folder / "evaluation" / "outcomes.csv").read_text()
    assert outcomes.count("success") >= 3  # the header, and both of the expert's
    assert len(list((used.folder / "videos").glob("*.mp4"))) == 2
    assert "orchard" in (used.folder / "report.html").read_text()
    assert len(list((used.folder / "npz").glob("*.npz"))) == 2


@pytest.mark.parametrize("task", MIXED)
def test_vehicle_and_course_are_free(task: str, used: Used) -> None:
    for name in mixed(task):
        used.told(name)
    rows = (used.folder / task / "outcomes.csv").read_text().splitlines()
    assert sum(",success," in row for row in rows[1:]) == 1


@pytest.mark.parametrize(("file", "part"), PARTS.items())
def test_its_parts_are_tested_by_being_registered(file: str, part: str, used: Used) -> None:
    assert re.search(rf"test_{file}\.py::.*{part}.* PASSED", used.told("pytest")), f"nothing tests {part}"


def test_without_the_plugin_its_names_are_unknown_and_the_registry_says_how_to_add_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["evaluate", "--task", "rover"]) == 2
    assert "forestpilot.sim.tasks.TASKS.register" in capsys.readouterr().err.replace("\n", " ")
