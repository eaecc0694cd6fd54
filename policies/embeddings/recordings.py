"""Recordings: what several cameras saw of an episode at the same steps.

`forestpilot collect --viewpoint chase` records the vehicle's own cameras and the third one side by side. One dataset
has one third camera; as episodes repeat themselves to the bit, those of the same worlds that were recorded once more
from elsewhere are further views of the same episodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.policies.embeddings.options import OWN_VIEW
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.sim.viewpoints.viewpoint import is_view


@dataclass(frozen=True)
class Recording:
    """An episode of T steps, seen by several cameras."""

    seed: int
    """Seed of its world."""
    views: dict[str, NDArray[np.uint8]]
    """(T+1, h, w, 3) by camera, as a policy would see them; the vehicle's own levelled."""
    state: NDArray[np.float32]
    """(T+1, S)."""
    progress_m: NDArray[np.float32]
    """(T+1,) what its rewards add up to, from the start: metres made good, as long as nothing was hit."""
    stretches: tuple[tuple[int, int], ...]
    """First step and step after the last of what happened in one go."""
    state_names: tuple[str, ...] = ()
    """What the elements of the state are called."""
    state_mirror: tuple[float, ...] = ()
    """Sign of each element in the world mirrored left to right."""

    @property
    def num_moments(self) -> int:
        """T + 1."""
        return len(self.state)


def views_of(dataset: Dataset) -> tuple[str, ...]:
    """The third cameras of a dataset's episodes; those of the first one."""
    if not len(dataset):
        raise DatasetError(f"{dataset.folder} has no episodes to look at; `forestpilot collect` records some")
    with open_episode(dataset.episodes[0].path) as demo:
        return tuple(sorted(key for key in demo["obs"] if is_view(key)))


def read_recordings(datasets: Sequence[Dataset], views: Sequence[str], prepare: ViewPreparer) -> list[Recording]:
    """The recordings of datasets, by world.

    Args:
        datasets: of one task.
        views: cameras that are looked at; the vehicle's own alone stands for it and every third one.
        prepare: makes views.

    Raises:
        DatasetError: there is no episode, an episode lacks a view, or runs through the same world differ.
    """
    seen: dict[tuple[int, int, int], list[EpisodeHeader]] = {}
    for dataset in datasets:
        views_of(dataset)
        for header in dataset.episodes:
            meta = header.meta
            seen.setdefault((meta.dagger_round, meta.seed, header.rerun.take), []).append(header)
    spec = datasets[0].task_spec
    names, mirror = tuple(spec.state_names), tuple(spec.state_mirror)
    recordings = [_recording(headers, views, prepare) for _, headers in sorted(seen.items())]
    return [dataclasses.replace(each, state_names=names, state_mirror=mirror) for each in recordings]


def _recording(headers: Sequence[EpisodeHeader], views: Sequence[str], prepare: ViewPreparer) -> Recording:
    """One episode, as its files have it together."""
    first = headers[0]
    found: dict[str, NDArray[np.uint8]] = {}
    state: NDArray[np.float32] | None = None
    for header in headers:
        with open_episode(header.path) as demo:
            has = [key for key in demo["obs"] if key == OWN_VIEW or is_view(key)]
        wanted = [key for key in has if key not in found and (key in views or tuple(views) == (OWN_VIEW,))]
        episode = load_episode(header.path, ["state", *wanted])
        own = episode.observations["state"]
        if state is not None and not np.array_equal(own, state):
            raise DatasetError(
                f"{header.path} and {first.path} are of the same world, and not of the same episode: their states "
                "differ; give recordings by the same pilot in the same mix, which repeat to the bit"
            )
        state = own
        for key in wanted:
            level = own if key == OWN_VIEW else np.zeros_like(own)  # a third camera does not tilt with the vehicle
            found[key] = prepare(episode.observations[key], level)
    assert state is not None
    lacking = [view for view in views if view not in found]
    if lacking:
        raise DatasetError(f"{first.path} was not seen by {', '.join(lacking)}; `collect --viewpoint` records them")
    rewards = episode.rewards.astype(np.float32)
    progress_m = np.concatenate([np.zeros(1, np.float32), np.cumsum(rewards, dtype=np.float32)])
    return Recording(first.meta.seed, found, state, progress_m, tuple(first.stretches))


def moments_of(recording: Recording, frames: int, pace: int = 1) -> NDArray[np.int64]:
    """The moments before which enough pictures were taken for a stack: all in one go.

    Args:
        recording: what was seen.
        frames: pictures of a stack.
        pace: steps from one of its pictures to the next.
    """
    back = (frames - 1) * pace
    spans = [np.arange(begin + back, end) for begin, end in recording.stretches[:-1]]
    begin, end = recording.stretches[-1]
    return np.concatenate([*spans, np.arange(begin + back, end + 1)])


def stacks_at(
    views: NDArray[np.uint8], moments: NDArray[np.int64], frames: int, pace: int | NDArray[np.int64] = 1
) -> NDArray[np.uint8]:
    """(N, K, h, w, 3) K views (T+1, h, w, 3) up to each of N moments, oldest first, `pace` (or (N,)) steps apart."""
    return views[moments[:, None] + np.arange(1 - frames, 1) * np.reshape(pace, (-1, 1))]
