"""`forestpilot collect --pilot keyboard --web`, the real command: steered in a real browser by real key events."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.people.console import Key
from forestpilot.launch import cli
from tests.browser import Browser, open_browser
from tests.helpers.commands import COLLECT_WORDS, FORESTPILOT

PATIENCE_S = 60.0
HZ = 10
# Few trees, so that a flight by dead reckoning lasts.
OPTIONS = ("--episodes", "2", "--seed", "7", "--mix.options.density", "0.005", "--screen.size", "640x360")


def arguments(out: Path, port: int = 0) -> list[str]:
    return [*COLLECT_WORDS, "--web", "--out", str(out), "--screen.port", str(port), *OPTIONS]


class Session:
    """The command while it runs, and the address that it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/\S+\n", said)):
            line = self._lines.get(timeout=PATIENCE_S)
            assert line, f"the command ended without an address: {said}"
            said += line
        self.address = found[0].strip()

    def finish(self) -> tuple[int, str]:
        """Exit code and results."""
        assert self.process.stdout is not None
        return self.process.wait(PATIENCE_S), self.process.stdout.read()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put("")


@contextmanager
def session(out: Path) -> Iterator[Session]:
    process = subprocess.Popen(
        [*FORESTPILOT, *arguments(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Session(process)
    finally:
        process.kill()
        process.wait()


def press(browser: Browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    chain = ActionChains(browser.driver, duration=0)
    for key in keys:
        chain.key_down(key)
    chain.perform()


def release(browser: Browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    chain = ActionChains(browser.driver, duration=0)
    for key in keys:
        chain.key_up(key)
    chain.perform()


def open_page(browser: Browser, address: str) -> None:
    """Open the address and wait until one sees something and can steer."""
    browser.driver.get(address)
    browser.driver.execute_cdp_cmd("Page.bringToFront", {})
    wait_for_state(browser, "live")
    wait_for(lambda: browser.script("return document.body.dataset.drawn") is not None, "a picture")


def wait_for_state(browser: Browser, state: str) -> None:
    wait_for(lambda: browser.script("return document.body.dataset.state") == state, state)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE_S} s in vain: {what}"
        time.sleep(0.02)


def the_episode(out: Path) -> Episode:
    dataset = Dataset.open(out)
    assert len(dataset) == 1
    return load_episode(dataset.episodes[0].path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser(1000, 700) as opened:
        yield opened


@pytest.mark.slow
def test_a_flight_in_a_browser_survives_a_lost_connection_and_is_recorded(browser: Browser, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    out = tmp_path / "data"
    with session(out) as running:
        open_page(browser, running.address)
        flown_s = -time.monotonic()
        press(browser, "w")
        time.sleep(1.2)
        press(browser, Keys.ARROW_LEFT)
        time.sleep(0.4)
        release(browser, Keys.ARROW_LEFT)
        time.sleep(0.6)

        lost = browser.driver.current_window_handle
        browser.driver.switch_to.new_window("tab")
        here = browser.driver.current_window_handle
        browser.driver.switch_to.window(lost)
        browser.driver.close()
        flown_s += time.monotonic()
        browser.driver.switch_to.window(here)
        time.sleep(2.5)

        open_page(browser, running.address)
        release(browser, "w")
        flown_s -= time.monotonic()
        press(browser, "w", Keys.ARROW_RIGHT)
        time.sleep(1.0)
        press(browser, "q")
        flown_s += time.monotonic()
        wait_for_state(browser, "over")
        release(browser, "w", "q", Keys.ARROW_RIGHT)
        code, results = running.finish()
        assert browser.console_errors() == []
        assert browser.foreign_requests("http://127.0.0.1:", "ws://127.0.0.1:") == []

    assert code == 0
    assert f"{out}: 1 episodes" in results
    episode = the_episode(out)
    steps = len(episode.actions)
    assert 20 <= steps <= HZ * flown_s + 5, "while nobody was there the flight stood still"
    assert episode.meta.seed == 7
    assert (episode.actor == ACTOR_HUMAN).all()
    assert episode.keys is not None
    held = [Key(int(keys)) for keys in episode.keys]
    order = [held.index(keys) for keys in (Key.FORWARD, Key.LEFT | Key.FORWARD, Key.RIGHT | Key.FORWARD)]
    assert order == sorted(order)
    assert set(held) <= {Key.NONE, Key.FORWARD, Key.LEFT | Key.FORWARD, Key.RIGHT | Key.FORWARD, Key.RIGHT, Key.LEFT}
    turns = episode.actions[:, 0]
    assert turns.max() > 0.1 and turns.min() < -0.1
    assert np.abs(np.diff(turns)).max() < 1.0, "a held key becomes a smooth turn"


def test_an_interrupted_session_keeps_the_flight_in_hand_and_tells_the_page(browser: Browser, tmp_path: Path) -> None:
    out = tmp_path / "data"
    browser.set_size(390, 844)
    with session(out) as running:
        open_page(browser, running.address)
        assert not browser.has_horizontal_scrollbar()
        press(browser, "w")
        time.sleep(1.6)
        os.kill(running.process.pid, signal.SIGINT)
        wait_for_state(browser, "over")
        code, _ = running.finish()
        release(browser, "w")
    assert code == 130
    episode = the_episode(out)
    assert len(episode.actions) >= HZ
    assert episode.keys is not None and Key.FORWARD in episode.keys


def test_a_busy_port_ends_the_command_with_one_line_that_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = cli.main(arguments(tmp_path / "data", port))
    said = capsys.readouterr().err
    assert code == 2
    assert f"port {port}" in said and "--screen.port 0" in said
    assert "Traceback" not in said
