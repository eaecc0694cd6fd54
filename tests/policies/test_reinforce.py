"""Reinforcement learning end to end on tiny budgets, and its parts."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.data_collection.rollouts.scenarios import task_spec_of
from forestpilot.policies.algorithms.reinforce.config import ReinforceConfig
from forestpilot.policies.algorithms.reinforce.loop import Reinforce
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.encoders.options import CNNConfig
from forestpilot.policies.networks.heads.options import (
    CategoricalConfig,
    GaussianConfig,
    MixtureConfig,
    RegressionConfig,
    TurnCostsConfig,
)
from forestpilot.policies.networks.memories.options import (
    LSTMConfig,
    NoMemoryConfig,
    StackedConfig,
    TCNConfig,
    TransformerConfig,
)
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.reinforcement.envs import ForestVecEnv
from forestpilot.policies.reinforcement.learner import Start
from forestpilot.policies.reinforcement.options import PPOConfig, RewardConfig
from forestpilot.policies.reinforcement.ppo import PPOLearner
from forestpilot.policies.reinforcement.rewards import Rewards, environment_terms
from forestpilot.policies.reinforcement.shares import Worlds
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import TASKS
from tests.policies.test_dagger import TINY_MIX

TINY_POLICY = PolicyConfig(
    view=ViewConfig(16, 32), encoder=CNNConfig((4, 8, 8)), features=16, memory=NoMemoryConfig(), window=1,
    head=GaussianConfig(),
)  # fmt: skip
TINY_PPO = PPOConfig(environments=3, rollout=8, batch=12, epochs=2)


def tiny(out: Path, **changes) -> ReinforceConfig:
    values = {
        "rounds": 2, "steps": 48, "validation_episodes": 2, "workers": 1, "mix": TINY_MIX, "method": TINY_PPO,
        "train": TrainConfig(policy=TINY_POLICY, tensorboard=False),
    }  # fmt: skip
    return ReinforceConfig(out=str(out), **{**values, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: (config, results)."""
    config = tiny(tmp_path_factory.mktemp("reinforce") / "run")
    return config, Reinforce(config).run()


@pytest.fixture(scope="module")
def spec():
    return task_spec_of(TASKS.get("drone"), TINY_MIX)


def test_steps_and_crashes_are_counted_and_terms_logged_one_by_one(finished):
    config, results = finished
    assert [result.visited for result in results] == [0, 48, 96]
    told = json.loads((Path(config.out) / "rounds/round-02/training.json").read_text())
    assert set(told["terms"]) == {"progress", "crash", "intervention"}
    rows = list(csv.DictReader((Path(config.out) / "metrics.csv").open()))
    assert [row["round"] for row in rows] == ["1", "1", "2", "2"] and float(rows[-1]["value_loss"]) >= 0
    assert {"reward_progress", "reward_crash", "training_success", "kl"} <= set(rows[0])


@pytest.mark.parametrize("kill", ["rolling out", "storing what the learner knows", "damage"])
def test_killed_within_a_round_and_resumed_equals_uninterrupted(finished, kill, tmp_path, monkeypatch):
    config, results = finished
    again = dataclasses.replace(config, out=str(tmp_path / "run"))
    owner, name, after = {
        "rolling out": (ForestVecEnv, "step_wait", 21),
        "storing what the learner knows": (PPOLearner, "save", 1),
        "damage": (Reinforce, "_keep_best", 0),
    }[kill]
    calls = iter(range(1000))
    method = getattr(owner, name)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, lambda *args: method(*args) if next(calls) != after else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Reinforce(again).run()
    if kill == "damage":
        state = tmp_path / "run/rounds/round-02/learner/state.safetensors"
        state.write_bytes(state.read_bytes()[:-1])
    assert Reinforce(again).run() == results
    for file in ("rounds.csv", "policy.safetensors", "rounds/round-02/learner/state.safetensors"):
        assert (Path(config.out) / file).read_bytes() == (tmp_path / "run" / file).read_bytes(), file


def test_as_many_processes_as_one_likes_come_to_the_same(finished, tmp_path):
    config, results = finished
    two = dataclasses.replace(config, out=str(tmp_path / "run"), workers=2)
    assert Reinforce(two).run(RolloutPool(1)) == results
    ours, theirs = (load_policy(folder).state_dict() for folder in (config.out, tmp_path / "run"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("holding", ["shaping", "keep_close"])
def test_it_begins_with_a_policy_and_its_shape_and_holds_on_to_it(finished, holding, tmp_path):
    config, _ = finished
    method = dataclasses.replace(TINY_PPO, warm_up=0, learning_rate=1e-2)
    further = tiny(tmp_path / "run", start=config.out, rounds=1, method=method, **{holding: 0.1})
    Reinforce(further).run()
    first = load_policy(tmp_path / "run/rounds/round-00").state_dict()
    ours = load_policy(config.out).state_dict()
    assert all(np.array_equal(first[name], ours[name]) for name in ours)
    told = json.loads((tmp_path / "run/rounds/round-01/training.json").read_text())
    assert np.isfinite(told["terms"][holding]) and told["terms"][holding]
    assert set(told["kept"]) == ({"keep_close"} if holding == "keep_close" else set())


def test_a_policy_that_is_given_strays_less_and_moves_by_smaller_steps(finished, tmp_path):
    """Each step size as large, the first updates would go 0.06 to 0.1 nats where 0.03 are allowed."""
    config, _ = finished
    rates = {}
    for name, changes in {"scratch": {}, "given": {"start": config.out, "rounds": 1}}.items():
        run = tiny(tmp_path / name, method=TINY_PPO, **changes)
        Reinforce(run).run()
        row = next(csv.DictReader((tmp_path / name / "metrics.csv").open()))
        rates[name] = float(row["learning_rate"]), round(float(row["spread"]), 2)
    assert rates == {"scratch": (3e-4, 0.6), "given": (1e-4, 0.15)}
    own = dataclasses.replace(TINY_PPO, learning_rate=2e-4)
    assert own.rate_of(True) == own.rate_of(False) == 2e-4


@pytest.mark.parametrize("memory", [LSTMConfig(), TCNConfig(), TransformerConfig(layers=1, heads=2), StackedConfig()])
def test_memories_say_of_a_rollout_what_they_said_when_it_was_made(memory, spec):
    """So that before the first gradient step no action is more or less likely than when it was tried."""
    policy = VisuomotorPolicy.seeded(dataclasses.replace(TINY_POLICY, memory=memory, window=8), spec, 0)
    learner, envs = learner_of(policy, dataclasses.replace(TINY_PPO, epochs=1, batch=24, learning_rate=1e-12))
    with envs:
        told: list[Mapping[str, float]] = []
        learner.learn(48, 1, 1.0, lambda _, figures: told.append(figures) if figures else None)
    assert [abs(figures["kl"]) < 1e-6 and figures["clipped"] == 0 for figures in told] == [True, True]


@pytest.mark.parametrize("head", [TurnCostsConfig(), CategoricalConfig(bins=7), MixtureConfig(), RegressionConfig()])
def test_every_head_that_can_say_how_likely_an_action_is_learns(head, spec):
    policy = VisuomotorPolicy.seeded(dataclasses.replace(TINY_POLICY, head=head), spec, 0)
    before = {name: tensor.clone() for name, tensor in policy.head.state_dict().items()}
    learner, envs = learner_of(policy, TINY_PPO)
    with envs:
        learner.learn(24, 1, 1.0, lambda *_: None)
    assert any(not np.array_equal(before[name], tensor) for name, tensor in policy.head.state_dict().items())


def test_the_value_network_is_warmed_up_before_the_policy_moves(spec):
    policy = VisuomotorPolicy.seeded(TINY_POLICY, spec, 0)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    learner, envs = learner_of(policy, dataclasses.replace(TINY_PPO, warm_up=1))
    value = learner.critic.value[0].weight.clone()
    with envs:
        learner.learn(24, 1, 1.0, lambda *_: None)
        assert all(np.array_equal(before[name], tensor) for name, tensor in policy.state_dict().items())
        assert not np.array_equal(value.detach(), learner.critic.value[0].weight.detach())
        learner.learn(24, 2, 0.5, lambda *_: None)
    assert any(not np.array_equal(before[name], tensor) for name, tensor in policy.state_dict().items())


def learner_of(policy: VisuomotorPolicy, config: PPOConfig) -> tuple[PPOLearner, ForestVecEnv]:
    worlds = Worlds("drone", TINY_MIX, policy.spec, policy.config, seed=0)
    envs = ForestVecEnv(worlds, config.environments, 1, Rewards(environment_terms(RewardConfig(), 0.97, 10), 0.1))
    return PPOLearner(Start(policy, False, 0), config, envs), envs


def test_a_policy_of_another_task_is_refused(finished, tmp_path):
    config, _ = finished
    with pytest.raises(ForestPilotError, match="drive"):
        Reinforce(tiny(tmp_path / "run", start=config.out, task="drive", mix=type(TINY_MIX)(width=32, height=24)))
