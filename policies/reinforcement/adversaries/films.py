"""Rewards that come of films: the expert was filmed by somebody else's camera, and nobody recorded what it did.

Two ways. `embedding` (Sermanet et al. 2018, arXiv:1704.06888, section III-D) sees the learner's own view and the film
by one embedding, in which the same moment is the same point, and rewards steps that lead where the film went on to.
`domain-confused` (Stadie, Abbeel & Sutskever 2017, arXiv:1703.01703) learns features by which the expert can be told
from a learner, and by which it cannot be told who filmed: the learner's own frames then pass for the expert's by what
happens in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.policies.embeddings.recordings import views_of
from forestpilot.policies.embeddings.stored import load_embedding
from forestpilot.policies.networks.config import part_class
from forestpilot.policies.networks.embedding import Embedding
from forestpilot.policies.networks.encoders import ENCODERS
from forestpilot.policies.networks.encoders.base import EncoderShape
from forestpilot.policies.networks.heads.base import small_network
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries.adversary import Adversary
from forestpilot.policies.reinforcement.adversaries.discriminator import Discriminator, Inputs
from forestpilot.policies.reinforcement.adversaries.frames import (
    ABSORBING,
    UNKNOWN,
    Frames,
    absorbing_share,
    joined,
)
from forestpilot.policies.reinforcement.adversaries.imitation import Imitated, ImitationReward, discount_of
from forestpilot.policies.reinforcement.adversaries.options import (
    DomainConfusedConfig,
    EmbeddingRewardConfig,
    FilmsConfig,
)
from forestpilot.policies.reinforcement.adversaries.reward import AdversarialReward
from forestpilot.policies.reinforcement.rewards import Step
from forestpilot.sim.errors import InvalidArgumentError

AT_ONCE = 256
"""Frames that are embedded at once."""


def film_frames(places: Sequence[str], view: str, policy: VisuomotorPolicy, discount: float) -> Frames:
    """Frames of episodes as a third camera saw them: its pictures and the goal, no state, nothing of what was done.

    Args:
        places: dataset folders.
        view: the observation that holds its pictures, for example `view_chase`.
        policy: whose views they are prepared for.
        discount: per step.

    Raises:
        DatasetError: a dataset is missing, empty, of another task, or was filmed from elsewhere.
    """
    parts: list[Frames] = []
    headers = [header for dataset in open_films(places, view, policy) for header in dataset.episodes]
    for header in headers:
        parts.append(_frames_of(header, view, policy, sum(map(len, parts))))
    ends = [header.num_steps for header in headers]
    ended = [bool(part.next_row[-1] == ABSORBING) for part in parts]
    found = joined(parts)
    return Frames(
        found.views,
        found.state,
        found.goal,
        found.actions,
        found.next_row,
        absorbing_share([0] * len(ends), ends, ended, discount),
        found.previous_turn,
    )


def open_films(places: Sequence[str], view: str, policy: VisuomotorPolicy) -> list[Dataset]:
    """Datasets of films.

    Raises:
        DatasetError: one is missing, empty, of another task, or its first episode was filmed from elsewhere.
    """
    datasets = [Dataset.open(place) for place in places]
    for dataset in datasets:
        require_same_task(policy.spec, dataset.task_spec, f"the dataset in {dataset.folder}")
        if view not in views_of(dataset):
            raise DatasetError(
                f"{dataset.folder} was not filmed by {view}; it has {', '.join(views_of(dataset)) or 'no third camera'}"
            )
    return datasets


def _frames_of(header: EpisodeHeader, view: str, policy: VisuomotorPolicy, first_row: int) -> Frames:
    """Frames of one film, whose rows count from `first_row`."""
    episode = load_episode(header.path)
    pictures = episode.observations.get(view)
    if pictures is None:
        raise DatasetError(f"{header.path} was not filmed by {view}; `forestpilot collect --viewpoint` does")
    steps = header.num_steps
    state = np.zeros((steps, policy.spec.state_size), np.float32)
    views = policy.prepare(pictures[:-1], state)[:, None]  # its camera does not tilt with the vehicle
    next_row = first_row + np.arange(1, steps + 1)
    for _, stop in header.stretches:
        next_row[stop - 1] = UNKNOWN
    if episode.terminated[-1]:
        next_row[-1] = ABSORBING
    nothing = np.zeros((steps, 2), np.float32)
    turns = np.full(steps, np.nan, np.float32)
    return Frames(views, state, episode.observations["goal"][:-1], nothing, next_row, 0.0, turns)


def require_films(config: FilmsConfig, option: str, policy: VisuomotorPolicy) -> None:
    """Raise a ForestPilotError where an option names no datasets of films, or such as cannot be used."""
    places = getattr(config, option)
    if not places:
        raise InvalidArgumentError(
            f"the adversary {config.part} compares with films; name their datasets: --adversary.{option} DATASET"
        )
    open_films(places, config.view, policy)


def _embedding_for(config: EmbeddingRewardConfig, policy: VisuomotorPolicy) -> Embedding:
    """The stored embedding of a reward.

    Raises:
        InvalidArgumentError: it sees otherwise than the policy, or another task.
    """
    embedding, facts = load_embedding(config.run)
    view = policy.config.view
    wanted = (embedding.view.height, embedding.view.width)
    if wanted != (view.height, view.width) or facts["task_spec"]["task"] != policy.spec.task:
        raise InvalidArgumentError(
            f"the embedding in {config.run} sees {wanted[1]}x{wanted[0]} pixels of {facts['task_spec']['task']}, and "
            f"the policy {view.width}x{view.height} of {policy.spec.task}"
        )
    return embedding


class EmbeddingReward(ImitationReward):
    """How much nearer a step comes, in an embedding of both views, to where the film went on to.

    For the point of the learner's own view before the step the nearest point of the films is looked for. What the step
    earns is by how much its own view then is more similar to the film's next point, or how similar it is (`closeness`),
    times 1 - discount. Where an episode ends nothing more is earned.

    Args:
        config: its options.
        imitated: who learns from whom; the expert's frames are those of the films.
    """

    name = "embedding"
    Config = EmbeddingRewardConfig
    learners = ("ppo", "sac")

    def __init__(self, config: EmbeddingRewardConfig, imitated: Imitated) -> None:
        self._config = config
        self._frame = _embedding_for(config, imitated.policy).frame
        self._scale = np.float32(1 - discount_of(imitated.method))
        films = imitated.expert
        followed = np.flatnonzero(films.next_row >= 0)
        points = self.points(films.views)
        self._here = points[followed]
        self._there = points[films.next_row[followed]]

    @classmethod
    def require_given(cls, config: Any, policy: VisuomotorPolicy) -> None:
        """See `ImitationReward.require_given`: films, and an embedding that sees what the policy sees."""
        require_films(config, "films", policy)
        _embedding_for(config, policy)

    @classmethod
    def expert(
        cls, config: Any, datasets: Sequence[Dataset], policy: VisuomotorPolicy, discount: float, room: int
    ) -> Frames:
        """See `ImitationReward.expert`: the films."""
        return film_frames(config.films, config.view, policy, discount)

    @torch.no_grad()
    def points(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, D) points of views (N, C, h, w, 3), of the first camera."""
        found = [
            self._frame(torch.from_numpy(np.ascontiguousarray(views[first : first + AT_ONCE, 0]))).numpy()
            for first in range(0, len(views), AT_ONCE)
        ]
        return np.concatenate(found)

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """(N,) what the step earns."""
        before = self.points(step.before["views"])
        after = self.points(step.after["views"])
        aim = self._there[(before @ self._here.T).argmax(1)]
        earned = (after * aim).sum(1)
        if self._config.form == "progress":
            earned = earned - (before * aim).sum(1)
        earned = np.where(step.terminated, np.float32(0), earned)
        return (self._scale * np.float32(self._config.weight) * earned).astype(np.float32)

    def begin_round(self, round_number: int) -> None:
        """It draws nothing."""

    def save(self, folder: Path) -> None:
        """It learns nothing."""

    @classmethod
    def require_whole(cls, folder: Path) -> None:
        """There is nothing that could be damaged."""

    def load(self, folder: Path) -> None:
        """It has learned nothing."""


class _Reversed(torch.autograd.Function):
    """Leaves values as they are, and turns gradients round (Ganin & Lempitsky 2015, arXiv:1409.7495, equation 3)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """The values."""
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The gradient, turned round."""
        return -gradients[0]


class DomainConfusedDiscriminator(Discriminator):
    """Tells the expert by features of two frames, of which another network cannot tell who filmed them."""

    frames = 2
    sees_actions = False

    def __init__(self, config: DomainConfusedConfig, policy: VisuomotorPolicy, discount: float) -> None:
        super().__init__(config, policy, discount)
        view = policy.config.view
        shape = EncoderShape(view.height, view.width, len(policy.camera_names), policy.spec.goal_size, config.features)
        self.goal_size = policy.spec.goal_size
        self.encoder = part_class(ENCODERS, config.encoder)(config.encoder, shape)
        self.judge = small_network(2 * config.features, 1)
        self.critic = small_network(config.features, 1)

    def features(self, inputs: Inputs) -> Tensor:
        """(B, 2, F) of two frames, each by itself; of the numbers they read the goal alone, which films tell."""
        goal = inputs.numbers[..., -1 - self.goal_size : -1]
        read: Tensor = self.encoder(inputs.views.flatten(0, 1), goal.flatten(0, 1))
        return read.view(len(goal), self.frames, -1)

    def value(self, inputs: Inputs) -> Tensor:
        """The log odds of being the expert's."""
        odds: Tensor = self.judge(self.features(inputs).flatten(1))
        return odds[:, 0]

    def domain(self, inputs: Inputs) -> Tensor:
        """(B,) log odds of having been filmed from elsewhere; whoever trains it makes the features worse for it."""
        odds: Tensor = self.critic(_Reversed.apply(self.features(inputs)[:, 0]))
        return odds[:, 0]

    def log_odds(self, value: Tensor, log_prob: Tensor) -> Tensor:
        """The value itself."""
        return value

    def reward(self, value: Tensor) -> Tensor:
        """log D - log(1 - D)."""
        return value


class DomainConfusedAdversary(Adversary):
    """Trains on films of the expert, films of a learner, and the learner's own frames.

    Args:
        failures: frames of a learner that was filmed from where the expert was.
        rest: see `Adversary`.
    """

    config: DomainConfusedConfig
    discriminator: DomainConfusedDiscriminator

    def __init__(self, failures: Frames, *rest: Any) -> None:
        super().__init__(*rest)
        self._failures = failures

    def _step(self, expert: Frames, learner: Frames, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """One gradient step; of its figures the second is the loss of telling domains apart, log 2 where it cannot."""
        net = self.discriminator
        sides = [net.inputs(self._draw(frames, rng)) for frames in (expert, self._failures, learner)]
        odds = [net.value(side) for side in sides]
        loss = 0.5 * _entropy(odds[0], 1.0) + 0.25 * (_entropy(odds[1], 0.0) + _entropy(odds[2], 0.0))
        domains = [net.domain(side) for side in sides]
        told = 0.25 * (_entropy(domains[0], 1.0) + _entropy(domains[1], 1.0)) + 0.5 * _entropy(domains[2], 0.0)
        self._optimizer.zero_grad()
        (loss + self.config.confusion * told).backward()
        self._optimizer.step()
        right = [float((odds[0] > 0).float().mean()), float((odds[2] < 0).float().mean())]
        return float(loss.detach()), float(told.detach()), right[0], right[1]


def _entropy(odds: Tensor, label: float) -> Tensor:
    return binary_cross_entropy_with_logits(odds, torch.full_like(odds, label))


class DomainConfusedReward(AdversarialReward):
    """The discriminator's log odds, by features that do not tell who filmed."""

    Config = DomainConfusedConfig
    discriminator = DomainConfusedDiscriminator

    def __init__(self, config: DomainConfusedConfig, imitated: Imitated) -> None:
        super().__init__(config, imitated)
        discount = discount_of(imitated.method)
        failures = film_frames(config.failures, config.view, imitated.policy, discount)
        self.adversary = DomainConfusedAdversary(
            failures, self.discriminator, config, imitated.policy, discount, imitated.seed
        )

    @classmethod
    def require_given(cls, config: Any, policy: VisuomotorPolicy) -> None:
        """See `ImitationReward.require_given`: films of the expert, and of a learner."""
        require_films(config, "films", policy)
        require_films(config, "failures", policy)

    @classmethod
    def expert(
        cls, config: Any, datasets: Sequence[Dataset], policy: VisuomotorPolicy, discount: float, room: int
    ) -> Frames:
        """See `ImitationReward.expert`: the films."""
        return film_frames(config.films, config.view, policy, discount)
