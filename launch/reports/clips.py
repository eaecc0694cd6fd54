"""The seconds around an event as a small film."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.pace import Piece, Tick, ticks
from forestpilot.launch.films.scene import EpisodeScene
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import Image

FPS = 20
"""Frames per second."""
QUALITY_CRF = 28
"""Small rather than sharp: several films stand in one page."""
SLOW = 2.0
"""How many times slower the last moments before the event run."""
SLOW_S = 1.0
"""How many seconds these are."""
HOLD_S = 1.0
"""How long the last picture stands, seconds."""


class Clip(NamedTuple):
    """A part of an episode around an event, in seconds since its start."""

    start_s: float
    """Where the film begins."""
    event_s: float
    """When it happens."""
    end_s: float
    """Where the film ends."""

    def ticks(self) -> list[Tick]:
        """The frames of its film, slow just before the event."""
        slow_from_s = max(self.start_s, self.event_s - SLOW_S)
        return ticks(self.start_s, [Piece(slow_from_s), Piece(self.event_s, SLOW), Piece(self.end_s)], FPS)


def write_clip(path: Path, episode: StoredEpisode, clip: Clip, size: tuple[int, int]) -> Image:
    """Write a film of part of an episode, slow just before the event.

    Args:
        path: the MP4 file to write.
        episode: what was stored of the episode.
        clip: which part.
        size: width and height in pixels, even.

    Returns:
        The picture at the event, (height, width, 3) uint8.

    Raises:
        ReplayDivergedError: the simulation does not repeat the episode.
    """
    at_event: Image | None = None
    with EpisodeScene(episode, "expert") as scene, VideoWriter(path, *size, FPS, QUALITY_CRF) as video:
        painter = scene.painter(size)
        scene.place_camera(painter.chase_size)
        for tick in clip.ticks():
            moment = scene.at(tick.time_s)
            frame = painter.paint(dataclasses.replace(moment, badge=tick.badge))
            video.write(frame)
            if at_event is None or tick.time_s <= clip.event_s + 1e-6:
                at_event = frame
        for _ in range(round(HOLD_S * FPS)):
            video.write(frame)
    assert at_event is not None
    return at_event
