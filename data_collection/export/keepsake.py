"""What of an episode another project's format has no place for, in one HDF5 file beside it, for the way back.

episode_<n>    attributes: meta (JSON), rerun (JSON); stretches (s, 3): number of the episode there, first observation,
               observation after the last
    arrays     all but pictures, as in the episode's own file
    obs        observations that are no pictures (T+1, ...)
    loose      steps (k,): whose pictures lie nowhere there; they lie here, <key> (k, H, W, 3)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence

import h5py
import numpy as np

from forestpilot.data_collection.episodes.episode import OPTIONAL_ARRAYS, Episode
from forestpilot.sim.envs.task_spec import TaskSpec

KEEPSAKE_FILE = "episodes.h5"
KEEPSAKE = f"forestpilot/{KEEPSAKE_FILE}"
"""Where it lies in the folder of an export."""
ALWAYS = ("actions", "actor", "rewards", "terminated", "truncated")


def is_pictures(values: np.ndarray) -> bool:
    """Whether an observation is a row of pictures (T, H, W, 3)."""
    return values.ndim == 4


class Keepsake:
    """The file, or part of one, open for writing.

    Args:
        group: where it is kept: a file, or a group of one.
        spec: task spec of the dataset.
        first: number of the first episode that is added.
    """

    def __init__(self, group: h5py.Group, spec: TaskSpec, first: int = 0) -> None:
        self._group = group
        self._group.attrs["task_spec"] = json.dumps(spec.to_dict())
        self._count = first

    def add(
        self, episode: Episode, stretches: Sequence[tuple[int, tuple[int, int]]], loose: Sequence[int] = ()
    ) -> None:
        """Keep what there is of an episode.

        Args:
            episode: the episode.
            stretches: (number of an episode there, (first observation, observation after the last)) of each that it
                became.
            loose: observations whose pictures are kept here, because they lie in none of these.
        """
        group = self._group.create_group(f"episode_{self._count}")
        self._count += 1
        group.attrs["meta"] = episode.meta.to_json()
        group.attrs["rerun"] = json.dumps(dataclasses.asdict(episode.rerun))
        group["stretches"] = np.array([(number, *steps) for number, steps in stretches], np.int64).reshape(-1, 3)
        group["loose/steps"] = np.array(loose, np.int64)
        for name in (*ALWAYS, *OPTIONAL_ARRAYS):
            values = getattr(episode, name)
            if values is not None:
                group.create_dataset(f"arrays/{name}", data=values, compression="gzip", compression_opts=1)
        for key, values in episode.observations.items():
            if is_pictures(values):
                packed = {"compression": "gzip", "compression_opts": 1} if loose else {}
                group.create_dataset(f"loose/{key}", data=values[list(loose)], **packed)
            else:
                group.create_dataset(f"obs/{key}", data=values, compression="gzip", compression_opts=1)


def left_over(num_observations: int, stretches: Iterable[tuple[int, tuple[int, int]]]) -> list[int]:
    """Observations of an episode that lie in none of the episodes that it became there."""
    covered = np.zeros(num_observations, bool)
    for _, (first, stop) in stretches:
        covered[first:stop] = True
    left: list[int] = np.flatnonzero(~covered).tolist()
    return left
