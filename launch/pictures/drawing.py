"""The picture of an episode: chase view, the three policy views, a map, and what driver and expert want."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.colors import BAD, DIM, EXPERT, GOOD, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.pictures.pen import Pen, Pixel, darken, fit, paste
from forestpilot.launch.pictures.world_map import Moving, WorldMap, polar
from forestpilot.sim.experts.planner import COLLISION_COST
from forestpilot.sim.outcomes import Outcome, succeeded, told
from forestpilot.sim.worlds.world import World

VIEW_NAMES = ("left", "center", "right")
FAN_RAD = math.radians(60)
"""How far the fan of candidate turns opens to each side in the picture, whatever the outermost candidate asks for."""
COST_RANGE = 100.0
"""Costs this much above the best candidate draw the shortest, reddest bar; the scale is logarithmic, because a graze
costs a few units and a crash hundreds."""


@dataclass(frozen=True)
class Moment:
    """One instant of an episode, with all that a picture shows of it."""

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
    """Heading change or steering angle that the driver asks for, radians, left positive."""
    expert_turn_rad: float | None = None
    """The same of the expert."""
    costs: NDArray[Any] | None = None
    """(K,) cost of each candidate turn."""
    outcome: str = Outcome.RUNNING
    """running, success, collision, out_of_bounds or timeout."""
    interventions: int = 0
    """How often the vehicle had been put back."""
    notes: tuple[str, ...] = ()
    """More lines of text, as many as the painter has room for."""
    marks_m: NDArray[Any] | None = None
    """(k, 2) places to mark on the map, metres: where a car was put back."""
    moving: Moving | None = None
    """What moves by itself, and where it was so far."""
    badge: str = ""
    """A word or two on the chase view, for example `1/4 speed`."""
    clearance_m: float | None = None
    """Least distance to a tree or obstacle around this instant, in metres."""

    @property
    def is_over(self) -> bool:
        """True once the episode has ended."""
        return self.outcome != Outcome.RUNNING

    @property
    def end(self) -> str:
        """Outcome in words; `running` until there is one."""
        if not self.is_over:
            return self.outcome
        return told(self.outcome, self.interventions)

    @property
    def color(self) -> Color:
        """The colour in which its end is written."""
        if not self.is_over:
            return DIM
        return GOOD if succeeded(self.outcome, self.interventions) else BAD


@dataclass(frozen=True)
class Layout:
    """Places of a picture's parts, in pixels: views below the chase view, text and map to their right."""

    width: int
    """Width of the picture."""
    height: int
    """Height of the picture."""
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


@dataclass(frozen=True)
class PaintedEpisode:
    """Everything that stays the same in all pictures of an episode."""

    world: World
    """The world that is crossed."""
    title: str
    """First line, for example the policy and the world's number."""
    driver: str
    """Who drove, beside the needle that shows its turn: a policy's name, or `human`."""
    candidate_turns_rad: tuple[float, ...]
    """(K,) turns that the costs belong to, ascending."""
    horizontal_fov_deg: float
    """Field of view of the policy's cameras, drawn on the map."""
    subtitle: str = ""
    """Second line, for example density of the world and speed."""
    costs_of: str = "expert"
    """Whose costs the fan shows."""
    collision_cost: float = COLLISION_COST
    """A turn that costs as much collides; infinite where costs only say how much worse than the best one a turn is."""
    notes: int = 0
    """Lines of text that a moment has besides the ordinary ones."""


class EpisodePainter:
    """Composes one picture after another of one episode; everything that stays the same is drawn once."""

    def __init__(self, size: tuple[int, int], episode: PaintedEpisode) -> None:
        """Prepare the map and the frame; `size` is width and height of the picture in pixels, at least 320x180."""
        self._cv2 = import_cv2()
        self._episode = episode
        self._layout = layout = Layout(*size, episode.notes)
        # Steering angles are half as large as changes of heading; the fan opens as wide for both.
        self._spread = FAN_RAD / episode.candidate_turns_rad[-1]
        self._half_fov = math.radians(episode.horizontal_fov_deg) / 2
        self._pen = Pen(self._cv2, layout.text_size)
        self._pad = pad = self._pen.pad
        room = (layout.side_width - 2 * pad, layout.height - layout.text_height - pad)
        self._map = WorldMap(self._cv2, episode.world, room, layout.text_size)
        self._background: Image = np.full((layout.height, layout.width, 3), PANEL, np.uint8)
        self._views: Image | None = None
        self._costs: NDArray[Any] | None = None
        self._bars: list[tuple[NDArray[np.int32], Color]] = []

    @property
    def chase_size(self) -> tuple[int, int]:
        """Width and height in pixels that the chase view should be rendered at."""
        return self._layout.main_width, self._layout.chase_height

    def paint(self, moment: Moment) -> Image:
        """The composed picture, (height, width, 3) uint8 RGB, freshly allocated."""
        layout = self._layout
        if moment.views is not self._views:
            self._paint_views(moment.views)
        picture: Image = np.empty_like(self._background)
        fit(self._cv2, moment.chase, picture[: layout.chase_height, : layout.main_width])
        picture[layout.chase_height - 1 :] = self._background[layout.chase_height - 1 :]
        picture[: layout.chase_height - 1, layout.main_width :] = self._background[
            : layout.chase_height - 1, layout.main_width :
        ]
        chase = picture[: layout.chase_height - 1, : layout.main_width]
        self._paint_turns(chase, moment)
        self._paint_legend(chase, moment)
        self._paint_text(picture, moment)
        if moment.is_over:
            self._paint_outcome(picture, moment)
        if moment.badge:
            self._pen.label(picture, moment.badge, (self._pad, self._pad), EXPERT, 1.2)
        painted = self._map.paint(moment.path_m, moment.yaw_rad, self._half_fov, moment.marks_m, moment.moving)
        left = layout.main_width + (layout.side_width - painted.shape[1]) // 2
        paste(picture, painted, left, layout.text_height)
        return picture

    def _paint_views(self, views: Image) -> None:
        """The three policy views side by side, pixels left visible: that is all the policy sees. They stay as they are
        for as many pictures as a control step takes."""
        self._views = views
        picture = self._background
        layout = self._layout
        cv2 = self._cv2
        edges = np.linspace(0, layout.main_width, 4).round().astype(int).tolist()
        plate = layout.height - round(1.9 * layout.text_size)
        baseline = layout.height - round(0.6 * layout.text_size)
        for name, view, (left, right) in zip(VIEW_NAMES, views, pairwise(edges), strict=True):
            size = (right - left, layout.strip_height)
            picture[layout.chase_height :, left:right] = cv2.resize(view, size, interpolation=cv2.INTER_NEAREST)
            darken(picture[plate:, left : left + self._pen.width(name, 0.8) + self._pad])
            self._pen.write(picture, name, (left + self._pad // 2, baseline), INK, 0.8)
        cv2.line(picture, (0, layout.chase_height), (layout.main_width, layout.chase_height), PANEL, 2)
        for left in edges[1:-1]:
            cv2.line(picture, (left, layout.chase_height), (left, layout.height), PANEL, 2)

    def _paint_turns(self, chase: Image, moment: Moment) -> None:
        """A fan of bars, one per candidate turn, and needles for driver and expert."""
        width, height = self.chase_size
        # In the corner, so that the vehicle in the middle stays in sight.
        radius = 0.36 * height
        hub = (round(width - 1.15 * radius), height - round(self._layout.text_size))
        if moment.costs is not None:
            self._paint_fan(chase, hub, radius, moment.costs)
        # The expert's needle is wider and longer, so that it shows behind the driver's where both agree.
        if moment.expert_turn_rad is not None:
            end = polar(hub, 1.12 * radius, self._spread * moment.expert_turn_rad)
            self._paint_needle(chase, hub, end, EXPERT, 0.42)
        if moment.turn_rad is not None:
            end = polar(hub, radius, self._spread * moment.turn_rad)
            self._paint_needle(chase, hub, end, POLICY, 0.18)

    def _paint_fan(self, chase: Image, hub: Pixel, radius: float, costs: NDArray[Any]) -> None:
        """One bar per candidate turn. The bars stay as they are for as many pictures as a control step takes."""
        cv2 = self._cv2
        column, row = hub
        plate = round(1.08 * radius)
        left = column - plate - 1
        top = row - plate - 1
        behind = chase[top:, left:]
        middle = (plate + 1, plate + 1)
        fan = behind.copy()
        cv2.ellipse(fan, middle, (plate, plate), 0, 205, 335, PANEL, -1, cv2.LINE_AA)
        if costs is not self._costs:
            self._costs = costs
            self._bars = self._fan_bars(middle, radius, np.asarray(costs, float))
        for corners, color in self._bars:
            cv2.fillPoly(fan, [corners], color, cv2.LINE_AA)
        cv2.addWeighted(fan, 0.8, behind, 0.2, 0.0, dst=behind)

    def _fan_bars(
        self, middle: Pixel, radius: float, costs: NDArray[np.float64]
    ) -> list[tuple[NDArray[np.int32], Color]]:
        """Corners and colours of the bars: long and green where a turn is cheap, red where it is dear or ends in a
        collision, also where all do: then the least bad one is long."""
        badness = np.clip(np.log1p(costs - np.nanmin(costs)) / math.log1p(COST_RANGE), 0.0, 1.0)
        turns = self._spread * np.array(self._episode.candidate_turns_rad)
        half = 0.8 * FAN_RAD / max(1, len(turns) - 1)
        foot = 0.2 * radius
        bars: list[tuple[NDArray[np.int32], Color]] = []
        for turn, cost, bad in zip(turns, costs, np.nan_to_num(badness, nan=1.0), strict=True):
            reach = radius * (1.0 - 0.6 * bad)
            corners = [
                polar(middle, reach, turn + half),
                polar(middle, reach, turn - half),
                polar(middle, foot, turn - half),
                polar(middle, foot, turn + half),
            ]
            color = BAD if cost >= self._episode.collision_cost else _mix(GOOD, BAD, float(bad))
            bars.append((np.array(corners, np.int32), color))
        return bars

    def _paint_needle(self, chase: Image, hub: Pixel, end: Pixel, color: Color, wide: float) -> None:
        """A line from the hub with a knob at its end; `wide` is its thickness as a share of the text's height."""
        cv2 = self._cv2
        cv2.line(chase, hub, end, PANEL, self._pen.thick(wide + 0.16), cv2.LINE_AA)
        cv2.line(chase, hub, end, color, self._pen.thick(wide), cv2.LINE_AA)
        cv2.circle(chase, end, self._pen.thick(0.30), color, -1, cv2.LINE_AA)

    def _paint_legend(self, chase: Image, moment: Moment) -> None:
        """Whose the needles are, with their turns, and whose costs the fan shows."""
        lines = self._legend(moment)
        if not lines:
            return
        step = round(self._layout.text_size * 1.7)
        width = 2 * self._pad
        for line, _ in lines:
            width = max(width, self._pen.width(line, 0.85) + 2 * self._pad)
        baseline = chase.shape[0] - len(lines) * step - self._pad
        darken(chase[baseline:, :width])
        for line, color in lines:
            baseline += step
            self._pen.write(chase, line, (self._pad, baseline - self._pad // 4), color, 0.85)

    def _legend(self, moment: Moment) -> list[tuple[str, Color]]:
        lines: list[tuple[str, Color]] = []
        if moment.turn_rad is not None:
            lines.append((f"{self._episode.driver} {_in_degrees(moment.turn_rad)}", POLICY))
        if moment.expert_turn_rad is not None:
            lines.append((f"expert {_in_degrees(moment.expert_turn_rad)}", EXPERT))
        if moment.costs is not None:
            lines.append((f"fan: {self._episode.costs_of}'s costs", INK))
            if np.nanmin(moment.costs) >= self._episode.collision_cost:
                lines.append(("every turn collides", BAD))
        return lines

    def _paint_text(self, picture: Image, moment: Moment) -> None:
        """Title, world, speed and time, notes, outcome, at the top of the right column."""
        layout = self._layout
        left = layout.main_width + self._pad
        room = layout.width - left - self._pad
        lines = [
            (self._episode.title, INK, 1.0),
            (self._episode.subtitle, DIM, 0.8),
            (f"{moment.speed_mps:4.1f} m/s", INK, 1.0),
            (f"{moment.time_s:5.1f} s", INK, 1.0),
        ]
        for note in moment.notes[: layout.notes]:
            lines.append((note, INK, 0.9))
        lines.append((moment.end, moment.color, 1.0))
        step = layout.text_size * 2.0
        for number, (line, color, scale) in enumerate(lines, start=1):
            baseline = round(step * number + layout.text_size * 0.4)
            self._pen.write(picture, line, (left, baseline), color, scale, room=room)

    def _paint_outcome(self, picture: Image, moment: Moment) -> None:
        """A banner over the chase view once the episode has ended."""
        width, height = self.chase_size
        text_size = self._layout.text_size
        color = moment.color
        text = moment.end.upper()
        half = round(text_size * 1.9)
        middle = round(height * 0.16)
        darken(picture[middle - half : middle + half, :width])
        left = (width - self._pen.width(text, 1.7)) // 2
        self._pen.write(picture, text, (left, middle + round(text_size * 0.85)), color, 1.7)
        self._cv2.rectangle(picture, (0, 0), (width - 1, height - 1), color, self._pen.thick(0.3))


def _in_degrees(turn_rad: float) -> str:
    """A turn in whole degrees with its sign, and 0 without one."""
    degrees = round(math.degrees(turn_rad))
    return f"{degrees:+d} deg" if degrees else "0 deg"


def _mix(a: Color, b: Color, share: float) -> Color:
    """The colour a share of the way from a to b."""
    red, green, blue = np.round(np.add(a, np.subtract(b, a) * share)).astype(int).tolist()
    return red, green, blue
