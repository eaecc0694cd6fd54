"""Roads: smooth and bounded bends, honest junctions, obstacles with a way past, trees that stand where they may."""

import dataclasses
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.worlds.clearance import build_clearance_map, sample_clearance
from forestpilot.sim.worlds.roads import layout
from forestpilot.sim.worlds.roads.road import (
    COMMAND_NAMES,
    FOLLOW,
    LEFT,
    POINT_SPACING_M,
    PRESETS,
    RIGHT,
    STRAIGHT,
    SURFACE_GRIP,
    RoadConfig,
    RoadWorld,
    make_road,
)  # fmt: skip
from forestpilot.sim.worlds.world import BARRIER, CAR_BODY, CAR_CABIN, LOG

SEEDS = st.integers(0, 3_000_000)
PRESET_NAMES = st.sampled_from(sorted(PRESETS))
FILLET_BOUND_PER_M = 1 / layout.FILLET_RADIUS_M[0]


def line_of(world: RoadWorld) -> np.ndarray:
    """(n, 2) points of the line to drive."""
    return np.stack([world.route.x_m, world.route.y_m], axis=1)


def distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m) metres from each of (n, 2) points to each of (m, 2) others."""
    across, along = (np.subtract.outer(points[:, axis].astype(float), others[:, axis].astype(float)) for axis in (0, 1))
    across *= across  # in place: there are millions
    along *= along
    across += along
    return np.sqrt(across, out=across)


def bound_of(name: str) -> float:
    """Tightest curvature of a preset's route, corners included."""
    bound = PRESETS[name].max_curvature_per_m
    return max(bound, FILLET_BOUND_PER_M) if name == "junctions" else bound


def circuits(name: str, count: int) -> list[RoadWorld]:
    """The first closed roads of a preset made to be closed."""
    config = dataclasses.replace(PRESETS[name], closed_share=1.0)
    return [make_road(config, seed) for seed in range(count)]


class Kind(NamedTuple):
    """Of what kind a road is."""

    closed: bool
    surface: str
    grip: float
    marked: bool


@pytest.fixture(scope="module")
def easy_roads() -> list[Kind]:
    worlds = (make_road(PRESETS["easy"], seed) for seed in range(120))
    return [Kind(world.route.closed, world.surface, world.grip, bool(world.markings)) for world in worlds]


@settings(max_examples=30, deadline=None)
@given(name=PRESET_NAMES, seed=SEEDS)
def test_no_bend_is_tighter_than_allowed(name, seed):
    route = make_road(PRESETS[name], seed).route
    assert np.abs(route.curvature_per_m).max() <= bound_of(name) * 1.0001


@settings(max_examples=30, deadline=None)
@given(name=PRESET_NAMES, seed=SEEDS)
def test_points_heading_and_curvature_tell_one_story(name, seed):
    world = make_road(PRESETS[name], seed)
    steps = np.diff(line_of(world), axis=0)
    assert np.allclose(np.hypot(*steps.T), POINT_SPACING_M, atol=2e-3)
    middle = 0.5 * (world.route.heading_rad[1:] + world.route.heading_rad[:-1])
    along = np.stack([np.cos(middle), np.sin(middle)], axis=1)
    assert np.hypot(*(steps / POINT_SPACING_M - along).T).max() < 6e-3
    turned = np.diff(world.route.heading_rad) / POINT_SPACING_M
    bent = 0.5 * (world.route.curvature_per_m[1:] + world.route.curvature_per_m[:-1])
    assert np.abs(turned - bent).max() < 2e-3
    assert np.abs(np.diff(world.route.curvature_per_m)).max() < 0.03


@settings(max_examples=30, deadline=None)
@given(name=PRESET_NAMES, seed=SEEDS)
def test_a_road_never_comes_back_to_itself(name, seed):
    world = make_road(PRESETS[name], seed)
    points = line_of(world)[::2]
    index = np.arange(len(points))
    along = np.abs(index[:, None] - index)
    if world.route.closed:
        along = np.minimum(along, len(points) - along)
    near_along = along * 2 * POINT_SPACING_M < 40.0
    assert distances(points, points)[~near_along].min(initial=99.0) > 14.0 - 2.0  # obstacles shift both lines a little


@settings(max_examples=12, deadline=None)
@given(name=PRESET_NAMES, seed=SEEDS)
def test_trees_keep_off_every_road(name, seed):
    config = PRESETS[name]
    world = make_road(config, seed)
    for ribbon in world.ribbons:
        gap = distances(world.trees[:, :2], ribbon.points_m).min(axis=1) - ribbon.half_width_m - world.trees[:, 2]
        assert gap.min() >= config.shoulder_m[0]
    spacing = distances(world.trees[:, :2], world.trees[:, :2]) + 99 * np.eye(len(world.trees))
    assert spacing.min() >= 1.1 - 1e-4
    assert np.isclose(world.trees[:, 2], np.round(world.trees[:, 2], 2)).all()


@settings(max_examples=30, deadline=None)
@given(name=PRESET_NAMES, seed=SEEDS)
def test_the_line_is_driveable_from_start_to_goal(name, seed):
    world = make_road(PRESETS[name], seed)
    grid, points = world.clearance, line_of(world)
    u, v = (points - (grid.x_min, grid.y_min)).T / grid.cell_m
    clearance = np.array([sample_clearance(grid.distance_m, *at) for at in zip(u, v)])
    assert clearance.min() > 1.2  # half of the narrowest gap, 1.35 m, less the error of the 0.25 m grid at thin boxes
    assert min(world.route.left_m.min(), world.route.right_m.min()) > 1.0


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_obstacles_leave_a_gap_in_whose_middle_the_line_runs(seed):
    world = make_road(PRESETS["obstacles"], seed)
    bodies = world.boxes[world.boxes[:, 7] != CAR_CABIN]
    assert len(bodies) >= 4
    for box in bodies.astype(float):
        index = np.argmin(np.hypot(world.route.x_m - box[0], world.route.y_m - box[1]))
        assert index * POINT_SPACING_M >= 38.0
        heading = world.route.heading_rad[index]
        dx, dy = box[0] - world.route.x_m[index], box[1] - world.route.y_m[index]
        aside = dy * np.cos(heading) - dx * np.sin(heading)
        turned = box[2] - heading
        reach = 0.5 * abs(box[3] * np.sin(turned)) + 0.5 * abs(box[4] * np.cos(turned))
        to_edge = world.route.right_m[index] if aside > 0 else world.route.left_m[index]
        assert abs(aside) - reach >= 1.3
        if box[7] != BARRIER:
            assert to_edge >= 1.3
            assert abs(aside) - reach == pytest.approx(to_edge, abs=0.12)


def test_all_kinds_of_obstacles_stand_on_both_sides():
    worlds = [make_road(PRESETS["obstacles"], seed) for seed in range(30)]
    kinds = np.concatenate([world.boxes[:, 7] for world in worlds])
    assert {LOG, CAR_BODY, CAR_CABIN, BARRIER} == set(kinds.astype(int))
    left = np.concatenate([world.route.left_m - world.route.right_m for world in worlds])
    assert left.min() < -1.0 and left.max() > 1.0
    for world in worlds:
        cabins = np.flatnonzero(world.boxes[:, 7] == CAR_CABIN)
        assert (world.boxes[cabins - 1, 7] == CAR_BODY).all()
        assert np.allclose(world.boxes[cabins - 1, 6], world.boxes[cabins, 5])


def test_no_tree_stands_in_an_obstacle():
    for seed in range(10):
        world = make_road(PRESETS["obstacles"], seed)
        grid = build_clearance_map(world.trees[:0], world.bounds_m, world.boxes)
        spots = (world.trees[:, :2] - (grid.x_min, grid.y_min)) / grid.cell_m
        gaps = np.array([sample_clearance(grid.distance_m, u, v) for u, v in spots.astype(float)])
        assert (gaps - world.trees[:, 2]).min() > 0.0


def test_the_clearance_map_knows_turned_boxes():
    box = np.array([[10.0, 4.0, 0.6, 4.0, 1.0, 0.0, 1.0, LOG]], np.float32)
    grid = build_clearance_map(np.zeros((0, 7), np.float32), (0.0, 20.0, 0.0, 10.0), box, cell_m=0.1)
    along, across = np.array([np.cos(0.6), np.sin(0.6)]), np.array([-np.sin(0.6), np.cos(0.6)])
    for a, b, gap in [(0.0, 1.5, 1.0), (3.0, 0.0, 1.0), (2.6, 1.3, 1.0), (0.0, 0.2, -0.3), (0.0, -4.0, 2.0)]:
        u, v = (np.array([10.0, 4.0]) + a * along + b * across) / 0.1
        assert sample_clearance(grid.distance_m, u, v) == pytest.approx(gap, abs=0.02)


@pytest.fixture(scope="module")
def junction_worlds() -> list[RoadWorld]:
    return [make_road(PRESETS["junctions"], seed) for seed in range(48)]


def commands_of(world: RoadWorld) -> list[tuple[int, int, int]]:
    """(command, first point, point behind the last) of each junction along the route."""
    command = world.route.command
    edges = np.flatnonzero(np.diff(np.concatenate([[FOLLOW], command, [FOLLOW]])))
    return [(int(command[first]), int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def test_turns_are_drawn_evenly(junction_worlds):
    turns = [turn for world in junction_worlds for turn, _, _ in commands_of(world)]
    counts = np.bincount(turns, minlength=4)[1:]
    assert len(turns) > 190
    assert (np.abs(counts - len(turns) / 3) < 4 * np.sqrt(len(turns) * 2 / 9)).all()


def test_a_command_says_what_the_route_does(junction_worlds):
    for world in junction_worlds:
        for turn, first, end in commands_of(world):
            turned = world.route.heading_rad[first + 12 : end - 10] - world.route.heading_rad[first + 12]
            way = {LEFT: turned.max() > 1.0, STRAIGHT: np.abs(turned).max() < 0.01, RIGHT: turned.min() < -1.0}
            assert way[turn]
            assert 35.0 <= (end - first) * POINT_SPACING_M <= 65.0


def ways_of(world: RoadWorld) -> list[tuple[int, set[int]]]:
    """(turn taken, other turns on offer) of each junction, told from the lines alone."""
    junctions = []
    for turn, first, end in commands_of(world):
        others = set()
        for ribbon in world.ribbons[1:]:
            start = np.hypot(*(line_of(world)[first:end] - ribbon.points_m[0]).T)
            if start.min() > 0.8:
                continue
            before, after = ribbon.points_m[1] - ribbon.points_m[0], ribbon.points_m[50] - ribbon.points_m[46]
            turned = np.arctan2(before[0] * after[1] - before[1] * after[0], before @ after)
            others.add(STRAIGHT if abs(turned) < 0.5 else LEFT if turned > 0 else RIGHT)
        junctions.append((turn, others))
    return junctions


def test_what_a_junction_offers_does_not_tell_which_way_is_right(junction_worlds):
    taken: dict[frozenset[int], list[int]] = {}
    for world in junction_worlds:
        for turn, others in ways_of(world):
            assert others and turn not in others
            taken.setdefault(frozenset(others | {turn}), []).append(turn)
    assert len(taken) == 4
    for ways, turns in taken.items():
        counts = np.array([turns.count(way) for way in ways])
        share = 1 / len(ways)
        assert (np.abs(counts - len(turns) * share) < 4 * np.sqrt(len(turns) * share * (1 - share))).all()


def test_arms_lead_on_and_look_like_the_road(junction_worlds):
    for world in junction_worlds[:20]:
        assert len(world.ribbons) >= 5
        for arm in world.ribbons[1:]:
            steps = np.diff(arm.points_m.astype(float), axis=0)
            assert arm.half_width_m == world.ribbons[0].half_width_m
            assert 45.0 < len(arm.points_m) * POINT_SPACING_M < 90.0
            heading = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
            assert np.abs(np.diff(heading)).max() / POINT_SPACING_M <= FILLET_BOUND_PER_M * 1.01
            # Foreign arms and the rest of the road stay away from where the arm has left its junction.
            other = [
                r.points_m for r in world.ribbons[1:] if r is not arm and abs(r.points_m[0] - arm.points_m[0]).max() > 2
            ]
            assert min((distances(arm.points_m[80:], points).min() for points in other), default=99.0) >= 13.5


def test_one_way_can_be_asked_for_at_every_junction():
    for route in ("left", "straight", "right"):
        config = dataclasses.replace(PRESETS["junctions"], route=route)
        for seed in range(12):
            turns = {COMMAND_NAMES[turn] for turn, _, _ in commands_of(make_road(config, seed))}
            assert turns == {route}


def test_only_roads_with_junctions_have_commands():
    for name in ("easy", "winding", "obstacles"):
        assert not make_road(PRESETS[name], 4).route.command.any()


def test_circuits_close_smoothly():
    for world in [*circuits("winding", 12), *circuits("easy", 12)]:
        route, points = world.route, line_of(world)
        assert route.closed and world.ribbons[0].closed
        assert route.length_m == pytest.approx(600.0)
        assert np.hypot(*(points[0] - points[-1])) == pytest.approx(POINT_SPACING_M, abs=1e-3)
        whole = route.heading_rad[-1] + POINT_SPACING_M * 0.5 * (route.curvature_per_m[0] + route.curvature_per_m[-1])
        assert abs(whole) == pytest.approx(2 * np.pi, abs=1e-6)


def test_circuits_turn_both_ways_and_are_as_frequent_as_asked(easy_roads):
    turns = [np.sign(world.route.heading_rad[-1]) for world in circuits("winding", 20)]
    assert 4 <= turns.count(1.0) <= 16
    assert 18 <= sum(road.closed for road in easy_roads) <= 55


def test_start_is_at_the_origin_on_a_gentle_stretch():
    for config in PRESETS.values():
        for seed in range(10):
            world = make_road(config, seed)
            assert np.abs(world.start_m).max() < 1e-9
            assert abs(world.start_yaw_rad) < 1e-9
            assert np.abs(world.route.curvature_per_m[:20]).max() < 0.5 * config.max_curvature_per_m
            assert np.allclose(world.goal_m[:2], line_of(world)[-1])


@settings(max_examples=25, deadline=None)
@given(name=PRESET_NAMES, seed=SEEDS, part=st.floats(0.0, 0.9))
def test_sight_ends_where_a_straight_look_leaves_the_road(name, seed, part):
    world = make_road(PRESETS[name], seed)
    route, points = world.route, line_of(world)
    at = int(part * (len(points) - 1))
    steps = round(route.sight_m[at] / POINT_SPACING_M)
    half = 0.5 * world.width_m
    for extra, inside in ((-6, True), (6, False)):
        if not 0 < steps + extra < 112 or at + steps + extra >= len(points):
            continue
        look = points[at] + np.linspace(0, 1, 200)[:, None] * (points[at + steps + extra] - points[at])
        beyond = distances(look, world.ribbons[0].points_m).min(axis=1).max() - half
        low, high = PRESETS[name].shoulder_m
        assert beyond < high + 0.1 if inside else beyond > low - 0.1


def test_trees_block_the_view_through_the_inside_of_bends():
    looks = []
    for seed in range(6):
        world = make_road(PRESETS["winding"], seed)
        points = line_of(world)
        for at in range(0, len(points) - 160, 11):
            if world.route.sight_m[at] < 40.0:
                there = points[at + round(world.route.sight_m[at] / POINT_SPACING_M) + 20]
                looks.append(is_blocked(world.trees, points[at], there))
    assert len(looks) > 200
    assert np.mean(looks) > 0.8


def is_blocked(trees: np.ndarray, eye: np.ndarray, target: np.ndarray) -> bool:
    """Whether a trunk or a young spruce's branches stand between two points (2,)."""
    ahead = (target - eye) / np.hypot(*(target - eye))
    offset = trees[:, :2] - eye
    along, aside = offset @ ahead, np.abs(offset @ np.array([-ahead[1], ahead[0]]))
    radius = np.where(trees[:, 3] < 2.0, 0.75 * trees[:, 4], trees[:, 2])
    return bool(((along > 1.0) & (along < np.hypot(*(target - eye)) - 1.0) & (aside < radius)).any())


def test_same_seed_same_road():
    for config in PRESETS.values():
        first, second = make_road(config, 12), make_road(config, 12)
        assert np.array_equal(first.trees, second.trees) and np.array_equal(first.boxes, second.boxes)
        assert all(np.array_equal(a, b) for a, b in zip(first.route, second.route))
        assert (first.surface, first.markings, first.width_m) == (second.surface, second.markings, second.width_m)
        assert not np.array_equal(first.trees, make_road(config, 13).trees)


def test_another_process_makes_the_same_road():
    code = (
        "from forestpilot.sim.worlds.roads.road import PRESETS, make_road;"
        "w = make_road(PRESETS['junctions'], 2_000_001); print(w.trees.sum(dtype=float).hex(), w.route.y_m.sum().hex())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=sys.path[0] or None
    ).stdout
    world = make_road(PRESETS["junctions"], 2_000_001)
    assert printed.split() == [world.trees.sum(dtype=float).hex(), world.route.y_m.sum().hex()]


def test_arrays_are_frozen():
    world = make_road(PRESETS["obstacles"], 3)
    for array in (world.trees, world.boxes, world.ribbons[0].points_m, *world.route[:-1]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_surfaces_come_with_their_grip_and_only_asphalt_is_marked(easy_roads):
    assert {road.surface for road in easy_roads} == set(SURFACE_GRIP)
    assert all(road.grip == SURFACE_GRIP[road.surface] for road in easy_roads)
    assert {road.surface for road in easy_roads if road.marked} == {"asphalt"}
    assert any(road.surface == "asphalt" and not road.marked for road in easy_roads)


def test_length_is_the_one_asked_for():
    for length in (60.0, 200.0, 1000.0):
        world = make_road(dataclasses.replace(PRESETS["winding"], length_m=length, closed_share=0.0), 5)
        assert world.route.length_m == length


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_curvature_per_m": 1 / 6}, "room to correct"),
        ({"max_curvature_per_m": 1 / 8, "shoulder_m": (3.0, 3.0)}, "radius"),
        ({"width_m": (2.0, 6.0)}, "3 <= narrowest"),
        ({"length_m": 10.0}, "allowed"),
        ({"closed_share": 1.5}, "0 to 1"),
        ({"route": "up"}, "seed, left, straight, right"),
        ({"route": "left"}, "without junctions"),
        ({"surfaces": ("ice",)}, "asphalt, gravel, dirt"),
        ({"junction_gap_m": (80.0, 120.0), "closed_share": 0.3}, "exclude one another"),
        ({"junction_gap_m": (20.0, 30.0)}, "80 <= least"),
        ({"obstacle_gap_m": 70.0, "width_m": (4.0, 6.0)}, "at least 5 m wide"),
        ({"obstacle_gap_m": 5.0, "width_m": (5.0, 6.0)}, "40 to 1000"),
    ],
)
def test_senseless_roads_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RoadConfig(**change)


def test_a_road_that_cannot_be_laid_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(layout, "_open", lambda *args: None)
    with pytest.raises(ForestPilotError, match="make it shorter"):
        make_road(PRESETS["obstacles"], 1)
