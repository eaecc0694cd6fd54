"""Pairs of observations, one after the other, as an inverse model reads them; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.sim.envs.task_spec import TaskSpec


@dataclass(frozen=True)
class Pairs:
    """N transitions."""

    before: NDArray[np.float32]
    """(N, I) state and goal before, those that are read."""
    after: NDArray[np.float32]
    """(N, I) likewise after it."""
    views: NDArray[np.uint8]
    """(N, K, h, w, 3) what the center camera saw from step to step, oldest first: before, after, and further ones where
    more are read; (N, 2, 0, 0, 3) where none are."""
    actions: NDArray[np.float32]
    """(N, 2) what was done in between; NaN where nobody recorded it."""

    def __len__(self) -> int:
        return len(self.before)


class PairReader:
    """Cuts episodes into pairs.

    Args:
        spec: the task.
        config: what is read.
    """

    def __init__(self, spec: TaskSpec, config: InverseConfig) -> None:
        self.reads_pictures = config.reads != "state"
        """Whether the center camera's pictures are read."""
        self.reads_state = config.reads != "pictures"
        """Whether the state is read, with its speeds."""
        self._steps = np.arange(-config.back, config.ahead + 1)
        self._prepare = ViewPreparer(spec, config.view)
        mirror = np.asarray(spec.state_mirror if self.reads_state else (), np.float32)
        self.mirror = np.concatenate([mirror, np.asarray(spec.goal_mirror, np.float32)[: spec.goal_size]])
        """(I,) sign of each input in the world mirrored left to right."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Observations that are read."""
        return ("center", "state", "goal") if self.reads_pictures else ("state", "goal")

    def pairs_of(self, episode: Episode) -> Pairs:
        """All T pairs of an episode, whether or not one follows from the other: `known_steps` says that. In place of
        pictures from before its beginning or after its end there are its first and its last."""
        seen = episode.observations
        state = seen["state"]
        told = [state, seen["goal"]] if self.reads_state else [seen["goal"]]
        inputs = np.concatenate(told, axis=1).astype(np.float32)
        views = np.zeros((len(inputs) - 1, 2, 0, 0, 3), np.uint8)
        if self.reads_pictures:
            moments = np.arange(len(inputs) - 1)[:, None] + self._steps
            views = self._prepare(seen["center"], state)[np.clip(moments, 0, len(inputs) - 1)]
        return Pairs(inputs[:-1], inputs[1:], views, episode.actions)

    def read(self, headers: Sequence[EpisodeHeader]) -> Pairs:
        """The pairs of episodes of which one follows from the other."""
        found = []
        for header in headers:
            pairs = self.pairs_of(load_episode(header.path, keys=self.keys))
            known = known_steps(header)
            found.append([values[known] for values in vars(pairs).values()])
        return Pairs(*(np.concatenate(values) for values in zip(*found)))


def held_out(episodes: Sequence[EpisodeHeader], share: float) -> tuple[list[EpisodeHeader], list[EpisodeHeader]]:
    """Episodes to learn from, and those to measure errors on, spread evenly: the last one at least.

    Args:
        episodes: two at least.
        share: of them that are held out, above 0 to below 1.
    """
    every = max(2, round(1 / share))
    chosen = set(range(every - 1, len(episodes), every)) or {len(episodes) - 1}
    measured = [header for number, header in enumerate(episodes) if number in chosen]
    learned = [header for number, header in enumerate(episodes) if number not in chosen]
    return learned, measured


def known_steps(header: EpisodeHeader) -> NDArray[np.bool_]:
    """(T,) bool: at which steps the next observation follows from what was done: not where the vehicle was then put
    elsewhere."""
    known = np.ones(header.num_steps, bool)
    for _, stop in header.stretches[:-1]:
        known[stop - 1] = False
    return known
