"""Sheets for clusters and the container file: what can be checked of them without a cluster and without an engine."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from forestpilot.launch.config import parse_config
from forestpilot.launch.verbs import get_verb
from tests.docs.pages import CHECKOUT

SHEETS = CHECKOUT / "docs" / "assets" / "scale"
COMMAND = re.compile(r"(?:forestpilot|-m forestpilot\.launch\.cli) ((?:collect|train) [^&\n]*)")


@pytest.mark.parametrize("name", ["rollouts.slurm", "training.slurm"])
def test_a_slurm_sheet_is_a_shell_script_whose_command_is_understood(name: str) -> None:
    path = SHEETS / name
    assert subprocess.run(["bash", "-n", path], capture_output=True).returncode == 0
    text = re.sub(r'"\$\{?[^"]*"', "8", path.read_text(encoding="utf-8").replace("\\\n", " "))
    (command,) = COMMAND.findall(text)
    verb, *arguments = shlex.split(command)
    parse_config(get_verb(verb).Config, arguments, verb)


def test_the_sheet_of_a_ray_cluster_is_yaml_with_what_ray_up_wants() -> None:
    sheet = yaml.safe_load((SHEETS / "ray-cluster.yaml").read_text(encoding="utf-8"))
    assert {"cluster_name", "provider", "auth", "head_start_ray_commands", "worker_start_ray_commands"} <= sheet.keys()
    (_, command) = sheet["worker_start_ray_commands"]
    assert "$RAY_HEAD_IP:6379" in command and "--port=6379" in sheet["head_start_ray_commands"][1]


def test_the_container_file_installs_extras_that_there_are() -> None:
    text = (SHEETS / "Containerfile").read_text(encoding="utf-8")
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', text)
    named = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"\n{extra} = [" in named for extra in extras.split(","))
    assert Path(CHECKOUT, "constraints.txt").exists() and 'ENTRYPOINT ["forestpilot"]' in text
