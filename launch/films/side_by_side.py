"""Several policies in the same world, next to each other, by one clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from forestpilot.launch.films.pace import HOLD_S, FilmConfig, Piece, ticks, with_hold
from forestpilot.launch.films.scene import MOVING_SHARE, EpisodeScene
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import BAD, DIM, EXPERT, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.drawing import Moment
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.pictures.pen import Pen, Pixel, darken, fitted, paste
from forestpilot.launch.pictures.world_map import MarkedPath, WorldMap
from forestpilot.launch.reading.outcomes import ReplayError
from forestpilot.sim.worlds.hazards.traffic import Traffic
from forestpilot.sim.worlds.world import World

MAX_PANELS = 6
"""More would be too small to tell apart."""
COLORS: tuple[Color, ...] = (
    POLICY,
    (240, 132, 200),
    (132, 224, 150),
    (250, 236, 110),
    (190, 160, 255),
    (224, 224, 224),
)
"""Of the policies in their order; the expert has its own."""
MAP_SHARE = 0.3
"""Largest share of the width that the map may take."""
NARROW_FOV_DEG = 58.0
"""Horizontal field of view of the chase camera in an upright panel."""
WIDE_FOV_DEG = 75.0
"""The same in a wide panel."""
SHAPES = (0.7, 1.6)
"""Width over height of an upright and of a wide panel."""


def require_one_world(scenes: Sequence[EpisodeScene]) -> None:
    """Raise ReplayError where there are not 2 to 6 episodes, all through the same world."""
    if not 2 <= len(scenes) <= MAX_PANELS:
        names = ", ".join(map(_policy, scenes))
        raise ReplayError(
            f"side by side needs 2 to {MAX_PANELS} episodes through a world, got {len(scenes)} ({names or 'none'}); "
            "choose them with --policy"
        )
    first, *others = scenes
    for scene in others:
        if not _same_world(scene.world, first.world):
            raise ReplayError(
                f"{first.episode.policy} and {scene.episode.policy} did not cross the same world {first.episode.seed}: "
                f"{first.episode.env_kwargs} against {scene.episode.env_kwargs}; evaluate both with the same settings"
            )


def _policy(scene: EpisodeScene) -> str:
    return scene.episode.policy


def _same_world(one: World, other: World) -> bool:
    """True where the same stands and moves in two worlds."""
    for part in ("trees", "boxes", "bounds_m", "start_m", "goal_m"):
        if not np.array_equal(getattr(one, part), getattr(other, part)):
            return False
    return np.array_equal(Traffic(one.hazards).boxes(), Traffic(other.hazards).boxes())


def side_by_side_frames(scenes: Sequence[EpisodeScene], film: FilmConfig) -> Iterator[Image]:
    """The pictures of a film in which an episode that is over holds its last one until all are.

    Args:
        scenes: 2 to 6 episodes through the same world.
        film: size and pace; `last_s` counts from the end of the episode that ends first.

    Raises:
        ReplayError: the episodes are not of one world, or too few or too many.
    """
    require_one_world(scenes)
    return with_hold(_running_frames(scenes, film), round(HOLD_S * film.fps))


def _running_frames(scenes: Sequence[EpisodeScene], film: FilmConfig) -> Iterator[Image]:
    painter = SideBySidePainter(film.size, scenes)
    durations = sorted(scene.duration_s for scene in scenes)
    for tick in ticks(film.start_s(durations[0]), [Piece(durations[-1], film.slow)], film.fps):
        yield painter.paint(tick.time_s, tick.badge)


def write_side_by_side(path: Path, scenes: Sequence[EpisodeScene], film: FilmConfig) -> None:
    """Write the film of `side_by_side_frames` as MP4; nothing is left behind when a replay diverges."""
    with VideoWriter(path, *film.size, fps=film.fps) as video:
        for frame in side_by_side_frames(scenes, film):
            video.write(frame)


class SideBySidePainter:
    """A heading with the clock, a panel for each episode, and one map with all ways."""

    def __init__(self, size: tuple[int, int], scenes: Sequence[EpisodeScene]) -> None:
        """Divide a picture of `size` (width, height) pixels among the scenes and place their cameras."""
        self._cv2 = import_cv2()
        self._size = size
        self._scenes = scenes
        width, height = size
        self._columns = len(scenes) if len(scenes) <= 3 else -(-len(scenes) // 2)
        rows = -(-len(scenes) // self._columns)
        self._pen = Pen(self._cv2, max(7.0, height / 40))
        self._top = round(3.0 * self._pen.text_size)
        self._gap = max(2, round(0.3 * self._pen.text_size))
        self._first = scenes[0]
        room = (round(MAP_SHARE * width) - 2 * self._pen.pad, height - self._top - self._pen.pad)
        self._map = WorldMap(self._cv2, self._first.world, room, self._pen.text_size, follow=False)
        side = self._map.paint_episodes([]).shape[1] + 2 * self._pen.pad
        self._panel = (
            (width - side - self._gap * (self._columns - 1)) // self._columns,
            (height - self._top - self._gap * (rows - 1)) // rows,
        )
        fov_deg = float(np.interp(self._panel[0] / self._panel[1], SHAPES, (NARROW_FOV_DEG, WIDE_FOV_DEG)))
        for scene in scenes:
            scene.place_camera(self._panel, fov_deg, MOVING_SHARE)
        self._colors = policy_colors(list(map(_policy, scenes)))
        self._ended: dict[int, tuple[Moment, Image]] = {}

    def paint(self, time_s: float, badge: str = "") -> Image:
        """The picture of an instant, (height, width, 3) uint8; instants only go forward."""
        width, height = self._size
        picture: Image = np.full((height, width, 3), PANEL, np.uint8)
        ways: list[MarkedPath] = []
        for number, color in enumerate(self._colors):
            moment, panel = self._panel_at(number, time_s)
            paste(picture, panel, *self._corner(number))
            place = (moment.path_m[-1], str(number + 1))
            ways.append(MarkedPath(moment.path_m, color, [place], moment.marks_m, moment.moving))
        self._paint_heading(picture, time_s, badge)
        painted = self._map.paint_episodes(ways)
        paste(picture, painted, width - self._pen.pad - painted.shape[1], self._top)
        return picture

    def _corner(self, number: int) -> Pixel:
        """Column and row of a panel's upper left corner."""
        width, height = self._panel
        row, column = divmod(number, self._columns)
        return column * (width + self._gap), self._top + row * (height + self._gap)

    def _paint_heading(self, picture: Image, time_s: float, badge: str) -> None:
        pen = self._pen
        baseline = round(2.0 * pen.text_size)
        clock = f"{time_s:.1f} s"
        right = picture.shape[1] - pen.pad
        pen.write(picture, clock, (right - pen.width(clock, 1.3), baseline), INK, 1.3)
        room = right - pen.width("888.8 s", 1.3) - 2 * pen.pad
        if badge:
            room -= pen.width(badge, 1.1) + 2 * pen.pad
            pen.write(picture, badge, (room + pen.pad, baseline), EXPERT, 1.1)
        title = f"world {self._first.world.seed}"
        pen.write(picture, title, (pen.pad, baseline), INK, 1.15)
        left = 3 * pen.pad + pen.width(title, 1.15)
        pen.write(picture, self._first.worlds, (left, baseline), DIM, 1.0, room=max(1, room - left))

    def _panel_at(self, number: int, time_s: float) -> tuple[Moment, Image]:
        """Moment and panel of an episode; once it is over, its last ones."""
        if number in self._ended:
            return self._ended[number]
        scene = self._scenes[number]
        moment = scene.at(time_s)
        panel = fitted(self._cv2, moment.chase, self._panel).copy()
        self._paint_panel(panel, moment, f"{number + 1} {scene.episode.policy}", self._colors[number])
        if time_s >= scene.duration_s - 1e-6:
            scene.finish()
            self._ended[number] = (moment, panel)
        return moment, panel

    def _paint_panel(self, panel: Image, moment: Moment, name: str, color: Color) -> None:
        """Name above, speed below, and the outcome when there is one."""
        pen = self._pen
        width, height = self._panel
        bottom = height - round(2.5 * pen.text_size)
        pen.label(panel, f"{moment.speed_mps:4.1f} m/s", (0, bottom), INK, 1.1)
        if moment.notes and moment.marks_m is not None and len(moment.marks_m):
            how_often = moment.notes[-1]
            pen.label(panel, how_often, (width, bottom), BAD, 1.0, right=True)
        if moment.is_over:
            self._paint_outcome(panel, moment)
        pen.label(panel, name, (0, 0), color, 1.2)

    def _paint_outcome(self, panel: Image, moment: Moment) -> None:
        pen = self._pen
        width, height = self._panel
        text = moment.end.upper()
        half = round(2.3 * pen.text_size)
        middle = max(round(0.2 * height), half + round(3.0 * pen.text_size))  # below the name
        darken(panel[middle - half : middle + half])
        scale = min(1.7, 1.7 * (width - 2 * pen.pad) / max(1, pen.width(text, 1.7)))
        pen.write(panel, text, ((width - pen.width(text, scale)) // 2, middle), moment.color, scale)
        told = f"after {moment.time_s:.1f} s"
        pen.write(panel, told, ((width - pen.width(told)) // 2, middle + round(1.7 * pen.text_size)), INK)
        self._cv2.rectangle(panel, (0, 0), (width - 1, height - 1), moment.color, pen.thick(0.3))


def policy_colors(names: Sequence[str]) -> list[Color]:
    """A colour for each policy: the expert's own for the expert, others in their order."""
    colors: dict[str, Color] = {"expert": EXPERT}
    for name in names:
        colors.setdefault(name, COLORS[(len(colors) - 1) % len(COLORS)])
    return list(map(colors.__getitem__, names))
