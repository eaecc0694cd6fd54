"""Courses of coloured gates: the orders, the worlds, what leads on and what does not, and what is demonstrated."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from forestpilot.sim.envs.drone import DroneEnv
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import ANSWERS, DEMONSTRATED_FRAMES
from forestpilot.sim.seeds import split_of
from forestpilot.sim.tasks.drone import DRONE, DroneOptions
from forestpilot.sim.worlds.coloured import (
    ALL_ORDERS,
    HELD_OUT_ORDERS,
    PAINTS,
    TRAINING_ORDERS,
    orders_named,
    parse_order,
)
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.tables import Trees

COLOURED = ForestConfig(density_per_m2=0.02, coloured=True)
SMALL = {"width": 32, "height": 24, "density": 0.02, "control_hz": 5}


@pytest.fixture(scope="module")
def env() -> Iterator[DroneEnv]:
    made = DroneEnv(order="red-blue-yellow", goal_kind="order", **SMALL)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shown() -> Iterator[DroneEnv]:
    made = DroneEnv(order="red-blue-yellow", goal_kind="demonstration", **SMALL)
    made.draw_only(("center",))
    yield made
    made.close()


def fly_through(env: DroneEnv, seed: int, gaps: list[int]) -> str:
    """The outcome of being put through these gaps, one after the other, and on to the goal."""
    env.draw_only(())
    env.reset(seed=seed)
    rows = env.world.rows
    for row, gap in zip(rows, gaps, strict=True):
        env.vehicle.put(np.array([row.x_m - 0.1, row.gaps_y_m[gap], 1.8]), 0.0, 5.0)
        *_, terminated, _, info = env.step(np.array([0.0, 1.0]))
        if terminated:
            return str(info["outcome"])
    env.vehicle.put(env.world.goal_m, 0.0, 0.0)
    return str(env.step(np.array([0.0, -1.0]))[-1]["outcome"])


def test_held_out_orders_are_new_as_a_whole_only() -> None:
    assert len(set(ALL_ORDERS)) == 27 and set(ALL_ORDERS) == {*TRAINING_ORDERS, *HELD_OUT_ORDERS}
    assert len(TRAINING_ORDERS) == 18 and not set(TRAINING_ORDERS) & set(HELD_OUT_ORDERS)
    trained = [parse_order(name) for name in TRAINING_ORDERS]
    for first, second in itertools.combinations(range(3), 2):
        pairs = {(order[first], order[second]) for order in trained}
        assert len(pairs) == 9
    for count in (3, 9, 18):
        for row in range(3):
            assert np.bincount([order[row] for order in trained[:count]]).tolist() == [count // 3] * 3


def test_each_row_has_a_gate_of_each_colour_where_its_posts_stand() -> None:
    forest = make_forest(COLOURED, 7)
    trees = Trees.of(forest.trees)
    for row in forest.rows:
        assert sorted(row.colours) == [0, 1, 2]
        for middle, colour in zip(row.gaps_y_m, row.colours):
            beside = np.flatnonzero((np.abs(trees.x_m - row.x_m) < 1e-3) & (np.abs(trees.y_m - middle) < 1.5))
            assert len(beside) == 2
            assert np.array_equal(forest.appearance.bark_colors[beside], np.tile(PAINTS[colour], (2, 1)))
            assert row.gap_of(colour) == row.gaps_y_m.index(middle) and row.colour_at(middle + 0.9) == colour
    layouts = {row.colours for seed in range(9) for row in make_forest(COLOURED, seed).rows}
    assert len(layouts) == 6


def test_nobody_gets_past_a_row_but_through_its_gates() -> None:
    forest = make_forest(COLOURED, 3)
    trees = Trees.of(forest.trees)
    y = np.arange(forest.bounds_m.y_min, forest.bounds_m.y_max, 0.05)
    for row in forest.rows:
        in_row = np.abs(trees.x_m - row.x_m) < 0.2
        nearest = (np.abs(y[:, None] - trees.y_m[in_row]) - trees.radius_m[in_row]).min(axis=1)
        inside = np.min(np.abs(y[:, None] - np.array(row.gaps_y_m)), axis=1) < 1.0
        assert nearest[~inside].max() < 0.25 < nearest[inside].max()


def test_only_the_gates_of_the_order_lead_on(env: DroneEnv) -> None:
    env.draw_only(())
    env.reset(seed=4)
    right = env.course.gates()  # type: ignore[attr-defined]
    assert [row.colours[gap] for row, gap in zip(env.world.rows, right)] == [0, 1, 2]
    assert fly_through(env, 4, right) == "success"
    for row in range(3):
        wrong = [*right]
        wrong[row] = (right[row] + 1) % 3
        assert fly_through(env, 4, wrong) == "out_of_bounds"
    assert fly_through(env, 4, right) == "success"


def test_the_expert_is_told_the_order_and_the_world_does_not_depend_on_it(env: DroneEnv) -> None:
    env.draw_only(())
    observation, _ = env.reset(seed=1_000_002)
    assert observation["goal"][3:].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    other = DroneEnv(order="blue-blue-blue", goal_kind="order", **SMALL)
    assert np.array_equal(other.make_world(1_000_002).trees, env.world.trees)
    other.close()
    outcome = "running"
    while outcome == "running":
        *_, info = env.step(env.expert_labels().actions[1])
        outcome = info["outcome"]
    assert outcome == "success"


def test_a_demonstration_is_of_the_same_order_in_another_world_and_stays(shown: DroneEnv) -> None:
    first, _ = shown.reset(seed=5)
    frames, steps = first["demonstration"], first["demonstration_steps"]
    assert frames.shape == (DEMONSTRATED_FRAMES, 24, 32, 3) and steps.shape == (DEMONSTRATED_FRAMES, 15)
    assert shown.observation_space.contains(first)
    later = shown.step(np.array([0.1, 1.0]))[0]
    assert later["demonstration"] is frames
    with pytest.raises(ValueError, match="read-only"):
        frames[0] = 0
    assert not np.array_equal(frames[0], first["center"])
    assert np.all(np.diff(steps[:, 12]) < 0)  # it comes closer to the goal
    other, _ = shown.reset(seed=6)
    assert not np.array_equal(other["demonstration"], frames)
    assert np.array_equal(shown.reset(seed=5)[0]["demonstration"], frames)
    assert first["goal"].shape == (3,)


def test_demonstrations_come_from_worlds_of_the_same_split(shown: DroneEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown._demonstrator is not None
    flown: list[int] = []
    monkeypatch.setattr(type(shown._demonstrator), "_fly", lambda _, seed, options: flown.append(seed) or "shown")
    for seed in (5, 1_000_005, 2_000_005):
        shown._demonstrator.show(seed, {})
    assert [split_of(seed) for seed in flown] == ["train", "validation", "test"]


def test_who_does_not_look_is_shown_nothing(shown: DroneEnv) -> None:
    shown.draw_only(())
    blind, _ = shown.reset(seed=5)
    shown.draw_only(("center",))
    assert not blind["demonstration"].any() and not blind["demonstration_steps"].any()


def test_options_draw_an_order_for_each_episode_and_say_so() -> None:
    options = DroneOptions(orders=("held-out",), goal_kind="demonstration", shown="red-red-blue")
    drawn = [options.draw(np.random.default_rng(seed)) for seed in range(60)]
    assert {kwargs["order"] for kwargs in drawn} == set(HELD_OUT_ORDERS)
    assert {kwargs["shown"] for kwargs in drawn} == {"red-red-blue"}
    assert "gates red-red-red, red-red-blue shown" in DRONE.describe({"order": "red-red-red", "shown": "red-red-blue"})
    assert orders_named(("training", "red-red-red")) == (*TRAINING_ORDERS, "red-red-red")
    told = DroneOptions(orders=("all",))
    assert told.usual_goal_kind == "vector" and told.with_goals_told("vector") is told
    assert told.with_goals_told("order") == dataclasses.replace(told, goal_kind="order")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": ("red-blue-green",)}, "'green' is no colour of gates"),
        ({"orders": ("red-blue",)}, "needs 3 colours"),
        ({"goal_kind": "order"}, "there are no coloured gates; give options.orders"),
        ({"shown": "red-red-red"}, "there are no coloured gates"),
        ({"orders": ("all",), "gaps": 2}, "go together neither with gaps"),
        ({"orders": ("all",), "goals": "anywhere"}, "nor with goals anywhere"),
        ({"orders": ("all",), "shown": "red-red-red"}, "nothing is demonstrated"),
    ],
)
def test_what_does_not_go_with_coloured_gates_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        DroneOptions(**options)  # type: ignore[arg-type]


def test_an_environment_without_gates_has_no_order_to_tell() -> None:
    with pytest.raises(InvalidArgumentError, match="there are no coloured gates; give order"):
        DroneEnv(goal_kind="demonstration")
    with pytest.raises(InvalidArgumentError, match="nothing is demonstrated"):
        DroneEnv(order="red-red-red", shown="red-red-blue")


def test_the_expert_says_what_it_would_do_for_each_colour_of_the_next_row() -> None:
    env = DroneEnv(order="red-blue-yellow", goal_kind="order", expert=True, side_cameras="random", **SMALL)
    env.draw_only(())
    _, info = env.reset(seed=4)
    order = (0, 1, 2)
    ahead = set()
    for _ in range(30):
        answers = info[ANSWERS].reshape(3, -1)
        told = answers[:, 1:].reshape(3, 3, -1)
        for camera, row in enumerate(answers[:, 0].astype(int)):
            assert np.array_equal(told[camera, order[row], :2], info["expert_action"][camera])
            assert np.array_equal(told[camera, order[row], 2:], info["expert_costs"][camera])
        ahead.add(int(answers[1, 0]))
        *_, info = env.step(info["expert_action"][1])
    assert ahead >= {0, 1}
    assert not np.array_equal(told[1, 0], told[1, 1])
    env.close()
