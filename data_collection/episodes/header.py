"""What choosing and counting need of an episode, read without its arrays."""

from __future__ import annotations

import itertools
from collections import ChainMap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.episode_file import check_bytes, open_episode
from forestpilot.data_collection.episodes.labels import EpisodeLabels
from forestpilot.data_collection.episodes.layout import lacking, read_rows
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.rerun import FIRST_RUN, Rerun


@dataclass(frozen=True)
class EpisodeHeader:
    """An episode without its arrays: all that choosing and counting need."""

    path: Path
    """The file."""
    num_steps: int
    """Number of actions T."""
    has_expert_costs: bool
    """Whether the labels come with the expert's costs."""
    file_bytes: int
    """Size on disk in bytes."""
    meta: EpisodeMeta
    """The episode as a whole."""
    actor: np.ndarray = field(compare=False)
    """(T,) uint8, as in `Episode`."""
    labelled: np.ndarray = field(compare=False)
    """(T,) bool: at which steps there is something to learn."""
    displaced: np.ndarray | None = field(compare=False, default=None)
    """(T,) bool, as in `Episode`."""
    rerun: Rerun = FIRST_RUN
    """As in `Episode`."""
    lacks: tuple[str, ...] = ()
    """As in `Episode`."""

    @property
    def num_labels(self) -> int:
        """Steps at which there is something to learn."""
        return int(self.labelled.sum())

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """(first step, step after the last) of what happened in one go: a new one begins where the vehicle was put
        elsewhere."""
        bounds = [0, self.num_steps]
        if self.displaced is not None:
            bounds[1:1] = (np.flatnonzero(self.displaced[1:]) + 1).tolist()
        return list(itertools.pairwise(bounds))


def read_header(path: str | Path) -> EpisodeHeader:
    """Check every byte of an episode file and read what is known about it.

    Raises:
        BrokenEpisodeError: the file is damaged; the message says how.
        SchemaVersionError: the file is of another format version.
    """
    path = Path(path)
    size = check_bytes(path)
    with open_episode(path) as demo:
        actor = read_rows(demo, "actor")
        labels = EpisodeLabels(ChainMap({"actor": actor}, demo))  # read once, for unpacking takes its time
        return EpisodeHeader(
            path=path,
            num_steps=len(actor),
            has_expert_costs=labels.has_costs,
            file_bytes=size,
            meta=EpisodeMeta.from_json(demo.attrs["episode_meta"]),
            actor=actor,
            labelled=labels.labelled_steps,
            displaced=read_rows(demo, "displaced") if "displaced" in demo else None,
            rerun=Rerun.of(demo),
            lacks=lacking(demo, demo["obs"]),
        )
