"""The reward of adversarial imitation: what a discriminator says, and nothing that the environment tells of its own.

It is a term like any other. It watches the learner's steps, and after each of the learner's rollouts, before the
learner learns from it, trains the discriminator on them; the next rollout is rewarded by what came of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from forestpilot.policies.networks.checkpoint import load_state
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.actor_critic import Actor
from forestpilot.policies.reinforcement.adversaries.adversary import FRAMES_AT_ONCE, Adversary
from forestpilot.policies.reinforcement.adversaries.discriminator import (
    AIRLDiscriminator,
    Discriminator,
    GAILDiscriminator,
)
from forestpilot.policies.reinforcement.adversaries.frames import ABSORBING, UNKNOWN, Frames, absorbing_share, draw_rows
from forestpilot.policies.reinforcement.adversaries.imitation import Imitated, ImitationReward, discount_of
from forestpilot.policies.reinforcement.adversaries.options import AIRLConfig, DiscriminatorConfig, GAILConfig
from forestpilot.policies.reinforcement.learner import Learner
from forestpilot.policies.reinforcement.rewards import Step
from forestpilot.policies.reinforcement.shares import PREVIOUS_TURN
from forestpilot.sim.errors import InvalidArgumentError

FramesLogProb = Callable[[Frames], NDArray[np.float32]]
"""(N,) log density of what was done in frames under the learner's policy as it is now."""
MEASURED = 512
"""Frames of the expert whose mean reward is told."""
STATE_FILE = "adversary.safetensors"
READ = ("views", "state", "goal")
"""What of an observation is read."""


class AdversarialReward(ImitationReward):
    """What a discriminator, trained beside the learner, says of each step.

    Args:
        config: its options.
        imitated: who learns from whom.
    """

    name = "adversarial"
    learners = ("ppo",)
    discriminator: ClassVar[type[Discriminator]]
    """Class of the discriminator."""

    def __init__(self, config: DiscriminatorConfig, imitated: Imitated) -> None:
        self.adversary = Adversary(
            self.discriminator, config, imitated.policy, discount_of(imitated.method), imitated.seed
        )
        self._imitated = imitated
        self._round = 0
        self._log_prob: FramesLogProb | None = None
        self._figures: dict[str, float] = {}
        self.begin()

    def begin_round(self, round_number: int) -> None:
        """See `ImitationReward.begin_round`."""
        self._round = round_number

    def begin(self) -> None:
        """All environments begin anew."""
        self._rng = np.random.default_rng([self._imitated.seed, self._round])
        self._steps: list[Step] = []
        self._elapsed: NDArray[np.int64] | None = None

    def state(self) -> dict[str, float]:
        """Figures of the discriminator's last training."""
        return dict(self._figures)

    def set_state(self, state: dict[str, float]) -> None:
        """Go on with figures that `state` told; what the discriminator has learned is read by `load`."""
        self._figures = dict(state)

    def save(self, folder: Path) -> None:
        """See `ImitationReward.save`."""
        self.adversary.save(folder / STATE_FILE)

    @classmethod
    def require_whole(cls, folder: Path) -> None:
        """See `ImitationReward.require_whole`."""
        load_state(folder / STATE_FILE)

    def load(self, folder: Path) -> None:
        """See `ImitationReward.load`."""
        self.adversary.load(folder / STATE_FILE)

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """(N,) what the discriminator says of the step; and where an episode ended by what happened in it, what all the
        time in the absorbing state is worth."""
        rewards = self.adversary.reward(frames_of_step(step))
        absorbing = np.float32(self.adversary.discount * self.adversary.absorbing_value)
        rewards = rewards + np.where(step.terminated, absorbing, np.float32(0))
        self._steps.append(step)
        if len(self._steps) == self._imitated.method.rollout:
            self._learn()
        return rewards

    def _learn(self) -> None:
        """Train the discriminator on the rollout."""
        learner = self._take_rollout()
        expert = self._imitated.expert
        if self._log_prob is not None:
            learner = learner.with_log_prob(self._log_prob(learner))
            expert = expert.with_log_prob(self._log_prob(expert))
        figures = self.adversary.learn(expert, learner, self._rng)
        self.adversary.follow(learner)
        rows = draw_rows(expert, MEASURED, self._rng)
        figures["expert_reward"] = self.adversary.mean_deviation(expert, rows)
        figures["learner_reward"] = self.adversary.mean_deviation(learner, np.arange(len(learner)))
        figures["absorbing_reward"] = self.adversary.mean_deviation(learner, np.array([ABSORBING]))
        figures["absorbing_share"] = learner.absorbing_share
        self._figures = figures

    def _take_rollout(self) -> Frames:
        """The steps so far as frames, environment by environment; none are left."""
        steps = self._steps
        self._steps = []
        count = len(steps[0].actions)
        if self._elapsed is None:
            self._elapsed = np.zeros(count, np.int64)
        views, state, goal, previous_turn = (
            _joined([step.before[name] for step in steps]) for name in (*READ, PREVIOUS_TURN)
        )
        actions = np.clip(_joined([step.actions for step in steps]), -1, 1)
        terminated = np.stack([step.terminated for step in steps], axis=1)
        truncated = np.stack([step.truncated for step in steps], axis=1)
        next_row = np.arange(1, count * len(steps) + 1).reshape(count, len(steps))
        next_row[:, -1] = UNKNOWN
        next_row[truncated] = UNKNOWN
        next_row[terminated] = ABSORBING
        share = self._absorbing_share(terminated, truncated)
        return Frames(views, state, goal, actions, next_row.reshape(-1), share, previous_turn[:, 0])

    def _absorbing_share(self, terminated: NDArray[np.bool_], truncated: NDArray[np.bool_]) -> float:
        """Of a rollout whose episodes ended where (N, T) says; counts how long those under way have been going on."""
        assert self._elapsed is not None
        pieces: dict[str, list[int]] = defaultdict(list)
        for row in range(len(terminated)):
            begun = 0
            for end in [*np.flatnonzero(terminated[row] | truncated[row]).tolist(), None]:
                stop = terminated.shape[1] if end is None else end + 1
                pieces["starts"].append(int(self._elapsed[row]))
                pieces["stops"].append(int(self._elapsed[row]) + stop - begun)
                pieces["ended"].append(end is not None and bool(terminated[row, end]))
                self._elapsed[row] = pieces["stops"][-1] if end is None else 0
                begun = stop
        return absorbing_share(pieces["starts"], pieces["stops"], map(bool, pieces["ended"]), self.adversary.discount)


class GAILReward(AdversarialReward):
    """GAIL: what was seen and done there passes for the expert's, or does not."""

    Config = GAILConfig
    discriminator = GAILDiscriminator


class AIRLReward(AdversarialReward):
    """AIRL: a reward of the state alone, with its shaping."""

    Config = AIRLConfig
    discriminator = AIRLDiscriminator

    @classmethod
    def require(cls, policy: VisuomotorPolicy) -> None:
        """A policy with a memory does not say of a frame by itself what it would do there."""
        if policy.memory.initial(1):
            raise InvalidArgumentError(
                f"the policy's memory is {policy.config.memory.part}, and airl takes none; give --train.policy.memory "
                "none --train.policy.window 1, or --adversary gail"
            )

    def join(self, learner: Learner) -> None:
        """Its policy says how likely it was to do what it did, and to do what the expert did."""
        from forestpilot.policies.reinforcement.ppo import PPOLearner

        assert isinstance(learner, PPOLearner), f"AIRL goes with {', '.join(self.learners)}"
        self._log_prob = partial(log_prob_of, learner.actor)


@torch.no_grad()
def log_prob_of(actor: Actor, frames: Frames) -> NDArray[np.float32]:
    """(N,) how likely who acts is to do what was done in frames."""
    assert frames.previous_turn is not None
    found = []
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        part = slice(start, start + FRAMES_AT_ONCE)
        seen = {name: torch.from_numpy(getattr(frames, name)[part]) for name in READ}
        seen[PREVIOUS_TURN] = torch.from_numpy(frames.previous_turn[part])[:, None]
        found.append(actor.log_prob(seen, torch.from_numpy(frames.actions[part])))
    return torch.cat(found).numpy()


def _joined(values: Sequence[NDArray]) -> NDArray:
    """Values (N, ...) of T steps as (N * T, ...), environment by environment."""
    return np.stack(values, axis=1).reshape(-1, *values[0].shape[1:])


def frames_of_step(step: Step) -> Frames:
    """The N frames that were left, followed by those that were reached."""
    count = len(step.actions)
    views, state, goal = (np.concatenate([step.before[name], step.after[name]]) for name in READ)
    actions = np.clip(np.concatenate([step.actions, np.zeros_like(step.actions)]), -1, 1)
    next_row = np.append(np.where(step.terminated, ABSORBING, count + np.arange(count)), np.full(count, UNKNOWN))
    return Frames(views, state, goal, actions, next_row, 0.0)
