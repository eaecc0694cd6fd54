"""The picture of a trip: chase view, the three policy views, a map, and what policy and expert want.

OpenCV draws; it is imported when the first picture is, because its wheel needs libGL, which small machines lack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import ForestPilotError
from sim.worlds.world import World

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

INK, DIM, PANEL, EDGE = (236, 238, 240), (150, 158, 166), (24, 28, 32), (52, 58, 64)
POLICY, EXPERT = (84, 200, 255), (255, 186, 64)
GOOD, BAD = (96, 212, 120), (244, 84, 72)
VIEW_NAMES = ("left", "center", "right")
COST_RANGE = 100.0
"""Costs this much above the best candidate draw the shortest, reddest bar; the scale is logarithmic, because a graze
costs a few units and a crash hundreds."""


class DrawingError(ForestPilotError):
    """OpenCV cannot be used on this machine."""


def import_cv2() -> ModuleType:
    """OpenCV, imported late.

    Raises:
        DrawingError: it is not installed, or a library of the system that it needs is missing; says which and how to
            get it.
    """
    try:
        import cv2
    except ImportError as error:
        if "libGL" in str(error) or "libgthread" in str(error):
            raise DrawingError(
                f"OpenCV cannot load ({error}). Debian/Ubuntu: apt install libgl1 libglib2.0-0; Fedora: dnf install "
                "mesa-libGL; without root: pip uninstall opencv-python && pip install opencv-python-headless"
            ) from error
        raise DrawingError(f"OpenCV cannot be imported ({error}); install it: pip install opencv-python") from error
    return cv2


@dataclass(frozen=True)
class Moment:
    """What there is to show of one instant of a trip."""

    chase: Image
    """(h, w, 3) uint8 of any size, best `TripPainter.chase_size`."""
    views: Image
    """(3, h, w, 3) uint8, left, center, right."""
    path_m: NDArray[Any]
    """(n, 2 or 3) positions so far in metres, the present one last."""
    yaw_rad: float
    """Heading in radians."""
    speed_mps: float
    """Speed in m/s."""
    time_s: float
    """Time since the start in seconds."""
    turn_rad: float | None = None
    """Heading change that the pilot asks for, radians, left positive."""
    expert_turn_rad: float | None = None
    """Heading change that the expert would ask for."""
    costs: NDArray[Any] | None = None
    """(K,) cost of each candidate turn."""
    outcome: str = "running"
    """running, success, collision, out_of_bounds or timeout."""


@dataclass(frozen=True)
class Layout:
    """Where the parts of a picture are, in pixels: views below the chase view, text and map to their right."""

    width: int
    height: int

    @property
    def side_width(self) -> int:
        """Width of the column with text and map."""
        return round(0.23 * self.width)

    @property
    def main_width(self) -> int:
        """Width of chase view and strip."""
        return self.width - self.side_width

    @property
    def strip_height(self) -> int:
        """Height of the three policy views, which are 4:3."""
        return round(self.main_width / 3 * 0.75)

    @property
    def chase_height(self) -> int:
        """Height of the chase view."""
        return self.height - self.strip_height

    @property
    def text_size(self) -> float:
        """Height of a capital letter in pixels."""
        return max(7.0, self.height / 44)

    @property
    def text_height(self) -> int:
        """Height of the block of text above the map."""
        return round(self.text_size * 1.9 * 6.6)


class TripPainter:
    """Composes one picture after another of one trip; everything that stays the same is drawn once."""

    def __init__(
        self,
        size: tuple[int, int],
        world: World,
        title: str,
        candidate_turns_rad: tuple[float, ...],
        horizontal_fov_deg: float = 80.0,
        subtitle: str = "",
        costs_of: str = "expert",
    ) -> None:
        """Prepare the map and the frame.

        Args:
            size: width and height of the picture in pixels, at least 320x180.
            world: the world that is crossed.
            title: first line, for example the policy's name.
            candidate_turns_rad: (K,) turns that the costs belong to.
            horizontal_fov_deg: field of view of the policy's cameras, drawn on the map.
            subtitle: second line, for example seed and density of the world.
            costs_of: whose costs the fan shows, `expert` or `policy`.
        """
        self._cv2 = import_cv2()
        self._layout = Layout(*size)
        self._title, self._subtitle, self._costs_of = title, subtitle, costs_of
        self._turns = candidate_turns_rad
        self._half_fov = math.radians(horizontal_fov_deg) / 2
        layout = self._layout
        pad = round(layout.text_size * 0.8)
        self._map = TreeMap(
            self._cv2, world, (layout.side_width - 2 * pad, layout.height - layout.text_height - pad), layout.text_size
        )
        self._pad = pad

    @property
    def chase_size(self) -> tuple[int, int]:
        """Width and height in pixels that the chase view should be rendered at."""
        return self._layout.main_width, self._layout.chase_height

    def paint(self, moment: Moment) -> Image:
        """The composed picture, (height, width, 3) uint8 RGB, freshly allocated."""
        layout = self._layout
        picture: Image = np.full((layout.height, layout.width, 3), PANEL, np.uint8)
        chase = self._fit(moment.chase, *self.chase_size)
        picture[: layout.chase_height, : layout.main_width] = chase
        self._paint_turns(picture, moment)
        self._paint_views(picture, moment.views)
        self._paint_text(picture, moment)
        if moment.outcome != "running":
            self._paint_outcome(picture, moment.outcome)
        painted = self._map.paint(moment.path_m, moment.yaw_rad, self._half_fov)
        top, left = layout.text_height, layout.main_width + (layout.side_width - painted.shape[1]) // 2
        picture[top : top + painted.shape[0], left : left + painted.shape[1]] = painted
        return picture

    def _fit(self, image: Image, width: int, height: int) -> Image:
        if image.shape[:2] == (height, width):
            return image
        cv2 = self._cv2
        larger = image.shape[1] < width
        resized: Image = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_LINEAR if larger else cv2.INTER_AREA
        )
        return resized

    def _paint_views(self, picture: Image, views: Image) -> None:
        """The three policy views side by side, pixels left visible: that is all the policy sees."""
        layout, cv2 = self._layout, self._cv2
        edges = np.linspace(0, layout.main_width, 4).round().astype(int)
        for name, view, left, right in zip(VIEW_NAMES, views, edges[:-1], edges[1:], strict=True):
            size = (int(right - left), layout.strip_height)
            picture[layout.chase_height :, left:right] = cv2.resize(view, size, interpolation=cv2.INTER_NEAREST)
            label_width = self._text_width(name, 0.8) + self._pad
            _darken(picture[layout.height - round(1.9 * layout.text_size) :, left : left + label_width])
            self._text(picture, name, (left + self._pad // 2, layout.height - round(0.6 * layout.text_size)), INK, 0.8)
        cv2.line(picture, (0, layout.chase_height), (layout.main_width, layout.chase_height), PANEL, 2)
        for left in edges[1:-1]:
            cv2.line(picture, (int(left), layout.chase_height), (int(left), layout.height), PANEL, 2)

    def _paint_turns(self, picture: Image, moment: Moment) -> None:
        """A fan of bars, one per candidate turn (long and green: cheap), and needles for pilot and expert."""
        layout, cv2 = self._layout, self._cv2
        # In the corner, so that the vehicle in the middle stays in sight.
        radius = layout.chase_height * 0.36
        hub = (round(layout.main_width - 1.15 * radius), layout.chase_height - round(layout.text_size))
        region = picture[: layout.chase_height, : layout.main_width]
        if moment.costs is not None:
            overlay = region.copy()
            cv2.ellipse(overlay, hub, (round(1.08 * radius),) * 2, 0, 205, 335, PANEL, -1, cv2.LINE_AA)
            costs = np.asarray(moment.costs, float)
            badness = np.clip(np.log1p(costs - np.nanmin(costs)) / math.log1p(COST_RANGE), 0.0, 1.0)
            half = 0.4 * (self._turns[-1] - self._turns[0]) / max(1, len(self._turns) - 1)
            for turn, bad in zip(self._turns, np.nan_to_num(badness, nan=1.0), strict=True):
                reach = radius * (1.0 - 0.6 * bad)
                rim = [_polar(hub, reach, turn + half), _polar(hub, reach, turn - half)]
                foot = [_polar(hub, 0.2 * radius, turn - half), _polar(hub, 0.2 * radius, turn + half)]
                cv2.fillPoly(overlay, [np.array(rim + foot, np.int32)], _mix(GOOD, BAD, float(bad)), cv2.LINE_AA)
            cv2.addWeighted(overlay, 0.8, region, 0.2, 0.0, dst=region)
        # The expert's needle is wider and longer, so that it shows behind the policy's where both agree.
        for turn_rad, color, wide, long in (
            (moment.expert_turn_rad, EXPERT, 0.42, 1.12),
            (moment.turn_rad, POLICY, 0.18, 1.0),
        ):
            if turn_rad is not None:
                end = _polar(hub, long * radius, turn_rad)
                cv2.line(region, hub, end, PANEL, self._thick(wide + 0.16), cv2.LINE_AA)
                cv2.line(region, hub, end, color, self._thick(wide), cv2.LINE_AA)
                cv2.circle(region, end, self._thick(0.30), color, -1, cv2.LINE_AA)
        self._paint_legend(region, moment)

    def _paint_legend(self, region: Image, moment: Moment) -> None:
        lines: list[tuple[str, Color]] = []
        if moment.turn_rad is not None:
            lines.append((f"policy {math.degrees(moment.turn_rad):+.0f} deg", POLICY))
        if moment.expert_turn_rad is not None:
            lines.append((f"expert {math.degrees(moment.expert_turn_rad):+.0f} deg", EXPERT))
        if moment.costs is not None:
            lines.append((f"fan: {self._costs_of}'s costs", INK))
        if not lines:
            return
        step = round(self._layout.text_size * 1.7)
        width = max(self._text_width(line, 0.85) for line, _ in lines) + 2 * self._pad
        top = region.shape[0] - len(lines) * step - self._pad
        _darken(region[top:, :width])
        for i, (line, color) in enumerate(lines):
            self._text(region, line, (self._pad, top + (i + 1) * step - self._pad // 4), color, 0.85)

    def _paint_text(self, picture: Image, moment: Moment) -> None:
        """Title, world, speed and time, outcome, at the top of the right column."""
        layout = self._layout
        left = layout.main_width + self._pad
        color = {"running": DIM, "success": GOOD}.get(moment.outcome, BAD)
        lines = [
            (self._title, INK, 1.0),
            (self._subtitle, DIM, 0.8),
            (f"{moment.speed_mps:4.1f} m/s", INK, 1.0),
            (f"{moment.time_s:5.1f} s", INK, 1.0),
            (moment.outcome.replace("_", " "), color, 1.0),
        ]
        step = layout.text_size * 2.0
        for i, (line, ink, scale) in enumerate(lines):
            room = layout.width - left - self._pad
            self._text(picture, line, (left, round(step * (i + 1) + layout.text_size * 0.4)), ink, scale, room=room)

    def _paint_outcome(self, picture: Image, outcome: str) -> None:
        """A banner over the chase view once the trip has ended."""
        layout, cv2 = self._layout, self._cv2
        color = GOOD if outcome == "success" else BAD
        text = outcome.replace("_", " ").upper()
        half = round(layout.text_size * 1.9)
        middle = round(layout.chase_height * 0.16)
        band = picture[middle - half : middle + half, : layout.main_width]
        _darken(band)
        width = self._text_width(text, 1.7)
        origin = ((layout.main_width - width) // 2, middle + round(layout.text_size * 0.85))
        self._text(picture, text, origin, color, 1.7)
        cv2.rectangle(picture, (0, 0), (layout.main_width - 1, layout.chase_height - 1), color, self._thick(0.3))

    def _text(
        self,
        picture: Image,
        text: str,
        origin: tuple[int, int],
        color: Color,
        scale: float = 1.0,
        room: int | None = None,
    ) -> None:
        """Text whose baseline starts at `origin`; shrunk to `room` pixels if it is too wide."""
        cv2 = self._cv2
        if room is not None:
            scale *= min(1.0, room / max(1, self._text_width(text, scale)))
        height, thickness = self._font(scale)
        cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, height, color, thickness, cv2.LINE_AA)

    def _text_width(self, text: str, scale: float) -> int:
        height, thickness = self._font(scale)
        return int(self._cv2.getTextSize(text, self._cv2.FONT_HERSHEY_SIMPLEX, height, thickness)[0][0])

    def _font(self, scale: float) -> tuple[float, int]:
        # A capital of Hershey Simplex is 21 pixels high at font scale 1.
        return self._layout.text_size * scale / 21, max(1, round(self._layout.text_size * scale / 11))

    def _thick(self, share: float) -> int:
        return max(1, round(self._layout.text_size * share))


class TreeMap:
    """The forest from above, x up and y to the left, with the path so far."""

    def __init__(self, cv2: ModuleType, world: World, room: tuple[int, int], text_size: float) -> None:
        """Draw what does not move into a picture that fits into `room` (width, height) pixels."""
        self._cv2 = cv2
        x_min, x_max, y_min, y_max = world.bounds_m
        self._scale = min(room[0] / (y_max - y_min), room[1] / (x_max - x_min))
        self._corner = (x_max, y_max)
        self._thick = max(1, round(text_size * 0.22))
        shape = (round((x_max - x_min) * self._scale), round((y_max - y_min) * self._scale), 3)
        self._ground: Image = np.full(shape, (44, 54, 42), np.uint8)
        self._paint_trail(world)
        self._paint_trees(world)
        goal = self._pixel(world.goal_m)
        cv2.circle(self._ground, goal, round(world.goal_radius_m * self._scale), GOOD, self._thick, cv2.LINE_AA)
        cv2.drawMarker(self._ground, goal, GOOD, cv2.MARKER_CROSS, round(text_size), self._thick, cv2.LINE_AA)
        cv2.circle(self._ground, self._pixel(world.start_m), max(2, self._thick), INK, -1, cv2.LINE_AA)
        cv2.rectangle(self._ground, (0, 0), (shape[1] - 1, shape[0] - 1), EDGE, 1)

    def paint(self, path_m: NDArray[Any], yaw_rad: float, half_fov_rad: float) -> Image:
        """A fresh picture with the path, the vehicle and its field of view."""
        cv2 = self._cv2
        picture = self._ground.copy()
        points = np.array([self._pixel(point) for point in path_m], np.int32)
        here = (int(points[-1, 0]), int(points[-1, 1]))
        self._paint_view(picture, here, yaw_rad, half_fov_rad)
        cv2.polylines(picture, [points.reshape(-1, 1, 2)], False, POLICY, self._thick, cv2.LINE_AA)
        size = 3.0 * self._thick
        corners = [_polar(here, size * reach, yaw_rad + turn) for reach, turn in ((1.6, 0.0), (1.1, 2.5), (1.1, -2.5))]
        cv2.fillPoly(picture, [np.array(corners, np.int32)], INK, cv2.LINE_AA)
        return picture

    def _paint_view(self, picture: Image, here: tuple[int, int], yaw_rad: float, half_fov_rad: float) -> None:
        """The center camera's field of view as a pale wedge of 12 m."""
        cv2 = self._cv2
        reach = 12.0 * self._scale
        angles = np.linspace(yaw_rad - half_fov_rad, yaw_rad + half_fov_rad, 12)
        wedge = np.array([here, *(_polar(here, reach, angle) for angle in angles)], np.int32)
        overlay = picture.copy()
        cv2.fillPoly(overlay, [wedge], INK, cv2.LINE_AA)
        cv2.addWeighted(overlay, 0.16, picture, 0.84, 0.0, dst=picture)

    def _paint_trail(self, world: World) -> None:
        for ribbon in world.ribbons:
            points = np.array([self._pixel(point) for point in ribbon.points_m], np.int32)
            width = max(1, round(2 * ribbon.half_width_m * self._scale))
            self._cv2.polylines(self._ground, [points], ribbon.closed, (92, 84, 66), width, self._cv2.LINE_AA)

    def _paint_trees(self, world: World) -> None:
        """Crowns faintly, trunks on top of them in full: trunks are what a trip must miss."""
        cv2 = self._cv2
        crowns = self._ground.copy()
        for tree in world.trees:
            cv2.circle(crowns, self._pixel(tree), max(1, round(tree[4] * self._scale)), (74, 116, 70), -1, cv2.LINE_AA)
        cv2.addWeighted(crowns, 0.45, self._ground, 0.55, 0.0, dst=self._ground)
        for tree in world.trees:
            radius = max(2, round(tree[2] * self._scale))
            cv2.circle(self._ground, self._pixel(tree), radius, (206, 168, 120), -1, cv2.LINE_AA)

    def _pixel(self, point: Any) -> tuple[int, int]:
        column = (self._corner[1] - float(point[1])) * self._scale
        row = (self._corner[0] - float(point[0])) * self._scale
        return round(column), round(row)


def _polar(center: tuple[int, int], radius: float, turn_rad: float) -> tuple[int, int]:
    """The pixel at a distance from a center, `turn_rad` to the left of straight up."""
    return round(center[0] - radius * math.sin(turn_rad)), round(center[1] - radius * math.cos(turn_rad))


def _darken(region: Image) -> None:
    """Let a region recede, in place, so that text on it can be read."""
    region[:] = (region * 0.35 + np.array(PANEL) * 0.65).astype(np.uint8)


def _mix(a: Color, b: Color, share: float) -> Color:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue
