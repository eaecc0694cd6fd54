"""The example plug-in as an installed distribution: every verb takes its parts, with no edit in the project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from forestpilot.launch import cli

ROOT = Path(__file__).parents[2]
SMALL = ["--mix.width", "32", "--mix.height", "24", "--workers", "1"]
POLICY = ["--policy.head", "laplace", "--policy.encoder", "strips", "--policy.features", "16"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds the plug-in among its installed distributions."""
    target = tmp_path_factory.mktemp("site-packages")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    pip = [sys.executable, "-m", "pip", "install", *options, str(ROOT / "examples" / "plugin")]
    subprocess.run(pip, check=True, capture_output=True)
    path = os.pathsep.join([str(target), str(ROOT / ".package")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(installed: dict[str, str], folder: Path, *commands: list[str], code: int = 0) -> str:
    """Run commands one after another in one process; returns what they printed."""
    script = (
        "import json, sys\n"
        "from forestpilot.launch.cli import main\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    code = main(command)\n"
        "    if code: raise SystemExit(code)\n"
    )
    arguments = [sys.executable, "-c", script, json.dumps(commands)]
    done = subprocess.run(arguments, cwd=folder, env=installed, capture_output=True, text=True, timeout=400)
    assert done.returncode == code, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout + done.stderr


def test_doctor_lists_what_the_plugin_registers_and_an_option_of_a_part_that_is_not_chosen_says_whose_it_is(
    installed: dict[str, str], tmp_path: Path
) -> None:
    train = ["train", "--data", "data", "--policy.head", "mixture", "--policy.head.least-scale", "0.1"]
    said = run(installed, tmp_path, ["doctor"], train, code=2)
    # Text of tables may be cut or wrapped; names are short.
    for part in ("rover", "orchard", "pursuit", "strips", "laplace", "npz"):
        assert part in said
    assert "forestpilot-orchard" in said
    assert re.search(r"least-scale.*laplace", said, re.DOTALL)


def test_the_rover_goes_all_the_way_from_demonstrations_to_a_report(installed: dict[str, str], tmp_path: Path) -> None:
    mix = ["--task", "rover", "--mix.options.row-spacing", "4.0", "--mix.speeds", "3", "3", *SMALL]
    policy = ["--policy", "runs/rover", "--policy", "expert"]
    dagger = [f"--train.{option[2:]}" if option.startswith("--") else option for option in POLICY]
    rounds = ["--rounds", "1", "--expert-episodes", "2", "--episodes", "1", "--validation-episodes", "1"]
    steps = ["--first-steps", "6", "--steps", "4", "--last-steps", "4"]
    evaluate = ["evaluate", "--task", "rover", *policy, "--episodes", "2", "--speed", "3", "--workers", "1"]
    printed = run(
        installed,
        tmp_path,
        ["collect", "--episodes", "3", "--out", "data", *mix],
        [
            "train",
            "--data",
            "data",
            "--steps",
            "20",
            "--out",
            "runs/rover",
            *POLICY,
            "--policy.head.least-scale",
            "0.1",
        ],
        ["dagger", "--out", "runs/dagger", *rounds, *steps, *mix, *dagger],
        [*evaluate, "--options.row-spacing", "4.5", "--out", "runs/evaluation", "--width", "32", "--height", "24"],
        [
            "replay",
            "runs/evaluation",
            "--policy",
            "expert",
            "--video",
            "videos",
            "--size",
            "320x180",
            "--last",
            "1",
            "--fps",
            "10",
            "--workers",
            "1",
        ],
        ["report", "runs/evaluation", "--out", "report.html", "--no-videos"],
        ["export", "data", "--to", "npz", "--out", "exports/rover"],
    )
    assert "rover" in printed
    described = json.loads((tmp_path / "runs" / "rover" / "policy.json").read_text())
    assert described["config"]["head"] == {"part": "laplace", "least_scale": 0.1}
    outcomes = (tmp_path / "runs" / "evaluation" / "outcomes.csv").read_text()
    assert outcomes.count("success") >= 3  # the header, and both of the expert's
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 2
    assert "orchard" in (tmp_path / "report.html").read_text()
    assert len(list((tmp_path / "exports" / "rover").glob("*.npz"))) == 3


def test_vehicle_and_course_are_free(installed: dict[str, str], tmp_path: Path) -> None:
    tasks = ("forest-rover", "orchard-drone")
    commands = []
    for task in tasks:
        evaluate = ["evaluate", "--task", task, "--policy", "expert", "--episodes", "2", "--speed", "3"]
        commands += [
            ["collect", "--task", task, "--episodes", "1", "--out", f"data-{task}", *SMALL],
            [*evaluate, "--workers", "1", "--out", task, "--width", "32", "--height", "24"],
        ]
    run(installed, tmp_path, *commands)
    for task in tasks:
        rows = (tmp_path / task / "outcomes.csv").read_text().splitlines()
        assert sum(",success," in row for row in rows[1:]) == 2, task


def test_its_parts_are_tested_by_being_registered(installed: dict[str, str]) -> None:
    parts = {"heads": "laplace", "encoders": "strips", "experts": "rover", "exporters": "npz"}
    files = [f"tests/contract/test_{file}.py" for file in parts]
    pytest_ = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    command = [*pytest_, *files, "-k", " or ".join(parts.values())]
    done = subprocess.run(command, cwd=ROOT, env=installed, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:]
    for file, part in parts.items():
        assert re.search(rf"test_{file}\.py::.*{part}.* PASSED", done.stdout), f"nothing tests {part}"


def test_without_the_plugin_its_names_are_unknown_and_the_registry_says_how_to_add_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["evaluate", "--task", "rover"]) == 2
    assert "forestpilot.sim.tasks.TASKS.register" in capsys.readouterr().err.replace("\n", " ")
