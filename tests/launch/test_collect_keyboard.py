"""`forestpilot collect --pilot keyboard`, the real command in a real window: real keys, and whatever ends a session."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.people.console import Key
from forestpilot.launch import cli
from forestpilot.launch.cockpit.cockpit import HUMAN
from forestpilot.launch.cockpit.gauges import CockpitLayout
from forestpilot.launch.pictures.colors import EDGE
from tests.helpers.commands import COLLECT_BY_KEYBOARD
from tests.x_display import SIZE, XDisplay, open_display, wait_for

PATIENCE_S = 60.0
WIDTH, HEIGHT = 480, 270
# A small picture, so that a busy machine keeps up.
OPTIONS = ("--episodes", "3", "--seed", "7", "--screen.size", f"{WIDTH}x{HEIGHT}")
FEW_TREES = ("--mix.options.density", "0.005")
"""So that a flight by dead reckoning lasts."""


class Session:
    """The command under way, and the window it has opened."""

    def __init__(self, display: XDisplay, process: subprocess.Popen[str]) -> None:
        self.display, self.process = display, process
        self.window = display.window("ForestPilot", PATIENCE_S)
        display.give_focus(self.window)
        self.wait_until(EDGE, "the waiting world")

    def bar_is(self, color: tuple[int, int, int]) -> bool:
        """Whether the bar on top of the window, which stands in the middle of the display, has a colour."""
        left, top = (SIZE[0] - WIDTH) // 2, (SIZE[1] - HEIGHT) // 2
        bar = self.display.picture()[top : top + CockpitLayout(WIDTH, HEIGHT).bar.height, left : left + WIDTH]
        return bool((bar == color).all(axis=2).mean() > 0.5)

    def wait_until(self, color: tuple[int, int, int], what: str) -> None:
        """Wait until the bar has a colour."""
        wait_for(lambda: self.bar_is(color), PATIENCE_S, f"{what} never came")

    def start(self, key: str) -> None:
        """Press a steering key, again and again until the episode runs, and hold it."""

        def runs() -> bool:
            self.display.key_up(key)
            self.display.xdotool("sleep", "0.1")
            self.display.key_down(key)
            self.display.xdotool("sleep", "0.2")
            return self.bar_is(HUMAN)

        wait_for(runs, PATIENCE_S, "the episode never started")

    def fly(self, seconds: float) -> None:
        self.display.xdotool("sleep", str(seconds))

    def finish(self) -> tuple[int, str, str]:
        """Exit code, results and messages."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def display() -> Iterator[XDisplay]:
    with open_display() as display:
        yield display


def command(out: Path, *more: str) -> list[str]:
    trees = () if "--task" in more else FEW_TREES
    return [*COLLECT_BY_KEYBOARD, "--out", str(out), *OPTIONS, *trees, *more]


@contextmanager
def session(display: XDisplay, out: Path, *more: str) -> Iterator[Session]:
    process = subprocess.Popen(
        command(out, *more), env=display.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Session(display, process)
    finally:
        for key in ("Up", "Left", "w", "a"):
            display.key_up(key)
        process.kill()
        process.wait()


def test_flying_with_two_keys_being_disturbed_and_closing_the_window_in_mid_episode(display, tmp_path):
    display.key_down("Left")  # held before there is a window
    with session(display, tmp_path / "data") as flight:
        flight.fly(0.7)
        assert flight.bar_is(EDGE)  # it has not started the episode
        display.key_up("Left")
        flight.start("Up")
        flight.fly(1.0)
        display.key_down("Left")
        flight.fly(0.4)
        display.key_up("Left")
        flight.process.send_signal(signal.SIGSTOP)
        flight.fly(0.6)
        flight.process.send_signal(signal.SIGCONT)
        flight.fly(0.5)
        display.give_focus(None)
        flight.wait_until(EDGE, "the pause without the keyboard")
        display.ask_to_close(flight.window)
        code, out, err = flight.finish()
    assert code == 0 and "Traceback" not in err
    header = Dataset.open(tmp_path / "data").episodes[0]
    assert header.meta.outcome == "running" and header.meta.policy_id == "human" and header.num_steps >= 10
    episode = load_episode(header.path)
    assert (episode.actor == ACTOR_HUMAN).all() and episode.expert_costs is None
    assert (episode.keys == Key.FORWARD | Key.LEFT).any() and (episode.keys & int(Key.RIGHT) == 0).all()
    assert len(np.unique(episode.actions[:, 0])) > 3 and episode.actions[:, 0].max() > 0.3  # smooth, and to the left
    late = int(out.split(" late")[0].split()[-1])
    assert late >= 1
    assert f"1 episodes, {header.num_steps} steps, 0 reached the goal" in out
    assert f"forestpilot train --data {tmp_path / 'data'} --policy.head mixture" in out


def test_after_a_kill_the_same_command_goes_on_and_nothing_is_broken(display, tmp_path):
    out = tmp_path / "data"
    drive = ("--task", "drive")
    with session(display, out, *drive) as first:
        first.start("w")
        first.fly(1.5)
        display.tap("q")
        code, said, _ = first.finish()
        assert code == 0 and "--policy.head regression" in said
    with session(display, out, *drive) as second:
        second.start("w")
        second.fly(1.5)
        second.process.kill()
    half_written = out / "episodes" / ".r0000-s00000009.hdf5.0123.tmp"
    half_written.write_bytes(b"half an episode")
    dataset = Dataset.open(out)
    assert [header.meta.seed for header in dataset.episodes] == [7] and not half_written.exists()
    with session(display, out, *drive) as third:
        third.start("w")
        third.fly(1.5)
        third.process.send_signal(signal.SIGINT)
        code, said, err = third.finish()
    assert code == 130 and "go on with: forestpilot collect" in err and "2 episodes" in said
    episodes = Dataset.open(out).episodes
    assert [header.meta.seed for header in episodes] == [7, 8] and (out / "config.json").exists()
    assert load_episode(episodes[0].path).actions[-1, 1] > 0.5  # the throttle was held


def test_without_a_display_the_command_says_what_to_do(tmp_path, display):
    environment = {key: value for key, value in display.environment.items() if key != "DISPLAY"}
    result = subprocess.run(
        command(tmp_path / "data"), env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert result.returncode == 2 and "--web" in result.stderr and "Traceback" not in result.stderr
    assert len(Dataset.open(tmp_path / "data")) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--pilot", "mouse"), "pilot is 'mouse'; allowed: expert, keyboard"),
        (("--screen.size", "huge"), "screen's size is 'huge'"),
        (("--seed", "1500000"), "not all training worlds"),
    ],
)
def test_what_cannot_be_collected_is_refused_at_once(tmp_path, capsys, flags, message):
    arguments = command(tmp_path / "data", *flags)
    assert cli.main(arguments[arguments.index("collect") :]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "data").exists()
