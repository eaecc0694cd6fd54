"""Routes over three junctions: the names, the roads, what leads on and what does not, what is told and demonstrated."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from forestpilot.sim.courses.routes import RouteCourse
from forestpilot.sim.envs.drive import DriveEnv
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATED_FRAMES, ORDER_PLACES
from forestpilot.sim.seeds import split_of
from forestpilot.sim.tasks.drive import DRIVE, DriveOptions
from forestpilot.sim.worlds.coloured import ROWS_M
from forestpilot.sim.worlds.orders import SEPARATOR
from forestpilot.sim.worlds.roads.layout import FOLLOW, LEFT, RIGHT, STRAIGHT, Layout, draw_layout
from forestpilot.sim.worlds.roads.road import PRESETS, RoadConfig
from forestpilot.sim.worlds.roads.routes import ROUTES, SHORTEST_ROUTE_M

ROUTE = "left-right-straight"
SMALL = {"width": 32, "height": 24, "control_hz": 5, "length": SHORTEST_ROUTE_M, "preset": "easy", "speed": 8.0}
MIRRORED = {"left": "right", "straight": "straight", "right": "left"}


def road_with(route: str, **changes: object) -> RoadConfig:
    return dataclasses.replace(PRESETS["easy"], closed_share=0.0, length_m=SHORTEST_ROUTE_M, route=route, **changes)


def turns_of(layout: Layout) -> list[int]:
    """Commands along the line, each once."""
    command = layout.command
    return [int(turn) for turn in command[1:][(command[1:] != command[:-1]) & (command[1:] != FOLLOW)]]


@pytest.fixture(scope="module")
def shown() -> Iterator[DriveEnv]:
    made = DriveEnv(route=ROUTE, goal_kind="demonstration", **SMALL)
    made.draw_only(("center",))
    yield made
    made.close()


def drive_by(env: DriveEnv, other: DriveEnv) -> dict[str, object]:
    """Drive as the expert of another environment would whose road is the same up to a junction; the last `info`."""
    env.draw_only(())
    other.draw_only(())
    env.reset(seed=3)
    other.reset(seed=3)
    while True:
        action = other.expert_labels().actions[1]
        *_, terminated, truncated, info = env.step(action)
        other.step(action)
        if terminated or truncated or info["interventions"]:
            return info


def test_a_mirrored_route_stays_trained_or_held_out() -> None:
    for names in (ROUTES.training, ROUTES.held_out):
        assert {SEPARATOR.join(MIRRORED[turn] for turn in name.split(SEPARATOR)) for name in names} == set(names)


def test_a_route_in_a_mirror_is_told_as_its_mirror_signs_say() -> None:
    for name in ROUTES.all[::5]:
        mirrored = SEPARATOR.join(MIRRORED[turn] for turn in name.split(SEPARATOR))
        one, other = (
            RouteCourse(route, goal_kind="order", preset="easy", length_m=200.0) for route in (name, mirrored)
        )
        assert np.array_equal(one._told * np.array(one.goal_mirror[3:]), other._told)
        assert np.array_equal(ROUTES.mirrored(np.array(ROUTES.parse(name))), ROUTES.parse(mirrored))


def test_a_road_has_the_three_junctions_of_its_route_with_three_ways_at_each() -> None:
    for seed, (route, turns) in enumerate({ROUTE: [LEFT, RIGHT, STRAIGHT], "right-right-right": [RIGHT] * 3}.items()):
        layout = draw_layout(road_with(route), seed)
        assert turns_of(layout) == turns and len(layout.arms) == 6


def test_nothing_before_a_junction_tells_the_turn_there() -> None:
    for seed in range(4):
        lines = [draw_layout(road_with(f"{turn}-left-left"), seed).line for turn in MIRRORED]
        forks = round((SHORTEST_ROUTE_M * ORDER_PLACES[0] - 27) / 0.5)
        for line in lines[1:]:
            assert np.array_equal(line.x_m[:forks], lines[0].x_m[:forks])
            assert np.array_equal(line.y_m[:forks], lines[0].y_m[:forks])
        later = [draw_layout(road_with(f"left-left-{turn}"), seed) for turn in MIRRORED]
        end = round(SHORTEST_ROUTE_M * ORDER_PLACES[1] / 0.5)
        for layout in later[1:]:
            assert np.array_equal(layout.line.x_m[:end], later[0].line.x_m[:end])


def test_choices_lie_at_the_same_shares_of_the_way_as_rows_of_gates_do() -> None:
    assert [40.0 * place for place in ORDER_PLACES] == list(ROWS_M)
    ends = []
    for seed in range(6):
        layout = draw_layout(road_with(ROUTE), seed)
        curved = np.abs(layout.line.curvature_per_m[layout.start :]) > 1 / 20  # corners; bends are gentler
        ends.append(0.5 * np.flatnonzero(curved[:-1] & ~curved[1:]) / SHORTEST_ROUTE_M)
    assert np.all(np.abs(np.array(ends) - np.array(ORDER_PLACES[:2])) < 0.06)


def test_whoever_takes_another_way_has_left_the_route() -> None:
    env = DriveEnv(route=ROUTE, **SMALL)
    other = DriveEnv(route="right-right-straight", **SMALL)
    put_back = DriveEnv(route=ROUTE, interventions="road", **SMALL)
    info = drive_by(env, other)
    assert info["outcome"] == "out_of_bounds" and 20 < info["progress_m"] < 60
    assert drive_by(put_back, other)["interventions"] == 1
    for made in (env, other, put_back):
        made.close()


def test_the_expert_drives_every_kind_of_turn() -> None:
    env = DriveEnv(route="left-straight-right", goal_kind="order", **SMALL)
    env.draw_only(())
    observation, info = env.reset(seed=1_000_000)
    assert observation["goal"].shape == (9,) == env.observation_space["goal"].shape
    assert observation["goal"][:2].tolist() == [0, 0] and observation["goal"][2] == pytest.approx(0.8, abs=0.01)
    assert observation["goal"][3:].tolist() == [0, 1, 1, 0, 0, -1]
    assert env.task_spec.goal_mirror == (1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0)
    while info["outcome"] == "running":
        observation, *_, info = env.step(env.expert_labels().actions[1])
    assert info["outcome"] == "success" and observation["goal"][2] == 0
    env.close()


def test_a_route_is_told_by_commands_where_nobody_says_otherwise() -> None:
    env = DriveEnv(route=ROUTE, **SMALL)
    assert env.task_spec.goal_kind == "bearing" and env.reset(seed=0)[0]["goal"].shape == (2,)
    env.close()


def test_a_demonstration_is_of_the_same_route_in_another_world_of_the_split(
    shown: DriveEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = shown.reset(seed=5)
    frames, steps = first["demonstration"], first["demonstration_steps"]
    assert frames.shape == (DEMONSTRATED_FRAMES, 24, 32, 3) and steps.shape == (DEMONSTRATED_FRAMES, 14)
    assert shown.observation_space.contains(first)
    assert np.all(np.diff(steps[:, 11]) < 0) and not steps[:, 9:11].any()
    demonstrator = shown._demonstrator
    assert demonstrator is not None and demonstrator._env.course.config.route == ROUTE  # type: ignore[attr-defined]
    driven: list[int] = []
    monkeypatch.setattr(type(demonstrator), "_fly", lambda _, seed, options: driven.append(seed) or "shown")
    for seed in (5, 1_000_005, 2_000_005):
        demonstrator.show(seed, {})
    assert [split_of(seed) for seed in driven] == ["train", "validation", "test"]


def test_another_route_can_be_shown() -> None:
    env = DriveEnv(route=ROUTE, shown="right-right-right", goal_kind="demonstration", **SMALL)
    assert env.course.demonstrated_with()["route"] == "right-right-right"
    assert env.make_world(0).route.command.max() == RIGHT  # type: ignore[attr-defined]
    env.close()


def test_options_draw_a_route_for_each_episode_and_say_nothing_where_there_is_none() -> None:
    options = DriveOptions(length=200, routes=("held-out",), goal_kind="demonstration", shown="left-left-right")
    drawn = [options.draw(np.random.default_rng(seed)) for seed in range(60)]
    assert {kwargs["route"] for kwargs in drawn} == set(ROUTES.held_out)
    assert {kwargs["shown"] for kwargs in drawn} == {"left-left-right"}
    words = DRIVE.describe({"route": "left-left-left", "shown": "left-left-right", "goal_kind": "demonstration"})
    assert "route left-left-left, left-left-right shown, goals told as demonstration" in words
    assert DriveOptions().draw(np.random.default_rng(0)) == {
        "length": 600.0,
        "side_cameras": "fixed",
        "interventions": "none",
    }
    told = DriveOptions(length=200, routes=("all",))
    assert told.with_goals_told("bearing") is told
    assert told.with_goals_told("order") == dataclasses.replace(told, goal_kind="order")
    with pytest.raises(InvalidArgumentError, match=r"leave options\.goal-kind out"):
        dataclasses.replace(told, goal_kind="way").with_goals_told("order")


def test_the_route_that_is_shown_is_known_by_the_environments_arguments() -> None:
    assert DRIVE.shown_order({"route": ROUTE}) == (0, 2, 1)
    assert DRIVE.shown_order({"route": ROUTE, "shown": "right-right-right"}) == (2, 2, 2)
    assert DRIVE.shown_order({"route": "left"}) == DRIVE.shown_order({}) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routes": ("left-up-left",)}, "'up' is no turn"),
        ({"routes": ("left-left",)}, "needs 3 turns"),
        ({"routes": ("all",)}, None),
        ({"routes": ("all",), "length": 150.0}, "three junctions has 200 m or more"),
        ({"goal_kind": "order"}, "there are no routes over three junctions; give options.routes"),
        ({"goal_kind": "way"}, "there are no routes over three junctions"),
        ({"goal_kind": "vector"}, "allowed: bearing, way, order, demonstration"),
        ({"routes": ("all",), "shown": "left-left-left"}, "nothing is demonstrated; give options.goal-kind"),
    ],
)
def test_what_does_not_go_with_routes_is_refused(options: dict[str, object], message: str | None) -> None:
    if message is None:
        DriveOptions(**options)  # type: ignore[arg-type]
        return
    with pytest.raises(InvalidArgumentError, match=message):
        DriveOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"route": "left-left"}, "needs 3 turns"),
        ({"route": "up"}, "or turns like"),
        ({"route": ROUTE, "preset": "obstacles"}, "exclude one another"),
        ({"route": ROUTE, "length": 199.0}, "200 to 3000"),
        ({"goal_kind": "demonstration"}, "there is no route over three junctions; give route"),
        ({"route": ROUTE, "shown": "left-left-left"}, "nothing is demonstrated"),
        ({"route": ROUTE, "goal_kind": "image"}, "allowed: bearing, way"),
    ],
)
def test_an_environment_says_what_is_wrong_with_a_route(kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        DriveEnv(**kwargs)  # type: ignore[arg-type]
