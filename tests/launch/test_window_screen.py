"""The window a human steers by: keys by their place, focus, closing, resizing and gamepads, with the dummy driver and
on a real X display."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pygame
import pytest

from forestpilot.data_collection.people.console import Command, Key
from forestpilot.launch.screens import ScreenConfig, open_screen
from forestpilot.launch.screens.window import REPEAT_S, SETTLE_S, STALL_S, WindowScreen
from forestpilot.sim.rendering.window import WindowError
from tests.x_display import open_display, wait_for


class Watch:
    """A clock that is set by hand."""

    time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> Iterator[WindowScreen]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    screen = WindowScreen(64, 48, "test", now=watch)
    pygame.event.clear()
    watch.time_s = 10.0
    settle(screen, watch)
    yield screen
    screen.close()


def settle(screen: WindowScreen, watch: Watch) -> None:
    """Let the window have the keyboard for long enough."""
    until_s = watch.time_s + SETTLE_S + STALL_S
    while watch.time_s < until_s:
        watch.time_s += STALL_S / 2
        screen.poll()


def post(kind: int, **values) -> None:
    pygame.event.post(pygame.event.Event(kind, **values))


def press(scancode: int) -> None:
    post(pygame.KEYDOWN, scancode=scancode, key=0)


def release(scancode: int) -> None:
    post(pygame.KEYUP, scancode=scancode, key=0)


def test_keys_are_known_by_their_place_whatever_letter_is_there(screen):
    press(pygame.KSCAN_W)
    press(pygame.KSCAN_LEFT)
    post(pygame.KEYDOWN, scancode=pygame.KSCAN_E, key=pygame.K_w)
    assert screen.poll().keys == Key.FORWARD | Key.LEFT
    release(pygame.KSCAN_W)
    assert screen.poll().keys == Key.LEFT


@pytest.mark.parametrize(
    ("scancode", "command"),
    [
        (pygame.KSCAN_SPACE, Command.TAKE_OVER),
        (pygame.KSCAN_RETURN, Command.HAND_BACK),
        (pygame.KSCAN_BACKSPACE, Command.DISCARD),
        (pygame.KSCAN_ESCAPE, Command.QUIT),
        (pygame.KSCAN_P, Command.PAUSE),
    ],
)
def test_a_command_is_given_once_for_each_press(screen, scancode, command):
    press(scancode)
    assert screen.poll().commands == (command,)
    assert screen.poll().commands == ()


def test_a_key_that_was_held_when_the_window_opened_counts_only_when_pressed_again(monkeypatch, watch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    screen = WindowScreen(64, 48, now=watch)
    pygame.event.clear()
    press(pygame.KSCAN_LEFT)  # the keyboard repeats a key that is held, also into a new window
    assert screen.poll().keys == Key.NONE
    settle(screen, watch)
    press(pygame.KSCAN_LEFT)
    assert screen.poll().keys == Key.NONE
    release(pygame.KSCAN_LEFT)
    press(pygame.KSCAN_LEFT)  # some keyboards repeat so
    assert screen.poll().keys == Key.NONE
    release(pygame.KSCAN_LEFT)
    assert screen.poll().keys == Key.NONE
    watch.time_s += 2 * REPEAT_S
    press(pygame.KSCAN_LEFT)
    assert screen.poll().keys == Key.LEFT
    screen.close()


def test_losing_the_keyboard_lets_everything_go_and_nobody_is_there(screen, watch):
    press(pygame.KSCAN_UP)
    assert screen.poll().present
    post(pygame.WINDOWFOCUSLOST)
    away = screen.poll()
    assert not away.present and away.keys == Key.NONE
    post(pygame.WINDOWFOCUSGAINED)
    press(pygame.KSCAN_UP)
    back = screen.poll()
    assert back.present and back.keys == Key.NONE  # held since before the window came back
    release(pygame.KSCAN_UP)
    settle(screen, watch)
    press(pygame.KSCAN_UP)
    assert screen.poll().keys == Key.FORWARD


def test_a_key_held_before_a_stall_of_the_program_is_no_new_key(screen, watch):
    post(pygame.WINDOWFOCUSGAINED)
    screen.poll()
    watch.time_s += 10 * SETTLE_S  # the first picture took its time
    press(pygame.KSCAN_LEFT)
    assert screen.poll().keys == Key.NONE


def test_closing_the_window_closes_the_screen_for_good(screen):
    post(pygame.QUIT)
    assert screen.poll().keys == Key.NONE and not screen.is_open
    screen.show(np.zeros((48, 64, 3), np.uint8))
    assert screen.poll().commands == ()
    screen.close()


class FakePad:
    """A gamepad whose axes are set by hand."""

    def __init__(self, axes: list[float]) -> None:
        self.axes = axes

    def get_numaxes(self) -> int:
        return len(self.axes)

    def get_axis(self, axis: int) -> float:
        return self.axes[axis]

    def get_instance_id(self) -> int:
        return 7


def test_a_gamepad_may_come_and_go(screen, monkeypatch):
    pad = FakePad([0.0, 0.02])
    monkeypatch.setattr(pygame.joystick, "Joystick", lambda index: pad)
    assert screen.poll().sticks is None
    post(pygame.JOYDEVICEADDED, device_index=0)
    assert screen.poll().sticks is None  # nobody touches it
    pad.axes = [-1.0, -0.5]
    assert screen.poll().sticks == (1.0, 0.5)  # left and forward are positive
    post(pygame.JOYDEVICEREMOVED, instance_id=7)
    assert screen.poll().sticks is None


def test_a_pads_buttons_are_keys(screen):
    post(pygame.JOYBUTTONDOWN, button=0)
    post(pygame.JOYBUTTONUP, button=0)
    post(pygame.JOYBUTTONDOWN, button=9)
    assert screen.poll().commands == (Command.TAKE_OVER,)


def test_a_thing_without_two_axes_is_no_stick(screen, monkeypatch):
    monkeypatch.setattr(pygame.joystick, "Joystick", lambda index: FakePad([1.0]))
    post(pygame.JOYDEVICEADDED, device_index=0)
    assert screen.poll().sticks is None


def test_a_picture_keeps_its_proportions_in_a_window_of_another_shape(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    screen = WindowScreen(120, 60)
    screen.show(np.full((48, 64, 3), 200, np.uint8))
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
    screen.close()
    assert (shown[:, :20] == 0).all() and (shown[:, 100:] == 0).all() and (shown[:, 22:98] == 200).all()


def test_without_a_display_the_error_names_the_browser(monkeypatch):
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WindowError, match="--web"):
        open_screen(ScreenConfig(size="320x180"), web=False, title="test")


ECHO = """
import sys, time
import numpy as np
from forestpilot.launch.screens.window import WindowScreen
screen = WindowScreen(320, 180, "echo")
picture = np.zeros((180, 320, 3), np.uint8)
picture[:, :160] = (255, 0, 0)
said = None
while screen.is_open:
    screen.show(picture)
    given = screen.poll()
    if (line := f"{int(given.keys)} {given.present} {[c.name for c in given.commands]}") != said:
        said = line
        print(line, flush=True)
    time.sleep(0.02)
"""


def test_real_keys_focus_and_closing_on_a_real_display():
    said: list[str] = []

    def hear(line: str) -> None:
        wait_for(lambda: line in said, 20.0, f"{line!r} never came, only {said}")
        said.clear()

    with open_display() as display:
        display.key_down("Right")  # held before the window opens
        process = subprocess.Popen(
            [sys.executable, "-c", ECHO], env=display.environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            listener = threading.Thread(target=lambda: said.extend(line.strip() for line in lines), daemon=True)
            listener.start()
            window = display.window("echo")
            display.give_focus(window)
            wait_for(lambda: red_pixels(display.picture()) == 160 * 180, 20.0, "the picture is not shown")
            display.xdotool("sleep", "1.0")
            assert {line.split()[0] for line in said} == {"0"}  # nothing but a key that was held before
            display.key_up("Right")
            for key, does, now in (
                ("Left", "keydown", "1"), ("w", "keydown", "5"), ("Left", "keyup", "4"), ("w", "keyup", "0"),
            ):  # fmt: skip
                display.xdotool(does, key)
                hear(f"{now} True []")
            display.tap("space")
            hear("0 True ['TAKE_OVER']")
            display.give_focus(None)
            hear("0 False []")
            display.ask_to_close(window)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def red_pixels(picture: np.ndarray) -> int:
    return int((picture == (255, 0, 0)).all(axis=2).sum())
