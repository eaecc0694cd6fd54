"""The doctor sees what is there, and says what to do about what is not."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from forestpilot.launch.verbs import doctor
from forestpilot.launch.verbs.doctor import DoctorConfig, examine, format_findings, judge_frame
from forestpilot.sim import registry
from forestpilot.sim.extras import MissingExtraError
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.vehicles import free_body


def test_everything_needed_is_found_here(tmp_path: Path) -> None:
    findings = {finding.subject: finding for finding in examine(DoctorConfig(frame=tmp_path / "frame.png"))}
    missing = [f for f in findings.values() if f.status == "MISSING"]
    assert missing == []
    assert "NumPy" in findings["PyBullet"].found
    for subject, file in (("frame of drone", "frame-drone.png"), ("frame of drive", "frame-drive.png")):
        assert "not blank" in findings[subject].found
        assert (tmp_path / file).stat().st_size > 1000


def test_who_does_the_sub_steps_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for equal, status in ((True, "ok"), (False, "note")):
        monkeypatch.setattr(free_body, "equals_pybullet", lambda equal=equal: equal)
        assert doctor._sub_steps().status == status


def test_decoded_pictures_that_a_training_left_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no training has left any" in doctor._decoded().found
    left = tmp_path / "runs" / "mine" / "dataset" / "decoded"
    left.mkdir(parents=True)
    (left / "CACHEDIR.TAG").write_bytes(b"x")
    (left / "some.steps").write_bytes(b"x" * 3_000_000)
    assert "runs/mine/dataset/decoded (3 MB): for the next training; can be deleted" in doctor._decoded().found


def test_a_blank_frame_is_not_taken_for_a_forest() -> None:
    blank = np.full((48, 192, 3), 255, np.uint8)
    assert judge_frame("frame", blank, objects=1, how="renderer x").status == "MISSING"
    noise = np.random.default_rng(0).integers(0, 255, blank.shape, dtype=np.uint8)
    assert judge_frame("frame", noise, objects=12, how="renderer x").status == "ok"
    assert judge_frame("frame", noise, objects=1, how="renderer x").status == "MISSING"


def test_what_is_missing_is_an_exit_code_and_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(name: str) -> str:
        if name in ("h5py", "av", "pybullet-arm64", "opencv-python-headless"):
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    def broken() -> doctor.Finding:
        raise RuntimeError("no\nencoder")

    lines = ["h5py>=3", 'pybullet>=3; python_version < "3.12"', 'av>=14; extra == "video"', 'ruff; extra == "dev"']
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda _: lines)
    monkeypatch.setattr(doctor, "_video", broken)
    assert doctor.run(DoctorConfig()) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "! h5py not installed; pip install h5py" in out
    assert '- av not installed; what needs it: pip install "forestpilot[video]"' in out
    assert "ruff" not in out
    assert "no encoder; try: pip install --force-reinstall av" in out
    assert out.endswith("missing: h5py, H.264 video")


def test_a_library_that_only_some_need_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> doctor.Finding:
        raise MissingExtraError("torch is not installed")

    monkeypatch.setattr(doctor, "_torch", missing)
    findings = {finding.subject: finding for finding in examine(DoctorConfig())}
    assert findings["PyTorch"] == doctor.Finding("note", "PyTorch", "torch is not installed")


def test_every_registry_is_listed_with_whoever_registered_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = set()
    root = Path(doctor.__file__).parents[2]
    for path in root.glob("*/**/*.py"):
        found = re.findall(r"^(\w+)(?:: .*)? = Registry\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        module = path.relative_to(root).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")
        homes |= {f"forestpilot.{module}:{name}" for name in found}
    assert homes == set(doctor.REGISTRIES)
    monkeypatch.setattr(registry, "_registering", "forestpilot-rover")
    TASKS.register("rover", "nowhere:ROVER", "a rover")
    try:
        text = " ".join(doctor.registered())
    finally:
        TASKS.unregister("rover")
    assert "task:         drone, drive, rover (from forestpilot-rover)" in text
    assert "benchmark:    render, env, expert, cold, data, train, demo, evaluate, film" in text


def test_a_broken_plug_in_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = registry.BrokenPlugin("rover", "forestpilot-rover", "KeyError: 'wheels'")
    monkeypatch.setattr(registry, "_broken", [broken])
    findings = {finding.subject: finding for finding in doctor._plugins()}
    assert "KeyError: 'wheels'" in findings["plug-in rover"].found


def test_findings_line_up() -> None:
    lines = format_findings([doctor.Finding("ok", "a", "one"), doctor.Finding("MISSING", "long name", "two")])
    assert lines == ["  a          one", "! long name  two"]
