"""Every registered head: it learns, resumes exactly, acts on each episode by itself, and is stored.

A noisy head, registered for these tests, stands for those that will draw in their loss and when they act.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from forestpilot.data_collection.windows.windows import Batch
from forestpilot.policies.networks.checkpoint import load_policy, save_policy
from forestpilot.policies.networks.heads import HEADS, HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, ActionsHead, Head, Target
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.loop import train
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.envs.task_spec import TaskSpec
from tests.helpers.made_up import MadeUpReader, make_observations, make_policy_config, shaken
from tests.helpers.specs import make_spec

NOISY = "tests-noisy"


@dataclass(frozen=True)
class NoisyConfig(HeadConfig):
    part: ClassVar[str] = NOISY

    sigma: float = 0.05


class NoisyHead(ActionsHead):
    """Regression of a turn that noise was added to, which acts with noise as well."""

    Config: ClassVar[type[HeadConfig]] = NoisyConfig
    draws_noise = True

    def __init__(self, config: NoisyConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=2)
        self.sigma = config.sigma

    def action_loss(self, prediction: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(prediction) - actions).square().sum(-1)

    def loss(self, prediction: torch.Tensor, target: Target, generator: torch.Generator | None = None) -> torch.Tensor:
        noise = self.sigma * torch.randn(target.actions.shape, generator=generator)
        return super().loss(prediction, target._replace(actions=target.actions + noise))

    def act(
        self, prediction: torch.Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        noise = torch.randn(prediction.shape, generator=generator)
        return torch.tanh(prediction + self.sigma * noise)


HEADS.register(NOISY, NoisyHead, "for tests of the contract")
NAMES = HEADS.names()
CHUNKED = [name for name in NAMES if HEADS.get(name).predicts_chunks]
HEADS.unregister(NOISY)  # other modules ask the registry while they are collected


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    HEADS.register(NOISY, NoisyHead, "for tests of the contract")
    yield
    HEADS.unregister(NOISY)


def make_config(head: Any, policy: dict[str, Any] | None = None, **values: Any) -> TrainConfig:
    settings = {"steps": 9, "batch_windows": 6, "checkpoint_every": 5, "log_every": 4, "tensorboard": False}
    return TrainConfig(policy=make_policy_config(head=head, **(policy or {})), **(settings | values))


def new_policy(config: TrainConfig) -> VisuomotorPolicy:
    return VisuomotorPolicy.seeded(config.policy, make_spec(), config.seed)


def make_head(name: str, chunk: int = 1) -> Head:
    torch.manual_seed(0)
    part = HEADS.get(name)
    return part(part.Config(), 8, make_spec(), chunk)


def fly(policy: VisuomotorPolicy, episode: list[dict[str, np.ndarray]], seeds: list[int]) -> np.ndarray:
    """Actions (B, T, 2) of a batch of episodes."""
    carry = policy.begin(len(seeds), seeds)
    actions = []
    for observations in episode:
        action, carry = policy.act(observations, carry)
        actions.append(action)
    return np.stack(actions, axis=1)


def draw_episodes(policy: VisuomotorPolicy, batch: int, steps: int = 7) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [make_observations(rng, batch, policy.spec) for _ in range(steps)]


@pytest.mark.parametrize("name", NAMES)
def test_its_config_names_it(name: str) -> None:
    assert HEADS.get(name).Config.part == name


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_on_a_toy_problem(tmp_path: Path, name: str) -> None:
    how = {"steps": 30, "batch_windows": 12, "shards": 1, "log_every": 3, "learning_rate": 5e-3}
    config = make_config(name, {"memory": "none"}, **how)
    policy = new_policy(config)
    train(policy, MadeUpReader(), config, tmp_path)
    losses = [float(row.split(",")[column_of(tmp_path, "loss")]) for row in rows_of(tmp_path)]
    assert np.mean(losses[-3:]) < losses[0]


def column_of(folder: Path, name: str) -> int:
    return (folder / "metrics.csv").read_text().splitlines()[0].split(",").index(name)


def rows_of(folder: Path) -> list[str]:
    return (folder / "metrics.csv").read_text().splitlines()[1:]


class Killed(Exception):
    """Stands for the end of the process."""


class KillingReader(MadeUpReader):
    """Fails in its eighth step, in the second shard."""

    left = 15

    def sample(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> Batch:
        if self.left == 0:
            raise Killed
        self.left -= 1
        return super().sample(batch, rng)


@pytest.mark.parametrize("name", NAMES)
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, name: str) -> None:
    config = make_config(name)
    whole, resumed = new_policy(config), new_policy(config)
    train(whole, MadeUpReader(), config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(resumed, KillingReader(), config, tmp_path / "killed")
    resumed = new_policy(config)
    assert train(resumed, MadeUpReader(), config, tmp_path / "killed").steps == 4
    for first, second in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_every_step_has_a_finite_loss_with_gradients(name: str) -> None:
    head = make_head(name)
    prediction = head(torch.randn(4, 5, 8)).detach().requires_grad_()
    actions = torch.rand(4, 5, 1, 2) * 2 - 1
    target = Target(actions, torch.ones(4, 5, 1, dtype=torch.bool), torch.rand(4, 5, 21) * 500)
    loss = head.loss(prediction, target, torch.Generator().manual_seed(0))
    assert loss.shape == (4, 5)
    loss.mean().backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad.flatten(2).abs().sum((0, 1)) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_draws_from_its_generator_alone(name: str) -> None:
    head = make_head(name)
    prediction = head(torch.randn(4, 5, 8)).detach()
    target = Target(torch.zeros(4, 5, 1, 2), torch.ones(4, 5, 1, dtype=torch.bool), torch.rand(4, 5, 21))
    before = torch.random.get_rng_state()
    losses = [head.loss(prediction, target, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*losses)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_actions_stay_in_range_whatever_is_predicted(name: str, chunk: int) -> None:
    if chunk > 1 and name not in CHUNKED:
        with pytest.raises(ValueError, match="chunk"):
            make_head(name, chunk)
        return
    head = make_head(name, chunk)
    prediction = 50 * head(torch.randn(4, 5, 8)).detach()
    actions = head.act(prediction, generator=torch.Generator().manual_seed(0))
    assert actions.shape == (4, 5, chunk, 2)
    assert actions.abs().max() <= 1
    assert torch.isfinite(actions).all()
    assert head.smooth_turn(prediction).shape == (4, 5)


@pytest.mark.parametrize("name", NAMES)
def test_a_chunk_of_one_is_a_single_action(name: str) -> None:
    policy = shaken(new_policy(make_config(name)))
    episode = draw_episodes(policy, 3)
    averaging = VisuomotorPolicy(make_policy_config(head=name, chunk_execution="averaged"), policy.spec)
    averaging.load_state_dict(policy.state_dict())
    assert np.array_equal(fly(policy, episode, [0, 1, 2]), fly(averaging.eval(), episode, [0, 1, 2]))


@pytest.mark.parametrize("execution", ["receding", "averaged"])
@pytest.mark.parametrize("name", NAMES)
def test_an_action_does_not_depend_on_the_other_episodes(name: str, execution: str) -> None:
    chunk = 3 if name in CHUNKED else 1
    shape = {"chunk": chunk, "chunk_steps": min(2, chunk), "chunk_execution": execution}
    policy = shaken(new_policy(make_config(name, shape)))
    episode = draw_episodes(policy, 4)
    alone = [{key: values[2:3] for key, values in observations.items()} for observations in episode]
    together = fly(policy, episode, [5, 6, 7, 8])
    assert np.allclose(together[2:3], fly(policy, alone, [7]), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_an_action_does_not_depend_on_its_place_in_the_batch(name: str) -> None:
    # As wide as policies usually are: products of other shapes are computed in other ways.
    policy = shaken(new_policy(make_config(name, {"features": 96})))
    episode = [{key: values.repeat(8, axis=0) for key, values in step.items()} for step in draw_episodes(policy, 1)]
    actions = fly(policy, episode, [5] * 8)
    assert np.array_equal(actions, actions[:1].repeat(8, axis=0))


@pytest.mark.parametrize("name", NAMES)
def test_a_restarted_episode_is_a_new_one(name: str) -> None:
    chunk = 3 if name in CHUNKED else 1
    policy = shaken(new_policy(make_config(name, {"chunk": chunk, "chunk_steps": chunk})))
    episode = draw_episodes(policy, 2, steps=2 * chunk)
    carry = policy.begin(2, [3, 4])
    _, carry = policy.act(episode[-1], carry)
    carry.restart([1], [4])
    actions = []
    for observations in episode:
        action, carry = policy.act(observations, carry)
        actions.append(action)
    assert np.allclose(np.stack(actions, axis=1)[1], fly(policy, episode, [3, 4])[1], atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_acts_the_same(tmp_path: Path, name: str, chunk: int) -> None:
    if chunk > 1 and name not in CHUNKED:
        pytest.skip("it predicts one action at a time")
    policy = new_policy(make_config(name, {"chunk": chunk}))
    save_policy(tmp_path, policy)
    loaded = load_policy(tmp_path)
    assert loaded.config == policy.config
    episode = draw_episodes(policy, 2)
    assert np.array_equal(fly(loaded, episode, [1, 2]), fly(policy.eval(), episode, [1, 2]))


def test_a_head_that_nobody_registered_is_found_by_its_place(tmp_path: Path) -> None:
    config = make_config({"part": "tests.helpers.elsewhere_head:ElsewhereHead", "bias": 0.25})
    policy = new_policy(config)
    train(policy, MadeUpReader(), config, tmp_path / "run")
    save_policy(tmp_path, policy)
    assert load_policy(tmp_path).config == config.policy
    assert type(load_policy(tmp_path).head).__name__ == "ElsewhereHead"
