"""Policies, windows and observations made up for tests: small, and learnable."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.data_collection.episodes.plain import from_plain
from forestpilot.data_collection.windows.windows import Batch
from forestpilot.policies.networks.memories.base import Memory, State
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.envs.task_spec import TaskSpec
from tests.helpers.specs import make_spec

SMALL: dict[str, Any] = {"encoder": {"channels": (4, 6, 8)}, "features": 16, "window": 5}
"""A policy shape that trains in no time."""


def make_policy_config(**values: Any) -> PolicyConfig:
    """A small policy's config; parts may be given by name, with options as `head={"part": ..., ...}`."""
    return from_plain(PolicyConfig, SMALL | values)


def make_policy(seed: int = 0, spec: TaskSpec | None = None, **config: Any) -> VisuomotorPolicy:
    return VisuomotorPolicy.seeded(make_policy_config(**config), spec or make_spec(), seed)


def shaken(policy: VisuomotorPolicy) -> VisuomotorPolicy:
    """The policy with weights as after some training: nothing is zero any more."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return policy.eval()


def step_through(memory: Memory, features: torch.Tensor, state: State | None = None) -> torch.Tensor:
    """(B, T, F) outputs of a memory that is given one step after the other."""
    outputs = []
    for t in range(features.shape[1]):
        output, state = memory(features[:, t : t + 1], state)
        outputs.append(output)
    return torch.cat(outputs, dim=1)


def make_observations(rng: np.random.Generator, episodes: int, spec: TaskSpec) -> dict[str, np.ndarray]:
    size = (episodes, spec.image_height, spec.image_width, 3)
    bearing = rng.uniform(-1, 1, episodes)
    return {
        **{name: rng.integers(0, 256, size, dtype=np.uint8) for name in ("left", "center", "right")},
        "state": rng.normal(0, 0.2, (episodes, spec.state_size)).astype(np.float32),
        "goal": np.stack([np.cos(bearing), np.sin(bearing)], axis=1).astype(np.float32),
    }


class MadeUpReader:
    """Windows in which a dark trunk stands somewhere in the view and the cost of a turn falls with its distance from
    the trunk.
    """

    has_gaps = False

    def __init__(self, length: int = 5, cameras: int = 1, costs: bool = True) -> None:
        self.length, self.cameras, self.costs = length, cameras, costs

    def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
        spec, shape = make_spec(), (batch, self.length)
        pictures = (*shape, self.cameras, 32, 64, 3)
        # Five times as fast as integers between bounds.
        views = np.frombuffer(rng.bytes(math.prod(pictures)), dtype=np.uint8).reshape(pictures) // 5 + 150
        trunk = rng.integers(8, 56, batch)
        for window, column in enumerate(trunk):
            views[window, :, :, :, column - 5 : column + 5] = 30
        trunk_turn = (32 - trunk) / 32
        turns = np.asarray(spec.candidate_turns_rad) / spec.max_turn_rad
        costs = np.abs(turns) + 10 * np.exp(-(((turns - trunk_turn[:, None]) / 0.3) ** 2))
        actions = np.stack([turns[costs.argmin(1)], np.full(batch, 0.5)], axis=1)
        goal = np.tile(np.array([1.0, 0.0], dtype=np.float32), (*shape, 1))
        return Batch(
            views=views,
            state=rng.normal(0, 0.1, (*shape, spec.state_size)).astype(np.float32),
            goal=goal,
            actions=np.repeat(actions[:, None], self.length, 1).astype(np.float32),
            costs=np.repeat(costs[:, None], self.length, 1).astype(np.float32) if self.costs else None,
            mask=np.ones(shape, dtype=bool),
        )


class SharedMadeUpReader(MadeUpReader):
    """The same for several processes; each leaves a file, named by its process id, where it has drawn.

    Args:
        seen: folder of the files.
        breaks_away: fails in all processes but the first.
        others: so many processes are waited for, by steps that take long, rather than by many that are quick.
    """

    def __init__(self, seen: Path, breaks_away: bool = False, others: int = 0) -> None:
        super().__init__()
        self.seen, self.breaks_away, self.is_away = seen, breaks_away, False
        self.wanted = others

    def share(self) -> SharedMadeUpReader:
        return SharedMadeUpReader(self.seen, self.breaks_away)

    def open(self) -> SharedMadeUpReader:
        self.is_away = True
        return self

    def close(self) -> None:
        """Nothing is open."""

    def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
        (self.seen / str(os.getpid())).touch()
        if self.is_away and self.breaks_away:
            raise BrokenEpisodeError("damaged meanwhile")
        if not self.is_away and len(self.others()) < self.wanted:
            time.sleep(0.02)
        return super().sample(batch, rng)

    def others(self) -> set[int]:
        """Other processes that have drawn."""
        return {int(path.name) for path in self.seen.iterdir()} - {os.getpid()}
