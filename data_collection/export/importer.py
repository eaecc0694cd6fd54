"""What an importer is: it reads back what an exporter has written, as a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError


class ImportDataError(ForestPilotError):
    """A folder or file that cannot be read as a dataset; says what is missing, and what to do."""


class Importer(ABC):
    """Reads a dataset in another format; subclasses are registered in `IMPORTERS`."""

    lacks: ClassVar[tuple[str, ...]] = ()
    """What does not come back, because the format does not have it; see `Episode.lacks`."""

    def __init__(self, source: Path | str) -> None:
        self.source = Path(source)

    @property
    @abstractmethod
    def task_spec(self) -> TaskSpec:
        """The task of all episodes.

        Raises:
            ImportDataError: nothing is there, or it is not in this format.
        """

    @property
    @abstractmethod
    def env_id(self) -> str:
        """Gymnasium id of their environment."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of episodes."""

    @abstractmethod
    def episodes(self, is_known: Callable[[EpisodeMeta, Rerun], bool] | None = None) -> Iterator[Episode]:
        """One after the other; what has been read is forgotten.

        Args:
            is_known: says of each whether the caller has it already, so that its pictures need not be unpacked; None
                for all.

        Raises:
            ImportDataError: pictures or steps are missing, or are not what was written.
        """

    def import_to(self, out: Path | str, progress: Progress | None = None) -> Dataset:
        """Write all episodes into a dataset; those that it has already are left out, so that the same call goes on
        where an earlier one was interrupted.

        Args:
            out: folder of the dataset.
            progress: is told of each episode.
        """
        dataset = Dataset.create(out, self.task_spec, self.env_id)
        with (progress or SilentProgress()).stage("import", total=len(self)) as stage:

            def is_known(meta: EpisodeMeta, rerun: Rerun) -> bool:
                known = dataset.has(meta.dagger_round, meta.seed, rerun.take)
                if known:
                    stage.advance()
                return known

            for episode in self.episodes(is_known):
                dataset.add(episode)
                stage.advance(steps=episode.num_steps)
        return dataset
