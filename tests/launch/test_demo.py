"""The demo at the smallest scale: everything it promises lies where it says, and a second call repeats nothing."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import av
import pytest

from forestpilot.data_collection.episodes.run import RunError
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.films.pace import HOLD_S
from forestpilot.launch.verbs.demo import FPS, DemoConfig, folder_mb, run
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.rounds import RoundResult, read_rounds, write_rounds
from forestpilot.policies.networks.encoders.cnn import CNNConfig
from forestpilot.policies.networks.views import ViewConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.tasks.drive import DriveOptions

POLICY = PolicyConfig(view=ViewConfig(16, 32), encoder=CNNConfig((4, 8, 8)), features=16, window=4)
TINY = DaggerConfig(
    rounds=1, expert_episodes=2, episodes=2, first_steps=10, last_steps=10, validation_episodes=2,
    mix=ScenarioMix(speeds=(12.0, 12.0)), train=TrainConfig(policy=POLICY, batch_windows=4, tensorboard=False),
)  # fmt: skip
TINY_DRIVE = dataclasses.replace(TINY, task="drive", mix=ScenarioMix(options=DriveOptions(40.0, "random-speed")))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoConfig:
    """The config of a demo that has run."""
    config = DemoConfig(
        out=str(tmp_path_factory.mktemp("demo") / "demo"), episodes=3, roads=2, videos=1, seconds=1.0, size="320x180",
        workers=2, dagger=TINY, drive=TINY_DRIVE,
    )  # fmt: skip
    run(config)
    return config


def again(demo: DemoConfig, **changes: Any) -> DemoConfig:
    """The same demo in this process alone: where nothing is left to do, starting others is all that takes time."""
    return dataclasses.replace(demo, workers=1, **changes)


@pytest.mark.slow
def test_the_demo_leaves_what_it_promises(demo: DemoConfig, capsys) -> None:
    out = Path(demo.out)
    episodes = {path: path.stat().st_mtime_ns for path in (out / "evaluation" / "episodes").glob("*.npz")}
    run(again(demo))
    printed = capsys.readouterr()
    assert printed.err.startswith(f"learning to fly and to drive, everything goes into {out}")
    promised = ("blind", "bc", "dagger", "95 % interval", "autonomy", "outcomes.csv", "replay")
    for name in (*promised, str(out / "success_by_round.png"), str(out / "drive" / "success_by_round.png")):
        assert name in printed.out
    assert (out / "success_by_round.png").is_file()
    evaluated = json.loads((out / "drive" / "evaluation" / "config.json").read_text())["config"]["options"]
    wanted = {"length": 40.0, "side_cameras": "fixed", "interventions": "line", "hazards": 0, "dashboard": "none"}
    assert {name: evaluated[name] for name in wanted} == wanted, "films show the side cameras"
    assert {path: path.stat().st_mtime_ns for path in episodes} == episodes, "run again it repeats nothing"
    assert (out / "rounds" / "round-01" / "policy.safetensors").stat().st_mtime_ns <= (
        out / "policy.safetensors"
    ).stat().st_mtime_ns


@pytest.mark.slow
def test_the_films_show_the_last_seconds(demo: DemoConfig) -> None:
    out = Path(demo.out)
    flights, drives = (sorted((folder / "videos").glob("*.mp4")) for folder in (out, out / "drive"))
    assert flights and len(drives) == 1
    for video in [*flights, *drives]:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt, stream.width) == ("h264", "yuv420p", 320)
            frames = sum(1 for _ in container.decode(stream))
        assert frames == FPS * (demo.seconds + HOLD_S) + 1


@pytest.mark.slow
def test_it_says_what_may_be_deleted_and_goes_on_without_it(demo: DemoConfig, capsys) -> None:
    out = Path(demo.out)
    run(again(demo))
    told = capsys.readouterr().out
    assert f"{folder_mb(out):.0f} MB" in told and f"rm -r {out / 'dataset'} {out / 'drive' / 'dataset'}" in told
    weights = (out / "policy.safetensors").read_bytes()
    for _ in range(2):
        run(again(demo, keep_data="no"))
        told = capsys.readouterr().out
        assert not (out / "dataset").exists() and not (out / "drive" / "dataset").exists()
        assert "the episodes were deleted" in told and "rm -r" not in told
        assert "labelled states in 4 training episodes" in told
    assert (out / "policy.safetensors").read_bytes() == weights
    with pytest.raises(RunError, match="steps"):
        run(again(demo, dagger=dataclasses.replace(TINY, first_steps=11)))


def test_rounds_are_read_as_they_were_written(tmp_path: Path) -> None:
    rounds = [
        RoundResult(0, 1.0, 2, 90, 1.0, 0.5, 2, 0.1, 0.9, mean_takeover_s=0.25),
        RoundResult(1, 0.0, 4, 170, 0.5, None, 0, None, None, crashes=3),
    ]
    write_rounds(tmp_path, rounds)
    assert read_rounds(tmp_path) == rounds
