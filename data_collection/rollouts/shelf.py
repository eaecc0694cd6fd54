"""A shelf of the expert's episodes: runs of one study that ask for the same ones share their files.

An episode of the expert's follows from its task, its scenario and the round that it is filed under, so what one run has
recorded need not be flown again for another. A file lies on the shelf under a name that follows from these, and is
lent as a hard link: it takes no room, and whoever removes or replaces its own leaves the others theirs. Where a file
system has no hard links, it is copied.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from forestpilot.data_collection.episodes.dataset import EPISODE_SUFFIX, Dataset, package_version
from forestpilot.data_collection.episodes.files import written_whole
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.seals import digest_of_values
from forestpilot.data_collection.rollouts.scenarios import Scenario


class Shelf:
    """Episodes of the expert's that several runs share, those of other processes too.

    Args:
        folder: where they lie; made when the first one is put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def held(self, progress: Progress) -> AbstractContextManager[None]:
        """Hold the shelf while episodes are recorded that others want too: they wait, instead of flying them again."""
        return written_by_one(self.folder, progress)

    def lend(self, dataset: Dataset, task: str, dagger_round: int, scenarios: Sequence[Scenario]) -> None:
        """Put what there is of some episodes into a dataset; a damaged one is set aside by the dataset."""
        for scenario in scenarios:
            ours = self._path(task, dagger_round, scenario)
            theirs = dataset.path_of(dagger_round, scenario.seed)
            if ours.exists() and not theirs.exists():
                _link(ours, theirs)
        dataset.refresh()

    def keep(self, dataset: Dataset, task: str, dagger_round: int, scenarios: Sequence[Scenario]) -> None:
        """Put those of a dataset's episodes on the shelf that are not there, or were damaged."""
        for scenario in scenarios:
            ours = self._path(task, dagger_round, scenario)
            theirs = dataset.path_of(dagger_round, scenario.seed)
            if theirs.exists() and not (ours.exists() and os.path.samefile(ours, theirs)):
                with suppress(FileNotFoundError):
                    ours.unlink()
                _link(theirs, ours)

    def _path(self, task: str, dagger_round: int, scenario: Scenario) -> Path:
        """Where an episode lies or would lie."""
        made_of = {"version": package_version(), "task": task, "round": dagger_round, **dataclasses.asdict(scenario)}
        return self.folder / f"s{scenario.seed:08d}-{digest_of_values(made_of)}{EPISODE_SUFFIX}"


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        with written_whole(target) as unfinished:
            shutil.copyfile(source, unfinished)
