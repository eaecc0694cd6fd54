"""What every registered environment must satisfy, whatever its vehicle."""

import copy
import json
import math
import pickle
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeAwareObservation

import forestpilot  # noqa: F401
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.envs.task_spec import TaskSpec, side_view

TABLES = "forestpilot.sim.tabular"
"""Worlds of tables have no vehicle; tests/sim/test_tabular.py is theirs."""
ENV_IDS = sorted(
    name
    for name, spec in gymnasium.registry.items()
    if name.startswith("ForestPilot/") and not str(spec.entry_point).startswith(TABLES)
)

ROLLOUT_SCRIPT = """
import hashlib, sys
import gymnasium, numpy as np
import forestpilot.sim
for name in sys.argv[1:]:
    env = gymnasium.make(name, expert=True)
    digest = hashlib.sha256()
    observation, info = env.reset(seed=7)
    rng = np.random.default_rng(3)
    for _ in range(25):
        for value in [*(observation[k] for k in sorted(observation)), info["expert_costs"], info["expert_action"]]:
            digest.update(np.ascontiguousarray(value).tobytes())
        digest.update(repr([info[k] for k in sorted(info) if not k.startswith("expert")]).encode())
        observation, reward, terminated, truncated, info = env.step(rng.uniform(-0.4, 0.4, 2).astype(np.float32))
        digest.update(repr((reward, terminated, truncated)).encode())
        if terminated or truncated:
            break
    env.close()
    print(name, digest.hexdigest())
"""

RESETS_SCRIPT = """
import ctypes, gc, os, resource, sys
import gymnasium, forestpilot.sim.envs.base

def mb():
    # What is free goes back first: a road's reset takes and frees ten megabytes, of which malloc keeps some.
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6

def least_growth(name):
    env = gymnasium.make(name)
    held = []
    for block in range(4):
        for s in range(25):
            env.reset(seed=s)
        held.append(mb())
    return min(b - a for a, b in zip(held, held[1:]))  # what is taken once is no leak: that grows every time

for name in sys.argv[1:]:
    # Forked off: what one environment has freed is no room for another one's leak.
    child = os.fork()
    if not child:
        print(name, least_growth(name), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, name
"""


@pytest.fixture(params=ENV_IDS)
def env_id(request):
    return request.param


def make(env_id: str, **kwargs):
    return gymnasium.make(env_id, **kwargs)


def test_there_is_something_to_test():
    assert {"ForestPilot/Drone-v0", "ForestPilot/Drive-v0"} <= set(ENV_IDS)


def test_passes_gymnasiums_checker_without_a_warning(env_id, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(env_id, disable_env_checker=True)
        check_env(env.unwrapped)
    env.close()


def test_made_by_module_name_as_spawned_workers_do(env_id):
    env = gymnasium.make(f"forestpilot:{env_id}")
    assert env.reset(seed=1)[1]["outcome"] == "running"
    env.close()


def test_spec_serialises(env_id):
    spec = make(env_id, speed=4.0).spec
    assert json.loads(spec.to_json())["kwargs"]["speed"] == 4.0


def rollout(env, seed: int, steps: int = 40):
    observation, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    trace = [(observation, 0.0, False, False, info)]
    for _ in range(steps):
        trace.append(env.step(0.4 * env.action_space.sample()))
        if trace[-1][2] or trace[-1][3]:
            break
    return trace


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a[1:4] == b[1:4]
        for key in a[0]:
            assert np.array_equal(a[0][key], b[0][key]), key
        assert {k: v for k, v in a[4].items() if np.isscalar(v)} == {k: v for k, v in b[4].items() if np.isscalar(v)}


def test_same_seed_same_everything_even_after_a_200_step_episode(env_id):
    env = make(env_id, time_limit_s=60.0)
    first = rollout(env, 21)
    env.reset(seed=5)
    for _ in range(200):
        _, _, terminated, truncated, _ = env.step(np.array([0.02, -0.9], np.float32))
        if terminated or truncated:
            env.reset(seed=6)
    assert_same(first, rollout(env, 21))
    env.close()


@pytest.fixture(scope="module")
def digests() -> list[dict[str, str]]:
    """What two fresh processes see of all environments, by id; the second goes through them the other way round."""
    seen = []
    for names in (ENV_IDS, ENV_IDS[::-1]):
        command = [sys.executable, "-c", ROLLOUT_SCRIPT, *names]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
        seen.append(dict(line.split() for line in told.splitlines()))
    return seen


def test_same_seed_same_everything_in_fresh_processes(env_id, digests):
    first, second = (seen[env_id] for seen in digests)
    assert first == second and len(first) == 64


def test_other_seed_other_world(env_id):
    env = make(env_id)
    first, _ = env.reset(seed=1)
    second, _ = env.reset(seed=2)
    assert not np.array_equal(first["center"], second["center"])
    env.close()


def test_reset_without_seed_draws_training_worlds(env_id):
    env = make(env_id)
    env.reset(seed=2_000_000)
    seeds = {env.reset()[1]["world_seed"] for _ in range(4)}
    assert len(seeds) == 4 and max(seeds) < 1_000_000
    env.close()


def test_observations_match_the_spec_and_move(env_id):
    env = make(env_id)
    trace = rollout(env, 3)
    spec: TaskSpec = env.unwrapped.task_spec
    for observation, *_ in trace:
        assert env.observation_space.contains(observation)
        assert observation["state"].shape == (spec.state_size,)
    for key in (*CAMERA_NAMES, "state"):
        assert not np.array_equal(trace[0][0][key], trace[-1][0][key])
    env.close()


@pytest.mark.parametrize("bad", [[np.nan, 0.0], [np.inf, 0.0], [0.0], [0.0, 0.0, 0.0], [[0.0, 0.0]]])
def test_senseless_actions_raise_and_say_what_is_allowed(env_id, bad):
    env = make(env_id, disable_env_checker=True).unwrapped
    env.reset(seed=1)
    with pytest.raises(ValueError, match=r"finite|expected \(2,\)"):
        env.step(np.array(bad, np.float32))
    env.close()


def test_timeouts_truncate_and_do_not_terminate(env_id):
    env = make(env_id, time_limit_s=0.5)
    env.reset(seed=1)
    for _ in range(5):
        _, _, terminated, truncated, info = env.step(np.array([0.0, -1.0], np.float32))
    assert truncated and not terminated and info["outcome"] == "timeout" and info["is_success"] is False
    env.close()


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_works_under_make_vec(env_id, vectorization):
    options = {"context": "spawn"} if vectorization == "async" else {}
    # A spawned process takes a second to start: that there may be two is shown by one environment.
    seeds = [3] if vectorization == "async" and env_id != ENV_IDS[0] else [3, 4]
    envs = gymnasium.make_vec(
        f"forestpilot:{env_id}", num_envs=len(seeds), vectorization_mode=vectorization, vector_kwargs=options
    )
    try:
        observation, info = envs.reset(seed=seeds)
        assert observation["center"].shape[0] == len(seeds) and list(info["world_seed"]) == seeds
        observation, reward, *_ = envs.step(np.zeros((len(seeds), 2), np.float32))
        assert np.isfinite(reward).all() and observation["state"].shape[0] == len(seeds)
    finally:
        envs.close()


def test_the_expert_is_asked_only_when_wanted(env_id):
    plain, asked = make(env_id), make(env_id, expert=True)
    assert "expert_action" not in plain.reset(seed=1)[1]
    info = asked.reset(seed=1)[1]
    spec = asked.unwrapped.task_spec
    assert info["expert_action"].shape == (3, 2) and info["expert_costs"].shape == (3, spec.num_candidates)
    assert np.abs(info["expert_action"]).max() <= 1.0 and np.isfinite(info["expert_costs"]).all()
    plain.close()
    asked.close()


def test_rgb_array_is_drawn_headless_and_not_blank(env_id):
    env = make(env_id, render_mode="rgb_array", render_width=320, render_height=180)
    env.reset(seed=1)
    image = env.render()
    assert image.shape == (180, 320, 3) and image.dtype == np.uint8 and image.std() > 10
    env.close()


def test_task_spec_survives_json(env_id):
    spec = make(env_id).unwrapped.task_spec
    assert TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_side_view_there_and_back(env_id):
    env = make(env_id)
    observation = rollout(env, 9, 12)[-1][0]
    spec = env.unwrapped.task_spec
    turned = side_view(spec, observation["state"], observation["goal"], 0.35)
    back = side_view(spec, *turned, -0.35)
    assert not np.array_equal(turned[0], observation["state"])
    assert np.allclose(back[0], observation["state"], atol=1e-4) and np.allclose(
        back[1], observation["goal"], atol=1e-5
    )
    env.close()


@pytest.fixture(scope="module")
def growth() -> dict[str, float]:
    """MB that every block of resets added, by id: least of several blocks, each environment in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-c", RESETS_SCRIPT, *ENV_IDS], capture_output=True, text=True, check=True, timeout=600
    ).stdout
    return {name: float(least) for name, least in map(str.split, told.splitlines())}


def test_hundreds_of_resets_do_not_leak(env_id, growth):
    assert growth[env_id] < 0.5, "megabytes in 25 resets"


def test_unknown_arguments_name_what_is_allowed(env_id):
    for kwargs, allowed in (
        ({"renderer": "vulkan"}, "raycast"),
        ({"control_hz": 7}, "240"),
        ({"time_limit_s": -1.0}, "seconds above 0"),
        ({"time_limit_s": math.nan}, "seconds above 0"),
        ({"render_mode": "ansi"}, "human"),
    ):
        with pytest.raises((ValueError, gymnasium.error.Error), match=allowed):
            make(env_id, disable_env_checker=True, **kwargs)


def roll(env, seed: int, steps: int, options=None):
    """Reset and take some steps; returns the random actions that were left."""
    env.reset(seed=seed, options=options)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        env.step(rng.uniform(-0.3, 0.3, 2))
    return rng


def the_same_way(one, other, rng) -> bool:
    """Whether two environments go on alike."""
    for action in rng.uniform(-0.3, 0.3, (5, 2)):
        seen, reward, *_, info = one.step(action)
        seen_there, reward_there, *_, info_there = other.step(action)
        same = all(np.array_equal(seen[key], seen_there[key]) for key in seen) and reward == reward_there
        if not same or one.unwrapped.state_hash() != other.unwrapped.state_hash():
            return False
        if not np.array_equal(info["camera_offsets"], info_there["camera_offsets"]):
            return False
    return True


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
def test_a_copy_made_in_the_middle_of_an_episode_goes_on_alike(env_id, again):
    env = make(env_id, disable_env_checker=True).unwrapped
    rng = roll(env, 5, 12, {"speed": 4.0})
    other = again(env)
    assert other.physics.id != env.physics.id and other.course.speed_mps == 4.0
    assert the_same_way(env, other, rng)
    env.close()
    other.close()


def test_a_copy_of_an_environment_that_has_not_begun_has_not_begun(env_id):
    env = make(env_id, disable_env_checker=True).unwrapped
    other = pickle.loads(pickle.dumps(env))
    with pytest.raises(gymnasium.error.ResetNeeded):
        other.step(np.zeros(2))
    assert other.spec.id == env.spec.id
    env.close()
    other.close()


def test_copies_draw_the_same_worlds(env_id):
    env = make(env_id, disable_env_checker=True).unwrapped
    env.reset(seed=3)
    other = copy.deepcopy(env)
    assert env.reset()[1]["world_seed"] == other.reset()[1]["world_seed"]
    env.close()
    other.close()


def test_the_spec_says_how_long_an_episode_may_be(env_id):
    env = make(env_id, time_limit_s=1.5)
    assert env.unwrapped.spec.max_episode_steps == 15
    timed = TimeAwareObservation(env, flatten=False, normalize_time=True)
    observation, _ = timed.reset(seed=2)
    assert "time" in observation
    over, steps = False, 0
    while not over:
        *_, terminated, truncated, _ = timed.step(np.array([0.0, -1.0]))
        over, steps = terminated or truncated, steps + 1
    assert steps <= 15
    env.close()


def test_no_world_asks_for_more_time_than_the_spec_says(env_id):
    env = make(env_id, disable_env_checker=True).unwrapped
    for seed in range(12):
        env.reset(seed=seed)
        assert (
            env.course.time_limit_s() < 0.9 * env.course.longest_s()
            or env.course.time_limit_s() == env.course.longest_s()
        )
    env.close()


def test_reset_takes_options_for_one_episode_and_refuses_unknown_ones(env_id):
    env = make(env_id, disable_env_checker=True).unwrapped
    _, _ = env.reset(seed=1)
    usual = env.course.speed_mps
    observation, _ = env.reset(seed=1, options={"speed": 3.0})
    assert observation["state"][env.task_spec.index("speed_set_point_mps")] == 3.0
    observation, _ = env.reset(seed=1)
    assert observation["state"][env.task_spec.index("speed_set_point_mps")] == usual
    with pytest.raises(ValueError, match="speed"):
        env.reset(seed=1, options={"sped": 3.0})
    with pytest.raises(ValueError, match="allowed"):
        env.reset(seed=1, options={"speed": 300.0})
    env.close()


def test_depth_and_segmentation_can_be_observed(env_id):
    env = make(env_id, observe=("rgb", "depth", "segmentation"), disable_env_checker=True)
    observation, _ = env.reset(seed=4)
    assert env.observation_space.contains(observation)
    frames = env.unwrapped.frames
    for i, name in enumerate(CAMERA_NAMES):
        assert np.array_equal(observation[f"{name}_depth"], frames.depth[i])
        assert np.array_equal(observation[f"{name}_segmentation"], frames.segmentation[i])
    env.close()
    env = make(env_id, observe=("depth",), disable_env_checker=True)
    assert "left" not in env.observation_space.spaces
    env.close()
    with pytest.raises(ValueError, match="segmentation"):
        make(env_id, observe=("infrared",))


def test_depth_is_rendered_headless(env_id):
    env = make(env_id, render_mode="depth_array", render_width=64, render_height=48)
    env.reset(seed=0)
    depth = env.render()
    assert depth.shape == (48, 64) and depth.dtype == np.float32 and 0 < depth.min() < depth.max()
    env.close()


def test_the_rig_can_be_moved_and_its_lens_changed(env_id):
    rig = {"side_yaw_rad": 0.6, "horizontal_fov_deg": 110.0}
    env = make(env_id, rig=rig, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    assert env.task_spec.side_yaw_rad == 0.6 and env.task_spec.horizontal_fov_deg == 110.0
    assert env.views.offsets[0, 1] == pytest.approx(0.6)
    usual = make(env_id, disable_env_checker=True).unwrapped
    usual.reset(seed=0)
    assert env.task_spec.side_offset_m == usual.task_spec.side_offset_m == usual.rig.side_offset_m
    assert not np.array_equal(env.frames.rgb, usual.frames.rgb)
    env.close()
    usual.close()
    with pytest.raises(ValueError, match="side_yaw_rad"):
        make(env_id, rig={"side_yaw": 0.6})


def test_the_expert_answers_whoever_asks(env_id):
    env = make(env_id, disable_env_checker=True).unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.expert_labels()
    env.reset(seed=6)
    labels = env.expert_labels()
    told = make(env_id, expert=True, disable_env_checker=True).unwrapped
    _, info = told.reset(seed=6)
    assert np.array_equal(labels.actions, info["expert_action"]) and np.array_equal(labels.costs, info["expert_costs"])
    assert labels.costs.shape == (3, env.task_spec.num_candidates)
    env.close()
    told.close()


def test_the_reward_is_the_sum_of_its_terms(env_id):
    env = make(env_id, disable_env_checker=True).unwrapped
    env.reset(seed=8)
    over = False
    while not over:
        _, reward, terminated, truncated, info = env.step(np.array([1.0, 1.0]))
        terms = {name: value for name, value in info.items() if name.startswith("reward_")}
        assert set(terms) == {"reward_progress", "reward_crash", "reward_intervention"}
        assert reward == sum(terms.values())
        over = terminated or truncated
    assert (terms["reward_crash"] < 0) == (info["outcome"] in ("collision", "out_of_bounds"))
    env.close()


def test_nothing_can_be_asked_before_an_episode_has_begun(env_id):
    env = make(env_id, disable_env_checker=True).unwrapped
    for ask in (lambda: env.world, lambda: env.frames, lambda: env.colliders, env.chase_view):
        with pytest.raises(gymnasium.error.ResetNeeded):
            ask()
    env.close()


@pytest.mark.parametrize("cameras", [("center",), ("left", "right"), ()])
def test_cameras_that_nobody_looks_at_are_blank_and_nothing_else_changes(env_id, cameras):
    env = make(env_id, observe=("rgb", "depth", "segmentation"))
    whole = rollout(env, 4, 8)
    hashed = env.unwrapped.state_hash()
    env.unwrapped.draw_only(cameras)
    part = rollout(env, 4, 8)
    assert env.unwrapped.state_hash() == hashed and len(part) == len(whole)
    for name in CAMERA_NAMES:
        for (seen, *_), (all_seen, *_) in zip(part, whole, strict=True):
            if name in cameras:
                keys = (name, f"{name}_depth", f"{name}_segmentation")
                assert all(np.array_equal(seen[key], all_seen[key]) for key in keys)
            else:
                assert not seen[name].any() and seen[name] in env.observation_space[name]
    assert_same([(pick(seen), *rest) for seen, *rest in whole], [(pick(seen), *rest) for seen, *rest in part])
    assert_same(part, rollout(copy.deepcopy(env), 4, 8))
    env.unwrapped.draw_only(CAMERA_NAMES)
    assert_same(whole, rollout(env, 4, 8))
    with pytest.raises(ValueError, match="no camera is called rear"):
        env.unwrapped.draw_only(["rear"])
    env.close()


def pick(observation):
    """What is no picture."""
    return {key: observation[key] for key in ("state", "goal")}
