"""Recordings for rerun's viewer: all of an episode, each state once. A double stands in where rerun is missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.replay import load_stored_episode, replay_episode
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.launch import cli
from forestpilot.launch.films import rerun_file
from forestpilot.launch.films.replay_config import ReplayConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.extras import MissingExtraError
from forestpilot.sim.tasks.drone import DroneOptions

SEED = 2_000_000


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Who flies blind hits a tree soon; walkers go to and fro."""
    folder = tmp_path_factory.mktemp("recorded") / "evaluation"
    options = DroneOptions(density=(0.15,), movers=2)
    evaluate(EvaluateConfig(("blind",), str(folder), episodes=2, options=options, speed=10.0, workers=1))
    return folder


class Double:
    """What is used of rerun: makes of everything what it was made of, and keeps what is logged."""

    ViewCoordinates = SimpleNamespace(RIGHT_HAND_Z_UP="z up")

    def __init__(self) -> None:
        self.logged: list[tuple[str, dict[str, Any], Any]] = []
        self.now: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: SimpleNamespace(kind=name, args=args, **kwargs)

    def RecordingStream(self, application: str) -> Double:
        return self

    def save(self, path: str) -> None:
        Path(path).write_text("recording")

    def set_time(self, timeline: str, **value: Any) -> None:
        self.now = {**self.now, timeline: next(iter(value.values()))}

    def log(self, path: str, what: Any, static: bool = False) -> None:
        self.logged.append((path, {} if static else self.now, what))

    def send_blueprint(self, blueprint: Any) -> None:
        self.blueprint = blueprint

    def disconnect(self) -> None: ...

    def of(self, path: str) -> list[tuple[dict[str, Any], Any]]:
        return [(now, what) for logged, now, what in self.logged if logged == path]


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> Double:
    double = Double()
    monkeypatch.setattr(rerun_file, "require", lambda module: double)
    monkeypatch.setattr("forestpilot.launch.verbs.replay.require", lambda module: double)
    return double


def root_of(evaluation: Path, seed: int = SEED) -> str:
    end = load_stored_episode(result_path(evaluation / "episodes", "blind", seed)).outcome
    return f"blind-{seed}-{end}"


def test_every_state_is_there_with_its_pictures_and_costs(
    rerun: Double, evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deep" / "flights.rrd"
    assert cli.main(["replay", str(evaluation), "--rerun", str(path), "--workers", "1"]) == 0
    assert "reproduced step by step" in capsys.readouterr().out and path.read_text() == "recording"
    root = root_of(evaluation)
    steps = list(replay_episode(load_stored_episode(result_path(evaluation / "episodes", "blind", SEED))))
    for camera in CAMERA_NAMES:
        for (now, picture), step in zip(rerun.of(f"{root}/cameras/{camera}"), steps, strict=True):
            assert now == {"step": step.index, "time": step.index / 10}
            np.testing.assert_array_equal(picture.args[0], step.observation[camera])
    places = np.concatenate([vehicle.origins for _, vehicle in rerun.of(f"{root}/vehicle")])
    np.testing.assert_allclose(places, [step.position_m for step in steps])
    costs = rerun.of(f"{root}/costs")
    assert len(costs) == len(steps) - 1 and np.all(np.diff(costs[0][1].abscissa) > 0)
    assert len(rerun.of(f"{root}/moving")) == len(steps)
    ((_, trunks),) = rerun.of(f"{root}/map/trunks")
    assert len(trunks.centers) == len(trunks.radii) > 10
    assert {logged.split("/")[0] for logged, _, _ in rerun.logged} == {root, root_of(evaluation, SEED + 1)}
    assert len(rerun.blueprint.args[0].args) == 2, "a tab for each episode"


def test_rerun_itself_reads_it(evaluation: Path, tmp_path: Path) -> None:
    chunk = pytest.importorskip("rerun.chunk", reason='rerun is not installed: pip install "forestpilot[rerun]"')
    path = tmp_path / "flights.rrd"
    assert cli.main(["replay", str(evaluation), "--seed", str(SEED), "--rerun", str(path), "--workers", "1"]) == 0
    root = root_of(evaluation)
    read = {part.entity_path.lstrip("/"): part for part in chunk.RrdReader(path).stream()}
    steps = list(replay_episode(load_stored_episode(result_path(evaluation / "episodes", "blind", SEED))))
    rows = read[f"{root}/cameras/center"].to_record_batch().select(["step", "Image:buffer"]).to_pydict()
    order = np.argsort(rows["step"])
    for index, step in zip(order, steps, strict=True):
        pixels = np.ravel(np.array(rows["Image:buffer"][index], np.uint8))
        np.testing.assert_array_equal(pixels, step.observation["center"].ravel())
    assert read[f"{root}/map/trunks"].is_static and read[f"{root}/costs"].num_rows == len(steps) - 1


def test_what_it_cannot_do_is_said_before_any_work(evaluation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgumentError, match=r"name a \.rrd file"):
        ReplayConfig(evaluation, rerun=Path("flights.mp4"))
    with pytest.raises(InvalidArgumentError, match="leave out --side-by-side"):
        ReplayConfig(evaluation, rerun=Path("a.rrd"), side_by_side=True, video=Path("v"))
    monkeypatch.setitem(__import__("sys").modules, "rerun", None)
    with pytest.raises(MissingExtraError, match=r"forestpilot\[rerun\]"):
        rerun_file.Recording(Path("a.rrd"))
