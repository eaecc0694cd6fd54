"""SQIL (Reddy et al. 2020, arXiv:1905.11108): what the expert did earns one, what the learner did nothing.

The simplest of them: there is no discriminator. Soft Q-learning on the expert's steps and on as many of the learner's
own finds out by itself what leads back to where the expert was.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.policies.reinforcement.adversaries.imitation import Imitated, ImitationReward, discount_of
from forestpilot.policies.reinforcement.adversaries.options import SQILConfig
from forestpilot.policies.reinforcement.learner import Learner
from forestpilot.policies.reinforcement.replay_buffer import ReplayBuffer
from forestpilot.policies.reinforcement.rewards import Step
from forestpilot.policies.reinforcement.sac import SACLearner


class SQILReward(ImitationReward):
    """One for what was demonstrated and nothing for the learner's own, times 1 - discount, so that values lie between 0
    and 1.

    What comes after an end earns what its side earns before it: the expert's goes on earning, the learner's nothing.
    Were the end worth the same to both, it would be the best that a learner could do wherever the critics know by heart
    that nobody demonstrated: flying on earns nothing there, and a crash is the nearest end.

    Args:
        config: its options.
        imitated: who learns from whom.
    """

    name = "sqil"
    Config = SQILConfig
    learners = ("sac",)

    def __init__(self, config: SQILConfig, imitated: Imitated) -> None:
        self._discount = discount_of(imitated.method)
        self._absorbing = config.absorbing

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """Nothing: what steps earn is said when the learner draws them."""
        return np.zeros(len(step.actions), np.float32)

    def join(self, learner: Learner) -> None:
        """Say what the steps in its buffers earn."""
        assert isinstance(learner, SACLearner), f"SQIL goes with {', '.join(self.learners)}"
        learner.own_reward = lambda buffer, rows: self.earned(buffer, rows, 0.0)
        learner.demonstration_reward = lambda buffer, rows: self.earned(buffer, rows, 1.0)

    def earned(self, buffer: ReplayBuffer, rows: NDArray[np.int64], each: float) -> NDArray[np.float32]:
        """(n,) what steps (n,) of a buffer earn, if each of its steps earns this, and an end what comes after it."""
        after = np.where(buffer.terminated[rows], self._discount * self._absorbing, 0.0)
        return (each * (1 - self._discount + after)).astype(np.float32)

    def begin_round(self, round_number: int) -> None:
        """It draws nothing."""

    def save(self, folder: Path) -> None:
        """It learns nothing."""

    @classmethod
    def require_whole(cls, folder: Path) -> None:
        """There is nothing that could be damaged."""

    def load(self, folder: Path) -> None:
        """It has learned nothing."""
