"""Letters and panels on pictures, at any size: OpenCV's stroked font, so that no font file is needed."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from forestpilot.launch.pictures.colors import PANEL, Color, Image
from forestpilot.launch.pictures.opencv import import_cv2

Pixel = tuple[int, int]
"""Column and row."""
DARKER = (np.arange(256)[None, :, None] * 0.35 + np.array(PANEL) * 0.65).astype(np.uint8)
"""(1, 256, 3) each value of red, green and blue in a region that recedes."""

KNOWN_WIDTHS = 500
"""Texts whose width a pen remembers: most stand in every picture of a film."""


class Pen:
    """Writes on pictures in sizes relative to one height of capital letters."""

    def __init__(self, cv2: ModuleType, text_size: float) -> None:
        """`text_size` is the height of a capital letter at scale 1, in pixels."""
        self.cv2 = cv2
        self.text_size = text_size
        self._widths: dict[tuple[str, float], int] = {}

    @property
    def pad(self) -> int:
        """Pixels that text keeps from a rim."""
        return round(self.text_size * 0.8)

    def write(
        self,
        picture: Image,
        text: str,
        origin: Pixel,
        color: Color,
        scale: float = 1.0,
        room: int | None = None,
    ) -> None:
        """Text whose baseline starts at `origin`; shrunk to `room` pixels if it is too wide."""
        cv2 = self.cv2
        if room is not None:
            scale *= min(1.0, room / max(1, self.width(text, scale)))
        cv2.putText(
            picture,
            text,
            origin,
            cv2.FONT_HERSHEY_SIMPLEX,
            self._font_scale(scale),
            color,
            self._font_thickness(scale),
            cv2.LINE_AA,
        )

    def width(self, text: str, scale: float = 1.0) -> int:
        """Width of a text in pixels."""
        known = self._widths.get((text, scale))
        if known is not None:
            return known
        font = self.cv2.FONT_HERSHEY_SIMPLEX
        size, _ = self.cv2.getTextSize(text, font, self._font_scale(scale), self._font_thickness(scale))
        if len(self._widths) >= KNOWN_WIDTHS:
            self._widths.clear()
        width = self._widths[text, scale] = int(size[0])
        return width

    def label(
        self, picture: Image, text: str, corner: Pixel, color: Color, scale: float = 1.0, right: bool = False
    ) -> None:
        """Text on a darkened plate whose upper left (with `right`: upper right) corner is at `corner`."""
        left, top = corner
        pad = round(self.text_size * scale * 0.7)
        width = self.width(text, scale) + 2 * pad
        height = round(self.text_size * scale) + 2 * pad
        if right:
            left -= width
        darken(picture[max(0, top) : top + height, max(0, left) : left + width])
        self.write(picture, text, (left + pad, top + height - pad), color, scale)

    def thick(self, share: float) -> int:
        """Thickness of a line in pixels, as a share of the text's height."""
        return max(1, round(self.text_size * share))

    def _font_scale(self, scale: float) -> float:
        # A capital of Hershey Simplex is 21 pixels high at font scale 1.
        return self.text_size * scale / 21

    def _font_thickness(self, scale: float) -> int:
        return max(1, round(self.text_size * scale / 11))


def darken(region: Image) -> None:
    """Let a region recede, in place, so that text on it can be read."""
    if region.size:
        region[:] = import_cv2().LUT(region, DARKER)


def paste(page: Image, picture: Image, left: int, top: int) -> None:
    """Put a picture on a page, in place, its upper left corner at column `left` and row `top`."""
    page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture


def fitted(cv2: ModuleType, image: Image, size: tuple[int, int]) -> Image:
    """The image in another size (width, height) in pixels; the same object if it has it already."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    resized: Image = np.empty((height, width, 3), np.uint8)
    fit(cv2, image, resized)
    return resized


def fit(cv2: ModuleType, image: Image, region: Image) -> None:
    """Fill a region of a picture, in place, with an image of any size."""
    height, width, _ = region.shape
    if image.shape == region.shape:
        region[:] = image
        return
    how = cv2.INTER_CUBIC if image.shape[1] < width else cv2.INTER_AREA
    cv2.resize(image, (width, height), dst=region, interpolation=how)
