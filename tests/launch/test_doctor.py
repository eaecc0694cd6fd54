"""The doctor sees what is there, and says what to do about what is not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from forestpilot.launch.verbs import doctor
from forestpilot.launch.verbs.doctor import DoctorConfig, examine, format_findings, judge_frame


def test_everything_needed_is_found_here(tmp_path: Path) -> None:
    findings = {finding.subject: finding for finding in examine(DoctorConfig(frame=tmp_path / "frame.png"))}
    missing = [f for f in findings.values() if f.status == "MISSING"]
    assert missing == []
    assert "NumPy" in findings["PyBullet"].found
    for subject, file in (("forest frame", "frame-drone.png"), ("road frame", "frame-drive.png")):
        assert "not blank" in findings[subject].found
        assert (tmp_path / file).stat().st_size > 1000


def test_a_blank_frame_is_not_taken_for_a_forest() -> None:
    blank = np.full((48, 192, 3), 255, np.uint8)
    assert judge_frame("frame", blank, objects=1, how="renderer x").status == "MISSING"
    noise = np.random.default_rng(0).integers(0, 255, blank.shape, dtype=np.uint8)
    assert judge_frame("frame", noise, objects=12, how="renderer x").status == "ok"
    assert judge_frame("frame", noise, objects=1, how="renderer x").status == "MISSING"


def test_what_is_missing_is_an_exit_code_and_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = metadata.version

    def version(name: str) -> str:
        if name == "av":
            raise metadata.PackageNotFoundError(name)
        return original(name)

    def broken() -> doctor.Finding:
        raise RuntimeError("no\nencoder")

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(doctor, "_video", broken)
    assert doctor.run(DoctorConfig()) == 1
    out = capsys.readouterr().out
    assert "pip install av" in out
    assert "no encoder; try: pip install --force-reinstall av" in out
    assert out.splitlines()[-1] == "missing: av, H.264 video"


def test_findings_line_up() -> None:
    lines = format_findings([doctor.Finding("ok", "a", "one"), doctor.Finding("MISSING", "long name", "two")])
    assert lines == ["  a          one", "! long name  two"]
