"""The demo at the smallest scale: everything it promises lies where it says, and a second call repeats nothing."""

import dataclasses
import json
from pathlib import Path

import av
import pytest

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.verbs.demo import DemoConfig, run
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
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


@pytest.mark.slow
def test_the_demo_leaves_what_it_promises(tmp_path: Path, capsys) -> None:
    config = DemoConfig(
        out=str(tmp_path / "demo"), episodes=3, roads=2, videos=1, size="320x180", workers=1, dagger=TINY,
        drive=TINY_DRIVE,
    )  # fmt: skip
    run(config)
    first = capsys.readouterr().out
    out = tmp_path / "demo"
    promised = ("blind", "bc", "dagger", "95 % interval", "autonomy", "outcomes.csv", "replay")
    for name in (*promised, str(out / "success_by_round.png"), str(out / "drive" / "success_by_round.png")):
        assert name in first
    evaluated = json.loads((out / "drive" / "evaluation" / "config.json").read_text())["config"]["options"]
    assert evaluated == {"length": 40.0, "side_cameras": "fixed", "interventions": "line"}, (
        "films show the side cameras"
    )
    flights, drives = (sorted((folder / "videos").glob("*.mp4")) for folder in (out, out / "drive"))
    assert flights and len(drives) == 1
    videos = [*flights, *drives]
    for video in videos:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt, stream.width) == ("h264", "yuv420p", 320)
            assert sum(1 for _ in container.decode(stream)) > 10
    weights = (out / "policy.safetensors").stat().st_mtime_ns
    episodes = {path: path.stat().st_mtime_ns for path in (out / "evaluation" / "episodes").glob("*.npz")}
    run(config)
    assert {path: path.stat().st_mtime_ns for path in episodes} == episodes
    assert (out / "rounds" / "round-01" / "policy.safetensors").stat().st_mtime_ns <= weights
