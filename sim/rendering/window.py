"""A window on the screen that shows images: `render_mode="human"`, and what a human steers by."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.bullet_import import silent_descriptors
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.extras import require

_BLIND_DRIVERS = ("offscreen", "dummy")
WITHOUT_SCREEN = "without a screen use render_mode='rgb_array', or start a virtual display: xvfb-run -a COMMAND"


class WindowError(ForestPilotError):
    """No window can be opened on this machine."""


class Window:
    """Shows RGB images until it is closed, by the program or by the human at the screen.

    pygame is imported when the first window opens, so that headless work never loads it.
    """

    def __init__(
        self,
        width: int,
        height: int,
        title: str = "ForestPilot",
        fps: int | None = None,
        resizable: bool = False,
        advice: str = WITHOUT_SCREEN,
    ) -> None:
        """Open a window.

        Args:
            width: width in pixels.
            height: height in pixels.
            title: what the window is called.
            fps: images per second at most; None does not wait.
            resizable: let the human change its size; images keep their proportions.
            advice: what to do where there is no display, for the message.

        Raises:
            WindowError: pygame is missing, or there is no display.
        """
        self._pygame = import_pygame()
        self._screen: Any = None
        self._fps, self._clock = fps, self._pygame.time.Clock()
        try:
            # Where there is no desktop, SDL says so on standard error too; the exception is enough.
            with silent_descriptors():
                self._pygame.display.init()
                flags = self._pygame.RESIZABLE if resizable else 0
                self._screen = self._pygame.display.set_mode((width, height), flags)
        except self._pygame.error as error:
            raise WindowError(f"cannot open a window ({error}); {advice}") from error
        # SDL falls back to drivers that draw nowhere; that is fine when it was asked for, as tests do, but no window.
        if self._pygame.display.get_driver() in _BLIND_DRIVERS and "SDL_VIDEODRIVER" not in os.environ:
            self.close()
            raise WindowError(f"there is no display to open a window on; {advice}")
        self._pygame.display.set_caption(title)

    @property
    def is_open(self) -> bool:
        """False once the window has been closed."""
        return self._screen is not None

    def events(self) -> list[Any]:
        """pygame's events since the last call; the one that asks to close the window does so."""
        if self._screen is None:
            return []
        events: list[Any] = self._pygame.event.get()
        if any(event.type == self._pygame.QUIT for event in events):
            self.close()
        return events

    def show(self, rgb: NDArray[np.uint8]) -> bool:
        """Show an image (H, W, 3) uint8, scaled to the window; a closed window ignores it.

        Returns:
            Whether the window is still open.
        """
        self.events()
        self.draw(rgb)
        if self._fps and self.is_open:
            self._clock.tick(self._fps)
        return self.is_open

    def draw(self, rgb: NDArray[np.uint8]) -> None:
        """Show an image (H, W, 3) uint8 at once, as large as fits, and leave the events alone."""
        if self._screen is None:
            return
        image = self._pygame.image.frombuffer(np.ascontiguousarray(rgb), (rgb.shape[1], rgb.shape[0]), "RGB")
        surface = self._pygame.display.get_surface()
        room, size = surface.get_size(), image.get_size()
        scale = min(room[0] / size[0], room[1] / size[1])
        fitting = (max(1, round(scale * size[0])), max(1, round(scale * size[1])))
        if size != fitting:
            image = self._pygame.transform.smoothscale(image, fitting)
        if fitting != room:
            surface.fill((0, 0, 0))
        surface.blit(image, ((room[0] - fitting[0]) // 2, (room[1] - fitting[1]) // 2))
        self._pygame.display.flip()

    def close(self) -> None:
        """Close the window; harmless when repeated."""
        if self._screen is not None:
            self._screen = None
            self._pygame.display.quit()


def import_pygame() -> Any:
    """pygame, imported late.

    Raises:
        WindowError: it is not installed.
    """
    # pygame greets on standard output, which is for results.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        return require("pygame")
    except ImportError as error:
        raise WindowError(f"a window cannot be opened: {error}") from error
