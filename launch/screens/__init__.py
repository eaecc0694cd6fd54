"""Screens that a human flies or drives by: a window on this machine, or a page in a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from forestpilot.data_collection.people.console import Screen
from forestpilot.launch.pictures.sizes import MAX_SIZE, MIN_SIZE, SizeError, parse_size
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.ranges import Range, require_ranges


class ScreenError(ForestPilotError, ValueError):
    """A screen cannot be opened as asked."""


@dataclass(frozen=True)
class ScreenConfig:
    """Size of the pictures that a human steers by, and where a browser finds them (with --web)."""

    size: str = "1280x720"
    """Width and height of the pictures in pixels, from 320x180 to 3840x2160."""
    host: str = "127.0.0.1"
    """Address that the page is served on. Others than 127.0.0.1 let the whole network reach it, unencrypted."""
    port: Annotated[int, Range(0, 65_535)] = 8765
    """Port that the page is served on; 0 takes any free one."""
    quality: Annotated[int, Range(10, 95)] = 80
    """JPEG quality of the pictures in the browser, 10 to 95; less is faster over a slow line."""

    def __post_init__(self) -> None:
        require_ranges(self)
        try:
            parse_size(self.size)
        except SizeError:
            low_w, low_h = MIN_SIZE
            high_w, high_h = MAX_SIZE
            allowed = f"WIDTHxHEIGHT from {low_w}x{low_h} to {high_w}x{high_h}, for example 1280x720"
            raise ScreenError(f"the screen's size is {self.size!r}; give {allowed}") from None
        if not self.host.strip():
            raise ScreenError("the screen's host is empty; give an address of this machine, for example 127.0.0.1")


def open_screen(config: ScreenConfig, web: bool, title: str) -> Screen:
    """Open a window on this machine, or serve a page and print its address; close it when done.

    Args:
        config: size, and where the page is served.
        web: whether a browser shows it.
        title: what the window or the page is called.

    Raises:
        ForestPilotError: there is no display to open a window on, or the page cannot be served; says what to do.
    """
    width, height = parse_size(config.size)
    if web:
        from forestpilot.launch.screens.web import WebScreen

        return WebScreen(width, height, title, config.host, config.port, config.quality)
    from forestpilot.launch.screens.window import WindowScreen

    return WindowScreen(width, height, title)
