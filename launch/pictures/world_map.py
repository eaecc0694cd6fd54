"""The map beside a video: a world from above, x up and y to the left, with the way so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.colors import BAD, DIM, EDGE, GOOD, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.pen import Pen, Pixel, paste
from forestpilot.sim.worlds.hazards.hazard import TOP
from forestpilot.sim.worlds.roads.road import RoadWorld
from forestpilot.sim.worlds.world import BARRIER, CAR_BODY, CAR_CABIN, LOG, World

FOLLOW_ABOVE_M = 150.0
"""A world that would have more metres than this across the map is shown in part, around the vehicle."""
FOLLOWED_M = 80.0
"""Metres across the map of the part that is shown."""
AHEAD_M = 15.0
"""The part's middle lies this far ahead of the vehicle."""
MAX_GROUND_PX = 4000
"""Largest side of the picture that a part is cut from."""
TRUNK_SCALE = 2.2
"""Pixels per metre below which trunks are left out: they would hide the road."""
FOREST: Color = (44, 54, 42)
TRUNK: Color = (206, 168, 120)
PAINTED = 150.0
"""Trunks whose least and largest colour channel differ by more than this are painted: no bark does."""
CROWN: Color = (74, 116, 70)
SURFACES: dict[str, Color] = {
    "trail": (92, 84, 66),
    "asphalt": (96, 98, 104),
    "gravel": (142, 136, 122),
    "dirt": (120, 98, 70),
}
BOXES: dict[int, Color] = {
    LOG: (158, 112, 70),
    CAR_BODY: (92, 132, 196),
    CAR_CABIN: (40, 52, 66),
    BARRIER: (240, 120, 110),
}
MOVING: Color = (255, 214, 64)


class View(NamedTuple):
    """The part of the world that a picture shows."""

    x_max: float
    """x at the top row, metres."""
    y_max: float
    """y at the left column, metres."""
    scale: float
    """Pixels per metre."""

    def pixels(self, points_m: Any) -> NDArray[np.int32]:
        """(n, 2) column and row of points (n, 2 or more) in metres."""
        x, y = np.asarray(points_m, np.float64)[:, :2].T
        pixels = np.stack([self.y_max - y, self.x_max - x], axis=1) * self.scale
        return pixels.round().astype(np.int32)

    def pixel(self, point_m: Any) -> Pixel:
        """Column and row of one point in metres."""
        ((column, row),) = self.pixels(np.asarray(point_m)[None]).tolist()
        return column, row


class Moving(NamedTuple):
    """What moves by itself in a world, as a map shows it."""

    boxes: NDArray[Any]
    """(m, 8) where it is, the columns of `Boxes`."""
    ways_m: Sequence[NDArray[np.float64]]
    """(n, 2) places of all that moves, one such array for each moment so far, in metres."""


class MarkedPath(NamedTuple):
    """A way through a world, as a map shows it."""

    path_m: NDArray[Any]
    """(n, 2 or 3) positions in metres."""
    color: Color
    """Of the line and its signs."""
    signs: Sequence[tuple[NDArray[Any], str]] = ()
    """Places (2 or 3,) in metres with a number or a letter each."""
    marks_m: NDArray[Any] | None = None
    """(k, 2) places to mark with a cross, metres."""
    moving: Moving | None = None
    """What moved meanwhile, and where it went."""


class WorldMap:
    """Draws the map, moment after moment; what does not move is drawn once.

    A small world is shown whole. Of a large one the surroundings of the vehicle are shown, and the whole in a corner.
    """

    def __init__(
        self, cv2: ModuleType, world: World, room: tuple[int, int], text_size: float, follow: bool = True
    ) -> None:
        """Prepare a map.

        Args:
            cv2: OpenCV.
            world: what to show.
            room: width and height in pixels that the map has to fit into.
            text_size: height of the text that its marks go with, pixels.
            follow: show of a large world the surroundings of the vehicle; False shows every world whole.
        """
        self._cv2 = cv2
        self._pen = Pen(cv2, text_size)
        self._thick = max(1, round(text_size * 0.22))
        whole = _fitting(world, room)
        self._follows = follow and room[0] / whole.scale > FOLLOW_ABOVE_M
        if not self._follows:
            self._view = whole
            self._ground = self._paint_world(world, whole, text_size, trees=True)
            return
        x_min, x_max, y_min, y_max = world.bounds_m
        self._room = room
        self._scale = room[0] / FOLLOWED_M
        scale = min(self._scale, MAX_GROUND_PX / max(x_max - x_min, y_max - y_min))
        self._view = View(x_max, y_max, scale)
        self._ground = self._paint_world(world, self._view, text_size, trees=True)
        side = round(0.42 * room[0])
        self._small = _fitting(world, (side, side))
        self._overview = self._paint_world(world, self._small, 0.5 * text_size, trees=False)

    def paint(
        self,
        path_m: NDArray[Any],
        yaw_rad: float,
        half_fov_rad: float,
        marks_m: NDArray[Any] | None = None,
        moving: Moving | None = None,
    ) -> Image:
        """A fresh picture.

        Args:
            path_m: (n, 2 or 3) positions so far in metres, the present one last.
            yaw_rad: heading in radians.
            half_fov_rad: half the center camera's field of view in radians.
            marks_m: (k, 2) places to mark with a cross, metres.
            moving: what moves, and where it was.
        """
        marks = np.zeros((0, 2)) if marks_m is None else np.asarray(marks_m)
        if not self._follows:
            picture = self._ground.copy()
            self._paint_wedge(picture, self._view, path_m[-1], yaw_rad, half_fov_rad)
            self._paint_moving(picture, self._view, moving)
            self._paint_way(picture, self._view, path_m, yaw_rad, marks)
            return picture
        view = self._view_around(path_m[-1], yaw_rad)
        picture = self._cut(view)
        self._paint_wedge(picture, view, path_m[-1], yaw_rad, half_fov_rad)
        self._paint_moving(picture, view, moving)
        self._paint_way(picture, view, path_m, yaw_rad, marks)
        self._paint_overview(picture, path_m, marks)
        self._frame(picture)
        return picture

    def paint_episodes(self, episodes: Sequence[MarkedPath]) -> Image:
        """A fresh picture of a world shown whole (`follow=False`) with several ways through it, the last on top."""
        picture = self._ground.copy()
        cv2 = self._cv2
        for episode in episodes:
            self._paint_moving(picture, self._view, episode.moving)
        for episode in episodes:
            points = self._view.pixels(episode.path_m)
            cv2.polylines(picture, [points], False, PANEL, 2 * self._thick, cv2.LINE_AA)
            cv2.polylines(picture, [points], False, episode.color, self._thick, cv2.LINE_AA)
        for episode in episodes:
            if episode.marks_m is None:
                continue
            # Whose a mark is matters only among several.
            color = episode.color if len(episodes) > 1 else BAD
            for mark in episode.marks_m:
                self._paint_cross(picture, self._view.pixel(mark), color)
        for episode in episodes:
            for place_m, text in episode.signs:
                self._paint_sign(picture, place_m, text, episode.color)
        return picture

    def _paint_cross(self, picture: Image, where: Pixel, color: Color) -> None:
        """A cross with a dark rim."""
        cv2 = self._cv2
        size = 5 * self._thick
        cv2.drawMarker(picture, where, PANEL, cv2.MARKER_TILTED_CROSS, size, 2 * self._thick, cv2.LINE_AA)
        cv2.drawMarker(picture, where, color, cv2.MARKER_TILTED_CROSS, size, self._thick, cv2.LINE_AA)

    def _paint_sign(self, picture: Image, place_m: NDArray[Any], text: str, color: Color) -> None:
        """A disc with a short text at a place, moved so that all of it is on the map."""
        scale = 0.75
        radius = round(0.62 * max(self._pen.width(text, scale), 1.3 * self._pen.text_size))
        column, row = self._view.pixel(place_m)
        column = int(np.clip(column, radius, picture.shape[1] - 1 - radius))
        row = int(np.clip(row, radius, picture.shape[0] - 1 - radius))
        self._cv2.circle(picture, (column, row), radius + 1, PANEL, -1, self._cv2.LINE_AA)
        self._cv2.circle(picture, (column, row), radius, color, -1, self._cv2.LINE_AA)
        origin = (column - self._pen.width(text, scale) // 2, row + round(0.5 * scale * self._pen.text_size))
        self._pen.write(picture, text, origin, PANEL, scale)

    def _view_around(self, position_m: NDArray[Any], yaw_rad: float) -> View:
        x = float(position_m[0]) + AHEAD_M * math.cos(yaw_rad)
        y = float(position_m[1]) + AHEAD_M * math.sin(yaw_rad)
        return View(x + 0.5 * self._room[1] / self._scale, y + 0.5 * self._room[0] / self._scale, self._scale)

    def _cut(self, view: View) -> Image:
        """The part of the ground that a view shows, which may reach beyond the world."""
        cv2 = self._cv2
        own = self._view
        zoom = own.scale / view.scale
        right = (own.y_max - view.y_max) * own.scale
        down = (own.x_max - view.x_max) * own.scale
        to_ground = np.array([[zoom, 0.0, right], [0.0, zoom, down]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cut: Image = cv2.warpAffine(self._ground, to_ground, self._room, flags=flags, borderValue=FOREST)
        return cut

    def _paint_way(self, picture: Image, view: View, path_m: NDArray[Any], yaw_rad: float, marks: NDArray[Any]) -> None:
        """The way so far, the marks, and the vehicle."""
        cv2 = self._cv2
        here = view.pixel(path_m[-1])
        cv2.polylines(picture, _near(view.pixels(path_m), picture), False, POLICY, self._thick, cv2.LINE_AA)
        for mark in marks:
            where = view.pixel(mark)
            cv2.drawMarker(picture, where, BAD, cv2.MARKER_TILTED_CROSS, 4 * self._thick, self._thick)
        size = 3.0 * self._thick
        nose = polar(here, 1.6 * size, yaw_rad)
        left = polar(here, 1.1 * size, yaw_rad + 2.5)
        right = polar(here, 1.1 * size, yaw_rad - 2.5)
        cv2.fillPoly(picture, [np.array([nose, left, right], np.int32)], INK, cv2.LINE_AA)

    def _paint_moving(self, picture: Image, view: View, moving: Moving | None) -> None:
        """Where things went that move by themselves, as thin lines, and where they are; some have gone."""
        if moving is None:
            return
        for way in np.stack(moving.ways_m, axis=1):
            self._cv2.polylines(picture, _near(view.pixels(way), picture), False, MOVING, 1, self._cv2.LINE_AA)
        is_here = moving.boxes[:, TOP] > 0.0
        self._paint_boxes(picture, moving.boxes[is_here], view, MOVING)

    def _paint_wedge(
        self, picture: Image, view: View, position_m: NDArray[Any], yaw_rad: float, half_fov_rad: float
    ) -> None:
        """The center camera's field of view as a pale wedge."""
        cv2 = self._cv2
        here = view.pixel(position_m)
        corners = [here]
        for angle in np.linspace(yaw_rad - half_fov_rad, yaw_rad + half_fov_rad, 12):
            corners.append(polar(here, 12.0 * view.scale, angle))
        wedge = np.array(corners, np.int32)
        # The rectangle around it, with a rim for its smooth edges.
        left, top = np.maximum(wedge.min(axis=0) - 2, 0).tolist()
        right, bottom = (wedge.max(axis=0) + 3).tolist()
        under = picture[top : max(0, bottom), left : max(0, right)]
        if not under.size:
            return
        overlay = under.copy()
        cv2.fillPoly(overlay, [wedge - (left, top)], INK, cv2.LINE_AA)
        cv2.addWeighted(overlay, 0.16, under, 0.84, 0.0, dst=under)

    def _paint_overview(self, picture: Image, path_m: NDArray[Any], marks: NDArray[Any]) -> None:
        """The whole world in the lower left corner."""
        cv2 = self._cv2
        small = self._overview.copy()
        cv2.polylines(small, [self._small.pixels(path_m)], False, POLICY, 1, cv2.LINE_AA)
        for mark in marks:
            cv2.circle(small, self._small.pixel(mark), self._thick, BAD, -1, cv2.LINE_AA)
        cv2.circle(small, self._small.pixel(path_m[-1]), self._thick + 1, INK, -1, cv2.LINE_AA)
        paste(picture, small, 0, picture.shape[0] - small.shape[0])

    def _paint_world(self, world: World, view: View, text_size: float, trees: bool) -> Image:
        """Everything that does not move."""
        cv2 = self._cv2
        x_min, x_max, y_min, y_max = world.bounds_m
        height = max(1, round((x_max - x_min) * view.scale))
        width = max(1, round((y_max - y_min) * view.scale))
        ground: Image = np.full((height, width, 3), FOREST, np.uint8)
        self._paint_ribbons(ground, world, view)
        if trees:
            self._paint_trees(ground, world, view)
        self._paint_boxes(ground, world.boxes, view)
        goal = view.pixel(world.goal_m)
        thick = max(1, round(text_size * 0.22))
        cv2.circle(ground, goal, max(2, round(world.goal_radius_m * view.scale)), GOOD, thick, cv2.LINE_AA)
        cv2.drawMarker(ground, goal, GOOD, cv2.MARKER_CROSS, round(text_size), thick, cv2.LINE_AA)
        cv2.circle(ground, view.pixel(world.start_m), max(2, thick), INK, -1, cv2.LINE_AA)
        self._frame(ground)
        return ground

    def _frame(self, picture: Image) -> None:
        lower_right = (picture.shape[1] - 1, picture.shape[0] - 1)
        self._cv2.rectangle(picture, (0, 0), lower_right, EDGE, 1)

    def _paint_ribbons(self, ground: Image, world: World, view: View) -> None:
        """Trail or road; on a road also the line to drive, thin, so that a junction shows which way is right."""
        cv2 = self._cv2
        color = SURFACES.get(world.surface, SURFACES["trail"])
        for ribbon in world.ribbons:
            width = max(2, round(2 * ribbon.half_width_m * view.scale))
            cv2.polylines(ground, [view.pixels(ribbon.points_m)], ribbon.closed, color, width, cv2.LINE_AA)
        if isinstance(world, RoadWorld):
            line = view.pixels(np.stack([world.route.x_m, world.route.y_m], axis=1))
            cv2.polylines(ground, [line], world.route.closed, DIM, 1, cv2.LINE_AA)

    def _paint_trees(self, ground: Image, world: World, view: View) -> None:
        """Crowns faintly, trunks on top of them in full: trunks are what an episode must miss."""
        cv2 = self._cv2
        crowns = ground.copy()
        places = view.pixels(world.trees).tolist()
        _, _, trunk_m, _, crown_m, *_ = world.trees.T
        for place, radius in zip(places, crown_m * view.scale, strict=True):
            cv2.circle(crowns, place, max(1, round(radius)), CROWN, -1, cv2.LINE_AA)
        cv2.addWeighted(crowns, 0.45, ground, 0.55, 0.0, dst=ground)
        if view.scale < TRUNK_SCALE:
            return
        for place, radius, color in zip(places, trunk_m * view.scale, _trunk_colors(world), strict=True):
            cv2.circle(ground, place, max(2, round(radius)), color, -1, cv2.LINE_AA)

    def _paint_boxes(self, ground: Image, boxes: NDArray[Any], view: View, color: Color | None = None) -> None:
        """Logs, cars and barriers, the higher ones on top; all in one colour, or each kind in its own."""
        *_, tops, _ = boxes.T
        for x, y, yaw, length, width, _, _, kind in boxes[np.argsort(tops)]:
            middle = np.array([x, y])
            along = 0.5 * length * np.array([math.cos(yaw), math.sin(yaw)])
            across = 0.5 * width * np.array([-math.sin(yaw), math.cos(yaw)])
            corners = [
                middle + along + across,
                middle + along - across,
                middle - along - across,
                middle - along + across,
            ]
            self._cv2.fillPoly(ground, [view.pixels(corners)], color or BOXES[int(kind)], self._cv2.LINE_AA)


def _near(pixels: NDArray[np.int32], picture: Image) -> list[NDArray[np.int32]]:
    """The stretches of a way (n, 2) that come within a picture's size of it; most of a long way is elsewhere."""
    height, width, _ = picture.shape
    near = np.asarray((np.abs(2 * pixels - (width, height)) < (3 * width, 3 * height)).all(axis=1))
    cuts = np.flatnonzero(near[1:] != near[:-1]) + 1
    return [
        stretch for stretch, is_near in zip(np.split(pixels, cuts), np.split(near, cuts), strict=True) if is_near[0]
    ]


def _fitting(world: World, room: tuple[int, int]) -> View:
    """The view of a whole world that fits into `room` (width, height) pixels."""
    x_min, x_max, y_min, y_max = world.bounds_m
    width, height = room
    return View(x_max, y_max, min(width / (y_max - y_min), height / (x_max - x_min)))


def polar(center: Pixel, radius: float, turn_rad: float) -> Pixel:
    """The pixel at a distance from a center, `turn_rad` to the left of straight up."""
    column, row = center
    return round(column - radius * math.sin(turn_rad)), round(row - radius * math.cos(turn_rad))


def _trunk_colors(world: World) -> list[Color]:
    """Colour of each trunk on a map: wood, or where somebody has painted it, that."""
    barks = world.appearance.bark_colors
    painted = np.ptp(barks, axis=1) > PAINTED
    return [tuple(bark) if own else TRUNK for bark, own in zip(barks.astype(int).tolist(), painted)]
