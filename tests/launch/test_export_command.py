"""`forestpilot export`: a dataset becomes a file of another format, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.launch import cli


def test_a_dataset_that_was_collected_is_exported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    out = tmp_path / "robomimic.hdf5"
    small = ["--mix.width", "32", "--mix.height", "24", "--workers", "1"]
    assert cli.main(["collect", "--episodes", "2", "--out", str(data), *small]) == 0
    assert cli.main(["export", str(data), "--to", "robomimic", "--out", str(out)]) == 0
    assert "2 episodes" in capsys.readouterr().out
    with h5py.File(out) as file:
        assert len(file["data"]) == 2
    assert cli.main(["export", str(data), "--out", str(out)]) == 2
    assert "there is something at" in capsys.readouterr().err


def test_flights_that_were_put_elsewhere_are_exported_stretch_by_stretch(tmp_path: Path) -> None:
    data = tmp_path / "data"
    out = tmp_path / "robomimic.hdf5"
    small = ["--mix.width", "32", "--mix.height", "24", "--workers", "1"]
    assert cli.main(["collect", "--episodes", "1", "--noise", "pose", "--out", str(data), *small]) == 0
    assert cli.main(["export", str(data), "--out", str(out), "--to.no-next-obs"]) == 0
    (header,) = Dataset.open(data).episodes
    assert header.displaced is not None and header.displaced.any()
    with h5py.File(out) as file:
        assert len(file["data"]) == 1 + header.displaced.sum()
        assert file["data"].attrs["total"] == header.num_steps
        assert "pose_noise" not in file["data"].attrs["env_args"]


def test_the_format_may_stand_first_and_the_way_back_is_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--mix.width", "32", "--mix.height", "24", "--workers", "1"]
    for name, seed in (("one", "0"), ("two", "5")):
        command = ["collect", "--episodes", "1", "--seed", seed, "--out", str(tmp_path / name), *small]
        assert cli.main(command) == 0
    there = str(tmp_path / "there")
    assert cli.main(["export", "lerobot", str(tmp_path / "one"), str(tmp_path / "two"), "--out", there]) == 0
    assert "2 episodes" in capsys.readouterr().out
    assert cli.main(["import", "lerobot", there, "--out", str(tmp_path / "back")]) == 0
    assert "2 episodes" in capsys.readouterr().out
    assert cli.main(["inspect", str(tmp_path / "back")]) == 0
    assert "bad episodes" in capsys.readouterr().out
    assert cli.main(["import", str(tmp_path / "one"), "--out", str(tmp_path / "other")]) == 2
    assert "is no LeRobot dataset" in capsys.readouterr().err
