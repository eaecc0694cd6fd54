"""Windows of episodes, drawn for training a model of the world or laid out for imagining along them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forestpilot.data_collection.episodes.dataset import DatasetError
from forestpilot.policies.world_models.base import LEAST_CHANGE, Carry, Observed, Usual, WorldModel, to_nearness
from forestpilot.policies.world_models.seen import Seen


class Windows(NamedTuple):
    """L steps of each of B stretches of episodes."""

    sight: Tensor
    """(B, L+1, ...) as in `Observed`."""
    vector: Tensor
    """(B, L+1, V)."""
    nearest: Tensor
    """(B, L+1)."""
    actions: Tensor
    """(B, L, 2)."""

    @property
    def num_steps(self) -> int:
        """L."""
        return self.actions.shape[1]


class Sequences:
    """Episodes as tensors.

    Args:
        model: says what is looked at.
        episodes: what there was to see.
    """

    def __init__(self, model: WorldModel, episodes: Sequence[Seen]) -> None:
        self._sees_views = model.sees_views
        scale = np.asarray(model.spec.state_scale, np.float32)
        self._episodes = list(episodes)
        self._vectors = [np.concatenate([seen.state / scale, seen.goal], axis=1) for seen in episodes]
        self._starts = lru_cache(self._list_starts)

    def draw(self, batch: int, length: int, rng: np.random.Generator) -> Windows:
        """Windows from anywhere, every place as likely as the others.

        Args:
            batch: B.
            length: L.
            rng: draws.

        Raises:
            DatasetError: no stretch of an episode is as long.
        """
        starts = self._starts(length)
        if not len(starts):
            raise DatasetError(f"no episode has {length} steps in one go; give a smaller --window, or other datasets")
        chosen = starts[rng.integers(len(starts), size=batch)]
        return self.take([(int(episode), int(first)) for episode, first in chosen], length)

    def usual(self) -> Usual:
        """What is usual in these episodes."""
        vectors = np.concatenate(self._vectors)
        change = np.concatenate([np.diff(vector, axis=0) for vector in self._vectors]).std(0)
        sight_change = float(np.mean([np.diff(self._sight(seen), axis=0).var() for seen in self._episodes])) ** 0.5
        parts = [vectors.mean(0), vectors.std(0), vectors.min(0), vectors.max(0), change]
        told = [*map(torch.from_numpy, parts), torch.tensor(max(sight_change, LEAST_CHANGE))]
        return Usual(*told)

    def _sight(self, seen: Seen) -> np.ndarray:
        """(T+1, ...) float32 what is seen in an episode."""
        if self._sees_views:
            return seen.views.astype(np.float32) / 255
        return to_nearness(torch.from_numpy(seen.strips)).numpy()

    def _list_starts(self, length: int) -> np.ndarray:
        """(n, 2) episode and first step of every window."""
        found = [
            (number, first)
            for number, seen in enumerate(self._episodes)
            for begin, end in seen.stretches
            for first in range(begin, end - length + 1)
        ]
        return np.array(found, np.int64).reshape(-1, 2)

    def take(self, places: Sequence[tuple[int, int]], length: int) -> Windows:
        """Windows at given places, each an episode and a first step."""
        strips = self._stack(places, length + 1, [seen.strips for seen in self._episodes])
        nearness = to_nearness(strips)
        sight = nearness
        if self._sees_views:
            views = self._stack(places, length + 1, [seen.views for seen in self._episodes])
            sight = views.permute(0, 1, 4, 2, 3).to(torch.float32) / 255
        vector = self._stack(places, length + 1, self._vectors)
        actions = self._stack(places, length, [seen.actions for seen in self._episodes])
        return Windows(sight, vector, nearness.amax(-1), actions)

    def _stack(self, places: Sequence[tuple[int, int]], rows: int, arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack([arrays[episode][first : first + rows] for episode, first in places]))


class Unrolled(NamedTuple):
    """What a model believed along windows."""

    observed: list[Observed]
    """What was told of each of the L+1 steps, whether or not the model was told."""
    after: list[Carry]
    """What it believed of the step after each of the L actions."""

    def rows(self, first: int) -> tuple[Carry, Observed]:
        """What it believed after the actions from `first` on, and what came, as rows of one batch."""
        believed = Carry(*(torch.cat(parts) for parts in zip(*self.after[first:])))
        came = Observed(*(torch.cat(parts) for parts in zip(*self.observed[first + 1 :])))
        return believed, came


def observed_along(model: WorldModel, windows: Windows) -> list[Observed]:
    """What is told of each of the L+1 steps of windows, all perceived at once."""
    steps = windows.num_steps + 1
    perceived = model.perceive(windows.sight.flatten(0, 1)).unflatten(0, (-1, steps))
    parts = (windows.sight, windows.vector, windows.nearest, perceived)
    return [Observed(*(part[:, step] for part in parts)) for step in range(steps)]


def unroll(model: WorldModel, windows: Windows, told: int, generator: torch.Generator | None = None) -> Unrolled:
    """Go along windows.

    Args:
        model: goes on from what it is told at the first `told` steps, and from its own predictions after them.
        windows: L steps.
        told: 1 to L; L for teacher forcing.
        generator: draws what may be, where the model is Gaussian.
    """
    observed = observed_along(model, windows)
    if told >= windows.num_steps and not model.remembers:
        return Unrolled(observed, _side_by_side(model, observed, windows, generator))
    carry = model.start(observed[0])
    after = []
    for step in range(windows.num_steps):
        if 0 < step < told:
            carry = model.correct(carry, observed[step])
        carry = model.advance(carry, windows.actions[:, step], generator)
        after.append(carry)
    return Unrolled(observed, after)


def _side_by_side(
    model: WorldModel, observed: Sequence[Observed], windows: Windows, generator: torch.Generator | None
) -> list[Carry]:
    """What a model without memory believes after each action, told the truth before it: all steps as one batch."""
    told = Observed(*(torch.cat(parts) for parts in zip(*observed[:-1])))
    after = model.advance(model.start(told), windows.actions.transpose(0, 1).flatten(0, 1), generator)
    return [Carry(*parts) for parts in zip(*(part.split(len(windows.actions)) for part in after))]
