"""The wheel is built and installed once for all tests of the packaging."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.installation import Installed, install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with nothing of the project but the wheel."""
    return install(tmp_path_factory.mktemp("packaging"))


@pytest.fixture(scope="session")
def made(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the installed command has made a dataset, `data`, and an evaluation, `out`."""
    folder = tmp_path_factory.mktemp("made")
    for what in (
        ["collect", "--episodes", "1", "--workers", "1", "--out", "data"],
        ["evaluate", "--policy", "blind", "--episodes", "1", "--workers", "1", "--out", "out"],
    ):
        installed.run([installed.command, *what], folder)
    return folder
