"""The screen in a window on this machine: pictures, keys by their place on the keyboard, and a gamepad if any."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.people.console import COMMANDS, STEERING, HeldKeys, Input
from forestpilot.sim.rendering.window import Window, import_pygame

WITHOUT_SCREEN = (
    "add --web to steer in a browser instead (through an ssh tunnel if this machine is far away), or start a virtual "
    "display: xvfb-run -a COMMAND"
)
SETTLE_S = 0.7
"""Keys that go down so soon after the window got the keyboard were held before: the keyboard repeats them, and the
window cannot know them from new ones. A keyboard of X11 begins to repeat after 0.66 s."""
STALL_S = 0.1
"""A longer time between two polls counts as this much of `SETTLE_S`: a program that stood still saw no keys."""
REPEAT_S = 0.1
"""A keyboard may repeat a key as letting go and pressing again; nobody is so quick."""
RESTING = 0.08
"""Deflection of a stick below which nobody touches it."""
TURN_AXIS = 0
GO_AXIS = 1
"""A gamepad's left stick; pushed to the left or forward, its axes read negative."""
BUTTONS = {0: "Space", 1: "Enter", 7: "KeyP"}
"""Buttons of a gamepad and the keys they stand for; on most pads A, B and start."""


class WindowScreen:
    """A `Screen` in a window.

    Args:
        width: pixels of the pictures to show.
        height: pixels of the pictures to show.
        title: what the window is called.
        now: tells the time in seconds.

    Raises:
        WindowError: there is no display, or pygame is missing.
    """

    def __init__(
        self, width: int, height: int, title: str = "ForestPilot", now: Callable[[], float] = time.monotonic
    ) -> None:
        self._pygame = import_pygame()
        self._window = Window(width, height, title, resizable=True, advice=WITHOUT_SCREEN)
        with suppress(self._pygame.error):  # keys are enough
            self._pygame.joystick.init()
        self._size = (width, height)
        self._now = now
        self._names = {_scancode(self._pygame, code): code for code in (*STEERING, *COMMANDS)}
        self._keys = HeldKeys()
        self._held_before: set[str] = set()
        self._let_go_s: dict[str, float] = {}
        self._present = True
        self._polled_s = now()
        self._watched_s = 0.0
        self._pads: dict[int, Any] = {}
        self._picture: NDArray[np.uint8] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the pictures to show."""
        return self._size

    @property
    def is_open(self) -> bool:
        """False once the window has been closed."""
        return self._window.is_open

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 3) uint8 RGB; a closed window ignores it."""
        self._picture = picture
        self._window.draw(picture)

    def poll(self) -> Input:
        """Tell what was pressed since the last call."""
        now_s = self._now()
        self._watched_s += min(now_s - self._polled_s, STALL_S)
        self._polled_s = now_s
        for event in self._window.events():
            self._take(event)
        return self._keys.take(self._sticks(), self._present)

    def close(self) -> None:
        """Close the window; harmless when repeated."""
        if self.is_open:
            self._pygame.joystick.quit()
            self._pads.clear()
        self._window.close()

    def _take(self, event: Any) -> None:
        """Note one event."""
        pygame = self._pygame
        if event.type == pygame.KEYDOWN and (code := self._names.get(event.scancode)):
            self._press(code)
        elif event.type == pygame.KEYUP and (code := self._names.get(event.scancode)):
            self._release(code)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._present = False
            self._keys.release_all()
        elif event.type == pygame.WINDOWFOCUSGAINED:
            self._present = True
            self._watched_s = 0.0
            self._held_before.clear()
            self._let_go_s.clear()
        elif event.type in (pygame.WINDOWSIZECHANGED, pygame.WINDOWEXPOSED) and self._picture is not None:
            self._window.draw(self._picture)
        else:
            self._take_from_pad(event)

    def _press(self, code: str) -> None:
        repeated = self._polled_s < self._let_go_s.get(code, -REPEAT_S) + REPEAT_S
        if self._watched_s < SETTLE_S or repeated:
            self._held_before.add(code)
        if code not in self._held_before:
            self._keys.press(code)

    def _release(self, code: str) -> None:
        if code in self._held_before:
            self._let_go_s[code] = self._polled_s
        self._held_before.discard(code)
        self._keys.release(code)

    def _take_from_pad(self, event: Any) -> None:
        """Gamepads come and go; their buttons are keys."""
        pygame = self._pygame
        if event.type == pygame.JOYDEVICEADDED:
            pad = pygame.joystick.Joystick(event.device_index)
            self._pads[pad.get_instance_id()] = pad
        elif event.type == pygame.JOYDEVICEREMOVED:
            self._pads.pop(event.instance_id, None)
        elif event.type == pygame.JOYBUTTONDOWN and event.button in BUTTONS:
            self._keys.press(BUTTONS[event.button])
        elif event.type == pygame.JOYBUTTONUP and event.button in BUTTONS:
            self._keys.release(BUTTONS[event.button])

    def _sticks(self) -> tuple[float, float] | None:
        """(turn, go) of the first gamepad that somebody touches."""
        for pad in self._pads.values():
            if pad.get_numaxes() > GO_AXIS:
                turn = -float(pad.get_axis(TURN_AXIS))
                go = -float(pad.get_axis(GO_AXIS))
                if max(abs(turn), abs(go)) > RESTING:
                    return turn, go
        return None


def _scancode(pygame: Any, code: str) -> int:
    """SDL's number of the place on the keyboard that `KeyboardEvent.code` names."""
    name = {"Enter": "RETURN"}.get(code, code.removeprefix("Arrow").removeprefix("Key").upper())
    scancode: int = getattr(pygame, f"KSCAN_{name}")
    return scancode
