"""The window of `render_mode="human"`."""

from __future__ import annotations

import numpy as np
import pytest

from forestpilot.sim.rendering.window import Window, WindowError


def test_a_window_shows_pictures_of_any_size_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(64, 48, "test")
    assert window.show(np.full((48, 64, 3), 200, np.uint8))
    assert window.show(np.zeros((24, 32, 3), np.uint8))
    window.close()
    window.close()
    assert not window.is_open
    assert window.show(np.zeros((24, 32, 3), np.uint8)) is False


def test_closing_the_window_by_hand_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(64, 48)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert window.show(np.zeros((48, 64, 3), np.uint8)) is False
    assert not window.is_open


def test_without_a_display_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WindowError, match="rgb_array"):
        Window(64, 48)


def test_a_window_with_a_rate_waits_for_its_clock() -> None:
    class Clock:
        ticks: list[int] = []

        def tick(self, fps: int) -> None:
            self.ticks.append(fps)

    window = Window(64, 48, fps=50)
    window._clock = Clock()
    for _ in range(3):
        window.show(np.zeros((48, 64, 3), np.uint8))
    window.close()
    assert Clock.ticks == [50, 50, 50]
