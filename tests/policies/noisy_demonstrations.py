"""An algorithm of one file, as somebody else would write it: the expert drives with a trembling hand (DART: Laskey et
al. 2017, arXiv:1703.09327), so that its demonstrations show how to come back. What it says is learned, not what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forestpilot.data_collection.rollouts.pilots import Decision, ExpertPilot, Observations
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.config import AlgorithmConfig


@dataclass(frozen=True)
class NoisyConfig(AlgorithmConfig):
    """Demonstrate with noise, and clone."""

    noise: float = 0.3
    """Standard deviation of what is added to the expert's actions, in action units; it grows with the rounds."""


class NoisyExpert(ExpertPilot):
    """The expert with a trembling hand."""

    def __init__(self, noise: float) -> None:
        self.name = f"expert with noise {noise:g}"
        self.noise = noise
        self.hands: dict[int, np.random.Generator] = {}

    def restart(self, slot: int, seed: int) -> None:
        self.hands[slot] = np.random.default_rng([seed, 1])

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        decision = super().act(observations, infos, slots)
        trembling = np.stack([self.hands[int(slot)].normal(0.0, self.noise, 2) for slot in slots])
        return decision._replace(actions=np.clip(decision.actions + trembling, -1, 1).astype(np.float32))


@dataclass(frozen=True)
class NoisyExpertFactory:
    """Makes a `NoisyExpert` inside a rollout process."""

    noise: float

    def __call__(self) -> NoisyExpert:
        return NoisyExpert(self.noise)


class NoisyDemonstrations(Algorithm[NoisyConfig]):
    """Cloning of an expert whose hand trembles more in each round."""

    name = "noisy"
    title = "noisy demonstrations"
    Config = NoisyConfig

    def collect(self, round_number: int) -> None:
        self.record(round_number, NoisyExpertFactory(self.config.noise * round_number))

    def expert_share(self, round_number: int) -> float:
        return 1.0
