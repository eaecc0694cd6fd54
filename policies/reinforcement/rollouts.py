"""What is ours in Stable-Baselines3's loops: two learning rates, and random numbers that follow from the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer

from forestpilot.policies.reinforcement.actor_critic import ForestActorCritic


class OwnPace:
    """A learning rate for each group of parameters: that of the whole times what the group says."""

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)  # type: ignore[misc]
        for group in optimizers.param_groups:
            group["lr"] *= group["times"]


class OwnShuffle:
    """A rollout that is shuffled by a generator of its own."""

    shuffler: np.random.Generator

    def get(self, batch_size: int | None = None) -> Iterator[Any]:
        """Batches in random order.

        Stable-Baselines3 shuffles by NumPy's global generator; that is lent a state of ours meanwhile, and left as it
        was.
        """
        before = np.random.get_state()  # noqa: NPY002
        np.random.seed(self.shuffler.integers(2**32))  # noqa: NPY002
        try:
            batches = super().get(batch_size)  # type: ignore[misc]
            first = next(batches)
        finally:
            np.random.set_state(before)  # noqa: NPY002
        yield first
        yield from batches


class Rollout(OwnShuffle, DictRolloutBuffer):  # type: ignore[misc]
    """A rollout of single steps."""


class Engine(OwnPace, PPO):
    """Stable-Baselines3's PPO."""

    policy: ForestActorCritic
