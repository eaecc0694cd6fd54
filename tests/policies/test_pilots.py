"""Pilots: a policy flies the same whoever flies beside it; baselines do what their names say."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.pilots import ExpertPilot, MixturePilot, cameras_of
from forestpilot.data_collection.rollouts.pool import SLOTS, Job, roll_out
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env, task_spec_of
from forestpilot.policies.evaluation.baselines import BlindPilot, ReactivePilot
from forestpilot.policies.evaluation.entrants import (
    baseline_names,
    is_reference,
    make_entrant,
    network_acted,
    parse_policy,
)
from forestpilot.policies.evaluation.pilots import EnsembleFactory, PolicyFactory
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.memories.none import NoMemoryConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.envs.base import VehicleEnv
from forestpilot.sim.goals import ANYWHERE, BEARING
from forestpilot.sim.rendering.protocol import FAR_M
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from tests.helpers.specs import make_spec

MIX = ScenarioMix(
    speeds=(6.0, 10.0), width=32, height=24, control_hz=5,
    options=DroneOptions(goals=ANYWHERE, goals_within=12.0, goal_kind=BEARING),
)  # fmt: skip
DRONE, DRIVE = TASKS.get("drone"), TASKS.get("drive")


@pytest.fixture(scope="module", params=["lstm", "transformer", "none"])
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    config = PolicyConfig(memory=MEMORIES.get(request.param).Config())
    save_policy(folder, VisuomotorPolicy.seeded(config, task_spec_of(DRONE, MIX), 3))
    return str(folder)


def test_an_episode_does_not_depend_on_those_beside_it(checkpoint):
    episodes = tuple(MIX.scenario(seed, DRONE) for seed in range(SLOTS + 3))
    together = {f.scenario.seed: f for f in roll_out(Job("drone", episodes, PolicyFactory(checkpoint, "p")))}
    for episode in episodes[:: SLOTS // 2]:
        alone = next(iter(roll_out(Job("drone", (episode,), PolicyFactory(checkpoint, "p")))))
        assert np.array_equal(alone.actions, together[episode.seed].actions)
        assert np.array_equal(alone.state_hashes, together[episode.seed].state_hashes)


class LookAround:
    """A pilot of somebody's own, that does not say where it looks."""


def test_only_the_cameras_that_a_pilot_looks_at_are_drawn_unless_it_is_recorded(checkpoint, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(VehicleEnv, "draw_only", lambda env, cameras: drawn.append(tuple(cameras)))
    episode = (MIX.scenario(0, DRONE),)
    policy = PolicyFactory(checkpoint, "p")
    pilots = {
        ("center",): [policy, lambda: MixturePilot(policy(), 0.5), ReactivePilot, EnsembleFactory((checkpoint,), "e")],
        (): [BlindPilot, ExpertPilot],
        CAMERA_NAMES: [LookAround],
    }
    for cameras, factories in pilots.items():
        assert [cameras_of(factory()) for factory in factories] == [cameras] * len(factories)
    next(roll_out(Job("drone", episode, policy)))
    Dataset.create(tmp_path, task_spec_of(DRONE, MIX), DRONE.bare_env_id)
    next(roll_out(Job("drone", episode, policy, dataset=str(tmp_path))))
    assert drawn == [("center",), CAMERA_NAMES]


def test_a_pilot_is_given_the_pictures_that_it_looks_at(checkpoint):
    seen = []

    class Looker(BlindPilot):
        cameras = ("left",)

        def act(self, observations, infos, slots):
            seen.append((set(observations), infos[0]["depth"]))
            return super().act(observations, infos, slots)

    next(roll_out(Job("drone", (MIX.scenario(0, DRONE),), Looker)))
    keys, depth = seen[-1]
    assert keys == {"left", "state", "goal"}
    assert depth[0].min() < FAR_M and (depth[1:] == FAR_M).all()


def test_blind_flies_at_the_goal_whatever_stands_in_between():
    goal = np.array([[math.cos(0.3), math.sin(0.3)]], np.float32)
    actions = BlindPilot().act({"goal": goal}, [{"task_spec": make_spec()}], np.array([0])).actions
    assert np.allclose(actions, [[0.3 / math.radians(60), 1.0]], atol=1e-6)


def test_reactive_turns_away_from_what_is_near():
    depth = np.full((3, 48, 64), 30.0, np.float32)
    depth[1, :, 30:40] = 2.0
    goal = np.array([[1.0, 0.0]], np.float32)

    def turn(seen: np.ndarray, **spec: Any) -> float:
        info = {"depth": seen, "task_spec": make_spec(**spec)}
        return float(ReactivePilot().act({"goal": goal}, [info], np.array([0])).actions[0, 0])

    assert turn(depth) > 0.1 and turn(depth[:, :, ::-1]) < -0.1
    wider = turn(depth, horizontal_fov_deg=110.0)
    assert wider > 1.05 * turn(depth), "the same columns are further to the side for a camera that sees more"
    assert turn(depth, max_turn_rad=math.radians(30)) == pytest.approx(2 * turn(depth), rel=1e-5)


def test_reactive_does_better_than_blind():
    mix = ScenarioMix(speeds=(4.0, 4.0), width=32, height=24)
    episodes = tuple(mix.scenario(seed, DRONE) for seed in range(2_000_000, 2_000_008))
    successes = {
        name: sum(f.outcome == "success" for f in roll_out(Job("drone", episodes, make_entrant(name, DRONE).factory)))
        for name in ("blind", "reactive")
    }
    assert successes["reactive"] > successes["blind"]


def test_blind_drives_straight_on_at_its_speed():
    spec = make_spec()
    state = np.zeros((3, spec.state_size), np.float32)
    state[:, spec.index("speed_set_point_mps")] = 10.0
    state[:, spec.index("forward_mps")] = (0.0, 10.0, 12.0)
    pilot = make_entrant("blind", DRIVE).factory()
    decision = pilot.act({"state": state}, [{"task_spec": spec}] * 3, np.arange(3))
    assert decision.actions.tolist() == [[0.0, 1.0], [0.0, 0.0], [0.0, -1.0]]


def test_reactive_only_flies():
    with pytest.raises(ValueError, match="'reactive' cannot drive"):
        make_entrant("reactive", DRIVE)


def test_names_of_policies():
    assert parse_policy("bc=runs/a") == ("bc", "runs/a") and parse_policy("runs/a") == ("", "runs/a")
    assert parse_policy("bc=runs/lr=0.1") == ("bc", "runs/lr=0.1")
    assert parse_policy("runs/lr=0.1/a=b") == ("", "runs/lr=0.1/a=b"), "a name has no path separator"
    assert parse_policy("mine=package.module:Pilot").short_name == "mine"
    assert parse_policy("package.module:Pilot").short_name == "Pilot"
    assert parse_policy("pretrained").short_name == "pretrained"


def test_a_folder_with_an_equals_sign_in_it_is_loaded(tmp_path):
    folder = tmp_path / "lr=0.1" / "run"
    save_policy(folder, VisuomotorPolicy.seeded(PolicyConfig(memory=NoMemoryConfig()), task_spec_of(DRONE, MIX), 3))
    entrant = make_entrant(str(folder), DRONE)
    assert (entrant.name, entrant.target) == ("run", str(folder)) and make_entrant(f"a={folder}", DRONE).name == "a"


def test_the_weights_that_come_with_a_task_are_its_own():
    assert make_entrant("pretrained", DRONE).target.endswith("pretrained/drone")
    entrant = make_entrant("best=pretrained", DRIVE)
    assert (entrant.name, entrant.spec.task) == ("best", "drive") and entrant.target.endswith("pretrained/drive")
    with pytest.raises(ValueError, match="no weights come with"):
        make_entrant("pretrained", dataclasses.replace(DRIVE, pretrained=None))


def test_stored_episodes_tell_whether_a_network_acted():
    assert {"blind", "reactive", "expert"} <= set(baseline_names())
    assert [network_acted(path) for path in ("blind", "a.b:Pilot", "/runs/a", "")] == [False, False, True, True]
    assert not is_reference("C:/runs") and not is_reference("runs/a") and is_reference("pilots:Mine")


def test_policy_memory_is_forgotten_between_episodes(checkpoint):
    episodes = tuple(MIX.scenario(seed, DRONE) for seed in (4, 5))
    job = Job("drone", episodes, PolicyFactory(checkpoint, "p"))
    pilot = job.pilot()
    pilot.begin(1)
    env = make_env(DRONE, **episodes[0].env_kwargs)
    observation, info = env.reset(seed=4)
    batch = {key: values[None] for key, values in observation.items()}
    first = pilot.act(batch, [info], np.array([0])).actions
    pilot.act(batch, [info], np.array([0]))
    pilot.restart(0, 5)
    assert np.array_equal(pilot.act(batch, [info], np.array([0])).actions, first)
    env.close()
