"""Sizes of films and screens, as people write them: `960x540`."""

from __future__ import annotations

import re

from forestpilot.sim.errors import ForestPilotError

MIN_SIZE = (320, 180)
"""Least width and height in pixels."""
MAX_SIZE = (3840, 2160)
"""Largest width and height in pixels."""


class SizeError(ForestPilotError, ValueError):
    """A text that is no size, or a size that is not allowed."""


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels from text such as `960x540`, rounded down to even numbers, which yuv420p needs.

    Raises:
        SizeError: the text is no size, or it is smaller than 320x180 or larger than 3840x2160.
    """
    match = re.fullmatch(r"\s*(?P<width>\d+)\s*[xX]\s*(?P<height>\d+)\s*", text)
    if match is not None:
        width = _even(int(match["width"]))
        height = _even(int(match["height"]))
        if MIN_SIZE[0] <= width <= MAX_SIZE[0] and MIN_SIZE[1] <= height <= MAX_SIZE[1]:
            return width, height
    raise SizeError(f"video size is {text!r}; give WIDTHxHEIGHT from 320x180 to 3840x2160, for example 960x540")


def _even(pixels: int) -> int:
    return pixels // 2 * 2
