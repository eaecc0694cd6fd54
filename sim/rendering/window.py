"""A window on the screen that shows images: `render_mode="human"`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.bullet_import import silent_descriptors
from sim.errors import ForestPilotError

_BLIND_DRIVERS = ("offscreen", "dummy")
_WITHOUT_SCREEN = "without a screen use render_mode='rgb_array', or start a virtual display: xvfb-run -a COMMAND"


class WindowError(ForestPilotError):
    """No window can be opened on this machine."""


class Window:
    """Shows RGB images until it is closed, by the program or by the person at the screen.

    pygame is imported when the first window opens, so that headless work never loads it.
    """

    def __init__(self, width: int, height: int, title: str = "ForestPilot", fps: int | None = None) -> None:
        """Open a window of `width` x `height` pixels, which shows at most `fps` images per second, if given.

        Raises:
            WindowError: pygame is missing, or there is no display.
        """
        self._pygame = _import_pygame()
        self._size = (width, height)
        self._screen: Any = None
        self._fps, self._clock = fps, self._pygame.time.Clock()
        try:
            # Where there is no desktop, SDL says so on standard error too; the exception is enough.
            with silent_descriptors():
                self._pygame.display.init()
                self._screen = self._pygame.display.set_mode(self._size)
        except self._pygame.error as error:
            raise WindowError(f"cannot open a window ({error}); {_WITHOUT_SCREEN}") from error
        # SDL falls back to drivers that draw nowhere; that is fine when it was asked for, as tests do, but no window.
        if self._pygame.display.get_driver() in _BLIND_DRIVERS and "SDL_VIDEODRIVER" not in os.environ:
            self.close()
            raise WindowError(f"there is no display to open a window on; {_WITHOUT_SCREEN}")
        self._pygame.display.set_caption(title)

    @property
    def is_open(self) -> bool:
        """False once the window has been closed."""
        return self._screen is not None

    def show(self, rgb: NDArray[np.uint8]) -> bool:
        """Show an image (H, W, 3) uint8, scaled to the window; a closed window ignores it.

        Returns:
            Whether the window is still open.
        """
        if self._screen is None:
            return False
        if any(event.type == self._pygame.QUIT for event in self._pygame.event.get()):
            self.close()
            return False
        surface = self._pygame.image.frombuffer(
            np.ascontiguousarray(rgb).tobytes(), (rgb.shape[1], rgb.shape[0]), "RGB"
        )
        if surface.get_size() != self._size:
            surface = self._pygame.transform.smoothscale(surface, self._size)
        self._screen.blit(surface, (0, 0))
        self._pygame.display.flip()
        if self._fps:
            self._clock.tick(self._fps)
        return True

    def close(self) -> None:
        """Close the window; harmless when repeated."""
        if self._screen is not None:
            self._screen = None
            self._pygame.display.quit()


def _import_pygame() -> Any:
    # pygame greets on standard output, which is for results.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        raise WindowError(f"a window needs pygame-ce ({error}); install it: pip install pygame-ce") from error
    return pygame
