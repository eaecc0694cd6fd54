"""`forestpilot relabel` as it is used: in one go, again, with another delay, and in a real window with real keys."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.labels import shift_labels
from forestpilot.launch.cli import main
from forestpilot.launch.verbs.relabel import Config
from tests.data_collection.steering_along import DELAY_STEPS, HZ, Human, record
from tests.x_display import open_display, wait_for


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of a run."""
    return record(tmp_path_factory.mktemp("run") / "dataset", range(100, 104)).folder


@pytest.fixture
def sit_down(monkeypatch: pytest.MonkeyPatch) -> Callable[[Human], Human]:
    """Puts somebody in front of the screens that are opened from now on."""

    def seat(human: Human) -> Human:
        monkeypatch.setattr("forestpilot.launch.screens.open_screen", lambda *_: human)
        monkeypatch.setattr("forestpilot.launch.cockpit.cockpit.Cockpit", lambda *_, **__: human)
        monkeypatch.setattr("forestpilot.data_collection.people.live.RealClock", lambda: human)
        return human

    return seat


def noted_delay(folder: Path) -> float:
    return float(json.loads((folder / "relabelling.json").read_text())["delay"]["delay_s"])


def test_a_session_ends_with_labels_moved_back_by_the_humans_delay(
    flown: Path, tmp_path: Path, sit_down: Callable[[Human], Human], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "labels"
    sit_down(Human())
    assert main(["relabel", str(flown.parent), "--out", str(out), "--episodes", "3"]) == 0
    printed = capsys.readouterr().out
    assert "3 of 3 episodes relabelled" in printed
    assert "95 % interval" in printed
    delay_s = noted_delay(out)
    assert DELAY_STEPS / HZ - 0.05 <= delay_s <= DELAY_STEPS / HZ + 0.2
    for header in Dataset.open(out).episodes:
        with np.load(out / "steered" / f"{header.path.stem}.npz") as steered:
            labels, known = shift_labels(steered["actions"], delay_s, HZ)
        episode = load_episode(header.path)
        assert (episode.human_actions == labels).all()
        assert (header.labelled == known).all()
    human = sit_down(Human())
    assert main(["relabel", str(flown), "--out", str(out)]) == 0
    assert "4 of 4 episodes relabelled" in capsys.readouterr().out
    assert human.episodes == 1
    assert main(["relabel", str(flown), "--out", str(out), "--delay", "none"]) == 0
    assert human.episodes == 1
    assert noted_delay(out) == 0.0


def test_labels_can_be_moved_again_without_the_human(
    flown: Path, tmp_path: Path, sit_down: Callable[[Human], Human], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "labels"
    sit_down(Human())
    assert main(["relabel", str(flown), "--out", str(out), "--episodes", "1", "--delay", "0.1"]) == 0
    before = [header.num_labels for header in Dataset.open(out).episodes]
    assert main(["relabel", str(out), "--shift-only", "--delay", "0.5"]) == 0
    assert "moved back by 0.50 s" in capsys.readouterr().out
    after = [header.num_labels for header in Dataset.open(out).episodes]
    assert [count - 4 for count in before] == after
    assert main(["relabel", str(out), "--shift-only"]) == 0
    assert "no delay can be told" in capsys.readouterr().out
    assert noted_delay(out) == 0.0


def test_an_episode_that_does_not_repeat_itself_ends_the_session_with_what_there_is(
    flown: Path, tmp_path: Path, sit_down: Callable[[Human], Human], capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Dataset.create(tmp_path / "altered", Dataset.open(flown).task_spec, Dataset.open(flown).env_id)
    for number, header in enumerate(Dataset.open(flown).episodes[:2]):
        episode = load_episode(header.path)
        if number == 1:
            episode.observations["state"][30:] += 0.01
        altered.add(episode)
    sit_down(Human())
    assert main(["relabel", str(altered.folder), "--out", str(tmp_path / "out"), "--delay", "0.2"]) == 1
    printed = capsys.readouterr()
    assert "does not repeat itself: at step 30" in printed.err
    assert "moved back by 0.20 s" in printed.out
    assert [header.num_steps for header in Dataset.open(tmp_path / "out").episodes][1:] == [30]


def test_what_cannot_be_done_is_refused_before_a_screen_opens(
    flown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="delay is 'soon'; allowed: auto, none, or 0 to 3 seconds"):
        Config(flown, out=tmp_path, delay="soon")
    for delay in ("-1", "4", "nan"):
        with pytest.raises(ValueError, match="delay is"):
            Config(flown, out=tmp_path, delay=delay)
    with pytest.raises(ValueError, match="give --out"):
        Config(flown)
    with pytest.raises(ValueError, match="leave --out away"):
        Config(flown, out=tmp_path, shift_only=True)
    with pytest.raises(ValueError, match="episodes is 0"):
        Config(flown, out=tmp_path, episodes=0)
    assert main(["relabel", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert main(["relabel", str(flown), "--out", str(flown)]) == 2
    assert main(["relabel", str(flown), "--out", str(tmp_path / "out"), "--rounds", "7"]) == 2
    said = capsys.readouterr().err
    for words in ("is no dataset", "is the dataset that is shown", "a policy drove in rounds 1"):
        assert words in said
    assert not (tmp_path / "out").exists()


def test_real_keys_in_a_real_window_become_labels(flown: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    command = [
        sys.executable,
        "-m",
        "forestpilot.launch.cli",
        "relabel",
        str(flown),
        "--out",
        str(out),
        "--screen.size",
        "480x270",
    ]
    with open_display() as display:
        process = subprocess.Popen(
            command, env=display.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        try:
            display.give_focus(display.window("steer along"))
            wait_for(lambda: bool(display.picture().any()), 30, "the window stays empty")
            time.sleep(1.0)
            display.key_down("w")
            time.sleep(1.0)
            display.key_down("Left")
            time.sleep(1.5)
            display.key_up("Left")
            display.key_up("w")
            time.sleep(0.5)
            display.tap("q")
            assert process.stdout is not None
            said = process.stdout.read()
            assert process.wait(timeout=30) == 0, said
        finally:
            process.kill()
            process.wait()
    assert "1 of 4 episodes relabelled" in said
    (header,) = Dataset.open(out).episodes
    episode, recorded = load_episode(header.path), load_episode(flown / "episodes" / header.path.name)
    assert episode.keys is not None
    assert {0, 4, 5} <= set(episode.keys.tolist())
    assert episode.human_actions is not None
    assert episode.human_actions[:, 0].max() > 0.5
    assert (episode.actions == recorded.actions[: header.num_steps]).all()
