"""The pages hang together: pictures are there and small, links lead somewhere, the architecture is that of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import CHECKOUT, FENCE, PAGES, name_of

LINK = re.compile(r"\]\(([^)\s]+)\)")
OURS = re.compile(
    r"https://(?:github\.com|raw\.githubusercontent\.com)/forestpilot/forestpilot/(?:(?:blob|tree)/)?main/"
)
LONGEST_README = 125


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_into_the_project_lead_to_files(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        target = link.partition("#")[0]
        if OURS.match(target):
            assert (CHECKOUT / OURS.sub("", target)).exists(), link
        elif target and "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), link


@pytest.mark.parametrize("name", ["drone.gif", "drive.gif"])
def test_moving_pictures_of_the_environments_are_small(name: str) -> None:
    assert 50_000 < (CHECKOUT / "docs" / "assets" / name).stat().st_size < 600_000


def test_the_readme_is_short() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README


def test_the_picture_of_the_architecture_is_that_of_the_imports() -> None:
    script = CHECKOUT / "docs" / "draw_architecture.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
