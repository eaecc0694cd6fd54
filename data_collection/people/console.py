"""Where a human meets the simulator: the pictures that are shown, and the keys that come back.

A `Screen` is a window on this machine or a page in a browser far away; what runs an episode with a human does not know
which. Keys carry the names of the web's `KeyboardEvent.code`, which name a place on the keyboard, not a letter: WASD
stays a cross on every layout.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Key(IntFlag):
    """Steering keys that are held at a moment; this is what episodes record."""

    NONE = 0
    LEFT = 1
    RIGHT = 2
    FORWARD = 4
    BACK = 8


class Command(Enum):
    """A request of a human, made with a single press."""

    TAKE_OVER = "take over"
    HAND_BACK = "hand back"
    PAUSE = "pause or go on"
    SLOW = "slow motion on or off"
    RESTART = "start this episode again, recording nothing of it"
    DISCARD = "discard the last episode"
    QUIT = "save and quit"


STEERING: dict[str, Key] = {
    "ArrowLeft": Key.LEFT, "KeyA": Key.LEFT,
    "ArrowRight": Key.RIGHT, "KeyD": Key.RIGHT,
    "ArrowUp": Key.FORWARD, "KeyW": Key.FORWARD,
    "ArrowDown": Key.BACK, "KeyS": Key.BACK,
}  # fmt: skip
"""Key to steering; several keys may be held at once."""
COMMANDS: dict[str, Command] = {
    "Space": Command.TAKE_OVER,
    "Enter": Command.HAND_BACK,
    "KeyP": Command.PAUSE,
    "KeyL": Command.SLOW,
    "KeyR": Command.RESTART,
    "Backspace": Command.DISCARD,
    "KeyQ": Command.QUIT,
    "Escape": Command.QUIT,
}
"""Key to command, given once for each press."""


@dataclass(frozen=True)
class Input:
    """Keys, sticks and commands of a human since the last look."""

    keys: Key = Key.NONE
    """Steering keys held now, or pressed and let go since the last look: a short tap must not be lost."""
    sticks: tuple[float, float] | None = None
    """(turn, go) of a gamepad, each in [-1, 1], left and forward positive; None where none is touched."""
    commands: tuple[Command, ...] = ()
    """Commands since the last look, in order; each press gives one, however long it is held."""
    present: bool = True
    """Whether somebody can see and steer: False while the browser is not connected or the window has no focus."""


class Screen(Protocol):
    """Shows pictures to a human and tells what they press."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the pictures to show."""

    @property
    def is_open(self) -> bool:
        """False once the human has closed it for good."""

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 3) uint8 RGB; a closed screen ignores it. Never waits for a slow viewer."""

    def poll(self) -> Input:
        """Tell what was pressed since the last call; never waits. A key held when the screen opened counts only once
        it has been let go and pressed again."""

    def close(self) -> None:
        """Close; harmless when repeated."""


class HeldKeys:
    """Keys as they go down and up, turned into `Input`: the same for every kind of screen."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._tapped: set[str] = set()
        self._commands: list[Command] = []

    def press(self, code: str) -> None:
        """A key went down; the keyboard's own repeats are ignored."""
        if code in self._held:
            return
        self._held.add(code)
        self._tapped.add(code)
        if code in COMMANDS:
            self._commands.append(COMMANDS[code])

    def release(self, code: str) -> None:
        """A key went up."""
        self._held.discard(code)

    def release_all(self) -> None:
        """The screen lost the keyboard: nobody can say any more what is held."""
        self._held.clear()
        self._tapped.clear()

    def take(self, sticks: tuple[float, float] | None = None, present: bool = True) -> Input:
        """Tell what was pressed since the last call."""
        keys = _steering(self._held | self._tapped)
        commands = tuple(self._commands)
        self._tapped.clear()
        self._commands.clear()
        return Input(keys, sticks, commands, present)


def _steering(codes: Iterable[str]) -> Key:
    keys = Key.NONE
    for code in codes:
        keys |= STEERING.get(code, Key.NONE)
    return keys
