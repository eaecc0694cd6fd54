"""The picture of an episode: every part is where it belongs, at every size."""

from __future__ import annotations

import builtins
import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forestpilot.launch.pictures.colors import BAD, EXPERT, GOOD, INK, POLICY
from forestpilot.launch.pictures.drawing import EpisodePainter, Moment, PaintedEpisode, _in_degrees
from forestpilot.launch.pictures.opencv import DrawingError, import_cv2
from forestpilot.launch.pictures.world_map import BOXES, MOVING, MarkedPath, Moving, WorldMap, _near
from forestpilot.sim.experts.planner import COLLISION_COST
from forestpilot.sim.extras import MissingExtraError
from forestpilot.sim.worlds.forest import PRESETS, ForestConfig, make_forest
from forestpilot.sim.worlds.hazards.traffic import Traffic
from forestpilot.sim.worlds.roads.road import PRESETS as ROADS
from forestpilot.sim.worlds.roads.road import RoadWorld, make_road
from forestpilot.sim.worlds.world import BARRIER, CAR_BODY, LOG, World

TURNS = tuple(np.radians(np.arange(-60, 61, 6)).tolist())


@pytest.fixture(scope="module")
def world() -> World:
    return make_forest(PRESETS["default"], 2_000_000)


def painter_of(
    size: tuple[int, int], world: World, title: str, turns: tuple[float, ...], driver: str = "p", notes: int = 0
) -> EpisodePainter:
    episode = PaintedEpisode(
        world=world, title=title, driver=driver, candidate_turns_rad=turns, horizontal_fov_deg=80.0, notes=notes
    )
    return EpisodePainter(size, episode)


def moment(**changes: Any) -> Moment:
    grey = Moment(
        chase=np.full((100, 200, 3), 90, np.uint8),
        views=np.stack([np.full((48, 64, 3), value, np.uint8) for value in (40, 120, 200)]),
        path_m=np.array([[0.0, 0.0, 1.8], [5.0, 1.0, 1.8], [10.0, 0.0, 1.8]]),
        yaw_rad=0.1,
        speed_mps=4.9,
        time_s=3.2,
    )
    return replace(grey, **changes)


def amount(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    """Number of pixels of about this colour."""
    return int((np.abs(picture.astype(int) - color).max(axis=2) < 12).sum())


@pytest.mark.parametrize("size", [(320, 180), (960, 540), (1280, 720), (640, 480)])
def test_any_size_shows_views_map_and_path(world: World, size: tuple[int, int]) -> None:
    painter = painter_of(size, world, "a policy with a rather long name", TURNS)
    picture = painter.paint(moment())
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    bottom = picture[painter.chase_size[1] + 8 : size[1] - size[1] // 8, : painter.chase_size[0]]
    assert [amount(bottom, (v, v, v)) > 50 for v in (40, 120, 200)] == [True] * 3
    side = picture[:, painter.chase_size[0] :]
    assert amount(side, POLICY) > 10
    assert amount(side, GOOD) > 10


def hub_column(painter: EpisodePainter) -> int:
    """Where the needles start: in the lower right corner of the chase view."""
    width, height = painter.chase_size
    return round(width - 1.15 * 0.36 * height)


def test_turns_appear_on_their_side(world: World) -> None:
    painter = painter_of((960, 540), world, "p", TURNS)
    hub = hub_column(painter)
    picture = painter.paint(moment(turn_rad=0.6, expert_turn_rad=-0.6))[
        : painter.chase_size[1], : painter.chase_size[0]
    ]
    left, right = picture[:, hub - 150 : hub - 10], picture[:, hub + 10 :]
    assert amount(left, POLICY) > 50 > amount(right, POLICY)
    assert amount(right, EXPERT) > 50 > amount(left, EXPERT)


def test_the_needle_is_labelled_with_who_drove(world: World) -> None:
    shown = moment(turn_rad=0.2)
    pictures = [painter_of((960, 540), world, "a film", TURNS, driver).paint(shown) for driver in ("policy", "blind")]
    changed = np.abs(pictures[0].astype(int) - pictures[1]).max(axis=2) > 8
    width, height = painter_of((960, 540), world, "a film", TURNS).chase_size
    assert changed[height - 40 : height, : width // 3].sum() > 50, "the legend"
    assert changed.sum() == changed[height - 40 : height, : width // 3].sum(), "and nothing else"


def test_cheap_turns_have_longer_bars(world: World) -> None:
    painter = painter_of((960, 540), world, "p", TURNS)
    hub = hub_column(painter)
    costs = np.where(np.array(TURNS) > 0, 0.0, 300.0)
    plain = painter.paint(moment(costs=np.zeros(len(TURNS)))).astype(int)
    changed = np.abs(painter.paint(moment(costs=costs)).astype(int) - plain).max(axis=2) > 8
    changed = changed[: painter.chase_size[1], hub - 150 : painter.chase_size[0]]
    assert changed[:, :140].sum() < 20 < 500 < changed[:, 160:].sum()


def test_turns_that_collide_are_red_also_where_all_do(world: World) -> None:
    painter = painter_of((960, 540), world, "p", TURNS)
    hub = hub_column(painter)
    legend = np.s_[painter.chase_size[1] - 90 : painter.chase_size[1], :300]

    def fan(costs: np.ndarray) -> tuple[int, int]:
        """Greenish and reddish pixels, and letters in red."""
        picture = painter.paint(moment(costs=costs))
        shown = picture[: painter.chase_size[1], hub - 150 : painter.chase_size[0]].astype(int)
        lead = shown[..., 1] - shown[..., 0]
        assert (amount(picture[legend], BAD) > 50) == (costs.min() >= COLLISION_COST)
        return int((lead > 60).sum()), int((lead < -60).sum())

    hits = COLLISION_COST + np.linspace(0.0, 300.0, len(TURNS))
    green, red = fan(hits)
    assert green == 0 and red > 1000
    green, red = fan(hits - COLLISION_COST)
    assert green > 100 and red > 100


def test_a_turn_of_nothing_has_no_sign() -> None:
    told = [_in_degrees(math.radians(degrees)) for degrees in (-0.4, 0.4, 0.6, -12.2)]
    assert told == ["0 deg", "0 deg", "+1 deg", "-12 deg"]


def test_broken_costs_do_not_break_the_picture(world: World) -> None:
    costs = np.full(len(TURNS), np.inf)
    costs[3] = 1.0
    picture = painter_of((320, 180), world, "p", TURNS).paint(moment(costs=costs))
    assert picture.shape == (180, 320, 3)


@pytest.mark.parametrize(("outcome", "color"), [("success", GOOD), ("collision", BAD), ("out_of_bounds", BAD)])
def test_the_end_is_told(world: World, outcome: str, color: tuple[int, int, int]) -> None:
    painter = painter_of((960, 540), world, "p", TURNS)
    banner = painter.paint(moment(outcome=outcome))[: painter.chase_size[1] // 3, : painter.chase_size[0]]
    assert amount(banner, color) > 500


def test_a_missing_libgl_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(DrawingError, match="apt install libgl1"):
        import_cv2()


def test_a_missing_opencv_is_answered_by_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"forestpilot\[video\]"):
        import_cv2()


def test_the_map_turns_left_for_positive_y(world: World) -> None:
    painter = painter_of((960, 540), world, "p", TURNS)
    left = painter.paint(moment(path_m=np.array([[0.0, 0, 0], [20.0, 8.0, 0]]), yaw_rad=math.pi / 2))
    right = painter.paint(moment(path_m=np.array([[0.0, 0, 0], [20.0, -8.0, 0]]), yaw_rad=-math.pi / 2))
    side = slice(painter.chase_size[0], None)

    def column(picture: np.ndarray) -> float:
        near = np.abs(picture[:, side].astype(int) - POLICY).max(axis=2) < 12
        return float(np.nonzero(near)[1].mean())

    assert column(left) < column(right)


@pytest.fixture(scope="module")
def road() -> RoadWorld:
    return make_road(ROADS["obstacles"], 2_000_003)


def line(road: RoadWorld, upto: int) -> np.ndarray:
    return np.stack([road.route.x_m, road.route.y_m], axis=1)[:upto]


def test_a_large_world_is_shown_around_the_car_with_the_whole_in_a_corner(road: RoadWorld) -> None:
    drawn = WorldMap(import_cv2(), road, (200, 340), 12.0)
    start, later = (drawn.paint(line(road, upto), float(road.route.heading_rad[upto]), 0.7) for upto in (20, 400))
    assert start.shape == later.shape == (340, 200, 3)
    assert np.abs(start.astype(int) - later).mean() > 5, "the part follows the car"
    for picture in (start, later):
        rows, columns = np.nonzero(np.abs(picture.astype(int) - INK).max(axis=2) < 12)
        in_sight = (rows < 250) & (np.abs(rows - 170) < 80) & (np.abs(columns - 100) < 80)
        assert in_sight.sum() > 20, "the car stands near the middle"
        corner = picture[-84:, :84]
        assert amount(corner, INK) > 3 and amount(corner, GOOD) > 2


def test_a_way_looks_the_same_without_what_is_far_from_the_map() -> None:
    turns = np.linspace(0, 12, 400)
    way = np.stack([60 + 12 * turns * np.cos(turns), 80 + 60 * turns * np.sin(turns)], axis=1).astype(np.int32)
    whole = np.zeros((160, 120, 3), np.uint8)
    near = whole.copy()
    stretches = _near(way, whole)
    assert len(stretches) > 2 and sum(map(len, stretches)) < 0.7 * len(way)
    cv2 = import_cv2()
    cv2.polylines(whole, [way], False, POLICY, 2, cv2.LINE_AA)
    cv2.polylines(near, stretches, False, POLICY, 2, cv2.LINE_AA)
    np.testing.assert_array_equal(near, whole)


def test_the_map_shows_obstacles_where_they_stand(road: RoadWorld) -> None:
    drawn = WorldMap(import_cv2(), road, (200, 340), 12.0)
    box = next(b for b in road.boxes if int(b[7]) in (LOG, CAR_BODY, BARRIER))
    nearest = int(np.hypot(road.route.x_m - box[0], road.route.y_m - box[1]).argmin())
    picture = drawn.paint(line(road, max(2, nearest - 20)), float(road.route.heading_rad[nearest - 20]), 0.7)
    kinds = {int(b[7]) for b in road.boxes}
    assert sum(amount(picture, BOXES[kind]) for kind in kinds) > 3


def test_the_map_shows_what_moves_and_where_it_went() -> None:
    forest = make_forest(ForestConfig(movers=3), 2_000_000)
    drawn = WorldMap(import_cv2(), forest, (300, 600), 12.0)
    traffic = Traffic(forest.hazards)
    traffic.wake(0.0)
    ways = [traffic.places_m()]
    path = np.array([[0.0, 0.0], [0.5, 0.0]])
    alone = amount(drawn.paint(path, 0.0, 0.7), MOVING)
    now = amount(drawn.paint(path, 0.0, 0.7, moving=Moving(traffic.boxes(), ways)), MOVING)
    for _ in range(10):
        traffic.advance(0.1, 0.0)
        ways.append(traffic.places_m())
    moving = Moving(traffic.boxes(), ways)
    later = amount(drawn.paint(path, 0.0, 0.7, moving=moving), MOVING)
    assert alone == 0 and 3 <= now < later
    assert amount(drawn.paint_episodes([MarkedPath(path, POLICY, moving=moving)]), MOVING) >= later


def test_interventions_are_marked(road: RoadWorld) -> None:
    painter = painter_of((960, 540), road, "p", TURNS, notes=3)
    path = line(road, 100)
    notes = ("0.10 m left of the line", "follow the road", "put back 1 time")
    plain = painter.paint(moment(path_m=path, notes=notes))
    marked = painter.paint(moment(path_m=path, notes=notes, marks_m=path[60:61]))
    assert amount(marked, BAD) > amount(plain, BAD) + 20


def test_more_lines_of_text_leave_room_for_the_map(road: RoadWorld) -> None:
    for size in ((320, 180), (960, 540)):
        painter = painter_of(size, road, "p", TURNS, notes=3)
        bare, told = painter.paint(moment()), painter.paint(moment(notes=("one", "two", "three")))
        side = slice(painter.chase_size[0], None)
        assert amount(told[: size[1] // 2, side], INK) > amount(bare[: size[1] // 2, side], INK)


def test_a_steering_fan_opens_as_wide_as_one_of_headings(world: World) -> None:
    half = tuple(0.5 * turn for turn in TURNS)
    wide = painter_of((960, 540), world, "p", TURNS).paint(moment(turn_rad=0.6, costs=np.zeros(len(TURNS))))
    same = painter_of((960, 540), world, "p", half).paint(moment(turn_rad=0.3, costs=np.zeros(len(TURNS))))
    legend = np.s_[: wide.shape[0] * 5 // 9, 200:700]
    np.testing.assert_array_equal(wide[legend], same[legend])
