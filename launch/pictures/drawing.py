"""The picture of an episode: chase view, the three policy views, a map, and what policy and expert want.

OpenCV draws; it is imported when the first picture is, because its wheel needs libGL, which small machines lack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.colors import BAD, DIM, EXPERT, GOOD, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.pen import Pen, darken, fitted
from forestpilot.launch.pictures.world_map import WorldMap, polar
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.worlds.world import World

VIEW_NAMES = ("left", "center", "right")
FAN_RAD = math.radians(60)
"""How far the fan of candidate turns opens to each side."""
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
    """What there is to show of one instant of an episode."""

    chase: Image
    """(h, w, 3) uint8 of any size, best `EpisodePainter.chase_size`."""
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
    """Heading change or steering angle that the pilot asks for, radians, left positive."""
    expert_turn_rad: float | None = None
    """The same of the expert."""
    costs: NDArray[Any] | None = None
    """(K,) cost of each candidate turn."""
    outcome: str = "running"
    """running, success, collision, out_of_bounds or timeout; other words stand for an end that is no success."""
    notes: tuple[str, ...] = ()
    """More lines of text, as many as the painter has room for."""
    marks_m: NDArray[Any] | None = None
    """(k, 2) places to mark on the map, metres: where a car was put back."""
    badge: str = ""
    """A word or two on the chase view, for example `1/4 speed`."""
    clearance_m: float | None = None
    """Least distance to a tree or obstacle around this instant, in metres."""


@dataclass(frozen=True)
class Layout:
    """Where the parts of a picture are, in pixels: views below the chase view, text and map to their right."""

    width: int
    height: int
    notes: int = 0
    """Lines of text besides the ordinary five."""

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
        return round(self.text_size * (2.0 * (5 + self.notes) + 2.54))


class EpisodePainter:
    """Composes one picture after another of one episode; everything that stays the same is drawn once."""

    def __init__(
        self,
        size: tuple[int, int],
        world: World,
        title: str,
        candidate_turns_rad: tuple[float, ...],
        horizontal_fov_deg: float = 80.0,
        subtitle: str = "",
        costs_of: str = "expert",
        notes: int = 0,
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
            notes: lines of text that a moment has besides the ordinary ones.
        """
        self._cv2 = import_cv2()
        self._layout = Layout(*size, notes)
        self._title, self._subtitle, self._costs_of = title, subtitle, costs_of
        self._turns = candidate_turns_rad
        # Steering angles are half as large as changes of heading; the fan opens as wide for both.
        self._spread = FAN_RAD / candidate_turns_rad[-1]
        self._half_fov = math.radians(horizontal_fov_deg) / 2
        layout = self._layout
        self._pen = Pen(self._cv2, layout.text_size)
        self._pad = pad = self._pen.pad
        self._map = WorldMap(
            self._cv2, world, (layout.side_width - 2 * pad, layout.height - layout.text_height - pad), layout.text_size
        )

    @property
    def chase_size(self) -> tuple[int, int]:
        """Width and height in pixels that the chase view should be rendered at."""
        return self._layout.main_width, self._layout.chase_height

    def paint(self, moment: Moment) -> Image:
        """The composed picture, (height, width, 3) uint8 RGB, freshly allocated."""
        layout = self._layout
        picture: Image = np.full((layout.height, layout.width, 3), PANEL, np.uint8)
        chase = fitted(self._cv2, moment.chase, self.chase_size)
        picture[: layout.chase_height, : layout.main_width] = chase
        self._paint_turns(picture, moment)
        self._paint_views(picture, moment.views)
        self._paint_text(picture, moment)
        if moment.outcome != "running":
            self._paint_outcome(picture, moment.outcome)
        if moment.badge:
            self._pen.label(picture, moment.badge, (self._pad, self._pad), EXPERT, 1.2)
        painted = self._map.paint(moment.path_m, moment.yaw_rad, self._half_fov, moment.marks_m)
        top, left = layout.text_height, layout.main_width + (layout.side_width - painted.shape[1]) // 2
        picture[top : top + painted.shape[0], left : left + painted.shape[1]] = painted
        return picture

    def _paint_views(self, picture: Image, views: Image) -> None:
        """The three policy views side by side, pixels left visible: that is all the policy sees."""
        layout, cv2 = self._layout, self._cv2
        edges = np.linspace(0, layout.main_width, 4).round().astype(int)
        for name, view, left, right in zip(VIEW_NAMES, views, edges[:-1], edges[1:], strict=True):
            size = (int(right - left), layout.strip_height)
            picture[layout.chase_height :, left:right] = cv2.resize(view, size, interpolation=cv2.INTER_NEAREST)
            label_width = self._pen.width(name, 0.8) + self._pad
            darken(picture[layout.height - round(1.9 * layout.text_size) :, left : left + label_width])
            self._pen.write(
                picture, name, (left + self._pad // 2, layout.height - round(0.6 * layout.text_size)), INK, 0.8
            )
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
            half = 0.8 * FAN_RAD / max(1, len(self._turns) - 1)
            turns = self._spread * np.array(self._turns)
            for turn, bad in zip(turns, np.nan_to_num(badness, nan=1.0), strict=True):
                reach = radius * (1.0 - 0.6 * bad)
                rim = [polar(hub, reach, turn + half), polar(hub, reach, turn - half)]
                foot = [polar(hub, 0.2 * radius, turn - half), polar(hub, 0.2 * radius, turn + half)]
                cv2.fillPoly(overlay, [np.array(rim + foot, np.int32)], _mix(GOOD, BAD, float(bad)), cv2.LINE_AA)
            cv2.addWeighted(overlay, 0.8, region, 0.2, 0.0, dst=region)
        # The expert's needle is wider and longer, so that it shows behind the policy's where both agree.
        for turn_rad, color, wide, long in (
            (moment.expert_turn_rad, EXPERT, 0.42, 1.12),
            (moment.turn_rad, POLICY, 0.18, 1.0),
        ):
            if turn_rad is not None:
                end = polar(hub, long * radius, self._spread * turn_rad)
                cv2.line(region, hub, end, PANEL, self._pen.thick(wide + 0.16), cv2.LINE_AA)
                cv2.line(region, hub, end, color, self._pen.thick(wide), cv2.LINE_AA)
                cv2.circle(region, end, self._pen.thick(0.30), color, -1, cv2.LINE_AA)
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
        width = max(self._pen.width(line, 0.85) for line, _ in lines) + 2 * self._pad
        top = region.shape[0] - len(lines) * step - self._pad
        darken(region[top:, :width])
        for i, (line, color) in enumerate(lines):
            self._pen.write(region, line, (self._pad, top + (i + 1) * step - self._pad // 4), color, 0.85)

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
            *((note, INK, 0.9) for note in moment.notes[: layout.notes]),
            (moment.outcome.replace("_", " "), color, 1.0),
        ]
        step = layout.text_size * 2.0
        for i, (line, ink, scale) in enumerate(lines):
            room = layout.width - left - self._pad
            self._pen.write(
                picture, line, (left, round(step * (i + 1) + layout.text_size * 0.4)), ink, scale, room=room
            )

    def _paint_outcome(self, picture: Image, outcome: str) -> None:
        """A banner over the chase view once the episode has ended."""
        layout, cv2 = self._layout, self._cv2
        color = GOOD if outcome == "success" else BAD
        text = outcome.replace("_", " ").upper()
        half = round(layout.text_size * 1.9)
        middle = round(layout.chase_height * 0.16)
        band = picture[middle - half : middle + half, : layout.main_width]
        darken(band)
        width = self._pen.width(text, 1.7)
        origin = ((layout.main_width - width) // 2, middle + round(layout.text_size * 0.85))
        self._pen.write(picture, text, origin, color, 1.7)
        cv2.rectangle(picture, (0, 0), (layout.main_width - 1, layout.chase_height - 1), color, self._pen.thick(0.3))


def _mix(a: Color, b: Color, share: float) -> Color:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue
