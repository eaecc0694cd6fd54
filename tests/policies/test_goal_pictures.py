"""Goals as pictures, from the environment to the policy: drawn once, kept, mirrored, relabelled, read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env
from forestpilot.data_collection.windows.augmentation import mirror
from forestpilot.data_collection.windows.windows import WindowReader
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.networks.config import PolicyConfig
from forestpilot.policies.networks.goal_encoders.options import PictureGoalConfig
from forestpilot.policies.networks.heads.options import RegressionConfig
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import IMAGE
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions

OPTIONS = DroneOptions(goals="anywhere", goals_within=30.0, goal_kind=IMAGE)
MIX = ScenarioMix(options=OPTIONS, width=32, height=24, control_hz=5)
POLICY = PolicyConfig(goal_encoder=PictureGoalConfig(), head=RegressionConfig(), window=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("pictures") / "data"
    return collect(CollectConfig(str(folder), "drone", episodes=2, workers=1, mix=MIX))


def test_the_picture_at_the_goal_is_drawn_once_an_episode_and_is_what_is_seen_there(dataset: Dataset) -> None:
    scenario = MIX.scenario(0, TASKS.get("drone"))
    env = make_env(TASKS.get("drone"), **scenario.env_kwargs)
    first, _ = env.reset(seed=0)
    later = env.step(np.array([0.3, 1.0]))[0]
    assert np.array_equal(first["goal_image"], later["goal_image"]) and env.observation_space.contains(first)
    assert first["goal"].tolist() == [0.0, 0.0]
    assert not np.array_equal(first["goal_image"], first["center"])
    x, y = env.world.goal_m[:2].tolist()
    env.vehicle.put(env.world.goal_m, float(np.arctan2(y, x)), 0.0)
    env._place_cameras()
    env._draw()
    assert np.abs(env.frames.rgb[1].astype(int) - first["goal_image"]).mean() < 1.0
    env.draw_only(())
    assert not env.reset(seed=0)[0]["goal_image"].any()
    env.close()
    stored = load_episode(dataset.episodes[0].path).observations["goal_image"]
    assert np.array_equal(stored, np.broadcast_to(first["goal_image"], stored.shape))


def test_windows_have_the_view_at_the_goal_also_in_hindsight(dataset: Dataset) -> None:
    told = WindowReader([dataset], 2).sample(6, np.random.default_rng(0))
    assert told.goal_view.shape == (6, 24, 32, 3)
    pictures = [load_episode(header.path).observations for header in dataset.episodes]
    goals = {pictured["goal_image"][0].tobytes() for pictured in pictures}
    assert {view.tobytes() for view in told.goal_view} <= goals
    final = WindowReader([dataset], 2, relabel="final", disk_cache_bytes=2**30).sample(6, np.random.default_rng(0))
    assert {view.tobytes() for view in final.goal_view} <= {seen["center"][-2].tobytes() for seen in pictures}
    assert not final.goal.any()


def test_the_view_at_the_goal_is_mirrored_with_its_window(dataset: Dataset) -> None:
    batch = WindowReader([dataset], 2).sample(4, np.random.default_rng(0))
    turned = mirror(batch, dataset.task_spec, np.array([True, False, True, False]))
    assert np.array_equal(turned.goal_view[0], batch.goal_view[0, :, ::-1])
    assert np.array_equal(turned.goal_view[1], batch.goal_view[1])


def test_a_policy_learns_goals_from_pictures_in_hindsight_and_flies(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "policy"
    policy = clone(
        TrainConfig(
            data=(str(dataset.folder),),
            out=str(run),
            policy=POLICY,
            steps=2,
            batch_windows=4,
            relabel="future",
            tensorboard=False,
        )
    )
    assert policy.observation_keys == ("center", "state", "goal", "goal_image")
    options = dataclasses.replace(OPTIONS, goal_kind="")  # the policy brings how it is told goals
    evaluation = EvaluateConfig(
        policy=(str(run),), out=str(tmp_path / "eval"), split="validation", episodes=1, options=options, workers=1
    )
    assert evaluate(evaluation)[0].episodes == 1


def test_the_picture_matters_to_what_is_done(dataset: Dataset) -> None:
    policy = VisuomotorPolicy.seeded(POLICY, dataset.task_spec, 0)
    seen = load_episode(dataset.episodes[0].path).observations
    observation = {key: seen[key][:1] for key in policy.observation_keys}
    other = {**observation, "goal_image": 255 - observation["goal_image"]}
    assert not np.allclose(policy.act(observation)[0], policy.act(other)[0])


def test_goals_that_cannot_be_read_are_refused_before_any_work(dataset: Dataset) -> None:
    with pytest.raises(InvalidArgumentError, match=r"kind image; give --policy\.goal-encoder picture"):
        VisuomotorPolicy(dataclasses.replace(POLICY, goal_encoder=PolicyConfig().goal_encoder), dataset.task_spec)
    spec = dataclasses.replace(dataset.task_spec, goal_kind="bearing")
    with pytest.raises(InvalidArgumentError, match=r"kind bearing; give --policy\.goal-encoder told"):
        VisuomotorPolicy(POLICY, spec)
    plain = VisuomotorPolicy(dataclasses.replace(POLICY, goal_encoder=PolicyConfig().goal_encoder), spec)
    with pytest.raises(InvalidArgumentError, match="goals have 3 elements here"):
        plain.act({"state": np.zeros((1, 10), np.float32), "goal": np.zeros((1, 3), np.float32)})
    assert torch.is_tensor(plain(*_window(plain))[0])


def _window(policy: VisuomotorPolicy) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    views = torch.zeros((1, 2, 1, *policy.prepare.view_shape), dtype=torch.uint8)
    return views, torch.zeros(1, 2, policy.spec.state_size), torch.zeros(1, 2, policy.spec.goal_size)
