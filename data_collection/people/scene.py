"""What a human who flies or drives is shown at an instant, and whoever draws it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.people.console import Key
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder


class Mode(Enum):
    """State of a live session."""

    WAITING = "waiting for a key to start"
    RUNNING = "running"
    PAUSED = "paused"
    AWAY = "paused because nobody is there"
    ENDED = "the episode is over"


@dataclass(frozen=True)
class Scene:
    """Everything that there is to show at one instant of a live session."""

    episode: EpisodeRecorder
    """The episode, its world, environment and record."""
    mode: Mode
    """What is going on."""
    keys: Key
    """Steering keys held, those apart that do not count because they were held before."""
    action: NDArray[np.float32]
    """(2,) the last action, or where the human steers along, what the human would do."""
    actor: int
    """Who drives, as in `Episode.actor`."""
    takes_turns: bool
    """Whether a policy drives and a human can take over."""
    slow: bool
    """Whether time runs at half speed."""
    late: int
    """Steps that came late since the session began."""
    number: int
    """Which episode this is, from 1."""
    total: int
    """Episodes asked for."""
    saved: int
    """Episodes recorded, those of earlier sessions included."""
    message: str
    """One line about what just happened; may be empty."""


class Painter(Protocol):
    """Draws what the human sees; `forestpilot.launch.cockpit.cockpit` has one."""

    def begin(self, episode: EpisodeRecorder) -> None:
        """A new episode, in a new world."""

    def paint(self, scene: Scene) -> NDArray[np.uint8]:
        """The picture to show, (H, W, 3) uint8 RGB."""
