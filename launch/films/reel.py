"""The highlights of an evaluation: its nearest misses, one after the other, slowed down where it was close."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.pace import FilmConfig, Piece, Tick, ticks, with_hold
from forestpilot.launch.films.scene import MOVING_SHARE, EpisodeScene
from forestpilot.launch.pictures.colors import BAD, DIM, EXPERT, GOOD, INK, PANEL, POLICY, Color, Image
from forestpilot.launch.pictures.drawing import Moment
from forestpilot.launch.pictures.opencv import import_cv2
from forestpilot.launch.pictures.pen import Pen, darken, fitted, paste
from forestpilot.launch.pictures.world_map import WorldMap
from forestpilot.launch.reading.tasks import task_of_env
from forestpilot.sim.cameras import CENTER

BEFORE_S = 2.2
"""What a clip shows before the moment of least clearance, in seconds of the episode."""
AFTER_S = 1.3
"""What it shows after it."""
SLOW_S = 0.4
"""Time runs slowly from so long before that moment until so long after it, in seconds of the episode."""
TITLE_S = 3.0
"""How long the title stands, in seconds."""
CLIP_HOLD_S = 0.5
"""How long the last picture of each clip stands, in seconds."""
GAUGE_M = 1.0
"""The gauge is full at this clearance, in metres."""
GRAZE_M = 0.2
"""Clearances below this are shown as dangerous, in metres."""
CLOSE_M = 0.5
"""Clearances below this are shown as close, in metres."""
LISTED = 10
"""Clips that the title names."""


@dataclass(frozen=True)
class NearMiss:
    """An episode and its moment of least clearance."""

    episode: StoredEpisode
    """The episode."""
    time_s: float
    """When it was, seconds after the start."""
    clearance_m: float
    """Distance to the nearest tree or obstacle, in metres."""
    speed_mps: float
    """How fast the vehicle was, in m/s."""

    @property
    def caption(self) -> str:
        """The facts in a line."""
        return f"{100 * self.clearance_m:.0f} cm at {self.speed_mps:.1f} m/s"


def closest_moment(episode: StoredEpisode, stage: Stage | None = None) -> NearMiss:
    """Replay an episode to find its moment of least clearance.

    Args:
        episode: what was stored of it.
        stage: is advanced by one for each state.

    Raises:
        ReplayDivergedError: a state differs from the stored one.
    """
    closest = NearMiss(episode, 0.0, math.inf, 0.0)
    with EpisodeScene(episode, expert=False, stage=stage, cameras=()) as scene:
        for index in range(len(episode.actions)):
            # In the middle of two states, because a clearance is the least on the way from one to the next.
            moment = scene.at((index + 0.5) / scene.spec.control_hz)
            if moment.clearance_m is not None and moment.clearance_m < closest.clearance_m:
                closest = NearMiss(episode, moment.time_s, moment.clearance_m, moment.speed_mps)
        scene.finish()
    return closest


def title_frames(near_misses: Sequence[NearMiss], film: FilmConfig, successes: int | None = None) -> list[Image]:
    """The title of a reel, as long as it stands.

    Args:
        near_misses: what the reel shows, at least one.
        film: size and frame rate.
        successes: number of successful episodes that these are the closest of; None if the title need not say.
    """
    return [title_card(near_misses, film.size, successes)] * round(TITLE_S * film.fps)


def clip_ticks(near_miss: NearMiss, duration_s: float, film: FilmConfig) -> list[Tick]:
    """The frames of a clip: some seconds around the moment, those next to it slowly."""
    start_s = max(0.0, near_miss.time_s - BEFORE_S)
    end_s = min(duration_s, near_miss.time_s + AFTER_S)
    pieces = [
        Piece(max(start_s, near_miss.time_s - SLOW_S)),
        Piece(min(end_s, near_miss.time_s + SLOW_S), film.slow),
        Piece(end_s),
    ]
    return ticks(start_s, pieces, film.fps)


def clip_frames(scene: EpisodeScene, near_miss: NearMiss, film: FilmConfig, number: str) -> Iterator[Image]:
    """The pictures of a clip; the last one stands for `CLIP_HOLD_S` seconds."""
    return with_hold(_running_frames(scene, near_miss, film, number), round(CLIP_HOLD_S * film.fps))


def _running_frames(scene: EpisodeScene, near_miss: NearMiss, film: FilmConfig, number: str) -> Iterator[Image]:
    painter = ClipPainter(film.size, scene, near_miss, number)
    scene.place_camera(film.size, share=MOVING_SHARE)
    shown = clip_ticks(near_miss, scene.duration_s, film)
    scene.skip_to(shown[0].time_s)
    for tick in shown:
        moment = scene.at(tick.time_s)
        yield painter.paint(dataclasses.replace(moment, badge=tick.badge))


class ClipPainter:
    """The chase view with a caption, a gauge of the clearance, the map, and what the policy sees."""

    def __init__(self, size: tuple[int, int], scene: EpisodeScene, near_miss: NearMiss, number: str) -> None:
        """`size` is width and height in pixels, `number` counts the clips."""
        self._cv2 = import_cv2()
        self._width, self._height = size
        self._pen = Pen(self._cv2, max(7.0, self._height / 40))
        self._bar = round(4.4 * self._pen.text_size)
        self._name = f"{number}  {scene.title}"
        self._near_miss = near_miss
        self._half_fov_rad = scene.half_fov_rad
        room = (round(0.2 * self._width), round(0.42 * self._height))
        self._map = WorldMap(self._cv2, scene.world, room, 0.8 * self._pen.text_size)

    def paint(self, moment: Moment) -> Image:
        """The picture of an instant, (height, width, 3) uint8."""
        picture = fitted(self._cv2, moment.chase, (self._width, self._height)).copy()
        painted = self._map.paint(moment.path_m, moment.yaw_rad, self._half_fov_rad, moment.marks_m, moment.moving)
        paste(picture, painted, self._width - painted.shape[1], 0)
        self._paint_view(picture, moment.views[CENTER])
        self._pen.label(picture, self._name, (0, 0), INK, 1.1)
        if moment.badge:
            self._pen.label(picture, moment.badge, (0, round(3.2 * self._pen.text_size)), EXPERT, 1.3)
        self._paint_bar(picture, moment)
        return picture

    def _paint_view(self, picture: Image, view: Image) -> None:
        """The policy's view ahead, in the lower right corner."""
        width = round(0.2 * self._width)
        height = round(width * view.shape[0] / view.shape[1])
        left = self._width - width
        top = self._height - self._bar - height
        picture[top - 2 : top + height, left - 2 :] = PANEL
        seen = self._cv2.resize(view, (width, height), interpolation=self._cv2.INTER_NEAREST)
        paste(picture, seen, left, top)

    def _paint_bar(self, picture: Image, moment: Moment) -> None:
        """The caption, and a bar as long as the clearance."""
        pen = self._pen
        top = self._height - self._bar
        darken(picture[top:])
        baseline = top + round(1.7 * pen.text_size)
        pen.write(picture, f"closest: {self._near_miss.caption}", (pen.pad, baseline), INK, 1.2)
        speed = f"{moment.speed_mps:.1f} m/s"
        pen.write(picture, speed, (self._width - pen.pad - pen.width(speed, 1.2), baseline), INK, 1.2)
        clearance_m = max(0.0, moment.clearance_m or 0.0)
        color = _danger_color(clearance_m)
        left = pen.pad
        right = self._width - 2 * pen.pad - pen.width("over 888 cm")
        upper = top + round(2.5 * pen.text_size)
        lower = top + round(3.7 * pen.text_size)
        length = round((right - left) * min(1.0, clearance_m / GAUGE_M))
        self._cv2.rectangle(picture, (left, upper), (right, lower), DIM, 1)
        self._cv2.rectangle(picture, (left, upper), (left + max(2, length), lower), color, -1)
        told = f"{100 * clearance_m:.0f} cm" if clearance_m < GAUGE_M else f"over {100 * GAUGE_M:.0f} cm"
        pen.write(picture, told, (right + pen.pad, lower - round(0.1 * pen.text_size)), color)


def _danger_color(clearance_m: float) -> Color:
    """The colour of the gauge."""
    if clearance_m < GRAZE_M:
        return BAD
    return EXPERT if clearance_m < CLOSE_M else GOOD


def title_card(near_misses: Sequence[NearMiss], size: tuple[int, int], successes: int | None = None) -> Image:
    """The first picture: what is shown, of how many, in which worlds, and the list of clips."""
    width, height = size
    picture: Image = np.full((height, width, 3), PANEL, np.uint8)
    pen = Pen(import_cv2(), height / 34)
    shown = f"the {len(near_misses)} closest" if len(near_misses) > 1 else "the closest"
    if successes is not None:
        shown += f" of {successes} successful episodes"
    lines = [
        ("Nearest misses", INK, 2.6),
        (shown, INK, 1.2),
        (describe_settings(near_misses[0].episode), DIM, 1.0),
        ("", DIM, 0.5),
    ]
    for number, near_miss in enumerate(near_misses[:LISTED], start=1):
        episode = near_miss.episode
        lines.append((f"{number}   {episode.policy}, world {episode.seed}   {near_miss.caption}", POLICY, 0.95))
    if len(near_misses) > LISTED:
        lines.append((f"and {len(near_misses) - LISTED} more", DIM, 0.95))
    baseline = 0.5 * height
    for _, _, scale in lines:
        baseline -= 0.5 * _line_height(pen, scale)
    for text, color, scale in lines:
        baseline += _line_height(pen, scale)
        pen.write(picture, text, (round(0.09 * width), round(baseline)), color, scale, room=round(0.85 * width))
    return picture


def _line_height(pen: Pen, scale: float) -> float:
    """Distance of a line of the title from the one above it, pixels."""
    return 1.15 * pen.text_size * (scale + 0.7)


def describe_settings(episode: StoredEpisode) -> str:
    """Words for what the worlds of an evaluation have in common."""
    return task_of_env(episode.env_id).describe(episode.env_kwargs)
