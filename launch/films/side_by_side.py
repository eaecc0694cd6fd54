"""Several policies in the same world, next to each other, by one clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from forestpilot.launch.films.episode_video import HOLD_S, EpisodeScene, describe_world
from forestpilot.launch.films.pace import speed_badge, ticks
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import BAD, DIM, EXPERT, GOOD, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.drawing import Moment, import_cv2
from forestpilot.launch.pictures.pen import Pen, darken, fitted
from forestpilot.launch.pictures.world_map import MarkedPath, WorldMap
from forestpilot.launch.reading.outcomes import ReplayError

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
NARROW_FOV_DEG, WIDE_FOV_DEG = 58.0, 75.0
"""Horizontal field of view of the chase camera in an upright and in a wide panel."""


def require_one_world(scenes: Sequence[EpisodeScene]) -> None:
    """Raise ReplayError where there are not 2 to 6 episodes, all through the same world."""
    names = ", ".join(scene.episode.policy for scene in scenes)
    if not 2 <= len(scenes) <= MAX_PANELS:
        raise ReplayError(
            f"side by side needs 2 to {MAX_PANELS} episodes through a world, got {len(scenes)} ({names or 'none'}); "
            "choose them with --policy"
        )
    first = scenes[0]
    for scene in scenes[1:]:
        same = all(
            np.array_equal(getattr(scene.world, part), getattr(first.world, part))
            for part in ("trees", "boxes", "bounds_m", "start_m", "goal_m")
        )
        if not same:
            raise ReplayError(
                f"{first.episode.policy} and {scene.episode.policy} did not cross the same world {first.episode.seed}: "
                f"{first.episode.env_kwargs} against {scene.episode.env_kwargs}; evaluate both with the same settings"
            )


def side_by_side_frames(
    scenes: Sequence[EpisodeScene], size: tuple[int, int], fps: float, slow: float = 1.0, last_s: float | None = None
) -> Iterator[Image]:
    """The pictures of a film in which an episode that is over holds its last one until all are.

    Args:
        scenes: 2 to 6 episodes through the same world.
        size: width and height in pixels.
        fps: frames per second.
        slow: how many times slower than in truth time runs.
        last_s: start so long before the first episode ends, in seconds; None for the start of the episodes.

    Raises:
        ReplayError: the episodes are not of one world, or too few or too many.
    """
    require_one_world(scenes)
    painter = SideBySidePainter(size, scenes)
    first_s, end_s = (choose(scene.duration_s for scene in scenes) for choose in (min, max))
    start_s = 0.0 if last_s is None else max(0.0, first_s - last_s)
    frame: Image | None = None
    for tick in ticks(start_s, [(end_s, slow)], fps):
        frame = painter.paint(tick.time_s, speed_badge(tick.slow))
        yield frame
    assert frame is not None
    for _ in range(round(HOLD_S * fps)):
        yield frame


def write_side_by_side(
    path: Path,
    scenes: Sequence[EpisodeScene],
    size: tuple[int, int],
    fps: int,
    slow: float = 1.0,
    last_s: float | None = None,
) -> None:
    """Write the film of `side_by_side_frames` as MP4; nothing is left behind when a replay diverges."""
    with VideoWriter(path, *size, fps=fps) as video:
        for frame in side_by_side_frames(scenes, size, fps, slow, last_s):
            video.write(frame)


class SideBySidePainter:
    """A heading with the clock, a panel for each episode, and one map with all ways."""

    def __init__(self, size: tuple[int, int], scenes: Sequence[EpisodeScene]) -> None:
        """Divide a picture of `size` (width, height) pixels among the scenes and place their cameras."""
        self._cv2 = import_cv2()
        self._size, self._scenes = size, scenes
        width, height = size
        self._columns = len(scenes) if len(scenes) <= 3 else -(-len(scenes) // 2)
        rows = -(-len(scenes) // self._columns)
        self._pen = Pen(self._cv2, max(7.0, height / 40))
        self._top = round(3.0 * self._pen.text_size)
        self._gap = max(2, round(0.3 * self._pen.text_size))
        first = scenes[0]
        room = (round(MAP_SHARE * width) - 2 * self._pen.pad, height - self._top - self._pen.pad)
        self._map = WorldMap(self._cv2, first.world, room, self._pen.text_size, follow=False)
        side = self._map.paint_episodes([]).shape[1] + 2 * self._pen.pad
        self._panel = (
            (width - side - self._gap * (self._columns - 1)) // self._columns,
            (height - self._top - self._gap * (rows - 1)) // rows,
        )
        fov_deg = float(np.interp(self._panel[0] / self._panel[1], (0.7, 1.6), (NARROW_FOV_DEG, WIDE_FOV_DEG)))
        for scene in scenes:
            scene.place_camera(self._panel, fov_deg)
        self._colors = policy_colors([scene.episode.policy for scene in scenes])
        self._title = f"world {first.world.seed}"
        self._subtitle = describe_world(first.world, first.episode.env_kwargs)
        self._ended: dict[int, tuple[Moment, Image]] = {}

    def paint(self, time_s: float, badge: str = "") -> Image:
        """The picture of an instant, (height, width, 3) uint8; instants only go forward."""
        width, height = self._size
        picture: Image = np.full((height, width, 3), PANEL, np.uint8)
        moments = []
        for number in range(len(self._scenes)):
            moment, panel = self._panel_at(number, time_s)
            row, column = divmod(number, self._columns)
            left, top = column * (self._panel[0] + self._gap), self._top + row * (self._panel[1] + self._gap)
            picture[top : top + self._panel[1], left : left + self._panel[0]] = panel
            moments.append(moment)
        self._paint_heading(picture, time_s, badge)
        episodes = [
            MarkedPath(moment.path_m, color, [(moment.path_m[-1], str(number + 1))], moment.marks_m)
            for number, (moment, color) in enumerate(zip(moments, self._colors, strict=True))
        ]
        painted = self._map.paint_episodes(episodes)
        left = width - self._pen.pad - painted.shape[1]
        picture[self._top : self._top + painted.shape[0], left : left + painted.shape[1]] = painted
        return picture

    def _paint_heading(self, picture: Image, time_s: float, badge: str) -> None:
        pen, baseline = self._pen, round(2.0 * self._pen.text_size)
        clock = f"{time_s:.1f} s"
        right = picture.shape[1] - pen.pad
        pen.write(picture, clock, (right - pen.width(clock, 1.3), baseline), INK, 1.3)
        room = right - pen.width("888.8 s", 1.3) - 2 * pen.pad
        if badge:
            room -= pen.width(badge, 1.1) + 2 * pen.pad
            pen.write(picture, badge, (room + pen.pad, baseline), EXPERT, 1.1)
        pen.write(picture, self._title, (pen.pad, baseline), INK, 1.15)
        left = 3 * pen.pad + pen.width(self._title, 1.15)
        pen.write(picture, self._subtitle, (left, baseline), DIM, 1.0, room=max(1, room - left))

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
            self._ended[number] = moment, panel
        return moment, panel

    def _paint_panel(self, panel: Image, moment: Moment, name: str, color: Color) -> None:
        """Name above, speed below, and the outcome when there is one."""
        pen, (height, width) = self._pen, panel.shape[:2]
        bottom = height - round(2.5 * pen.text_size)
        pen.label(panel, f"{moment.speed_mps:4.1f} m/s", (0, bottom), INK, 1.1)
        put_back = moment.notes[-1] if moment.notes and moment.marks_m is not None and len(moment.marks_m) else ""
        if put_back:
            pen.label(panel, put_back, (width, bottom), BAD, 1.0, right=True)
        if moment.outcome != "running":
            self._paint_outcome(panel, moment)
        pen.label(panel, name, (0, 0), color, 1.2)

    def _paint_outcome(self, panel: Image, moment: Moment) -> None:
        pen, (height, width) = self._pen, panel.shape[:2]
        color = GOOD if moment.outcome == "success" else BAD
        text = moment.outcome.replace("_", " ").upper()
        half = round(2.3 * pen.text_size)
        middle = max(round(0.2 * height), half + round(3.0 * pen.text_size))  # below the name
        darken(panel[middle - half : middle + half])
        scale = min(1.7, 1.7 * (width - 2 * pen.pad) / max(1, pen.width(text, 1.7)))
        pen.write(panel, text, ((width - pen.width(text, scale)) // 2, middle), color, scale)
        told = f"after {moment.time_s:.1f} s"
        pen.write(panel, told, ((width - pen.width(told)) // 2, middle + round(1.7 * pen.text_size)), INK)
        self._cv2.rectangle(panel, (0, 0), (width - 1, height - 1), color, pen.thick(0.3))


def policy_colors(names: Sequence[str]) -> list[Color]:
    """A colour for each policy: the expert's own for the expert, others in their order."""
    others = [name for name in names if name != "expert"]
    return [EXPERT if name == "expert" else COLORS[others.index(name) % len(COLORS)] for name in names]
