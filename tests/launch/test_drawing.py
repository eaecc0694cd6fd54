"""The picture of a trip: every part is where it belongs, at every size."""

from __future__ import annotations

import builtins
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from launch.drawing import BAD, EXPERT, GOOD, POLICY, DrawingError, Moment, TripPainter, import_cv2
from sim.worlds.forest import PRESETS, make_forest
from sim.worlds.world import World

TURNS = tuple(np.radians(np.arange(-60, 61, 6)).tolist())


@pytest.fixture(scope="module")
def world() -> World:
    return make_forest(PRESETS["default"], 2_000_000)


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
    painter = TripPainter(size, world, "a policy with a rather long name", TURNS)
    picture = painter.paint(moment())
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    bottom = picture[painter.chase_size[1] + 8 : size[1] - size[1] // 8, : painter.chase_size[0]]
    assert [amount(bottom, (v, v, v)) > 50 for v in (40, 120, 200)] == [True] * 3
    side = picture[:, painter.chase_size[0] :]
    assert amount(side, POLICY) > 10
    assert amount(side, GOOD) > 10


def hub_column(painter: TripPainter) -> int:
    """Where the needles start: in the lower right corner of the chase view."""
    width, height = painter.chase_size
    return round(width - 1.15 * 0.36 * height)


def test_turns_appear_on_their_side(world: World) -> None:
    painter = TripPainter((960, 540), world, "p", TURNS)
    hub = hub_column(painter)
    picture = painter.paint(moment(turn_rad=0.6, expert_turn_rad=-0.6))[
        : painter.chase_size[1], : painter.chase_size[0]
    ]
    left, right = picture[:, hub - 150 : hub - 10], picture[:, hub + 10 :]
    assert amount(left, POLICY) > 50 > amount(right, POLICY)
    assert amount(right, EXPERT) > 50 > amount(left, EXPERT)


def test_cheap_turns_have_longer_bars(world: World) -> None:
    painter = TripPainter((960, 540), world, "p", TURNS)
    hub = hub_column(painter)
    costs = np.where(np.array(TURNS) > 0, 0.0, 300.0)
    plain = painter.paint(moment(costs=np.zeros(len(TURNS)))).astype(int)
    changed = np.abs(painter.paint(moment(costs=costs)).astype(int) - plain).max(axis=2) > 8
    changed = changed[: painter.chase_size[1], hub - 150 : painter.chase_size[0]]
    assert changed[:, :140].sum() < 20 < 500 < changed[:, 160:].sum()


def test_broken_costs_do_not_break_the_picture(world: World) -> None:
    costs = np.full(len(TURNS), np.inf)
    costs[3] = 1.0
    picture = TripPainter((320, 180), world, "p", TURNS).paint(moment(costs=costs))
    assert picture.shape == (180, 320, 3)


@pytest.mark.parametrize(("outcome", "color"), [("success", GOOD), ("collision", BAD), ("out_of_bounds", BAD)])
def test_the_end_is_told(world: World, outcome: str, color: tuple[int, int, int]) -> None:
    painter = TripPainter((960, 540), world, "p", TURNS)
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


def test_the_map_turns_left_for_positive_y(world: World) -> None:
    painter = TripPainter((960, 540), world, "p", TURNS)
    left = painter.paint(moment(path_m=np.array([[0.0, 0, 0], [20.0, 8.0, 0]]), yaw_rad=math.pi / 2))
    right = painter.paint(moment(path_m=np.array([[0.0, 0, 0], [20.0, -8.0, 0]]), yaw_rad=-math.pi / 2))
    side = slice(painter.chase_size[0], None)

    def column(picture: np.ndarray) -> float:
        near = np.abs(picture[:, side].astype(int) - POLICY).max(axis=2) < 12
        return float(np.nonzero(near)[1].mean())

    assert column(left) < column(right)
