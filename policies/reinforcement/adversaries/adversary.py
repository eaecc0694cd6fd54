"""The adversary: a discriminator that is trained beside the learner, and the reward that it gives.

After each of the learner's rollouts it is shown the learner's frames and as many of the expert's, and then says what
the learner's frames are worth. A reward is normalised by its mean and deviation over the learner's own time, the
absorbing state included. As no episode ends for it, to take the mean off changes nothing of what is best to do; it only
makes values small enough to learn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forestpilot.policies.networks.checkpoint import load_state, load_tensors, save_state
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries.discriminator import (
    Discriminator,
    augmented,
    cross_entropy,
    gradient_penalty,
)
from forestpilot.policies.reinforcement.adversaries.frames import (
    ABSORBING,
    UNKNOWN,
    Frames,
    Windows,
    draw_rows,
    windows_at,
)
from forestpilot.policies.reinforcement.adversaries.options import DiscriminatorConfig
from forestpilot.sim.envs.task_spec import TaskSpec

FRAMES_AT_ONCE = 256
"""Frames whose rewards are computed together."""
WEIGHTS = "weights."
MOMENTS = "adam."
LEAST_DEVIATION = 1e-3
"""A reward that hardly differs from frame to frame is not blown up beyond this."""


class Adversary:
    """A discriminator with its training and its reward.

    Args:
        kind: class of the discriminator.
        config: how it is trained.
        policy: the learner's policy; its shape alone matters.
        discount: per step.
        seed: of its first weights.
    """

    def __init__(
        self,
        kind: type[Discriminator],
        config: DiscriminatorConfig,
        policy: VisuomotorPolicy,
        discount: float,
        seed: int,
    ) -> None:
        self.config = config
        self.spec: TaskSpec = policy.spec
        self.discount = discount
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminator = kind(config, policy, discount)
        self._optimizer = torch.optim.Adam(self.discriminator.parameters(), config.learning_rate)
        self._is_trained = False
        self._mean = 0.0
        self._deviation = 1.0
        self._absorbing = 0.0

    def learn(self, expert: Frames, learner: Frames, rng: np.random.Generator) -> dict[str, float]:
        """Train the discriminator on as many frames of the learner as of the expert.

        Args:
            expert: the expert's frames.
            learner: the learner's last ones.
            rng: draws.

        Returns:
            Means over the gradient steps, of frames before they were learned from: `loss`, `penalty`, and the share of
            the expert's and of the learner's that were told right, `expert_accuracy` and `learner_accuracy`.
        """
        rows = []
        self.discriminator.train()
        for _ in range(self.config.steps):
            rows.append(self._step(expert, learner, rng))
        self.discriminator.eval()
        names = ("loss", "penalty", "expert_accuracy", "learner_accuracy")
        return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))

    def _step(self, expert: Frames, learner: Frames, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """One gradient step; returns its figures."""
        sides = (self._draw(expert, rng), self._draw(learner, rng))
        loss, (expert_odds, learner_odds) = cross_entropy(self.discriminator, sides)
        penalty = torch.zeros(())
        if self.config.regulariser == "gradient-penalty":
            shares = torch.from_numpy(rng.random(self.config.batch, dtype=np.float32))
            penalty = gradient_penalty(self.discriminator, *sides, shares)
        self._optimizer.zero_grad()
        (loss + self.config.penalty * penalty).backward()
        self._optimizer.step()
        told_right = [(expert_odds > 0).float().mean(), (learner_odds < 0).float().mean()]
        expert_right, learner_right = (float(share) for share in told_right)
        return float(loss.detach()), float(penalty.detach()), expert_right, learner_right

    def _draw(self, frames: Frames, rng: np.random.Generator) -> Windows:
        """Windows of one side, augmented."""
        windows = windows_at(frames, draw_rows(frames, self.config.batch, rng), self.discriminator.frames)
        return augmented(windows, self.spec, self.config, rng, self.discriminator.action_noise)

    def follow(self, learner: Frames) -> None:
        """Have the rewards' scale, and what the absorbing state is worth, follow what the discriminator has learned.

        Args:
            learner: the learner's last frames.
        """
        rows = np.append(np.arange(len(learner)), ABSORBING)
        raw = self.raw_rewards(learner, rows)
        share = learner.absorbing_share
        weights = np.append(np.full(len(learner), (1 - share) / len(learner)), share)
        self._mean = float(weights @ raw)
        self._deviation = max(float(np.sqrt(weights @ np.square(raw - self._mean))), LEAST_DEVIATION)
        self._is_trained = True
        self._absorbing = self.mean_deviation(learner, np.array([ABSORBING]))

    def reward(self, frames: Frames) -> NDArray[np.float32]:
        """(N,) normalised rewards of those frames whose next one is known or absorbing; 0 before any training."""
        rows = np.flatnonzero(frames.next_row != UNKNOWN)
        if not self._is_trained:
            return np.zeros(len(rows), np.float32)
        return self._deviations(frames, rows) * np.float32(1 - self.discount)

    @property
    def absorbing_value(self) -> float:
        """Normalised reward of the absorbing state at every step for ever, discounted."""
        return self._absorbing

    def mean_deviation(self, frames: Frames, rows: NDArray[np.int64]) -> float:
        """Mean reward of some frames, in standard deviations of the learner's rewards from their mean."""
        return float(self._deviations(frames, rows).mean())

    def _deviations(self, frames: Frames, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        deviations = (self.raw_rewards(frames, rows) - self._mean) / self._deviation
        return np.clip(deviations, -self.config.clip, self.config.clip).astype(np.float32)

    @torch.no_grad()
    def raw_rewards(self, frames: Frames, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rewards of some frames as the discriminator has them.

        Args:
            frames: where they are.
            rows: (B,) of the frames; `ABSORBING` for a step in the absorbing state.
        """
        found: list[Tensor] = []
        for start in range(0, len(rows), FRAMES_AT_ONCE):
            windows = windows_at(frames, rows[start : start + FRAMES_AT_ONCE], self.discriminator.frames)
            found.append(self.discriminator.reward(self.discriminator.value(self.discriminator.inputs(windows))))
        return torch.cat(found).numpy()

    def save(self, path: Path) -> None:
        """Write all that `load` goes on from: weights, the optimizer's moments, the scale."""
        tensors = {f"{WEIGHTS}{name}": value for name, value in self.discriminator.state_dict().items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"{MOMENTS}{number}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        facts = {"trained": self._is_trained, "mean": self._mean, "deviation": self._deviation}
        save_state(path, tensors, {**facts, "absorbing": self._absorbing})

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            CheckpointError: the file is missing, damaged, or of another discriminator.
        """
        tensors, facts = load_state(path)
        weights = {name.removeprefix(WEIGHTS): tensors[name] for name in tensors if name.startswith(WEIGHTS)}
        load_tensors(self.discriminator, weights, path)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(MOMENTS):
                number, moment = name.removeprefix(MOMENTS).split(".")
                moments.setdefault(int(number), {})[moment] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._is_trained = facts["trained"]
        self._mean = facts["mean"]
        self._deviation = facts["deviation"]
        self._absorbing = facts["absorbing"]
