"""Forests: repeatable, passable, and of the density, spacing and sizes they claim."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.worlds import forest
from forestpilot.sim.worlds.clearance import CELL_M, REACH_M, build_clearance_map, has_free_path, sample_clearance
from forestpilot.sim.worlds.forest import PRESETS, ForestConfig, make_forest

LOQUERCIO = PRESETS["loquercio"]


def test_same_seed_same_forest():
    first, second = make_forest(LOQUERCIO, 7), make_forest(LOQUERCIO, 7)
    assert np.array_equal(first.trees, second.trees)
    assert first.redraws == second.redraws


def test_other_seed_other_forest():
    assert not np.array_equal(make_forest(LOQUERCIO, 7).trees, make_forest(LOQUERCIO, 8).trees)


def test_trees_keep_the_hard_core_and_the_start_clear():
    for seed in range(20):
        world = make_forest(dataclasses.replace(LOQUERCIO, density_per_m2=1 / 10), seed)
        xy = world.trees[:, :2].astype(float)
        distance = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + 99 * np.eye(len(xy))
        assert distance.min() >= LOQUERCIO.hard_core_m - 1e-5
        assert np.hypot(*xy.T).min() >= LOQUERCIO.start_clear_m - 1e-5


@pytest.mark.parametrize("density", [1 / 49, 1 / 25, 1 / 10])
def test_density_is_the_one_asked_for(density):
    config = dataclasses.replace(LOQUERCIO, density_per_m2=density)
    counts = [len(make_forest(config, seed).trees) for seed in range(60)]
    expected = density * config.length_m * config.width_m
    standard_error = np.sqrt(expected / len(counts))
    assert abs(np.mean(counts) - expected) < 4 * standard_error


def test_loquercio_preset_is_the_published_one():
    world = make_forest(LOQUERCIO, 3)
    x_min, x_max, y_min, y_max = world.bounds_m
    assert (x_max - x_min, y_max - y_min) == (60.0, 30.0)
    assert np.allclose(2 * world.trees[:, 2], 0.6)
    assert np.hypot(*(world.goal_m - world.start_m)[:2]) == 40.0 and world.goal_radius_m == 5.0


def test_default_trunks_span_the_stated_sizes():
    diameters = np.concatenate([2 * make_forest(ForestConfig(), seed).trees[:, 2] for seed in range(20)])
    assert 0.24 <= diameters.min() < 0.30 and 0.64 < diameters.max() <= 0.7001


def test_crowns_hang_above_the_flight_ceiling():
    trees = make_forest(ForestConfig(), 1).trees
    cones = trees[:, 6] < 0.5
    base = np.where(cones, trees[:, 3] - 0.5, trees[:, 3] + 0.7 * trees[:, 4] - trees[:, 4])
    assert base.min() > 3.0


def test_a_forest_without_a_way_through_is_drawn_again_from_the_same_seed(monkeypatch):
    verdicts = iter([False, False, True] * 2)
    monkeypatch.setattr(forest, "has_free_path", lambda *args: next(verdicts))
    first, second = make_forest(LOQUERCIO, 11), make_forest(LOQUERCIO, 11)
    assert first.redraws == second.redraws == 2
    assert np.array_equal(first.trees, second.trees)


def test_an_impassable_density_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(forest, "has_free_path", lambda *args: False)
    with pytest.raises(ForestPilotError, match="lower the density"):
        make_forest(LOQUERCIO, 1)


def wall(gap: float) -> np.ndarray:
    """Overlapping trunks of 0.6 m across the whole forest at x = 20, but for a gap around y = 0; metres."""
    half = np.arange(gap / 2 + 0.3, 16.0, 0.5)
    trees = np.zeros((2 * len(half), 7), np.float32)
    trees[:, 0], trees[:, 1], trees[:, 2] = 20.0, np.concatenate([half, -half]), 0.3
    return trees


@pytest.mark.parametrize(("gap", "passable"), [(0.0, False), (0.5, False), (1.2, True)])
def test_free_path_is_found_through_gaps_wide_enough_only(gap, passable):
    world = make_forest(dataclasses.replace(LOQUERCIO, density_per_m2=0.0), 0)
    clearance = build_clearance_map(wall(gap), world.bounds_m)
    assert has_free_path(clearance, world.start_m, world.goal_m, 5.0, 0.35) is passable


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-4, 54), y=st.floats(-14, 14), seed=st.integers(0, 50))
def test_clearance_map_agrees_with_the_trees(x, y, seed):
    world = make_forest(LOQUERCIO, seed)
    grid = world.clearance
    looked_up = sample_clearance(grid.distance_m, (x - grid.x_min) / CELL_M, (y - grid.y_min) / CELL_M)
    exact = (np.hypot(world.trees[:, 0] - x, world.trees[:, 1] - y) - world.trees[:, 2]).min(initial=REACH_M)
    assert abs(looked_up - min(exact, REACH_M)) < 0.08 if exact > -0.2 else looked_up < 0.0


def test_trail_is_free_of_trees_and_leads_to_the_goal():
    config = dataclasses.replace(LOQUERCIO, trail=True, density_per_m2=1 / 10)
    world = make_forest(config, 5)
    trail_x, along_y = world.ribbons[0].points_m.T
    trail_y = np.interp(world.trees[:, 0], trail_x, along_y)
    assert np.abs(world.trees[:, 1] - trail_y).min() > config.trail_half_width_m
    assert abs(np.interp(0.0, trail_x, along_y)) < 1e-3
    assert abs(np.interp(40.0, trail_x, along_y)) < 1e-3


@pytest.mark.parametrize("change", [{"density_per_m2": -1.0}, {"trunk_diameter_m": (0.7, 0.2)}, {"flight_m": 80.0}])
def test_senseless_forests_are_refused(change):
    with pytest.raises(ValueError):
        dataclasses.replace(LOQUERCIO, **change)
