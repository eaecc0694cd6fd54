"""The seconds around an event as a small film."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.episode_video import EpisodeScene
from forestpilot.launch.films.pace import speed_badge, ticks
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import Image

FPS = 20
QUALITY_CRF = 28
"""Small rather than sharp: several films stand in one page."""
SLOW, SLOW_S = 2.0, 1.0
"""How many times slower the last moments before the event run, and how many seconds these are."""
HOLD_S = 1.0
"""How long the last picture stands, seconds."""


def write_clip(
    path: Path, episode: StoredEpisode, start_s: float, event_s: float, end_s: float, size: tuple[int, int]
) -> Image:
    """Write a film of part of an episode, slow just before the event.

    Args:
        path: the MP4 file to write.
        episode: what was stored of the episode.
        start_s: where in the episode the film begins, seconds.
        event_s: when it happens.
        end_s: where the film ends.
        size: width and height in pixels, even.

    Returns:
        The picture at the event, (height, width, 3) uint8.

    Raises:
        ReplayDivergedError: the simulation does not repeat the episode.
    """
    pieces = [(max(start_s, event_s - SLOW_S), 1.0), (event_s, SLOW), (end_s, 1.0)]
    at_event: Image | None = None
    with EpisodeScene(episode, "expert") as scene, VideoWriter(path, *size, FPS, QUALITY_CRF) as video:
        painter = scene.painter(size)
        scene.place_camera(painter.chase_size)
        for tick in ticks(start_s, pieces, FPS):
            frame = painter.paint(dataclasses.replace(scene.at(tick.time_s), badge=speed_badge(tick.slow)))
            video.write(frame)
            if at_event is None or tick.time_s <= event_s + 1e-6:
                at_event = frame
        for _ in range(round(HOLD_S * FPS)):
            video.write(frame)
    assert at_event is not None
    return at_event
