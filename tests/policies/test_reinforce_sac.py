"""SAC and its kin in `forestpilot reinforce`, on tiny budgets: demonstrations, the planner's costs, resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.scenarios import task_spec_of
from forestpilot.policies.algorithms.reinforce.config import ReinforceConfig
from forestpilot.policies.algorithms.reinforce.loop import Reinforce
from forestpilot.policies.networks.checkpoint import load_policy
from forestpilot.policies.reinforcement.cost_to_go import COSTS
from forestpilot.policies.reinforcement.demonstrations import demonstrated
from forestpilot.policies.reinforcement.envs import ForestVecEnv
from forestpilot.policies.reinforcement.options import PPOConfig, RewardConfig
from forestpilot.policies.reinforcement.rewards import Rewards, environment_terms
from forestpilot.policies.reinforcement.sac_options import SACConfig, ThorConfig
from forestpilot.policies.reinforcement.shares import Worlds
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tasks import TASKS
from tests.policies.test_dagger import TINY_MIX
from tests.policies.test_reinforce import TINY_POLICY

SMALL: dict[str, Any] = {
    "environments": 2, "batch": 8, "first_steps": 8, "buffer_mb": 2, "critic_layers": (8,), "updates": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Dataset:
    """Two demonstrations."""
    task = TASKS.get("drone")
    folder = Dataset.create(tmp_path_factory.mktemp("shown"), task_spec_of(task, TINY_MIX), task.bare_env_id).folder
    scenarios = tuple(TINY_MIX.scenario(seed, task) for seed in (0, 1))
    with RolloutPool(1) as pool:
        pool.run(Job("drone", scenarios, ExpertPilot, dataset=str(folder)))
    return Dataset.open(folder)


def tiny(out: Path, method: Any, **changes: Any) -> ReinforceConfig:
    values: dict[str, Any] = {
        "rounds": 2, "steps": 24, "validation_episodes": 1, "workers": 1, "mix": TINY_MIX, "method": method,
        "train": TrainConfig(policy=TINY_POLICY, tensorboard=False),
    }  # fmt: skip
    return ReinforceConfig(out=str(out), **{**values, **changes})


def make_envs(shown: Dataset, asks_planner: bool = False) -> ForestVecEnv:
    worlds = Worlds("drone", TINY_MIX, shown.task_spec, TINY_POLICY, seed=0, asks_planner=asks_planner)
    return ForestVecEnv(worlds, 2, 1, Rewards(environment_terms(RewardConfig(), 0.9, 10), scale=0.5))


def test_demonstrations_earn_what_the_environment_said(shown: Dataset) -> None:
    with make_envs(shown, asks_planner=True) as envs:
        buffer = demonstrated([shown], envs, most_mb=10)
    episodes = [load_episode(header.path, keys=("state",)) for header in shown.episodes]
    recorded = np.concatenate([episode.rewards for episode in episodes])
    linked = np.flatnonzero(buffer.next_row >= 0)
    assert np.allclose(buffer.rewards[linked], 0.5 * recorded, atol=1e-6)
    assert np.array_equal(buffer.actions[linked], np.concatenate([episode.actions for episode in episodes]))
    states = np.concatenate([episode.observations["state"] for episode in episodes])
    assert np.array_equal(buffer.observations["state"][: buffer.num_written], states)
    costs = np.concatenate([episode.expert_costs[:, 1] for episode in episodes if episode.expert_costs is not None])
    assert np.allclose(buffer.observations[COSTS][linked], costs)
    assert buffer.terminated.sum() == sum(episode.terminated.any() for episode in episodes)


def test_demonstrations_that_do_not_repeat_or_do_not_fit_are_refused(shown: Dataset, tmp_path: Path) -> None:
    other = Dataset.create(tmp_path / "other", shown.task_spec, load_episode(shown.episodes[0].path).meta.env_id)
    episode = load_episode(shown.episodes[0].path)
    cut = dataclasses.replace(episode, actions=-episode.actions)
    other.add(cut)
    with make_envs(shown) as envs:
        with pytest.raises(DatasetError, match="does not repeat"):
            demonstrated([other], envs, most_mb=10)
        with pytest.raises(InvalidArgumentError, match=r"--method.buffer-mb"):
            demonstrated([shown], envs, most_mb=0.01)


@pytest.mark.parametrize("method", [SACConfig(**SMALL), ThorConfig(**SMALL)], ids=lambda method: method.part)
def test_a_run_with_demonstrations_goes_on_where_it_was_killed(method: Any, shown: Dataset, tmp_path: Path) -> None:
    folder = str(shown.folder)
    whole = tiny(tmp_path / "whole", method, demonstrations=(folder,), first_steps=0)
    results = Reinforce(whole).run()
    killed = dataclasses.replace(whole, out=str(tmp_path / "killed"))
    Reinforce(dataclasses.replace(killed, rounds=2)).run()
    last = Path(killed.out) / "rounds/round-02"
    for name in ("policy.json", "policy.safetensors", "training.json"):
        (last / name).unlink()  # as though it had been killed while it wrote
    assert Reinforce(killed).run() == results
    ours, theirs = (load_policy(config.out).state_dict() for config in (whole, killed))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert [result.visited for result in results] == [0, 24, 48]
    assert json.loads((last / "policy.json").read_text())["extra"]["round"] == 2


def test_demonstrations_of_which_nothing_would_be_learned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="ppo does not keep them"):
        tiny(tmp_path, PPOConfig(), demonstrations=("d",), first_steps=0)
    with pytest.raises(InvalidArgumentError, match="ppo does not keep them"):
        tiny(tmp_path, PPOConfig(), demonstrations=("d",), start="runs/clone")
    assert not tiny(tmp_path, SACConfig(), demonstrations=("d",), start="runs/clone").clones
    assert tiny(tmp_path, SACConfig(), demonstrations=("d",)).clones


def test_a_price_on_leaving_the_clone_does_not_go_with_demonstrations(shown: Dataset, tmp_path: Path) -> None:
    config = tiny(
        tmp_path / "run", SACConfig(**SMALL), demonstrations=(str(shown.folder),), first_steps=0, keep_close=0.1
    )
    with pytest.raises(InvalidArgumentError, match="keep_close rewards what the learner itself does"):
        Reinforce(config).run()
