"""Demonstrators with habits: what they draw follows from the episode, they do what they are called for, and an episode
tells whom it was asked of."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.plain import to_plain
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env, task_spec_of
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.experts import EXPERTS
from forestpilot.sim.experts.config import ExpertConfig, OwnConfig
from forestpilot.sim.experts.expert import CameraViews, UnsuitableExpertError
from forestpilot.sim.experts.late import LateConfig, moved_back
from forestpilot.sim.experts.moody import MoodyConfig
from forestpilot.sim.experts.passing import LEFT, RIGHT, Passing, Threading
from forestpilot.sim.experts.playful import PlayfulConfig
from forestpilot.sim.experts.sloppy import SloppyConfig
from forestpilot.sim.experts.undecided import UndecidedConfig
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.vehicles.quadrotor import BODY_RADIUS_M
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.rows import ASIDE_M, CHINK_M, GAP_M, RADIUS_M

STRAIGHT_ON = np.array([0.0, 1.0], np.float32)


def env_of(config: ExpertConfig, task: str = "drone", asked: bool = True, **options):
    mix = ScenarioMix(width=32, height=24, expert=config, options=TASKS.get(task).Options(**options))
    env = make_env(TASKS.get(task), **mix.scenario(0, TASKS.get(task)).env_kwargs, expert=asked)
    env.draw_only(())
    return env


def crossing_env(config: ExpertConfig):
    """A straight road with a crossing, whose barrier falls in the world of seed 3."""
    drive = TASKS.get("drive")
    advisor = to_plain(config)
    env = make_env(
        drive,
        expert=True,
        preset="easy",
        speed=5.0,
        length=100.0,
        hazards=1,
        hazard_kinds=["crossing"],
        advisor=advisor,
    )
    env.draw_only(())
    return env


def labels_along(env, seed: int, steps: int = 30):
    """What is answered along a straight flight."""
    _, info = env.reset(seed=seed)
    told = []
    for _ in range(steps):
        told.append(np.concatenate([info["expert_action"].ravel(), info["expert_costs"].ravel()]))
        *_, terminated, truncated, info = env.step(STRAIGHT_ON)
        if terminated or truncated:
            break
    return np.array(told)


def path_of(env, seed: int):
    """Places (T, 3) along the expert's own flight, and how it ended."""
    _, info = env.reset(seed=seed)
    places = [env.pose()[0]]
    over = False
    while not over:
        *_, terminated, truncated, info = env.step(info["expert_action"][1])
        places.append(env.pose()[0])
        over = terminated or truncated
    return np.array(places), info["outcome"]


@pytest.mark.parametrize("config", [UndecidedConfig(), MoodyConfig(), LateConfig(), SloppyConfig(), PlayfulConfig()])
def test_answers_are_the_same_whatever_ran_before(config):
    env = env_of(config)
    first = labels_along(env, 5)
    labels_along(env, 6, 7)
    assert np.array_equal(labels_along(env, 5), first)
    env.close()


@pytest.mark.parametrize("config", [LateConfig(), SloppyConfig(), PlayfulConfig(stay_s=0.5)])
def test_answers_do_not_depend_on_who_was_asked_before(config):
    asked = env_of(config)
    told = labels_along(asked, 5, 12)
    asked.close()
    env = env_of(config, asked=False)
    env.reset(seed=5)
    for _ in range(11):
        env.step(STRAIGHT_ON)
    labels = env.expert_labels()
    assert np.array_equal(np.concatenate([labels.actions.ravel(), labels.costs.ravel()]), told[11])
    env.close()


def test_another_draw_is_another_habit_in_the_same_world():
    paths = []
    for draw in range(6):
        env = env_of(UndecidedConfig(draw=draw), gaps=2)
        path, outcome = path_of(env, 3)
        assert outcome == "success"
        first, *_ = env.world.rows
        paths.append(path[np.argmax(path[:, 0] >= first.x_m), 1] > np.mean(first.gaps_y_m))
        env.close()
    assert len(set(paths)) == 2


def test_undecided_passes_a_lone_trunk_on_either_side():
    flown = {}
    for share, side in ((1.0, LEFT), (0.0, RIGHT)):
        env = env_of(UndecidedConfig(left_share=share), density=(0.0278,))
        path, outcome = path_of(env, 1)
        flown[side] = path
        assert outcome == "success"
        env.close()
    left, right = (np.interp(np.arange(3.0, 34.0), path[:, 0], path[:, 1]) for path in flown.values())
    assert (left - right).max() > 1.0 and np.mean(left > right) > 0.8


def lone_trunk(y_m: float = 0.0):
    """An empty forest with one trunk 8 m ahead."""
    world = make_forest(ForestConfig(density_per_m2=0.0), 1)
    trees = np.array([[8.0, y_m, 0.3, 5.0, 1.0, 2.0, 0.0]], np.float32)
    object.__setattr__(world, "trees", trees)
    return world


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_a_trunk_in_the_way_is_aimed_beside_by_the_distance_that_is_kept(side):
    passing = Passing(lone_trunk(), np.array([side]), keep_m=0.4, ahead_m=10.0)
    x, y = passing.aim(0.0, 0.0)
    beside = 8.0 * abs(y) / np.hypot(x, y)
    assert np.sign(y) == side and abs(beside - (0.3 + BODY_RADIUS_M + 0.4)) < 1e-6
    assert passing.aim(0.0, 3.0) == (40.0, 0.0) and passing.aim(9.0, 0.0) == (40.0, 0.0)
    assert passing.aim(40.0, 0.0) == (40.0, 0.0)


def test_a_side_without_room_is_not_insisted_on():
    world = lone_trunk(y_m=-14.4)  # on its right the flight area ends
    assert Passing(world, np.array([RIGHT]), 0.4, 10.0)._sides == [LEFT]


def test_rows_stand_as_far_aside_as_they_may():
    rows = [row for seed in range(20) for row in make_forest(ForestConfig(gaps=2, gaps_aside_m=4.0), seed).rows]
    middles = np.array([np.mean(row.gaps_y_m) for row in rows])
    assert 3.0 < np.abs(middles).max() <= 4.0 and np.abs(middles).min() < 1.0
    near = [row for seed in range(20) for row in make_forest(ForestConfig(gaps=2), seed).rows]
    assert np.allclose([np.mean(row.gaps_y_m) for row in near], middles * ASIDE_M / 4.0)


@pytest.mark.parametrize("gaps", [2, 3, 5])
def test_rows_have_their_gaps_and_no_other(gaps):
    world = make_forest(ForestConfig(gaps=gaps), 4)
    assert len(world.rows) == 3
    for row in world.rows:
        ys = np.sort(world.trees[np.abs(world.trees[:, 0] - row.x_m) < 0.2, 1])
        between = np.diff(ys) - 2 * RADIUS_M
        wide = between > CHINK_M + 1e-3
        assert wide.sum() == gaps == len(row.gaps_y_m)
        assert np.allclose(between[wide], GAP_M, atol=1e-3)
        assert np.allclose((ys[:-1] + ys[1:])[wide] / 2, row.gaps_y_m, atol=1e-3)
        assert ys[0] - world.bounds_m.y_min < 0.2 and world.bounds_m.y_max - ys[-1] < 0.2
    other = make_forest(ForestConfig(gaps=gaps), 5)
    assert other.rows != world.rows and make_forest(ForestConfig(gaps=gaps), 4).rows == world.rows


def test_rows_and_a_trail_do_not_go_together():
    with pytest.raises(InvalidArgumentError, match="do not go together"):
        ForestConfig(gaps=2, trail=True)


def test_threading_aims_at_the_gap_of_the_next_row():
    world = make_forest(ForestConfig(gaps=3), 4)
    threading = Threading(world, world.rows, [0, 1, 2])
    first, second, _ = world.rows
    assert threading.aim(0.0, 0.0) == (first.x_m, first.gaps_y_m[0])
    assert threading.aim(first.x_m + 1.0, 0.0) == (second.x_m, second.gaps_y_m[1])
    assert threading.aim(39.0, 0.0) == (40.0, 0.0)


def test_moody_styles_differ_between_episodes_and_not_within():
    env = env_of(MoodyConfig())
    styles = []
    for seed in range(12):
        env.reset(seed=seed)
        before = env._expert._own.style
        env.step(STRAIGHT_ON)
        assert env._expert._own.style is before
        styles.append(before)
    assert {style.side for style in styles} == {LEFT, RIGHT} and len(set(styles)) == 12
    env.close()


def test_moody_flies_through_gaps_whatever_distance_it_keeps():
    env = env_of(MoodyConfig(keep_m=(0.9, 0.9)), gaps=3)
    _, outcome = path_of(env, 2)
    assert outcome == "success"
    env.close()


def test_moody_drivers_brake_each_from_their_own_distance():
    ways_m = {}
    for braking in (0.1, 0.4, 0.7):
        config = MoodyConfig(aside_m=(0.0, 0.0), pace=(1.0, 1.0), braking=(braking, braking), gap_m=(2.0, 2.0))
        env = crossing_env(config)
        _, info = env.reset(seed=3)
        while info["expert_action"][1, 1] > -0.1 or info["progress_m"] < 20.0:
            *_, info = env.step(info["expert_action"][1])
        ways_m[braking] = info["progress_m"]
        env.close()
    assert ways_m[0.1] < ways_m[0.4] - 5.0 and ways_m[0.4] < ways_m[0.7] - 1.0


def test_moody_drivers_stop_each_at_their_own_distance():
    rests_m = []
    for gap_m in (1.5, 5.0):
        config = MoodyConfig(aside_m=(0.0, 0.0), pace=(1.0, 1.0), gap_m=(gap_m, gap_m))
        env = crossing_env(config)
        _, info = env.reset(seed=3)
        while info["speed_mps"] > 0.3 or info["progress_m"] < 10.0:
            *_, info = env.step(info["expert_action"][1])
        rests_m.append(info["progress_m"])
        env.close()
    assert rests_m[0] - rests_m[1] == pytest.approx(3.5, abs=0.7)


def test_late_answers_what_was_right_before():
    now = env_of(OwnConfig())
    late = env_of(LateConfig(delay_s=0.3))
    told = labels_along(now, 5, 12)
    behind = labels_along(late, 5, 12)
    costs = told.shape[1] // 3 - 2
    for center in (slice(2, 4), slice(6 + costs, 6 + 2 * costs)):
        assert np.allclose(behind[3:, center], told[:-3, center], atol=1e-3)
        assert np.allclose(behind[:3, center], told[:1, center], atol=1e-3), "no history yet: what was right at first"
    assert np.abs(behind[3:, 0] - told[:-3, 0]).max() < 0.06, "at a side camera, which tilts otherwise now"
    now.close()
    late.close()


def test_cameras_are_moved_back_as_one():
    axes = np.array([[[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]] * 3, np.float32)
    offsets = np.zeros((3, 3), np.float32)
    views = CameraViews(np.array([[5, 1, 2], [5, 0, 2], [5, -1, 2]], np.float32), axes, offsets)
    north = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]] * 3, np.float32)
    then = CameraViews(np.zeros((3, 3), np.float32), north, offsets)
    moved = moved_back(views, then)
    assert np.allclose(moved.eyes, [[-1, 0, 0], [0, 0, 0], [1, 0, 0]], atol=1e-6)
    assert np.allclose(moved.axes, north, atol=1e-6)


def test_sloppy_wanders_smoothly_by_as_much_as_it_is_told():
    env = env_of(SloppyConfig(wander=0.2))
    env.reset(seed=1)
    times = np.arange(0.0, 300.0, 0.1)
    wandering = np.array([env._expert.wandering(time_s) for time_s in times])
    assert abs(np.sqrt(np.mean(wandering**2)) - 0.2) < 0.02
    assert np.abs(np.diff(wandering)).max() < 0.3
    env.close()


def test_playful_leaves_the_goal_alone():
    env = env_of(PlayfulConfig())
    _, outcome = path_of(env, 2)
    assert outcome in ("timeout", "success")
    places = [env._expert.place_m(3.0 * number) for number in range(4)]
    assert all(np.hypot(*(a - b)) >= 12.0 for a, b in pairwise(places))
    env.close()


def test_an_episode_tells_whom_it_was_asked_of(tmp_path):
    config = CollectConfig(
        out=str(tmp_path / "set"),
        episodes=1,
        workers=1,
        mix=ScenarioMix(width=32, height=24, expert=LateConfig(0.1), options=DroneOptions(gaps=2)),
    )
    collect(config)
    (header,) = Dataset.open(config.out).episodes
    asked = header.meta.env_kwargs["advisor"]
    assert asked == {"part": "late", "delay_s": 0.1} == json.loads(json.dumps(asked))
    episode = load_episode(header.path)
    env = make_env(TASKS.get("drone"), **header.meta.env_kwargs, expert=True)
    _, info = env.reset(seed=0)
    for action, told in zip(episode.actions[:5], episode.expert_actions):
        assert np.array_equal(info["expert_action"], told)
        *_, info = env.step(action)
    env.close()


def test_what_is_not_asked_for_is_not_stored():
    kwargs = ScenarioMix().scenario(3, TASKS.get("drone")).env_kwargs
    assert "advisor" not in kwargs and "gaps" not in kwargs


def test_an_expert_of_another_vehicle_is_refused_before_any_work(tmp_path):
    mix = ScenarioMix(width=32, height=24, expert=UndecidedConfig())
    with pytest.raises(UnsuitableExpertError, match="quadrotor"):
        task_spec_of(TASKS.get("drive"), mix)
    with pytest.raises(UnsuitableExpertError, match="quadrotor"):
        collect(CollectConfig(out=str(tmp_path / "set"), task="drive", episodes=1, workers=1, mix=mix))
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("advisor", "problem"),
    [
        ("undecidd", "did you mean 'undecided'"),
        ({"part": "late", "delay": 0.1}, "did you mean 'delay_s'"),
        ({"part": "late", "delay_s": -0.1}, "delay_s is -0.1; allowed: 0 to 2"),
        ({"part": "moody", "keep_m": [0.5, 0.2]}, "the least and the largest"),
        ({"part": "moody", "braking": [0.5, 0.2]}, "the least and the largest"),
    ],
)
def test_what_cannot_be_chosen_is_refused(advisor, problem):
    with pytest.raises(ForestPilotError, match=problem):
        make_env(TASKS.get("drone"), advisor=advisor)


def test_every_expert_has_options_of_its_name():
    assert all(EXPERTS.get(name).Config.part == name for name in EXPERTS)
