"""The wheel as a user has it: built from the source distribution, installed into an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]
FOLDERS = ("sim", "data_collection", "policies", "launch")
RUNS = """
import contextlib, io, json, sys
from forestpilot.launch.cli import main

answers = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
        answers.append((main(command), shown.getvalue()))
print(json.dumps(answers))
"""
"""Runs commands one after another, as the program `forestpilot` does each."""


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    """The exit code."""
    text: str
    """What it printed."""


@dataclass(frozen=True)
class Installed:
    """An environment that the wheel is installed in."""

    wheel: Path
    """The file."""
    sdist: Path
    """The source distribution that it was built from."""
    python: Path
    """The environment's interpreter."""

    @property
    def command(self) -> Path:
        """The command `forestpilot` of the environment."""
        return self.python.with_name("forestpilot")

    def run(
        self, args: Sequence[str | Path], folder: Path, path: Path | None = None, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as a user would, with nothing of the checkout on any path.

        Args:
            args: the program and its arguments.
            folder: where it runs.
            path: what PYTHONPATH names, as the ROS setup scripts do.
            code: exit code that is expected.
        """
        env = clean_environment({"PYTHONPATH": str(path)} if path else {})
        done = subprocess.run([str(a) for a in args], cwd=folder, env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == code, f"{args}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
        return done

    def answers(self, commands: Sequence[Sequence[str]], folder: Path, path: Path | None = None) -> list[Answer]:
        """What commands say one after another in one process, which imports what they need once."""
        told = self.run([self.python, "-c", RUNS, json.dumps(commands)], folder, path).stdout
        return [Answer(*answer) for answer in json.loads(told.splitlines()[-1])]


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process without those that lead to the checkout, or that tests set for libraries."""
    left_out = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "NUMBA_CACHE_DIR", "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, **more}


def install(folder: Path) -> Installed:
    """Build the wheel and install it into a fresh environment, which finds the libraries that this one has."""
    sdist = _build(CHECKOUT, "sdist", folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    wheel = _build(folder / sdist.name.removesuffix(".tar.gz"), "wheel", folder)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python)]
    # Python keeps the bytecode of what is imported; pip would compile everything.
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run(install, check=True, env=clean_environment({}))
    # A path in a .pth file comes last, and .pth files there are not read: this checkout's own installation is not seen.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    _take_over_compiled_kernels(site / "forestpilot")
    return Installed(wheel, sdist, python)


def _build(source: Path, target: str, folder: Path) -> Path:
    """Build one distribution of a source tree and return the file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, env=clean_environment({}))
    (made,) = folder.glob({"sdist": "*.tar.gz", "wheel": "*.whl"}[target])
    return made


def _take_over_compiled_kernels(package: Path) -> None:
    """Copy Numba's cache of the checkout beside the same modules; compiling them again takes more than a minute.

    Numba believes a cached kernel when its module has the same size and time of change.
    """
    for folder in FOLDERS:
        for compiled in (CHECKOUT / folder).rglob("*.nb[ic]"):
            cache = package / compiled.relative_to(CHECKOUT).parent
            module = compiled.name.partition(".")[0]
            if not cache.parent.is_dir() or not module:
                continue
            cache.mkdir(exist_ok=True)
            shutil.copy2(compiled, cache)
        for source in (CHECKOUT / folder).rglob("*.py"):
            copy = package / source.relative_to(CHECKOUT)
            if copy.exists() and copy.read_bytes() == source.read_bytes():
                at = source.stat()
                os.utime(copy, ns=(at.st_atime_ns, at.st_mtime_ns))
