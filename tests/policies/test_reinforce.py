"""Reinforcement learning end to end on tiny budgets, and its parts."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")

from forestpilot.data_collection.rollouts.pool import RolloutPool
from forestpilot.policies.algorithms.reinforce.config import ReinforceConfig
from forestpilot.policies.algorithms.reinforce.loop import Reinforce
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.encoders.options import CNNConfig
from forestpilot.policies.networks.heads.options import GaussianConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.reinforcement.options import PPOConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import ForestPilotError
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


def test_steps_and_crashes_are_counted_and_terms_logged_one_by_one(finished):
    config, results = finished
    assert [result.visited for result in results] == [0, 48, 96]
    told = json.loads((Path(config.out) / "rounds/round-02/training.json").read_text())
    assert set(told["terms"]) == {"progress", "crash", "intervention"}
    rows = list(csv.DictReader((Path(config.out) / "metrics.csv").open()))
    assert [row["round"] for row in rows] == ["1", "1", "2", "2"] and float(rows[-1]["value_loss"]) >= 0
    assert {"reward_progress", "reward_crash", "training_success", "kl"} <= set(rows[0])


def test_as_many_processes_as_one_likes_come_to_the_same(finished, tmp_path):
    config, results = finished
    two = dataclasses.replace(config, out=str(tmp_path / "run"), workers=2)
    assert Reinforce(two).run(RolloutPool(1)) == results
    ours, theirs = (load_policy(folder).state_dict() for folder in (config.out, tmp_path / "run"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_it_begins_with_a_policy_and_its_shape(finished, tmp_path):
    config, _ = finished
    further = ReinforceConfig(
        out=str(tmp_path / "run"), start=config.out, rounds=1, steps=24, validation_episodes=2, workers=1, mix=TINY_MIX,
        method=TINY_PPO, keep_close=0.1, train=TrainConfig(tensorboard=False, policy=TINY_POLICY),
    )  # fmt: skip
    Reinforce(further).run()
    first = load_policy(tmp_path / "run/rounds/round-00").state_dict()
    ours = load_policy(config.out).state_dict()
    assert all(np.array_equal(first[name], ours[name]) for name in ours)
    told = json.loads((tmp_path / "run/rounds/round-01/training.json").read_text())
    assert told["kept"]["keep_close"]["price"] > 0 and "keep_close" in told["terms"]


def test_a_policy_of_another_task_is_refused(finished, tmp_path):
    config, _ = finished
    with pytest.raises(ForestPilotError, match="drive"):
        Reinforce(tiny(tmp_path / "run", start=config.out, task="drive", mix=type(TINY_MIX)(width=32, height=24)))
