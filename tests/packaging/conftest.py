"""The wheel is built and installed once for all tests of the packaging."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.packaging.installation import Installed, install


class Made(NamedTuple):
    """What the installed package has made."""

    folder: Path
    """Holds a dataset, `data`, an evaluation with its report, `out`, and `videos` of it."""
    doctor: str
    """What the doctor says there."""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with nothing of the project but the wheel."""
    return install(tmp_path_factory.mktemp("packaging"))


@pytest.fixture(scope="session")
def made(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What the installed package says and makes in another folder."""
    commands = [
        ["doctor"],
        ["collect", "--episodes", "1", "--workers", "1", "--out", "data"],
        ["evaluate", "--policy", "blind", "--episodes", "1", "--workers", "1", "--out", "out"],
        ["replay", "out", "--video", "videos", "--size", "320x180"],
        ["report", "out", "--no-videos"],
    ]
    folder = tmp_path_factory.mktemp("made")
    answers = installed.answers(commands, folder)
    assert [answer.code for answer in answers] == [0] * len(commands), answers
    return Made(folder, answers[0].text)
