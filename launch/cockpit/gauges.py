"""What a human at the keys reads at a glance: key caps, gauges, and where the parts of the cockpit are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forestpilot.data_collection.people.console import Key
from forestpilot.launch.pictures.colors import DIM, EDGE, GOOD, INK, PANEL, Color, Image
from forestpilot.launch.pictures.pen import Pen

Point = tuple[int, int]
"""Column and row of a pixel."""


@dataclass(frozen=True)
class Rect:
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column beyond it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """First row beyond it."""
        return self.top + self.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    def cut(self, picture: Image) -> Image:
        """The part of a picture, to be drawn on in place."""
        return picture[self.top : self.bottom, self.left : self.right]

    def inner(self, margin: int) -> Rect:
        """This without a margin on every side."""
        return Rect(
            self.left + margin, self.top + margin, max(1, self.width - 2 * margin), max(1, self.height - 2 * margin)
        )


@dataclass(frozen=True)
class CockpitLayout:
    """Places of the parts of a cockpit of a size.

    A bar on top; below it the three views, the center one larger; under the side ones the controls and what the policy
    sees; then chase view, map and figures; at the bottom a line of help.
    """

    width: int
    """Width of the picture in pixels."""
    height: int
    """Height of the picture in pixels."""
    map_share: float = 0.30
    """Share of the width that the map has; what it leaves, the chase view gets."""

    @property
    def text_size(self) -> float:
        """Height of a capital letter in pixels."""
        return max(4.5, min(self.height / 52, self.width / 92))

    @property
    def bar(self) -> Rect:
        """Bar that says who drives and what is recorded."""
        return Rect(0, 0, self.width, round(self.text_size * 3.1))

    @property
    def help(self) -> Rect:
        """One line of keys."""
        height = round(self.text_size * 1.9)
        return Rect(0, self.height - height, self.width, height)

    @property
    def views(self) -> tuple[Rect, Rect, Rect]:
        """The left, center and right view, each 4:3."""
        wide = round(min(0.42 * self.width, 0.56 * self.height * 4 / 3))
        side = min((self.width - wide) // 2, round(0.69 * wide))
        left = (self.width - wide) // 2
        top = self.bar.bottom
        side_height = round(0.75 * side)
        return (
            Rect(left - side, top, side, side_height),
            Rect(left, top, wide, round(0.75 * wide)),
            Rect(left + wide, top, side, side_height),
        )

    @property
    def center_view(self) -> Rect:
        """The largest of the three views."""
        _, center, _ = self.views
        return center

    @property
    def controls(self) -> Rect:
        """Keys and gauges, under the left view."""
        left, _, _ = self.views
        return self._under(left)

    @property
    def policy_views(self) -> Rect:
        """The policy's own pictures, under the right view."""
        _, _, right = self.views
        return self._under(right)

    def _under(self, view: Rect) -> Rect:
        return Rect(view.left, view.bottom, view.width, self.center_view.bottom - view.bottom)

    @property
    def _row(self) -> tuple[int, int]:
        """Top and height of the lower row."""
        top = self.center_view.bottom
        return top, self.help.top - top

    @property
    def chase(self) -> Rect:
        """The view from behind."""
        top, height = self._row
        return Rect(0, top, min(round((0.66 - self.map_share) * self.width), round(height * 2.2)), height)

    @property
    def map(self) -> Rect:
        """The world from above."""
        top, height = self._row
        return Rect(self.chase.right, top, min(round(self.map_share * self.width), 2 * height), height)

    @property
    def figures(self) -> Rect:
        """Speed, clearance, time and the like."""
        top, height = self._row
        return Rect(self.map.right, top, self.width - self.map.right, height)


_CAPS = ((Key.FORWARD, 1, 0), (Key.LEFT, 0, 1), (Key.BACK, 1, 1), (Key.RIGHT, 2, 1))
"""Column and row of each key cap."""
_ARROWS: dict[Key, tuple[tuple[float, float], ...]] = {
    Key.FORWARD: ((0.0, -1.0), (0.9, 0.7), (-0.9, 0.7)),
    Key.BACK: ((0.0, 1.0), (0.9, -0.7), (-0.9, -0.7)),
    Key.LEFT: ((-1.0, 0.0), (0.7, 0.9), (0.7, -0.9)),
    Key.RIGHT: ((1.0, 0.0), (-0.7, 0.9), (-0.7, -0.9)),
}


def draw_keys(pen: Pen, picture: Image, area: Rect, keys: Key, color: Color) -> None:
    """Four key caps in a cross, those held filled with a colour."""
    cv2 = pen.cv2
    gap = max(1, round(0.04 * area.height))
    cap = min((area.width - 2 * gap) // 3, (area.height - gap) // 2)
    top = area.top + (area.height - 2 * cap - gap) // 2
    for key, column, row in _CAPS:
        corner = (area.left + column * (cap + gap), top + row * (cap + gap))
        opposite = (corner[0] + cap - 1, corner[1] + cap - 1)
        fill = EDGE
        edge = DIM
        sign = DIM
        if keys & key:
            fill = color
            edge = INK
            sign = PANEL
        cv2.rectangle(picture, corner, opposite, fill, -1)
        cv2.rectangle(picture, corner, opposite, edge, pen.thick(0.12))
        middle = np.array([corner[0] + cap / 2, corner[1] + cap / 2])
        arrow = middle + 0.22 * cap * np.array(_ARROWS[key])
        cv2.fillPoly(picture, [arrow.round().astype(np.int32)], sign, cv2.LINE_AA)


def draw_axis(
    pen: Pen, picture: Image, area: Rect, value: float, color: Color, upright: bool, ends: tuple[str, str, str]
) -> None:
    """A gauge from -1 to 1 that fills from its middle.

    Args:
        pen: writes.
        picture: is drawn on.
        area: the whole gauge, words included.
        value: -1 to 1; to the right or to the top is positive.
        color: of the filling.
        upright: whether the gauge stands.
        ends: words at its lower or left end, its middle, its upper or right end.
    """
    cv2 = pen.cv2
    axis = _upright(pen, area, value) if upright else _lying(pen, area, value, ends)
    low = (axis.trough.left, axis.trough.top)
    high = (axis.trough.right - 1, axis.trough.bottom - 1)
    cv2.rectangle(picture, low, high, EDGE, -1)
    cv2.rectangle(picture, *axis.filled, color, -1)
    cv2.line(picture, *axis.mark, INK, pen.thick(0.12))
    for word, place in zip(ends, axis.words, strict=True):
        pen.write(picture, word, place, DIM, 0.75)


class _Axis(NamedTuple):
    """Places of the parts of an axis."""

    trough: Rect
    """All that can fill."""
    filled: tuple[Point, Point]
    """Opposite corners of what is filled."""
    mark: tuple[Point, Point]
    """Ends of the line at the middle."""
    words: tuple[Point, Point, Point]
    """Where the words at its lower or left end, its middle, its upper or right end begin."""


def _upright(pen: Pen, area: Rect, value: float) -> _Axis:
    trough = Rect(area.left, area.top, round(1.1 * pen.text_size), area.height)
    middle = trough.top + trough.height // 2
    tip = round(trough.height / 2 * float(np.clip(value, -1, 1)))
    last = trough.right - 1
    column = trough.right + round(0.5 * pen.text_size)
    small = round(0.75 * pen.text_size)
    return _Axis(
        trough,
        filled=((trough.left, middle - max(0, tip)), (last, middle - min(0, tip))),
        mark=((trough.left, middle), (last, middle)),
        words=((column, trough.bottom - 1), (column, middle + small // 2), (column, trough.top + small)),
    )


def _lying(pen: Pen, area: Rect, value: float, ends: tuple[str, str, str]) -> _Axis:
    trough = Rect(area.left, area.top, area.width, round(1.1 * pen.text_size))
    middle = trough.left + trough.width // 2
    tip = round(trough.width / 2 * float(np.clip(value, -1, 1)))
    last = trough.bottom - 1
    row = trough.bottom + round(0.8 * round(1.5 * pen.text_size))
    _, at_middle, at_right = ends
    return _Axis(
        trough,
        filled=((middle + min(0, tip), trough.top), (middle + max(0, tip), last)),
        mark=((middle, trough.top), (middle, last)),
        words=(
            (trough.left, row),
            (middle - pen.width(at_middle, 0.75) // 2, row),
            (trough.right - pen.width(at_right, 0.75), row),
        ),
    )


def draw_speed(pen: Pen, picture: Image, area: Rect, speed_mps: float, set_point_mps: float) -> None:
    """A bar up to a third above the set point, with a mark at it."""
    cv2 = pen.cv2
    top_mps = 4 / 3 * set_point_mps
    reach = round(area.width * min(1.0, max(0.0, speed_mps / top_mps)))
    mark = area.left + round(area.width * set_point_mps / top_mps)
    cv2.rectangle(picture, (area.left, area.top), (area.right - 1, area.bottom - 1), EDGE, -1)
    cv2.rectangle(picture, (area.left, area.top), (area.left + reach, area.bottom - 1), GOOD, -1)
    reach_beyond = pen.thick(0.3)
    cv2.line(picture, (mark, area.top - reach_beyond), (mark, area.bottom + reach_beyond), INK, pen.thick(0.2))


def draw_arrow(pen: Pen, picture: Image, middle: tuple[int, int], size: int, command: str, color: Color) -> None:
    """A road sign's arrow within `size` pixels of its middle: left, straight or right."""
    side = {"left": -1, "right": 1}.get(command, 0)
    if side == 0:
        shaft = [(0.0, 1.0), (0.0, -0.3)]
        tip = [(-0.6, -0.3), (0.0, -1.0), (0.6, -0.3)]
    else:
        shaft = [(-0.5 * side, 1.0), (-0.5 * side, -0.3), (0.3 * side, -0.3)]
        tip = [(0.3 * side, -0.9), (1.0 * side, -0.3), (0.3 * side, 0.3)]
    line = (np.array(shaft) * size + middle).round().astype(np.int32)
    point = (np.array(tip) * size + middle).round().astype(np.int32)
    pen.cv2.polylines(picture, [line], False, color, max(2, round(0.35 * size)), pen.cv2.LINE_AA)
    pen.cv2.fillPoly(picture, [point], color, pen.cv2.LINE_AA)


def draw_bearing(pen: Pen, picture: Image, area: Rect, bearing_rad: float, half_fov_rad: float, color: Color) -> None:
    """A triangle at the top of a camera's view above the direction of something; at the rim, pointing outwards, where
    that is out of view. Left is positive."""
    size = 0.9 * pen.text_size
    top = area.top + pen.pad
    reach = 0.5 * area.width - 1.6 * size
    if abs(bearing_rad) < half_fov_rad:
        x = area.left + 0.5 * area.width - reach * math.tan(bearing_rad) / math.tan(half_fov_rad)
        corners = [(x - size, top), (x + size, top), (x, top + 1.5 * size)]
    else:
        side = math.copysign(1.0, bearing_rad)
        x = area.left + 0.5 * area.width - side * reach
        corners = [(x + side * size, top), (x + side * size, top + 2 * size), (x - side * size, top + size)]
    triangle = np.array(corners).round().astype(np.int32)
    pen.cv2.fillPoly(picture, [triangle], color, pen.cv2.LINE_AA)
    pen.cv2.polylines(picture, [triangle], True, PANEL, pen.thick(0.15), pen.cv2.LINE_AA)
