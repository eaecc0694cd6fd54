"""The list of kernels that are compiled beforehand holds all of them, with the types that they are called with."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import forestpilot
from forestpilot.launch.benchmarks.kernel_list import MODULE
from forestpilot.sim.kernels.decorators import KERNELS
from forestpilot.sim.kernels.listed import listed_kernels, plain_of

SOURCE = Path(forestpilot.__file__).parent
AGAIN = "run `make kernels`"


def test_every_kernel_is_listed():
    # Floor by floor: in a checkout they are links.
    for path in (path for floor in SOURCE.iterdir() for path in floor.rglob("*.py")):
        if re.search(r"^@kernel\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            parts = path.relative_to(SOURCE).with_suffix("").parts
            importlib.import_module(".".join(("forestpilot", *parts)))
    assert set(KERNELS) == {kernel.name for kernel in listed_kernels()}, AGAIN


def test_kernels_are_called_with_the_types_that_are_listed():
    listed = {(kernel.name, json.dumps(kernel.arguments)) for kernel in listed_kernels()}
    called = called_kernels()
    if called != listed:  # it may have had to compile, with what Python does not call; a second one loads
        called = called_kernels()
    assert called == listed, AGAIN


def called_kernels() -> set[tuple[str, str]]:
    """The kernels that a new process has compiled or loaded, with the types of their arguments."""
    command = [sys.executable, "-m", MODULE, "--tell"]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {(name, json.dumps(arguments)) for name, _, arguments in told}


def test_types_in_the_list_are_read_as_they_were_written():
    for kernel in listed_kernels():
        assert tuple(plain_of(kind) for kind in kernel.types()) == kernel.arguments
