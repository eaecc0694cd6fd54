"""Adversarial imitation (GAIL, AIRL, SQIL): reinforcement whose reward comes of comparing learner and expert.

Round 0 records the expert's episodes, or takes those that are given, and clones them; every further round is so many
steps of a learner that is rewarded for what passes for the expert's. What else there is, the rounds, what is stored of
each and how a killed run goes on, is reinforcement learning's: `forestpilot.policies.algorithms.reinforce.loop`.

    RUN/dataset/                         the expert's episodes
    RUN/rounds/round-03/learner/         what the learner and its adversary knew after the round
    RUN/metrics.csv                      a row per update: what the adversary tells right, what it rewards, crashes
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
from forestpilot.policies.algorithms.reinforce.loop import Reinforce
from forestpilot.policies.reinforcement.adversaries import ADVERSARIES
from forestpilot.sim.errors import InvalidArgumentError

if TYPE_CHECKING:
    from forestpilot.policies.reinforcement.adversaries.imitation import ImitationReward
    from forestpilot.policies.reinforcement.learner import Learner
    from forestpilot.policies.reinforcement.rewards import Rewards
    from forestpilot.policies.reinforcement.shares import Worlds


class Adversarial(Reinforce):
    """Adversarial imitation on images."""

    name = "adversarial"
    title = "adversarial imitation"
    Config = AdversarialConfig
    config: AdversarialConfig

    def __init__(self, config: AdversarialConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._imitation: ImitationReward | None = None

    def _require_start(self) -> None:
        """Raise a ForestPilotError where the policy, the learner and the adversary do not go together."""
        super()._require_start()
        adversary = self.config.adversary.part
        learner = self.config.method.part
        kind = ADVERSARIES.get(adversary)
        kind.require(self.policy)
        kind.require_given(self.config.adversary, self.policy)
        fitting = kind.learners
        if learner not in fitting:
            raise InvalidArgumentError(
                f"the adversary {adversary} goes with {' or '.join(fitting)}, and the method is {learner}; give "
                f"--method {fitting[0]}, or another --adversary"
            )

    def _rewards(self) -> Rewards:
        """What the adversary says, and nothing of the environment's; beside it the price of leaving where it began."""
        from forestpilot.policies.reinforcement.adversaries.imitation import Imitated, discount_of
        from forestpilot.policies.reinforcement.rewards import Rewards

        config = self.config
        room = int(config.train.cache_gb * 1e9)
        kind = ADVERSARIES.get(config.adversary.part)
        datasets = [self.dataset, *self.demonstrations]
        expert = kind.expert(config.adversary, datasets, self.policy, discount_of(config.method), room)
        self._imitation = kind(config.adversary, Imitated(self.policy, expert, config.method, config.seed))
        return Rewards([self._imitation, *self._terms_of_start()])

    def _worlds(self) -> Worlds:
        from forestpilot.policies.reinforcement.adversaries.frames import demonstrated_by_teachers
        from forestpilot.policies.reinforcement.adversaries.worlds import DemonstratedWorlds

        worlds = super()._worlds()
        if self.config.worlds == "new":
            return worlds
        own = {field.name: getattr(worlds, field.name) for field in dataclasses.fields(worlds)}
        headers = demonstrated_by_teachers([self.dataset, *self.demonstrations])
        return DemonstratedWorlds(**own, demonstrated=tuple(header.meta for header in headers))

    def _make_learner(self) -> Learner:
        learner = super()._make_learner()
        self._joined.join(learner)
        return learner

    def _learn(self, round_number: int) -> None:
        self._learner_at(round_number - 1)
        self._joined.begin_round(round_number)
        super()._learn(round_number)

    def _save_learner(self, learner: Learner, folder: Path) -> None:
        super()._save_learner(learner, folder)
        self._joined.save(folder)

    def _require_learner(self, folder: Path) -> None:
        super()._require_learner(folder)
        ADVERSARIES.get(self.config.adversary.part).require_whole(folder)

    def _load_learner(self, learner: Learner, folder: Path) -> None:
        super()._load_learner(learner, folder)
        self._joined.load(folder)

    @property
    def _joined(self) -> ImitationReward:
        assert self._imitation is not None, "it is made with the learner"
        return self._imitation
