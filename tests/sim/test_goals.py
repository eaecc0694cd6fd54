"""Goals anywhere in the forest: where they lie, how they are told, which are refused, and what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, make_env
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import BEARING, GOAL_KINDS, GOAL_MIRRORS, VECTOR, distance_of, tell_goal
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.free_goals import RIM_M, ROOM_M, with_goal_at

SEEDS = range(1_000_000, 1_000_040)
DRONE = TASKS.get("drone")


@pytest.fixture(scope="module")
def env():
    made = make_env(DRONE, goals="anywhere", goals_within=30.0, width=32, height=24, expert=True)
    made.draw_only(())
    yield made
    made.close()


def worlds(**changes):
    return [make_forest(ForestConfig(**changes), seed) for seed in SEEDS]


def test_goals_lie_anywhere_free_and_within_reach_and_follow_from_the_seed() -> None:
    found = worlds(goals="anywhere", goals_within_m=30.0)
    places = np.array([world.goal_m for world in found])
    distances = np.hypot(places[:, 0], places[:, 1])
    assert distances.min() >= found[0].goal_radius_m + 3.0 and distances.max() <= 30.0
    assert places[:, 0].min() < 5.0 and places[:, 1].min() < -8.0 and places[:, 1].max() > 8.0
    for world in found:
        trunks = world.trees[:, :3].astype(np.float64)
        room = (np.hypot(trunks[:, 0] - world.goal_m[0], trunks[:, 1] - world.goal_m[1]) - trunks[:, 2]).min()
        assert room > ROOM_M - 0.1
        assert abs(world.goal_m[1]) <= 15.0 - RIM_M
    again = worlds(goals="anywhere", goals_within_m=30.0)
    assert np.array_equal(places, [world.goal_m for world in again])


def test_nothing_but_the_goal_differs_from_the_forest_of_the_seed() -> None:
    for ahead, anywhere in zip(worlds()[:5], worlds(goals="anywhere")[:5]):
        assert np.array_equal(ahead.trees, anywhere.trees)
        assert np.array_equal(ahead.appearance.sun_direction, anywhere.appearance.sun_direction)
        assert ahead.goal_m.tolist() == [40.0, 0.0, 1.8]
        assert not np.array_equal(ahead.goal_m, anywhere.goal_m)


def test_the_expert_reaches_goals_anywhere_in_time(env) -> None:
    for seed in SEEDS[:6]:
        _, info = env.reset(seed=seed)
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(info["expert_action"][1])
            ended = terminated or truncated
        assert info["outcome"] == "success", seed
        assert np.hypot(*(env.world.goal_m[:2] - info["place"][:2])) <= env.world.goal_radius_m + 1e-3


def test_a_goal_is_told_as_direction_and_distance(env) -> None:
    observation, info = env.reset(seed=1_000_001)
    x, y = env.world.goal_m[:2]
    told = observation["goal"]
    assert told.shape == (3,)
    assert distance_of(told[2]) == pytest.approx(np.hypot(x, y), rel=1e-3)
    assert np.arctan2(told[1], told[0]) == pytest.approx(np.arctan2(y, x), abs=1e-3)
    assert info["place"] == pytest.approx([0, 0, 0], abs=1e-3)
    assert env.task_spec.goal_kind == VECTOR and env.task_spec.goal_mirror == (1.0, -1.0, 1.0)


@pytest.mark.parametrize("kind", GOAL_KINDS)
def test_a_goal_in_the_mirrored_world_reads_as_its_mirror_signs_say(kind: str) -> None:
    left = tell_goal(kind, [3.0, -7.0], [2.0, 5.0])
    right = tell_goal(kind, [3.0, -7.0], [-2.0, -5.0])
    signs = np.array(GOAL_MIRRORS[kind])
    assert np.allclose(right, left * signs[: left.shape[1]])
    assert np.all(signs[left.shape[1] :] == 1)  # colours look the same in a mirror


def test_a_goal_at_a_place_of_ones_own_is_flown_to(env) -> None:
    env.reset(seed=1_000_000, options={"goal": (12.0, -6.0)})
    assert env.world.goal_m.tolist() == [12.0, -6.0, 1.8]
    env.reset(seed=1_000_000)
    assert env.world.goal_m.tolist() != [12.0, -6.0, 1.8]


def test_a_goal_inside_a_tree_or_outside_the_forest_is_refused(env) -> None:
    world = make_forest(ForestConfig(), 1_000_000)
    trunk = world.trees[3, :2].tolist()
    with pytest.raises(InvalidArgumentError, match="inside a tree of world 1000000; choose a place between the trunks"):
        env.reset(seed=1_000_000, options={"goal": trunk})
    with pytest.raises(InvalidArgumentError, match="outside the forest; allowed: x from -5 to 55, y from -15 to 15"):
        with_goal_at(world, (60.0, 0.0))
    for odd in ((1.0,), (np.nan, 0.0), ("a", "b")):
        with pytest.raises(ValueError, match="goal is"):
            with_goal_at(world, odd)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"goals": "somewhere"}, "goals is 'somewhere'; allowed: ahead, anywhere"),
        ({"goals": "anywhere", "gaps": 2}, "gaps"),
        ({"goal_kind": "words"}, "goal_kind is 'words'; allowed: bearing, vector, image"),
        ({"goals_within": 2.0}, "goals_within"),
    ],
)
def test_bad_goals_are_refused_before_any_flight(changes: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DroneOptions(**changes)
    with pytest.raises(ValueError, match=told.split("_")[0]):
        make_env(DRONE, **changes)


def test_a_mix_says_nothing_of_goals_unless_it_is_asked() -> None:
    usual = ScenarioMix().scenario(3, DRONE).env_kwargs
    assert not {"goals", "goals_within", "goal_kind"} & set(usual)
    asked = ScenarioMix(options=DroneOptions(goals="anywhere", goals_within=30.0)).scenario(3, DRONE)
    assert asked.env_kwargs == {**usual, "goals": "anywhere", "goals_within": 30.0}
    assert DRONE.describe(asked.env_kwargs).startswith("default forest, 1/25 trees/m2, goals anywhere within 30 m")
    assert "goals told as image" in DRONE.describe({**usual, "goal_kind": "image"})


def test_a_policy_is_told_goals_as_it_was_taught_to_read_them() -> None:
    assert DroneOptions().with_goals_told(VECTOR) == DroneOptions(goal_kind=VECTOR)
    assert DroneOptions(goals="anywhere").with_goals_told(VECTOR) == DroneOptions(goals="anywhere")
    assert DroneOptions(goals="anywhere").with_goals_told(BEARING).goal_kind == BEARING
    with pytest.raises(InvalidArgumentError, match=r"leave options\.goal-kind out"):
        DroneOptions(goal_kind=BEARING).with_goals_told(VECTOR)
    with pytest.raises(InvalidArgumentError, match="does not tell"):
        TASKS.get("drive").evaluation_options.with_goals_told(VECTOR)
