"""The video of a replayed episode, frame by frame as the simulation goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from forestpilot.data_collection.episodes.progress import Stage
from forestpilot.data_collection.rollouts.replay import StoredEpisode
from forestpilot.launch.films.pace import HOLD_S, FilmConfig, Piece, Tick, ticks, with_hold
from forestpilot.launch.films.scene import MOVING_SHARE, EpisodeScene
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
    frames = frames_at(scene, film, episode_ticks(scene.duration_s, film))
    return with_hold(frames, round(HOLD_S * film.fps))


def episode_ticks(duration_s: float, film: FilmConfig) -> list[Tick]:
    """The frames of the film of an episode that takes so many seconds."""
    return ticks(film.start_s(duration_s), [Piece(duration_s, film.slow)], film.fps)


def frames_at(
    scene: EpisodeScene, film: FilmConfig, shown: Sequence[Tick], before_s: Sequence[float] = ()
) -> Iterator[Image]:
    """Some pictures of a film.

    Args:
        scene: the episode, at its beginning.
        film: size and pace.
        shown: the frames, at least one.
        before_s: instants of the film's frames before these, in seconds.
    """
    painter = scene.painter(film.size)
    scene.place_camera(painter.chase_size, share=MOVING_SHARE)
    scene.skip_to(shown[0].time_s, before_s)
    for tick in shown:
        moment = scene.at(tick.time_s)
        yield painter.paint(dataclasses.replace(moment, badge=tick.badge))
