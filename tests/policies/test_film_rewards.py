"""Rewards by films: where the film went on to is where it pays to go, and who filmed is not what is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")

import torch

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.policies.algorithms.adversarial.config import AdversarialConfig
from forestpilot.policies.algorithms.adversarial.loop import Adversarial
from forestpilot.policies.embeddings.stored import save_embedding
from forestpilot.policies.networks.checkpoint import CheckpointError
from forestpilot.policies.networks.embedding import Embedding
from forestpilot.policies.networks.encoders.options import EmbeddingShape
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.adversaries.films import (
    DomainConfusedAdversary,
    DomainConfusedDiscriminator,
    DomainConfusedReward,
    EmbeddingReward,
    film_frames,
)
from forestpilot.policies.reinforcement.adversaries.frames import Frames
from forestpilot.policies.reinforcement.adversaries.imitation import Imitated
from forestpilot.policies.reinforcement.adversaries.options import DomainConfusedConfig, EmbeddingRewardConfig
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.reinforcement.rewards import Step
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.viewpoints.chase import ChaseConfig
from tests.policies.test_dagger import TINY_MIX
from tests.policies.test_reinforce import TINY_POLICY, TINY_PPO

SHAPE = EmbeddingShape((4, 8, 8), features=16, size=8, frames=1)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two flights, filmed from behind, without actions."""
    out = str(tmp_path_factory.mktemp("filmed") / "data")
    how = CollectConfig(
        out, episodes=2, workers=1, mix=TINY_MIX, viewpoint=ChaseConfig(), observations_only=True
    )  # fmt: skip
    return collect(how)


@pytest.fixture(scope="module")
def policy(filmed: Dataset) -> VisuomotorPolicy:
    return VisuomotorPolicy.seeded(TINY_POLICY, filmed.task_spec, 0)


@pytest.fixture(scope="module")
def embedded(filmed: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding that has learned nothing: random weights tell pictures apart as well."""
    folder = tmp_path_factory.mktemp("embedding")
    save_embedding(folder, Embedding.seeded(SHAPE, TINY_POLICY.view, 0), filmed.task_spec, {})
    return folder


def frames_of(filmed: Dataset, policy: VisuomotorPolicy) -> Frames:
    return film_frames((str(filmed.folder),), "view_chase", policy, 0.9)


def test_frames_of_a_film_are_its_pictures_and_the_goal(filmed: Dataset, policy: VisuomotorPolicy) -> None:
    found = frames_of(filmed, policy)
    assert len(found) == filmed.total_steps and not found.state.any() and not found.actions.any()
    ends = np.cumsum([header.num_steps for header in filmed.episodes]) - 1
    assert (found.next_row[ends] == -1).all() and (np.delete(found.next_row, ends) > 0).all()
    assert 0 < found.absorbing_share < 1
    with pytest.raises(DatasetError, match="was not filmed by view_tower"):
        film_frames((str(filmed.folder),), "view_tower", policy, 0.9)


@pytest.mark.parametrize("form", ["progress", "closeness"])
def test_it_pays_to_go_where_the_film_went(
    filmed: Dataset, policy: VisuomotorPolicy, embedded: Path, form: Any
) -> None:
    films = frames_of(filmed, policy)
    config = EmbeddingRewardConfig(run=str(embedded), form=form, films=("x",))
    reward = EmbeddingReward(config, Imitated(policy, films, PPOConfig(discount=0.9), 0))
    rows = np.flatnonzero(films.next_row >= 0)[5:25]
    no = np.zeros(len(rows), bool)

    def earned(after: np.ndarray, terminated: np.ndarray = no) -> np.ndarray:
        seen = ({"views": films.views[rows]}, {"views": films.views[after]})
        return reward(Step(seen[0], np.zeros((len(rows), 2), np.float32), seen[1], {}, terminated, no))

    onward, still, back = (earned(films.next_row[rows]), earned(rows), earned(rows - 2))
    assert onward.mean() > still.mean() > back.mean() and (onward >= still - 1e-6).all()
    assert not earned(films.next_row[rows], ~no).any()
    if form == "progress":
        np.testing.assert_allclose(still, 0, atol=1e-6)


def test_the_gradient_of_who_filmed_is_turned_round(filmed: Dataset, policy: VisuomotorPolicy) -> None:
    films = frames_of(filmed, policy)
    config = DomainConfusedConfig(features=8, batch=8, films=("x",), failures=("x",))
    adversary = DomainConfusedAdversary(films, DomainConfusedDiscriminator, config, policy, 0.9, 0)
    net = adversary.discriminator
    side = net.inputs(adversary._draw(films, np.random.default_rng(0)))
    net.domain(side).sum().backward()
    turned = [parameter.grad.clone() for parameter in net.encoder.parameters()]
    net.zero_grad()
    net.critic(net.features(side)[:, 0])[:, 0].sum().backward()
    for ours, parameter in zip(turned, net.encoder.parameters(), strict=True):
        torch.testing.assert_close(ours, -parameter.grad)
    figures = adversary.learn(films, films, np.random.default_rng(0))
    assert 0 <= figures["expert_accuracy"] <= 1 and np.isfinite(figures["penalty"])


def test_of_the_numbers_it_reads_the_goal_alone(filmed: Dataset, policy: VisuomotorPolicy) -> None:
    films = frames_of(filmed, policy)
    config = DomainConfusedConfig(features=8, batch=4, films=("x",), failures=("x",), flip=False, jitter=False)
    net = DomainConfusedAdversary(films, DomainConfusedDiscriminator, config, policy, 0.9, 0).discriminator
    adversary = DomainConfusedAdversary(films, DomainConfusedDiscriminator, config, policy, 0.9, 0)
    windows = adversary._draw(films, np.random.default_rng(0))
    value = net.value(net.inputs(windows))
    torch.testing.assert_close(net.value(net.inputs(windows._replace(state=windows.state + 1))), value)
    assert not torch.allclose(net.value(net.inputs(windows._replace(goal=windows.goal + 1))), value)


@pytest.mark.parametrize("part", ["embedding", "domain-confused"])
def test_a_run_learns_by_films_alone(filmed: Dataset, embedded: Path, tmp_path: Path, part: str) -> None:
    films = (str(filmed.folder),)
    adversary = {
        "embedding": EmbeddingRewardConfig(films=films, run=str(embedded)),
        "domain-confused": DomainConfusedConfig(films=films, failures=films, features=8, batch=8, steps=2),
    }[part]
    train = dataclasses.replace(AdversarialConfig().train, policy=TINY_POLICY, tensorboard=False)
    config = AdversarialConfig(
        out=str(tmp_path / "run"), train=train, rounds=1, steps=48, validation_episodes=1, workers=1, mix=TINY_MIX,
        method=dataclasses.replace(TINY_PPO, warm_up=0), adversary=adversary,
    )  # fmt: skip
    assert config.expert_episodes == 0 and not config.clones
    Adversarial(config).run(RolloutPool(1))
    assert (tmp_path / "run" / "policy.json").exists()
    assert not len(Dataset.open(tmp_path / "run" / "dataset"))


def test_what_cannot_be_is_refused(filmed: Dataset, policy: VisuomotorPolicy) -> None:
    with pytest.raises(InvalidArgumentError, match="leave out demonstrations"):
        AdversarialConfig(adversary=EmbeddingRewardConfig(films=("x",)), demonstrations=("y",))
    with pytest.raises(InvalidArgumentError, match="name their datasets"):
        EmbeddingReward.require_given(EmbeddingRewardConfig(), policy)
    films = (str(filmed.folder),)
    with pytest.raises(InvalidArgumentError, match=r"--adversary\.failures"):
        DomainConfusedReward.require_given(DomainConfusedConfig(films=films), policy)
    with pytest.raises(CheckpointError, match="holds no embedding"):
        EmbeddingReward.require_given(EmbeddingRewardConfig(films=films, run="nowhere"), policy)
    with pytest.raises(DatasetError, match="was not filmed by view_side; it has view_chase"):
        EmbeddingReward.require_given(EmbeddingRewardConfig(films=films, view="view_side"), policy)
    with pytest.raises(InvalidArgumentError, match="with domain-confused it is none"):
        DomainConfusedConfig(regulariser="spectral-norm")
