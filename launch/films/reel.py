"""The highlights of an evaluation: its nearest misses, one after the other, slowed down where it was close."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forestpilot.data_collection.rollouts.progress import Stage
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.episode_video import EpisodeScene
from forestpilot.launch.films.pace import Tick, speed_badge, ticks
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import BAD, DIM, EXPERT, GOOD, INK, PANEL, POLICY, Image
from forestpilot.launch.pictures.drawing import Moment, import_cv2
from forestpilot.launch.pictures.pen import Pen, darken, fitted
from forestpilot.launch.pictures.world_map import WorldMap
from forestpilot.launch.terminal.tables import format_density

BEFORE_S, AFTER_S = 2.2, 1.3
"""What a clip shows before and after the moment of least clearance, in seconds of the episode."""
SLOW_S = 0.4
"""Time runs slowly from so long before that moment until so long after it, in seconds of the episode."""
TITLE_S, CLIP_HOLD_S = 3.0, 0.5
"""How long the title stands, and the last picture of each clip, in seconds."""
GAUGE_M = 1.0
"""The gauge is full at this clearance, in metres."""
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
    nearest, time_s, speed_mps = float("inf"), 0.0, 0.0
    with EpisodeScene(episode, expert=False, stage=stage) as scene:
        for index in range(len(episode.actions)):
            # In the middle of two states, because a clearance is the least on the way from one to the next.
            moment = scene.at((index + 0.5) / scene.spec.control_hz)
            if moment.clearance_m is not None and moment.clearance_m < nearest:
                nearest, time_s, speed_mps = moment.clearance_m, moment.time_s, moment.speed_mps
        scene.finish()
    return NearMiss(episode, time_s, nearest, speed_mps)


def write_reel(
    path: Path,
    near_misses: Sequence[NearMiss],
    size: tuple[int, int],
    fps: int,
    slow: float = 4.0,
    successes: int | None = None,
    stage: Stage | None = None,
) -> None:
    """Write a film of near misses in the order given; nothing is left behind when a replay diverges.

    Args:
        path: the MP4 file to write.
        near_misses: what to show, at least one.
        size: width and height in pixels.
        fps: frames per second.
        slow: how many times slower time runs near the moments.
        successes: number of successful episodes that these are the closest of; None if the title need not say.
        stage: is advanced by one for each state.
    """
    with VideoWriter(path, *size, fps=fps) as video:
        title = title_card(near_misses, size, successes)
        for _ in range(round(TITLE_S * fps)):
            video.write(title)
        for number, near_miss in enumerate(near_misses, start=1):
            with EpisodeScene(near_miss.episode, expert=False, stage=stage) as scene:
                for frame in clip_frames(scene, near_miss, size, fps, slow, f"{number}/{len(near_misses)}"):
                    video.write(frame)
                scene.finish()


def clip_ticks(near_miss: NearMiss, duration_s: float, fps: float, slow: float) -> list[Tick]:
    """The frames of a clip: some seconds around the moment, those next to it slowly."""
    start_s, end_s = max(0.0, near_miss.time_s - BEFORE_S), min(duration_s, near_miss.time_s + AFTER_S)
    pieces = [
        (max(start_s, near_miss.time_s - SLOW_S), 1.0),
        (min(end_s, near_miss.time_s + SLOW_S), slow),
        (end_s, 1.0),
    ]
    return ticks(start_s, pieces, fps)


def clip_frames(
    scene: EpisodeScene, near_miss: NearMiss, size: tuple[int, int], fps: float, slow: float, number: str
) -> Iterator[Image]:
    """The pictures of a clip."""
    painter = ClipPainter(size, scene, near_miss, number)
    scene.place_camera(size)
    frame: Image | None = None
    for tick in clip_ticks(near_miss, scene.duration_s, fps, slow):
        frame = painter.paint(dataclasses.replace(scene.at(tick.time_s), badge=speed_badge(tick.slow)))
        yield frame
    assert frame is not None
    for _ in range(round(CLIP_HOLD_S * fps)):
        yield frame


class ClipPainter:
    """The chase view with a caption, a gauge of the clearance, the map, and what the policy sees."""

    def __init__(self, size: tuple[int, int], scene: EpisodeScene, near_miss: NearMiss, number: str) -> None:
        """`size` is width and height in pixels, `number` counts the clips."""
        self._cv2 = import_cv2()
        self._width, self._height = size
        self._pen = Pen(self._cv2, max(7.0, self._height / 40))
        self._bar = round(4.4 * self._pen.text_size)
        self._name = f"{number}  {scene.episode.policy}, world {scene.world.seed}"
        self._near_miss = near_miss
        self._half_fov_rad = float(np.radians(scene.spec.horizontal_fov_deg)) / 2
        room = (round(0.2 * self._width), round(0.42 * self._height))
        self._map = WorldMap(self._cv2, scene.world, room, 0.8 * self._pen.text_size)

    def paint(self, moment: Moment) -> Image:
        """The picture of an instant, (height, width, 3) uint8."""
        picture = fitted(self._cv2, moment.chase, (self._width, self._height)).copy()
        painted = self._map.paint(moment.path_m, moment.yaw_rad, self._half_fov_rad, moment.marks_m)
        picture[: painted.shape[0], self._width - painted.shape[1] :] = painted
        self._paint_view(picture, moment.views[1])
        self._pen.label(picture, self._name, (0, 0), INK, 1.1)
        if moment.badge:
            self._pen.label(picture, moment.badge, (0, round(3.2 * self._pen.text_size)), EXPERT, 1.3)
        self._paint_bar(picture, moment)
        return picture

    def _paint_view(self, picture: Image, view: Image) -> None:
        """What the policy sees ahead, in the lower right corner."""
        width = round(0.2 * self._width)
        height = round(width * view.shape[0] / view.shape[1])
        top, left = self._height - self._bar - height, self._width - width
        picture[top - 2 : top + height, left - 2 :] = PANEL
        picture[top : top + height, left:] = self._cv2.resize(
            view, (width, height), interpolation=self._cv2.INTER_NEAREST
        )

    def _paint_bar(self, picture: Image, moment: Moment) -> None:
        """The caption, and a bar as long as the clearance."""
        pen, top = self._pen, self._height - self._bar
        darken(picture[top:])
        baseline = top + round(1.7 * pen.text_size)
        pen.write(picture, f"closest: {self._near_miss.caption}", (pen.pad, baseline), INK, 1.2)
        speed = f"{moment.speed_mps:.1f} m/s"
        pen.write(picture, speed, (self._width - pen.pad - pen.width(speed, 1.2), baseline), INK, 1.2)
        clearance_m = max(0.0, moment.clearance_m or 0.0)
        color = BAD if clearance_m < 0.2 else EXPERT if clearance_m < 0.5 else GOOD
        told = f"{100 * clearance_m:.0f} cm" if clearance_m < GAUGE_M else f"over {100 * GAUGE_M:.0f} cm"
        left, right = pen.pad, self._width - 2 * pen.pad - pen.width("over 888 cm")
        upper, lower = top + round(2.5 * pen.text_size), top + round(3.7 * pen.text_size)
        length = round((right - left) * min(1.0, clearance_m / GAUGE_M))
        self._cv2.rectangle(picture, (left, upper), (right, lower), DIM, 1)
        self._cv2.rectangle(picture, (left, upper), (left + max(2, length), lower), color, -1)
        pen.write(picture, told, (right + pen.pad, lower - round(0.1 * pen.text_size)), color)


def title_card(near_misses: Sequence[NearMiss], size: tuple[int, int], successes: int | None = None) -> Image:
    """The first picture: what is shown, of how many, in which worlds, and the list of clips."""
    width, height = size
    picture: Image = np.full((height, width, 3), PANEL, np.uint8)
    pen = Pen(import_cv2(), height / 34)
    of = "" if successes is None else f" of {successes} successful episodes"
    lines = [
        ("Nearest misses", INK, 2.6),
        (f"the {len(near_misses)} closest{of}" if len(near_misses) > 1 else f"the closest{of}", INK, 1.2),
        (describe_settings(near_misses[0].episode), DIM, 1.0),
        ("", DIM, 0.5),
        *((f"{number}   {near_miss.episode.policy}, world {near_miss.episode.seed}   {near_miss.caption}", POLICY, 0.95)
          for number, near_miss in enumerate(near_misses[:LISTED], start=1)),
    ]  # fmt: skip
    if len(near_misses) > LISTED:
        lines.append((f"and {len(near_misses) - LISTED} more", DIM, 0.95))
    steps = [1.15 * pen.text_size * (scale + 0.7) for _, _, scale in lines]
    baseline = 0.5 * (height - sum(steps))
    for (text, color, scale), step in zip(lines, steps, strict=True):
        baseline += step
        pen.write(picture, text, (round(0.09 * width), round(baseline)), color, scale, room=round(0.85 * width))
    return picture


def describe_settings(episode: StoredEpisode) -> str:
    """What the worlds of an evaluation have in common, in a few words."""
    kwargs = episode.env_kwargs
    kind = "roads" if "Drive" in episode.env_id else "forests"
    parts = [f"{kind} ({kwargs['preset']})" if kwargs.get("preset") else kind]
    if kwargs.get("density"):
        parts.append(f"{format_density(kwargs['density'])} trees/m2")
    if kwargs.get("speed"):
        parts.append(f"{kwargs['speed']:.3g} m/s set point")
    return ", ".join(parts)
