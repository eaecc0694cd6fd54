"""Roads and obstacles in the picture: places on ribbons against a slow twin, and what one sees of them."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from forestpilot.sim.cameras import Camera, Rig, look_at, rotation_matrix
from forestpilot.sim.rendering import make_renderer
from forestpilot.sim.rendering.protocol import FAR_M, GROUND_ID
from forestpilot.sim.rendering.raycast import road as roads
from forestpilot.sim.rendering.raycast.lanes import LANES, load, store
from forestpilot.sim.rendering.raycast.road import MARKED, REACH_M, make_road
from forestpilot.sim.rendering.raycast.scene import SURFACES, make_scene
from forestpilot.sim.worlds.appearance import default_appearance, draw_appearance
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.world import BARRIER, CAR_BODY, CAR_CABIN, LOG, NO_BOXES, Ribbon

F = np.float32
BOXES = np.array(
    [
        [9, 1.2, 1.3, 2.6, 0.45, 0, 0.45, LOG],
        [15, -1.4, 0.1, 4.2, 1.75, 0.2, 0.8, CAR_BODY],
        [15, -1.4, 0.1, 2.2, 1.6, 0.8, 1.4, CAR_CABIN],
        [22, 2.0, 0.0, 0.4, 1.2, 0, 1.0, BARRIER],
    ],
    F,
)


def line(curvature, length_m=60.0, spacing=0.5):
    """Points of a line that starts at the origin along x; curvature is a function of the arc length."""
    fine = np.arange(0, length_m, spacing / 50)
    heading = np.cumsum(curvature(fine)) * spacing / 50
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * spacing / 50
    return (points[::50] - points[0]).astype(F)


@njit
def _places(road, marks, points, found, chords):
    """The places of eight points, by lanes."""
    x = load(points[0], 0)
    y = load(points[1], 0)
    first, last = roads.cells_near(road, x, y, x == x)
    place = roads.places_on_road(road, marks, first, last, x, y)
    store(found[0], 0, place.edge)
    store(found[1], 0, place.aside)
    store(found[2], 0, place.along)
    store(chords, 0, place.chord)


def places_on_road(road, points):
    """The places of eight points (8, 2)."""
    found = np.zeros((3, LANES), F)
    chords = np.zeros(LANES, np.int32)
    _places(road, np.zeros((2, LANES), np.int32), np.ascontiguousarray(np.transpose(points), F), found, chords)
    return [roads.Place(*numbers, int(chord)) for numbers, chord in zip(found.T.tolist(), chords, strict=True)]


def place_on_road(road, x, y):
    """The place of one point, in eight lanes the same."""
    place, *others = places_on_road(road, [(x, y)] * LANES)
    assert others == [place] * (LANES - 1)
    return place


def place_twin(points, half_width, x, y):
    """Distance beyond the edge, from the middle line (left positive) and along it, of a line drawn a hundred times
    finer by straight pieces."""
    share = np.linspace(0, len(points) - 1, 100 * (len(points) - 1) + 1)
    fine = np.stack([np.interp(share, np.arange(len(points)), points[:, axis]) for axis in (0, 1)], axis=1)
    away = np.hypot(*(fine - (x, y)).T)
    k = int(np.argmin(away))
    ahead = fine[min(k + 1, len(fine) - 1)] - fine[max(k - 1, 0)]
    side = ahead[0] * (y - fine[k, 1]) - ahead[1] * (x - fine[k, 0])
    return away[k] - half_width, math.copysign(away[k], side), 0.5 * share[k]


@pytest.fixture(scope="module")
def bend():
    points = line(lambda s: np.sin(s / 9) / 8)
    return points, make_road([Ribbon(points, 2.0, False)], markings=True)


@settings(max_examples=300, deadline=None)
@given(st.floats(2.0, 57.0), st.floats(-4.2, 4.2))
def test_place_on_road_agrees_with_numpy(bend, along, aside):
    points, road = bend
    k = int(along * 2)
    ahead = (points[k + 1] - points[k]) / np.linalg.norm(points[k + 1] - points[k])
    x, y = points[k] + aside * np.array([-ahead[1], ahead[0]])
    place = place_on_road(road, F(x), F(y))
    edge, from_middle, arc = place_twin(points, 2.0, float(x), float(y))
    assert place.chord >= 0
    assert place.edge == pytest.approx(edge, abs=0.03)
    # Beyond a bend's centre two places are equally near.
    if abs(aside) < 3.5:
        assert place.aside == pytest.approx(from_middle, abs=0.03)
        assert place.along == pytest.approx(arc, abs=0.25)


def test_places_of_eight_points_are_those_of_each_alone(bend):
    points, road = bend
    rng = np.random.default_rng(3)
    for spread_m in (0.05, 1.0, 30.0):  # in one cell, in neighbouring ones, anywhere
        some = (points[rng.integers(len(points))] + rng.normal(0, spread_m, (LANES, 2))).astype(F)
        alone = [place_on_road(road, x, y) for x, y in some]
        assert places_on_road(road, some) == alone


def test_edges_of_a_road_are_true_to_a_centimetre(bend):
    points, road = bend
    for k in range(4, len(points) - 4, 3):
        for aside in (-2.0, 2.0):
            ahead = (points[k + 1] - points[k - 1]) / np.linalg.norm(points[k + 1] - points[k - 1])
            x, y = points[k] + aside * np.array([-ahead[1], ahead[0]])
            assert abs(place_on_road(road, F(x), F(y)).edge) < 0.015


def test_every_place_within_reach_is_found_and_none_far_away(bend):
    points, road = bend
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(points.min(axis=0) - 8, points.max(axis=0) + 8, (600, 2)):
        edge, _, _ = place_twin(points, 2.0, x, y)
        place = place_on_road(road, F(x), F(y))
        if edge < REACH_M - 0.05:
            assert place.edge == pytest.approx(edge, abs=0.03)
        else:
            assert place.edge > REACH_M - 0.1


def test_places_outside_the_grid_and_worlds_without_roads_have_none(bend):
    assert place_on_road(bend[1], F(1e4), F(0)).chord == -1
    assert place_on_road(bend[1], F(-1e4), F(-1e4)).chord == -1
    assert place_on_road(make_road([], False), F(0), F(0)).chord == -1


def test_closed_ribbons_have_no_gap():
    angle = np.arange(0, 2 * np.pi, 0.5 / 20)
    ring = (20 * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(F)
    road = make_road([Ribbon(ring, 2.0, True)], markings=False)
    for turn in np.linspace(-0.1, 0.1, 41):
        place = place_on_road(road, F(20 * math.cos(turn)), F(20 * math.sin(turn)))
        assert place.edge == pytest.approx(-2.0, abs=0.02)


def test_ribbons_that_share_a_stretch_are_one_surface_and_lose_their_markings_where_they_part():
    straight, turning = line(lambda s: 0 * s), line(lambda s: np.where(s > 20, 1 / 12, 0.0))
    road = make_road([Ribbon(straight, 2.0, False), Ribbon(turning, 2.0, False)], markings=True)
    marked = {x: road.chords[place_on_road(road, F(x), F(0.3)).chord, MARKED] > 0 for x in (5, 12, 22, 27, 50)}
    assert marked == {5: True, 12: True, 22: False, 27: False, 50: True}
    for x, y in straight[::7].tolist() + turning[::7].tolist():
        assert place_on_road(road, F(x), F(y)).edge < -1.8
    alone = make_road([Ribbon(straight, 2.0, False)], markings=True)
    assert len(road.chords) < 2 * len(alone.chords) - 15, "the shared stretch is kept once"


def road_world(surface="asphalt", markings=False, boxes=NO_BOXES, trees=None):
    """A straight road of 5 m along x, in a world without fog."""
    world = make_forest(ForestConfig(density_per_m2=0.0), 0)
    trees = np.zeros((0, 7), F) if trees is None else trees
    ribbon = Ribbon(line(lambda s: 0 * s, 100.0) - np.array([20, 0], F), 2.5, False)
    return dataclasses.replace(
        world,
        trees=trees,
        boxes=boxes,
        ribbons=(ribbon,),
        surface=surface,
        markings=markings,
        appearance=dataclasses.replace(default_appearance(trees, boxes), fog_distance_m=1000.0, road_wear=0.0),
    )


def from_above(world, x=10.0, y=0.0, height=12.0, size=(640, 480)):
    """A picture straight down, +x up and +y left, and metres per pixel."""
    camera = Camera(*size)
    renderer = make_renderer("raycast", camera, 1)
    renderer.set_world(world)
    axes = np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1]], F)
    rgb = renderer.render(np.array([[x, y, height]], F), axes[None]).rgb[0].astype(float)
    return rgb, height / camera.focal_px


@pytest.mark.parametrize("surface", SURFACES[1:])
def test_each_surface_is_as_wide_as_its_ribbon_and_looks_different_from_the_forest_floor(surface):
    rgb, metres = from_above(road_world(surface))
    bare, _ = from_above(dataclasses.replace(road_world(surface), ribbons=()))
    aside = np.abs(np.arange(640) + 0.5 - 320) * metres
    change = np.abs(rgb - bare).mean(axis=(0, 2))
    assert change[aside > 2.5 + REACH_M].max() == 0
    assert change[aside < 1.2].mean() > 6
    assert change[aside < 2.2].mean() > 2 * change[(aside > 3.2) & (aside < 4)].mean()


def test_markings_are_bright_lines_at_the_edges_and_a_dashed_one_in_the_middle():
    plain, metres = from_above(road_world())
    lined, _ = from_above(road_world(markings=True))
    aside = (320 - np.arange(640) - 0.5) * metres
    bright = (lined - plain).mean(axis=2) > 40
    columns = bright.mean(axis=0)
    for place in (2.28, -2.28):
        assert columns[np.abs(aside - place) < 0.03].min() > 0.95
    middle = columns[np.abs(aside) < 0.03]
    assert 0.2 < middle.min() <= middle.max() < 0.7
    between = (np.abs(aside) > 0.2) & (np.abs(aside) < 2.1)
    assert columns[between].max() == 0


def test_far_markings_fade_instead_of_flickering():
    camera = Camera(64, 48)
    renderer = make_renderer("raycast", camera, 1)
    renderer.set_world(road_world(markings=True))
    pictures = []
    for ahead in np.linspace(0, 0.3, 7):
        eye, axes = look_at((ahead, 0.0, 1.2), (ahead + 10, 0.0, 0.9))
        pictures.append(renderer.render(eye[None], axes[None]).rgb[0, 24:30].astype(float))
    assert np.abs(np.diff(pictures, axis=0)).mean() < 6


def test_shadows_of_trees_and_boxes_fall_on_the_road():
    sun = np.array([0.0, 0.6, 0.8], F)
    tree = np.array([[10, 4.0, 0.3, 6, 1.5, 4, 0]], F)
    box = np.array([[10, 0, 0, 2, 1, 0, 1.5, CAR_BODY]], F)

    def sunny(trees, boxes):
        world = road_world("asphalt", boxes=boxes, trees=trees)
        return dataclasses.replace(world, appearance=dataclasses.replace(world.appearance, sun_direction=sun))

    empty = sunny(np.zeros((0, 7), F), NO_BOXES)
    for world, (x, y) in ((sunny(tree, NO_BOXES), (10, 2.0)), (sunny(empty.trees, box), (10, -1.0))):
        dark, light = (make_scene(each, smooth=False) for each in (world, empty))
        levels = [
            scene.light_map[
                int((y - scene.map_origin[1]) * scene.map_scale), int((x - scene.map_origin[0]) * scene.map_scale), 0
            ]
            for scene in (dark, light)
        ]
        assert levels[0] < 0.5 * levels[1]


def test_boxes_have_ids_after_the_trees_and_colours_of_their_kind():
    trees = np.array([[12, 5.0, 0.3, 6, 1.5, 4, 0], [12, -5.0, 0.3, 6, 1.5, 4, 1]], F)
    world = road_world(boxes=BOXES, trees=trees)
    renderer = make_renderer("raycast", Camera(320, 240), 1)
    renderer.set_world(world)
    eye, axes = look_at((0, 0, 2.0), (10, 0, 0.8))
    frames = renderer.render(eye[None], axes[None])
    seen = frames.segmentation[0]
    assert {4, 5, 6, 7} <= set(np.unique(seen).tolist())
    barrier = frames.rgb[0][seen == 7].astype(int)
    assert (barrier[:, 0] - barrier[:, 2] > 60).mean() > 0.2, "red stripes"
    assert (barrier[:, 0] - barrier[:, 2] < 30).mean() > 0.2, "white stripes"
    glass = frames.rgb[0][seen == 6].astype(int)
    assert np.median(glass) < 70
    assert np.abs(frames.depth[0][seen == 4].mean() - 9) < 1


def test_an_eye_inside_a_box_sees_the_ground():
    renderer = make_renderer("raycast", Camera(64, 48), 3)
    renderer.set_world(road_world(boxes=BOXES))
    frames = renderer.render(*Rig(Camera(64, 48)).poses((21.9, 2.0, 0.5), rotation_matrix(0, 0, 0.1)))
    assert GROUND_ID in frames.segmentation
    assert not (frames.segmentation == 3).any()


def test_trees_out_of_reach_do_not_change_the_picture():
    rng = np.random.default_rng(1)
    trees = np.zeros((400, 7), F)
    trees[:, :2] = rng.uniform(-150, 150, (400, 2))
    trees[:, 2:] = 0.2, 5.0, 1.4, 4.0, 0.0
    near = trees[np.hypot(trees[:, 0], trees[:, 1]) < FAR_M + 20]
    views = []
    for some in (trees, near):
        renderer = make_renderer("raycast", Camera(64, 48), 3)
        renderer.set_world(road_world(trees=some))
        views.append(
            [renderer.render(*Rig(Camera(64, 48)).poses((0, 0, 2), rotation_matrix(0.1, 0.1, yaw))) for yaw in range(6)]
        )
    for all_of_them, only_near in zip(*views, strict=True):
        np.testing.assert_array_equal(all_of_them.depth, only_near.depth)


def test_colours_of_boxes_are_drawn_with_the_appearance():
    trees = np.zeros((0, 7), F)
    first, again, other = (draw_appearance(np.random.default_rng(seed), trees, BOXES) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.box_colors, again.box_colors)
    assert np.abs(first.box_colors - other.box_colors).max() > 1
    np.testing.assert_array_equal(first.box_colors[1], first.box_colors[2])
    assert draw_appearance(np.random.default_rng(1), trees).box_colors.shape == (0, 3)
    assert first.road_colors.shape == (3, 3)


def test_drawn_roads_differ_from_the_forest_floor():
    trees = np.zeros((0, 7), F)
    for seed in range(60):
        look = draw_appearance(np.random.default_rng(seed), trees)
        assert np.abs(look.road_colors.mean(axis=1) - look.ground_colors.mean()).min() > 15


def test_a_large_world_keeps_its_light_map_small():
    trees = np.array([[0, 0, 0.2, 5, 1.4, 4, 0], [700, 500, 0.2, 5, 1.4, 4, 0]], F)
    scene = make_scene(road_world(trees=trees), smooth=False)
    assert scene.light_map.nbytes < 9e6
    assert scene.map_scale < 4


def test_a_parked_car_stands_on_its_wheels():
    renderer = make_renderer("raycast", Camera(320, 240), 1)
    renderer.set_world(road_world(boxes=np.array([[8, 0, math.pi / 2, 4.2, 1.75, 0.25, 0.8, CAR_BODY]], F)))
    eye, axes = look_at((0, 0, 0.5), (8, 0, 0.5))
    seen = renderer.render(eye[None], axes[None]).segmentation[0] == 0
    for height, pieces in ((0.6, 1), (0.12, 2)):
        row = int(120 - Camera(320, 240).focal_px * (height - 0.5) / 7.13)
        assert (np.diff(seen[row].astype(int)) == 1).sum() == pieces
