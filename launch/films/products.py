"""What is made of stored episodes besides films of one, each as a task of a rollout pool: its last argument is told of
states that were simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestpilot.data_collection.rollouts.replay import StoredEpisode, make_replay_env, replay_episode
from forestpilot.launch.films.contact_sheet import write_contact_sheet
from forestpilot.launch.films.episode_video import episode_frames
from forestpilot.launch.films.gif import write_gif
from forestpilot.launch.films.pace import FilmConfig
from forestpilot.launch.films.reel import NearMiss, clip_frames, closest_moment
from forestpilot.launch.films.scene import EpisodeScene
from forestpilot.launch.films.side_by_side import side_by_side_frames, write_side_by_side
from forestpilot.launch.films.video import encode_part
from forestpilot.launch.films.webp import write_webp
from forestpilot.launch.pictures.colors import Image
from forestpilot.sim.cameras import CAMERA_NAMES, CENTER

Tell = Callable[[int], Any]
TOLD_STATES = 20
"""A worker says how far it is after so many states."""


class Teller:
    """A `Stage` that tells another process how far it is, now and then."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._untold = 0

    def advance(self, count: int = 1, **fields: object) -> None:
        """Count."""
        self._untold += count
        if self._untold >= TOLD_STATES:
            self.flush()

    def flush(self) -> None:
        """Tell what is not told yet."""
        self._tell(self._untold)
        self._untold = 0


@contextmanager
def telling(tell: Tell) -> Iterator[Teller]:
    """A stage that has told all at its end."""
    teller = Teller(tell)
    yield teller
    teller.flush()


@dataclass(frozen=True)
class MovingPicture:
    """An animation for a page, with a limit of size."""

    path: Path
    """Where it goes: `.gif` or `.webp`."""
    film: FilmConfig
    """Size and pace that it is drawn with."""
    costs: str
    """Whose costs to draw: `expert`, `policy` or `none`."""
    width: int
    """Width in pixels."""
    limit_mb: float
    """Largest size in MB."""

    def write(self, frames: Iterator[Image]) -> str:
        """Write frames; returns size and shape in words."""
        write = write_webp if self.path.suffix == ".webp" else write_gif
        return str(write(self.path, frames, self.film.fps, self.width, self.limit_mb))


def check_states(episode: StoredEpisode, tell: Tell) -> None:
    """Compare every state of an episode, and draw nothing."""
    env = make_replay_env(episode)
    vehicle: Any = env.unwrapped
    vehicle.draw_only(())
    with telling(tell) as stage:
        try:
            for _ in replay_episode(episode, env):
                stage.advance()
        finally:
            env.close()


def make_moving_picture(picture: MovingPicture, episode: StoredEpisode, tell: Tell) -> str:
    """Write the animation of an episode; returns its size and shape in words."""
    with telling(tell) as stage, EpisodeScene(episode, picture.costs, stage=stage) as scene:
        return picture.write(episode_frames(scene, picture.film))


def make_sheet(path: Path, episode: StoredEpisode, moments: int, last_s: float | None, tell: Tell) -> None:
    """Write a contact sheet."""
    with telling(tell) as stage:
        write_contact_sheet(path, episode, moments, last_s, stage)


def make_side_by_side(path: Path, film: FilmConfig, episodes: Sequence[StoredEpisode], tell: Tell) -> str:
    """Write a film of several episodes through a world; there is nothing to say of it."""
    with ExitStack() as stack:
        write_side_by_side(path, _scenes(stack, episodes, tell), film)
    return ""


def make_moving_side_by_side(picture: MovingPicture, episodes: Sequence[StoredEpisode], tell: Tell) -> str:
    """Write an animation of several episodes through a world; returns its size and shape in words."""
    with ExitStack() as stack:
        return picture.write(side_by_side_frames(_scenes(stack, episodes, tell), picture.film))


def find_moment(episode: StoredEpisode, tell: Tell) -> NearMiss:
    """The moment of least clearance."""
    with telling(tell) as stage:
        return closest_moment(episode, stage)


def make_clip(near_miss: NearMiss, film: FilmConfig, number: str, tell: Tell) -> bytes:
    """A clip of a reel, as part of a film."""
    cameras = (CAMERA_NAMES[CENTER],)
    with (
        telling(tell) as stage,
        EpisodeScene(near_miss.episode, expert=False, stage=stage, cameras=cameras) as scene,
    ):
        part = encode_part(clip_frames(scene, near_miss, film, number), film.fps)
        scene.finish()
    return part


def _scenes(stack: ExitStack, episodes: Sequence[StoredEpisode], tell: Tell) -> list[EpisodeScene]:
    """Scenes of all episodes, closed with the stack; a film of several shows none of the policy's own pictures."""
    stage = stack.enter_context(telling(tell))
    return [stack.enter_context(EpisodeScene(episode, expert=False, stage=stage, cameras=())) for episode in episodes]
