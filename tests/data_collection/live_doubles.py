"""A clock that does not wait, a screen that plays a script of keys, and a painter that notes what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from forestpilot.data_collection.people.console import HeldKeys, Input, Key
from forestpilot.data_collection.people.scene import Mode, Scene

LONGEST_S = 120.0


class FakeClock:
    """Time passes when somebody sleeps or works, and only then."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time_s += seconds
        assert self.time_s < LONGEST_S, "the session does not end"


class ScriptedScreen:
    """A screen whose human does what a script says: pairs of a time and a word.

    `+ArrowUp` and `-ArrowUp` press and let go, `KeyP` is both at once, `leave` and `return` are absence, `close` shuts
    the window, `stick` and `rest` push a stick to the left and let it go.
    """

    size = (64, 48)

    def __init__(self, clock: FakeClock, script: Iterable[tuple[float, str]]) -> None:
        self._clock, self._script = clock, sorted(script, key=lambda entry: entry[0])
        self._keys, self._present = HeldKeys(), True
        self._sticks: tuple[float, float] | None = None
        self.is_open = True
        self.pictures = 0

    def show(self, picture: np.ndarray) -> None:
        assert picture.dtype == np.uint8
        self.pictures += 1

    def poll(self) -> Input:
        while self._script and self._script[0][0] <= self._clock.now() + 1e-9:
            self._do(self._script.pop(0)[1])
        return self._keys.take(self._sticks, self._present)

    def close(self) -> None:
        self.is_open = False

    def _do(self, word: str) -> None:
        if word == "close":
            self.is_open = False
        elif word in ("leave", "return"):
            self._present = word == "return"
            self._keys.release_all()
        elif word in ("stick", "rest"):
            self._sticks = (1.0, 0.5) if word == "stick" else None
        elif word[0] in "+-":
            (self._keys.press if word[0] == "+" else self._keys.release)(word[1:])
        else:
            self._keys.press(word)
            self._keys.release(word)


class Seen(NamedTuple):
    """What was shown at a time."""

    time_s: float
    mode: Mode
    seed: int
    step: int
    keys: Key
    action: tuple[float, float]
    actor: int
    late: int
    number: int
    saved: int
    message: str
    slow: bool


class NotingPainter:
    """Notes what it is asked to draw; drawing takes as long as `work_s(times drawn)` says."""

    def __init__(self, clock: FakeClock, work_s: Callable[[int], float] = lambda count: 0.0) -> None:
        self._clock, self._work_s = clock, work_s
        self.begun: list[int] = []
        self.seen: list[Seen] = []
        self.running = 0

    def begin(self, episode) -> None:
        self.begun.append(episode.scenario.seed)

    def paint(self, scene: Scene) -> np.ndarray:
        self.seen.append(
            Seen(
                self._clock.now(), scene.mode, scene.episode.scenario.seed, scene.episode.num_steps, scene.keys,
                (float(scene.action[0]), float(scene.action[1])), scene.actor, scene.late, scene.number, scene.saved,
                scene.message, scene.slow,
            )
        )  # fmt: skip
        if scene.mode == Mode.RUNNING:
            self._clock.sleep(self._work_s(self.running))
            self.running += 1
        return np.zeros((48, 64, 3), np.uint8)

    def of(self, mode: Mode) -> list[Seen]:
        """What was shown in a mode."""
        return [seen for seen in self.seen if seen.mode == mode]
