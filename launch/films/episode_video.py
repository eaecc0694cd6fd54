"""The video of a replayed episode, frame by frame as the simulation goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.pace import HOLD_S, FilmConfig, Piece, ticks, with_hold
from forestpilot.launch.films.scene import EpisodeScene
from forestpilot.launch.films.video import VideoWriter
from forestpilot.launch.pictures.colors import Image


def write_episode_video(
    path: Path, episode: StoredEpisode, film: FilmConfig, costs: str = "expert", stage: Stage | None = None
) -> None:
    """Replay an episode and write its video; nothing is left behind when the replay diverges.

    Args:
        path: the MP4 file to write.
        episode: what was stored of the episode.
        film: size and pace.
        costs: whose costs to draw: `expert`, `policy` or `none`.
        stage: is advanced by one for each state.
    """
    with EpisodeScene(episode, costs, stage=stage) as scene, VideoWriter(path, *film.size, fps=film.fps) as video:
        for frame in episode_frames(scene, film):
            video.write(frame)


def episode_frames(scene: EpisodeScene, film: FilmConfig) -> Iterator[Image]:
    """The pictures of an episode's film, one after the other; the last one stands for `HOLD_S` seconds."""
    return with_hold(_running_frames(scene, film), round(HOLD_S * film.fps))


def _running_frames(scene: EpisodeScene, film: FilmConfig) -> Iterator[Image]:
    painter = scene.painter(film.size)
    scene.place_camera(painter.chase_size)
    end_s = scene.duration_s
    for tick in ticks(film.start_s(end_s), [Piece(end_s, film.slow)], film.fps):
        moment = scene.at(tick.time_s)
        yield painter.paint(dataclasses.replace(moment, badge=tick.badge))
