"""Soft actor-critic: our policy acts, it learns from what was drawn, and a run that goes on is the same."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")

from stable_baselines3.common.vec_env import VecEnv

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.networks.checkpoint import CheckpointError
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.heads.options import GaussianConfig, RegressionConfig
from forestpilot.policies.networks.memories.options import LSTMConfig, NoMemoryConfig
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.learner import Start
from forestpilot.policies.reinforcement.replay_buffer import TRUNCATED, ReplayBuffer
from forestpilot.policies.reinforcement.sac import SACLearner, tensors_of
from forestpilot.policies.reinforcement.sac_options import SACConfig
from forestpilot.policies.reinforcement.sac_policy import SquashedActor, set_spread
from forestpilot.policies.reinforcement.shares import Worlds
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.specs import small_spec

POLICY = PolicyConfig(
    view=ViewConfig(4, 8), features=16, memory=NoMemoryConfig(), window=1, head=GaussianConfig()
)  # fmt: skip
CONFIG = SACConfig(
    environments=2, batch=16, first_steps=16, random_steps=16, buffer_mb=1, critic_layers=(16,), shift_px=1,
    learning_rate=3e-3, discount=0.5, updates=1,
)  # fmt: skip
BEST = np.array([0.5, -0.4], np.float32)
STEPS = 8
"""Of an episode."""


class MadeUpEnvs(VecEnv):
    """The nearer an action comes to `BEST`, the better, whatever is seen."""

    def __init__(self, count: int = 2) -> None:
        worlds = Worlds("drone", ScenarioMix(), small_spec(), POLICY, seed=0)
        super().__init__(count, worlds.space(), gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32))
        self.begin_round(0)

    def begin_round(self, round_number: int) -> None:
        self.rng = np.random.default_rng(round_number)
        self.steps = 0

    def reset(self) -> Any:
        space = self.observation_space
        assert isinstance(space, gymnasium.spaces.Dict)
        self.seen = {
            name: np.zeros((self.num_envs, *(box.shape or ())), box.dtype) for name, box in space.spaces.items()
        }
        self.seen["goal"] = self.rng.uniform(-1.0, 1.0, (self.num_envs, 2)).astype(np.float32)
        self.seen["views"] = self.rng.integers(0, 256, self.seen["views"].shape, dtype=np.uint8)
        return copy.deepcopy(self.seen)

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> Any:
        rewards = -np.abs(self.actions - BEST).sum(axis=1).astype(np.float32)
        self.steps += 1
        done = self.steps % STEPS == 0
        after = self.reset()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done:
            infos = [{TRUNCATED: True, "terminal_observation": {k: v[i] for k, v in after.items()}} for i in range(2)]
        return after, rewards, np.full(self.num_envs, done), infos

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return []

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def make_policy(**changes: Any) -> VisuomotorPolicy:
    return VisuomotorPolicy.seeded(dataclasses.replace(POLICY, **changes), small_spec(), 0)


def make_learner(is_given: bool = False, **changes: Any) -> SACLearner:
    config = dataclasses.replace(CONFIG, **changes)
    envs: Any = MadeUpEnvs()
    return SACLearner(Start(make_policy(), is_given, seed=3), config, envs)


def learn(learner: SACLearner, steps: int, round_number: int = 1) -> list[dict[str, float]]:
    """Learn, and return the rows of figures that were told."""
    rows: list[dict[str, float]] = []
    learner.learn(steps, round_number, 1.0, lambda count, figures: rows.append(dict(figures)) if figures else None)
    return rows


def observations(count: int = 5) -> Any:
    return tensors_of(MadeUpEnvs(count).reset())


def same(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
    theirs_by_name = theirs.state_dict()
    return all(torch.equal(value, theirs_by_name[name]) for name, value in ours.state_dict().items())


def test_without_drawing_it_acts_as_the_policy_does() -> None:
    learner = make_learner()
    seen = MadeUpEnvs(5).reset()
    state, goal = torch.from_numpy(seen["state"])[:, None], torch.from_numpy(seen["goal"])[:, None]
    prediction, _ = learner.policy(torch.from_numpy(seen["views"])[:, None], state, goal)
    told = learner.policy.head.act(prediction)[:, 0, 0]
    assert torch.allclose(learner.engine.actor(tensors_of(seen), deterministic=True), told, atol=1e-6)


def test_densities_of_what_it_draws_are_those_of_a_squashed_normal() -> None:
    envs = MadeUpEnvs()
    actor = SquashedActor(envs.observation_space, envs.action_space, make_policy())
    seen = observations()
    actions, log_prob = actor.draw(seen, torch.Generator().manual_seed(0))
    mean, log_std = actor.distribution(seen)
    normal = torch.distributions.Normal(mean, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform())
    assert torch.allclose(log_prob, squashed.log_prob(actions).sum(-1), atol=1e-3)


def test_it_strays_as_far_as_is_asked_at_first() -> None:
    policy = make_policy()
    envs = MadeUpEnvs()
    actor = SquashedActor(envs.observation_space, envs.action_space, policy)
    before = actor.distribution(observations())[0]
    set_spread(policy, 0.2)
    mean, log_std = actor.distribution(observations())
    assert torch.allclose(log_std.exp(), torch.tensor(0.2), atol=1e-5)
    assert torch.equal(mean, before)


@pytest.mark.parametrize(
    ("changes", "way_out"),
    [
        ({"memory": LSTMConfig()}, "policy.memory none"),
        ({"head": RegressionConfig()}, "policy.head gaussian"),
        ({"chunk": 2}, "policy.chunk 1"),
    ],
)
def test_policies_that_it_cannot_train_are_refused(changes: dict[str, Any], way_out: str) -> None:
    with pytest.raises(InvalidArgumentError, match=way_out):
        SACLearner.require(make_policy(**changes), CONFIG)


def test_it_learns_and_tells_of_it() -> None:
    learner = make_learner(first_steps=64, random_steps=128, learning_rate=1e-2, batch=32, discount=0.0)
    rows = learn(learner, 320)
    acts = learner.engine.actor(observations(), deterministic=True).detach().numpy()
    assert np.abs(acts - BEST).max() < 0.25
    assert len(rows) == 2
    assert set(rows[-1]) == {"critic_loss", "value", "actor_loss", "entropy", "temperature"}


def test_the_actor_rests_while_the_critics_warm_up() -> None:
    learner = make_learner(is_given=True, std=0.2, warm_up=1000)
    first = copy.deepcopy(learner.policy)
    set_spread(first, 0.2)
    critic = copy.deepcopy(learner.engine.critic)
    learn(learner, 64)
    assert same(first, learner.policy)
    assert not same(critic, learner.engine.critic)
    assert learner.engine.updates == 24


def test_killed_and_gone_on_with_equals_uninterrupted(tmp_path: Path) -> None:
    whole = make_learner()
    for round_number in (1, 2, 3):
        learn(whole, 48, round_number)
        whole.save(tmp_path / f"whole-{round_number}")
    first = make_learner()
    learn(first, 48)
    first.save(tmp_path / "1")
    policy = copy.deepcopy(first.policy.state_dict())
    learn(first, 48, 2)  # what is not stored is lost
    for round_number in (2, 3):
        learner = make_learner()
        learner.policy.load_state_dict(policy)
        learner.load(tmp_path / f"{round_number - 1}")
        learn(learner, 48, round_number)
        learner.save(tmp_path / f"{round_number}")
        policy = copy.deepcopy(learner.policy.state_dict())
    assert same(whole.policy, learner.policy)
    assert same(whole.engine.critic_target, learner.engine.critic_target)
    assert learner.engine.updates == whole.engine.updates == (3 * 48 - 16) // 2
    assert np.array_equal(whole.own.rewards, learner.own.rewards)


def test_each_step_is_stored_once_and_those_that_are_gone_are_not_kept(tmp_path: Path) -> None:
    learner = make_learner(buffer_mb=0.05, first_steps=10_000)
    written = []
    for round_number in range(1, 8):
        learn(learner, 48, round_number)
        learner.save(tmp_path / f"{round_number}")
        written.append(learner.own.num_written)
    pieces = {path.name for path in (tmp_path / "2").glob("replay-*")}
    assert pieces == {path.name for path in (tmp_path / "3").glob("replay-*")} & pieces
    assert all((tmp_path / "2" / name).samefile(tmp_path / "3" / name) for name in pieces)
    last = sorted(path.name for path in (tmp_path / "7").glob("replay-*"))
    assert learner.own.num_rows < written[-1]
    assert 0 < len(last) < 7
    back = make_learner(buffer_mb=0.05, first_steps=10_000)
    back.load(tmp_path / "7")
    assert np.array_equal(back.own.next_row, learner.own.next_row)
    SACLearner.require_whole(tmp_path / "7")
    (tmp_path / "7" / last[-1]).unlink()
    for read in (SACLearner.require_whole, back.load):
        with pytest.raises(CheckpointError, match="a file is missing"):
            read(tmp_path / "7")


def test_half_of_what_is_drawn_is_demonstrated_and_may_earn_something_else() -> None:
    learner = make_learner()
    learn(learner, 32)
    space: Any = learner.envs.observation_space
    shown = ReplayBuffer(space, 64)
    seen = MadeUpEnvs(1).reset()
    shown.add(seen, seen, np.full((1, 2), 0.25, np.float32), np.array([7.0]), np.array([False]), [{}])
    learner.demonstrations = shown
    drawn = learner.engine.draw(16)
    is_shown = (drawn.actions == 0.25).all(axis=1)
    assert is_shown.sum() == 8
    assert (drawn.rewards[is_shown] == 7).all()
    learner.own_reward = lambda buffer, rows: np.zeros(len(rows), np.float32)
    learner.demonstration_reward = lambda buffer, rows: np.ones(len(rows), np.float32)
    drawn = learner.engine.draw(16)
    assert np.array_equal(drawn.rewards > 0, (drawn.actions == 0.25).all(axis=1))
