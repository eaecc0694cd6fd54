"""Pilots: a policy flies the same whoever flies beside it; baselines do what their names say."""

import math

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.pool import SLOTS, Job, roll_out
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env, task_spec_of
from forestpilot.policies.evaluation.pilots import BlindPilot, PolicyFactory, ReactivePilot, pilot_factory, split_name
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy

MIX = ScenarioMix(speeds=(6.0, 10.0))


@pytest.fixture(scope="module", params=["lstm", "transformer", "none"])
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    save_policy(folder, VisuomotorPolicy.seeded(PolicyConfig(memory=request.param), task_spec_of("drone", MIX), 3))
    return str(folder)


def test_an_episode_does_not_depend_on_those_beside_it(checkpoint):
    episodes = tuple(MIX.scenario(seed) for seed in range(SLOTS + 3))
    together = {f.scenario.seed: f for f in roll_out(Job("drone", episodes, PolicyFactory(checkpoint, "p")))}
    for episode in episodes[:: SLOTS // 2]:
        alone = next(iter(roll_out(Job("drone", (episode,), PolicyFactory(checkpoint, "p")))))
        assert np.array_equal(alone.actions, together[episode.seed].actions)
        assert np.array_equal(alone.state_hashes, together[episode.seed].state_hashes)


def test_blind_flies_at_the_goal_whatever_stands_in_between():
    goal = np.array([[math.cos(0.3), math.sin(0.3)]], np.float32)
    actions = BlindPilot().act({"goal": goal}, [{}], np.array([0])).actions
    assert np.allclose(actions, [[0.3 / math.radians(60), 1.0]], atol=1e-6)


def test_reactive_turns_away_from_what_is_near():
    depth = np.full((3, 48, 64), 30.0, np.float32)
    depth[1, :, 30:40] = 2.0
    goal = np.array([[1.0, 0.0]], np.float32)
    turn = ReactivePilot().act({"goal": goal}, [{"depth": depth}], np.array([0])).actions[0, 0]
    mirrored = ReactivePilot().act({"goal": goal}, [{"depth": depth[:, :, ::-1]}], np.array([0])).actions[0, 0]
    assert turn > 0.1 and mirrored < -0.1


def test_reactive_does_better_than_blind():
    episodes = tuple(ScenarioMix(speeds=(3.0, 3.0)).episode(seed) for seed in range(2_000_000, 2_000_016))
    successes = {
        name: sum(f.outcome == "success" for f in roll_out(Job("drone", episodes, pilot_factory(name, name))))
        for name in ("blind", "reactive")
    }
    assert successes["reactive"] > successes["blind"]


def test_blind_drives_straight_on_at_its_speed():
    state = np.zeros((3, 9), np.float32)
    state[:, 8], state[:, 0] = 10.0, (0.0, 10.0, 12.0)
    decision = pilot_factory("blind", "blind", "drive")().act({"state": state}, [{}] * 3, np.arange(3))
    assert decision.actions.tolist() == [[0.0, 1.0], [0.0, 0.0], [0.0, -1.0]]


def test_reactive_only_flies():
    with pytest.raises(ValueError, match="'reactive' cannot drive"):
        pilot_factory("reactive", "reactive", "drive")


def test_names_of_policies():
    assert split_name("bc=runs/a") == ("bc", "runs/a") and split_name("runs/a") == ("", "runs/a")
    name, folder = split_name("pretrained")
    assert name == "pretrained" and folder.endswith("pretrained/drone")
    assert split_name("pretrained", "drive")[1].endswith("pretrained/drive")


def test_policy_memory_is_forgotten_between_episodes(checkpoint):
    episodes = tuple(MIX.scenario(seed) for seed in (4, 5))
    job = Job("drone", episodes, PolicyFactory(checkpoint, "p"))
    pilot = job.pilot()
    pilot.begin(1)
    env = make_env("drone", **episodes[0].env_kwargs)
    observation, info = env.reset(seed=4)
    batch = {key: values[None] for key, values in observation.items()}
    first = pilot.act(batch, [info], np.array([0])).actions
    pilot.act(batch, [info], np.array([0]))
    pilot.restart(0, 5)
    assert np.array_equal(pilot.act(batch, [info], np.array([0])).actions, first)
    env.close()
