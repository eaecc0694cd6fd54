"""Temporary folders: gone when their process is, or when the next one looks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from forestpilot.sim.scratch import remove_scratch_of_the_dead, scratch


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(elsewhere: Path) -> None:
    dead = elsewhere / "forestpilot-meshes-0123456789ab"
    dead.mkdir()
    (dead / "drum.obj").touch()
    Path(f"{dead}.lock").touch()
    theirs = elsewhere / "forestpilot-something"
    theirs.mkdir()
    with scratch("report") as first, scratch("report") as second:
        assert not dead.exists() and not Path(f"{dead}.lock").exists()
        assert first.is_dir() and second.is_dir()
        assert remove_scratch_of_the_dead() == []
    assert list(elsewhere.iterdir()) == [theirs], "nobody knows whose it is"


def test_a_link_leads_nowhere(elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    precious = tmp_path_factory.mktemp("precious")
    (elsewhere / "forestpilot-x").symlink_to(precious)
    (elsewhere / "forestpilot-x.lock").touch()
    remove_scratch_of_the_dead()
    assert precious.is_dir()
