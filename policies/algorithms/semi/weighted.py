"""Demonstrations of unknown quality, each step weighed by a discriminator: ISW-BC (Li et al. 2023, "Imitation Learning
from Imperfection: Theoretical Justifications and Algorithms").

A discriminator D tells the steps (observation and action) of a few demonstrations that are known to be good from those
of many others. D / (1 - D) is then how much more likely good ones are to have a step, r. The policy is cloned from the
union of both, each step weighing as much more as the good ones are likelier to have it than the union,

    w = r / ((1 - share) r + share),        share: of the windows that come from the others,

which is at most 1 / (1 - share), and 1 where both have it as often. The discriminator is kept smooth by a gradient
penalty, as there. It must not know the few good flights by the look of their worlds, which one that sees pictures does:
on the road it weighed a good driver's drives of other worlds as it weighed a late driver's. So by default it reads
state, goal and action, which tell how somebody drives and not where.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forestpilot.data_collection.windows.batch import Batch
from forestpilot.policies.algorithms.semi.config import STATE, WeightedConfig
from forestpilot.policies.algorithms.semi.method import Given, Method, Setting
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries.adversary import Adversary
from forestpilot.policies.reinforcement.adversaries.discriminator import Discriminator, GAILDiscriminator, Inputs
from forestpilot.policies.reinforcement.adversaries.frames import (
    UNKNOWN,
    Frames,
    Windows,
    demonstrated_by_teachers,
    expert_frames,
    windows_at,
)
from forestpilot.policies.reinforcement.adversaries.options import DiscriminatorConfig, GAILConfig
from forestpilot.policies.training.batches import Objective

FILE = "discriminator.safetensors"
AT_ONCE = 256
"""Steps that are weighed at once."""
WIDTH = 64
"""Units of each hidden layer of a discriminator that reads no pictures."""


class StepDiscriminator(Discriminator):
    """Tells by state, goal and action, and by no picture; unlike a policy it reads all of the state."""

    frames = 1
    sees_actions = True

    def __init__(self, config: DiscriminatorConfig, policy: VisuomotorPolicy, discount: float) -> None:
        super().__init__(config, policy, discount)
        spec = policy.spec
        self.state_index = torch.arange(len(spec.state_names))
        self.state_scale = torch.tensor(spec.state_scale)
        read = len(spec.state_names) + spec.goal_size + 3
        self.network = nn.Sequential(
            nn.Linear(read, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1)
        )

    def inputs(self, windows: Windows) -> Inputs:
        """See `Discriminator.inputs`; views of no camera."""
        return super().inputs(windows._replace(views=windows.views[:, :, :0]))

    def value(self, inputs: Inputs) -> Tensor:
        """The log odds; the views, of which there are none, take part so that there is a gradient by them."""
        odds: Tensor = self.network(inputs.numbers[:, 0])[:, 0]
        return odds + inputs.views.sum()

    def log_odds(self, value: Tensor, log_prob: Tensor) -> Tensor:
        """The value itself."""
        return value


class Weighted(Method[WeightedConfig]):
    """Importance-weighted cloning of good demonstrations and others."""

    Config = WeightedConfig

    def __init__(self, config: WeightedConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        options = GAILConfig(
            encoder=config.encoder,
            penalty=config.penalty,
            steepest=config.steepest,
            steps=config.steps,
            batch=config.batch,
            learning_rate=config.learning_rate,
        )
        kind: type[Discriminator] = GAILDiscriminator
        if config.reads == STATE:
            kind = StepDiscriminator
            options = dataclasses.replace(options, jitter=False, shift_px=0)
        self._adversary = Adversary(kind, options, setting.policy, 0.0, setting.seed)

    def learn(self, given: Given) -> dict[str, float]:
        """Train the discriminator.

        Raises:
            DatasetError: on one side there is no episode that an expert or a human drove.
        """
        good, others = (
            dataclasses.replace(
                expert_frames(side, self.setting.policy, 0.0, self.setting.most_bytes), absorbing_share=0.0
            )
            for side in (given.labelled, given.beside)
        )
        with torch_threads(1):
            figures = self._learn(given, good, others)
            self._rows = self._rows_of(given, good, others)
        unknown = np.array([row["weight"] for row in self._rows if not row["good"]])
        return {**figures, "weight_of_others": float(unknown.mean()), "spread_of_weights": float(unknown.std())}

    def _learn(self, given: Given, good: Frames, others: Frames) -> dict[str, float]:
        """Train the discriminator, or find it trained."""
        path = given.folder / FILE
        if path.exists():
            try:
                tensors, figures = load_state(path)
                load_tensors(self._adversary.discriminator, tensors, path)
                return figures
            except CheckpointError as error:
                self.setting.progress.note(f"warning: {error} It is learned again")
        with self.setting.progress.stage("learn to tell good demonstrations", 1) as stage:
            figures = self._adversary.learn(good, others, np.random.default_rng([self.setting.seed, given.round]))
            stage.advance()
        given.folder.mkdir(parents=True, exist_ok=True)
        save_state(path, self._adversary.discriminator.state_dict(), figures)
        return figures

    def objective(self) -> Objective:
        """Labels, each with its weight."""
        return WeightedObjective(self._adversary.discriminator, self.setting.share, self.config.least)

    def table(self, given: Given) -> list[dict[str, Any]]:
        """A row for each episode: its mean weight."""
        return self._rows

    def _rows_of(self, given: Given, good: Frames, others: Frames) -> list[dict[str, Any]]:
        weigh = WeightedObjective(self._adversary.discriminator, self.setting.share, self.config.least)
        rows: list[dict[str, Any]] = []
        for frames, datasets in ((good, given.labelled), (others, given.beside)):
            weights = weigh.weights(frames)
            start = 0
            for header in demonstrated_by_teachers(datasets):
                own = weights[start : start + header.num_steps]
                start += header.num_steps
                rows.append(
                    {
                        "dataset": header.path.parent.parent.name,
                        "episode": header.path.stem,
                        "good": int(frames is good),
                        "seed": header.meta.seed,
                        "steps": header.num_steps,
                        "outcome": header.meta.outcome,
                        "weight": float(own.mean()),
                        "least": float(own.min()),
                        "largest": float(own.max()),
                    }
                )
        return rows


@dataclass(frozen=True)
class WeightedObjective(Objective):
    """Labels by the head's own loss, each with its importance weight."""

    discriminator: Discriminator
    """Tells good demonstrations from others."""
    share: float
    """Share of the windows that come from the others."""
    least: float
    """Below this a step weighs nothing."""

    def step_weights(self, batch: Batch) -> NDArray[np.float32]:
        """See `Objective.step_weights`; whatever has no mask weighs nothing anyway."""
        shape = batch.state.shape[:2]
        views, state, goal = (
            values.reshape(-1, *values.shape[2:]) for values in (batch.views, batch.state, batch.goal)
        )
        actions = np.clip(batch.actions[:, : shape[1]].reshape(-1, 2), -1, 1)
        return self.weights(Frames(views, state, goal, actions, np.full(len(state), UNKNOWN), 0.0)).reshape(shape)

    @torch.no_grad()
    def weights(self, frames: Frames) -> NDArray[np.float32]:
        """(N,) importance weights of steps."""
        found = [np.zeros(0, np.float32)]
        for start in range(0, len(frames), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(frames)))
            odds = self.discriminator.value(self.discriminator.inputs(windows_at(frames, rows, 1))).exp()
            weights = (odds / ((1 - self.share) * odds + self.share)).numpy()
            found.append(np.where(weights < self.least, np.float32(0), weights))
        return np.concatenate(found)
