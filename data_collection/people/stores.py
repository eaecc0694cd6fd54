"""Where the episodes go that a human flies, drives or steers along with."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.people.drivers import Driver
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import Scenario


class Store(Protocol):
    """A place that finished episodes go to."""

    def has(self, episode: Scenario) -> bool:
        """Tell if the episode is recorded already."""

    def keep(self, running: EpisodeRecorder, driver: Driver) -> Path:
        """Record an episode as far as it went; when this returns, it survives anything."""

    def discard(self, path: Path) -> None:
        """Take a recorded episode out again."""


class DatasetStore:
    """Adds each episode to a job's dataset as a new episode.

    Args:
        job: names the dataset, which must be there, and the round.

    Raises:
        ValueError: the job records nothing.
    """

    def __init__(self, job: Job) -> None:
        if job.dataset is None:
            raise ValueError("the job names no dataset; a human's episodes are recorded, so give one")
        self._dataset = Dataset.open(job.dataset, check=False)
        self._round = job.dagger_round

    def has(self, episode: Scenario) -> bool:
        """Tell if there is an episode of this round and world."""
        return self._dataset.has(self._round, episode.seed)

    def keep(self, running: EpisodeRecorder, driver: Driver) -> Path:
        """Add the episode."""
        return self._dataset.add(running.episode(driver.name, self._round))

    def discard(self, path: Path) -> None:
        """Move the episode into the dataset's discarded/."""
        self._dataset.discard(path)
