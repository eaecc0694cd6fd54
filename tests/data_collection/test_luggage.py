"""Files that pilots need, packed on one machine and unpacked on another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forestpilot.data_collection.rollouts.luggage import digest_of, packed, place, unpacked
from forestpilot.data_collection.rollouts.pilots import ExpertPilot


@dataclass(frozen=True)
class Inner:
    """Makes a pilot from two folders and a file."""

    folders: tuple[str, ...] = field(metadata=place("a.json", "b.bin"))
    file: str = field(metadata=place())
    name: str = "inner"

    def __call__(self) -> ExpertPilot:
        return ExpertPilot()


@dataclass(frozen=True)
class Outer:
    """Wraps another factory."""

    inner: Inner

    def __call__(self) -> ExpertPilot:
        return self.inner()


@pytest.fixture
def factory(tmp_path: Path) -> Outer:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text(name)
        (tmp_path / name / "b.bin").write_bytes(bytes(range(256)))
        (tmp_path / name / "episodes.hdf5").write_text("stays at home")
    (tmp_path / "policy.onnx").write_text("graph")
    return Outer(Inner((str(tmp_path / "one"), str(tmp_path / "two")), str(tmp_path / "policy.onnx")))


def test_it_finds_there_what_it_had_here_and_no_more(factory: Outer, tmp_path: Path) -> None:
    there = unpacked(factory, packed(factory), tmp_path / "elsewhere")
    assert isinstance(there, Outer) and there.inner.name == "inner"
    assert [Path(folder, "a.json").read_text() for folder in there.inner.folders] == ["one", "two"]
    assert all(Path(folder, "b.bin").read_bytes() == bytes(range(256)) for folder in there.inner.folders)
    assert Path(there.inner.file).read_text() == "graph" and Path(there.inner.file).name == "policy.onnx"
    assert all(str(tmp_path / "elsewhere") in place for place in (*there.inner.folders, there.inner.file))
    assert not list((tmp_path / "elsewhere").rglob("*.hdf5"))


def test_files_that_are_there_are_not_written_again(factory: Outer, tmp_path: Path) -> None:
    luggage = packed(factory)
    first = unpacked(factory, luggage, tmp_path / "elsewhere")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "elsewhere").rglob("*.*")}
    assert unpacked(factory, luggage, tmp_path / "elsewhere") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "elsewhere").rglob("*.*")} == written


def test_other_files_have_another_digest(factory: Outer, tmp_path: Path) -> None:
    before = digest_of(packed(factory))
    assert digest_of(packed(factory)) == before
    (tmp_path / "one" / "a.json").write_text("changed")
    assert digest_of(packed(factory)) != before


def test_a_factory_without_files_stays_as_it_is(tmp_path: Path) -> None:
    assert packed(ExpertPilot) == {} and unpacked(ExpertPilot, {}, tmp_path / "elsewhere") is ExpertPilot
    assert not (tmp_path / "elsewhere").exists()
