"""The worlds of demonstrations, for a learner to be compared with the expert in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.policies.reinforcement.shares import Worlds


@dataclass(frozen=True)
class DemonstratedWorlds(Worlds):
    """Worlds, speeds and whatever else is drawn of episodes, as some were that an expert demonstrated in."""

    demonstrated: tuple[EpisodeMeta, ...] = ()
    """These episodes."""

    def scenario(self, round_number: int, slot: int, count: int) -> Scenario:
        """One of them, drawn from (seed, round, slot, count)."""
        rng = np.random.default_rng([self.seed, round_number, slot, count])
        meta = self.demonstrated[int(rng.integers(len(self.demonstrated)))]
        return Scenario(meta.seed, meta.env_kwargs)
