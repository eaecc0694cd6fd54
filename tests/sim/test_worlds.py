"""Worlds in general: their tables by name, and what they say of themselves."""

import dataclasses

import numpy as np
import pytest

from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.roads.road import PRESETS, make_road
from forestpilot.sim.worlds.world import BOX, TREE, Boxes, Trees, records


def test_columns_and_records_are_the_table():
    world = make_road(PRESETS["obstacles"], 1)
    for table, columns, row in ((world.trees, Trees.of(world.trees), TREE), (world.boxes, Boxes.of(world.boxes), BOX)):
        assert len(table) and len(columns) == table.shape[1]
        rows = records(table, row)
        for name, values in columns._asdict().items():
            np.testing.assert_array_equal(rows[name], values)


def test_an_empty_table_has_its_columns_too():
    world = make_forest(ForestConfig(density_per_m2=0.0), 0)
    assert len(Trees.of(world.trees).x_m) == len(Boxes.of(world.boxes).x_m) == len(records(world.boxes, BOX)) == 0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ForestConfig(), "forest of 1/25 trees/m2, trunks 0.24-0.7 m"),
        (
            ForestConfig(density_per_m2=1 / 15, trunk_diameter_m=(0.6, 0.6), trail=True),
            "forest of 1/15 trees/m2, trunks 0.6 m, a trail",
        ),
    ],
)
def test_a_forest_says_what_it_is(config, words):
    assert make_forest(config, 3).describe() == words


def test_a_road_says_what_it_is():
    world = make_road(dataclasses.replace(PRESETS["junctions"], length_m=600.0, surfaces=("gravel",)), 3)
    junctions = world.route.junctions
    assert junctions >= 2
    assert world.describe() == f"gravel road of 600 m, {world.width_m:.1f} m wide, {junctions} junctions"
    assert make_road(PRESETS["obstacles"], 1).describe().endswith(", obstacles")
    circuit = make_road(dataclasses.replace(PRESETS["easy"], closed_share=1.0), 1)
    assert circuit.describe().split()[1] == "circuit"
