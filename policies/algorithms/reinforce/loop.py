"""Reinforcement learning: round 0 is the policy it begins with, and each further round so many steps of a learner.

    RUN/rounds/round-03/policy.*         the policy after the round
    RUN/rounds/round-03/learner/         what else the learner knew then, of the last two rounds
    RUN/rounds/round-03/training.json    the episodes that it was learned from

All environments begin anew with a round, and everything that is drawn in it follows from (seed, round), so that a
round that was killed is run again and comes to the same.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestpilot.data_collection.episodes.seals import DamagedFileError
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.reinforce.config import ReinforceConfig, of_policy
from forestpilot.policies.algorithms.reinforce.episodes import NO_STEPS, RoundOfSteps, per_episode
from forestpilot.policies.algorithms.rounds import RoundResult, member_folder
from forestpilot.policies.reinforcement import LEARNERS
from forestpilot.sim.extras import require

if TYPE_CHECKING:
    from forestpilot.policies.algorithms.reinforce.metrics import RoundMetrics
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.reinforcement.envs import ForestVecEnv
    from forestpilot.policies.reinforcement.learner import Learner
    from forestpilot.policies.reinforcement.rewards import Rewards, RewardTerm
    from forestpilot.policies.reinforcement.shares import Worlds


class Reinforce(Algorithm[ReinforceConfig]):
    """Reinforcement learning with the learners of Stable-Baselines3."""

    name = "reinforce"
    title = "reinforcement learning"
    Config = ReinforceConfig

    def __init__(self, config: ReinforceConfig, *args: Any, **kwargs: Any) -> None:
        require("stable_baselines3")
        self._given: VisuomotorPolicy | None = None
        if config.start:
            from forestpilot.policies.networks.checkpoint import load_policy

            self._given = load_policy(config.start)
            config = of_policy(config, self._given.config)
        super().__init__(config, *args, **kwargs)
        self._require_start()
        self._learner: Learner | None = None
        self._envs: ForestVecEnv | None = None
        self._learned = -1
        """The round whose end the learner stands at; -1 where it does not."""

    def _require_start(self) -> None:
        """Raise a ForestPilotError where the policy or its parts cannot be learned with."""
        from forestpilot.data_collection.episodes.dataset import require_same_task

        if self._given is not None:
            require_same_task(self.policy.spec, self._given.spec, f"the policy in {self.config.start}")
        LEARNERS.get(self.config.method.part).require(self.policy, self.config.method)

    def collect(self, round_number: int) -> None:
        """Record what round 0 clones, if anything; later rounds learn while they act."""
        if round_number == 0 and self.config.expert_episodes:
            self.record(0, ExpertPilot)

    def update(self, round_number: int) -> None:
        """Make the round's policy: that which it begins with, or what a learner makes of the one before."""
        if self.is_stored(round_number):
            return
        self._set_damaged_aside(self.member_folder(round_number))
        if round_number:
            self._learn(round_number)
        elif self.config.clones:
            super().update(0)
        else:
            if self._given is not None:
                self.policy.load_state_dict(self._given.state_dict())
            self.keep(0)

    def is_stored(self, round_number: int, member: int = 0) -> bool:
        """True once the policy of a round is on disk, and what the next one needs beside it."""
        if not super().is_stored(round_number, member):
            return False
        is_followed = (self.member_folder(round_number + 1) / "policy.json").exists()
        return round_number == 0 or is_followed or self._can_go_on_from(round_number)

    def _can_go_on_from(self, round_number: int) -> bool:
        """True where what a round left beside its policy is whole; else it is run again."""
        from forestpilot.policies.networks.checkpoint import CheckpointError

        folder = self.member_folder(round_number)
        try:
            RoundOfSteps.read(folder)
            self._require_learner(folder / "learner")
        except (CheckpointError, DamagedFileError, FileNotFoundError) as error:
            self.progress.note(f"warning: {error}; round {round_number} is run again")
            return False
        return True

    def score(self, round_number: int) -> RoundResult:
        """The round's row; of the steps of its learner as of episodes of DAgger's."""
        result = super().score(round_number)
        rounds = [self._steps_of(number) for number in range(1, round_number + 1)]
        if not rounds:
            return result
        last = rounds[-1]
        return dataclasses.replace(
            result,
            episodes=result.episodes + sum(len(each.episodes) for each in rounds),
            rollout_success=last.successes / max(1, len(last.episodes)),
            visited=sum(each.steps for each in rounds),
            crashes=sum(each.crashes for each in rounds),
        )

    def _run_rounds(self) -> list[RoundResult]:
        try:
            return super()._run_rounds()
        finally:
            if self._envs is not None:
                self._envs.close()
                self._envs = None
                self._learner = None

    def _learn(self, round_number: int) -> None:
        """Let the learner do a round's steps; store what it comes to, the policy last."""
        learner = self._learner_at(round_number - 1)
        config = self.config
        steps = config.steps_of(round_number, self.last_round)
        envs = learner.envs
        left = config.left_before(round_number, self.last_round)
        with (
            closing(self._metrics(round_number, envs)) as metrics,
            self.progress.stage(f"round {round_number} of {self.last_round}", total=steps) as stage,
        ):

            def watch(count: int, figures: Mapping[str, float]) -> None:
                if count:
                    stage.advance(count, **told_of(envs))
                if figures:
                    metrics.write(figures)

            learner.learn(steps, round_number, left, watch)
        terms = dict(zip(envs.rewards.names, envs.step_terms.tolist(), strict=True))
        done = RoundOfSteps(envs.steps_done, terms, tuple(envs.episodes), envs.rewards.state())
        folder = self.member_folder(round_number)
        shutil.rmtree(folder / "learner", ignore_errors=True)
        self._save_learner(learner, folder / "learner")
        done.write(folder)
        self.keep(round_number, figures=per_episode(done.terms, done.episodes))
        self._learned = round_number
        shutil.rmtree(self.member_folder(round_number - 2) / "learner", ignore_errors=True)

    def _learner_at(self, round_number: int) -> Learner:
        """The learner as it was at the end of a round."""
        from forestpilot.policies.networks.checkpoint import load_policy

        if self._learner is None:
            self.policy.load_state_dict(load_policy(self.member_folder(0)).state_dict())
            self._learner = self._make_learner()
        if self._learned != round_number:
            folder = self.member_folder(round_number)
            self.policy.load_state_dict(load_policy(folder).state_dict())
            if round_number:
                self._load_learner(self._learner, folder / "learner")
                self._learner.envs.rewards.set_state(RoundOfSteps.read(folder).kept)
            self._learned = round_number
        return self._learner

    def _save_learner(self, learner: Learner, folder: Path) -> None:
        """Write what a round leaves behind beside its policy."""
        learner.save(folder)

    def _require_learner(self, folder: Path) -> None:
        """Raise CheckpointError where it could not be gone on with from there."""
        LEARNERS.get(self.config.method.part).require_whole(folder)

    def _load_learner(self, learner: Learner, folder: Path) -> None:
        """Go on from there."""
        learner.load(folder)

    def _make_learner(self) -> Learner:
        """A learner that has learned nothing yet, around `policy`."""
        from forestpilot.policies.reinforcement.envs import ForestVecEnv
        from forestpilot.policies.reinforcement.learner import Start

        config = self.config
        kind = LEARNERS.get(config.method.part)
        self._envs = ForestVecEnv(self._worlds(), kind.environments(config.method), config.workers, self._rewards())
        shown = tuple(dataset for dataset in (self.dataset, *self.demonstrations) if len(dataset))
        learner = kind(Start(self.policy, self.is_given, config.seed, shown), config.method, self._envs)
        self._envs.rewards.follow(learner.log_prob)
        return learner

    def _worlds(self) -> Worlds:
        """Where it acts."""
        from forestpilot.policies.reinforcement.shares import Worlds

        config = self.config
        return Worlds(
            config.task,
            config.mix,
            self.policy.spec,
            self.policy.config,
            config.seed,
            config.first_world,
            asks_planner=config.method.asks_planner,
        )

    def expert_share(self, round_number: int) -> float:
        """The expert acts in round 0 alone, where it demonstrates."""
        return float(round_number == 0 and self.config.expert_episodes > 0)

    @property
    def is_given(self) -> bool:
        """True where it begins with a policy that was learned before."""
        return self._given is not None or self.config.clones

    def _rewards(self) -> Rewards:
        """What is rewarded; `policy` is still the one that it began with."""
        from forestpilot.policies.reinforcement.rewards import Rewards, environment_terms

        config = self.config
        terms = environment_terms(config.reward, config.method.discount, config.mix.control_hz)
        return Rewards([*terms, *self._terms_of_start()], config.reward.scale)

    def _terms_of_start(self) -> list[RewardTerm]:
        """What holds on to the policy that it began with."""
        from forestpilot.policies.reinforcement.closeness import Closeness, Likeness

        config = self.config
        terms: list[RewardTerm] = []
        std = LEARNERS.get(config.method.part).std_of(config.method, self.is_given)
        if config.shaping:
            terms.append(Likeness(self.policy, std, config.shaping))
        if config.keep_close:
            terms.append(Closeness(self.policy, std, config.keep_close))
        return terms

    def _metrics(self, round_number: int, envs: ForestVecEnv) -> RoundMetrics:
        """Where a round's updates are logged."""
        from forestpilot.policies.algorithms.reinforce.metrics import RoundMetrics
        from forestpilot.policies.training.loop import tracker_of

        steps = sum(self._steps_of(number).steps for number in range(1, round_number))
        return RoundMetrics(self.folder, round_number, steps, envs, tracker_of(self.config.train, self.folder))

    def _steps_of(self, round_number: int) -> RoundOfSteps:
        """What a round's steps came to."""
        folder: Path = member_folder(self.folder, round_number, 0)
        return RoundOfSteps.read(folder) if round_number else NO_STEPS


def told_of(envs: ForestVecEnv) -> dict[str, str]:
    """How the round's episodes went so far, for a progress bar."""
    done = RoundOfSteps(0, {}, tuple(envs.episodes))
    return {"success": f"{done.successes}/{len(done.episodes)}", "crashes": str(done.crashes)}
