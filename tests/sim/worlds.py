"""Small hand-made worlds for tests."""

import dataclasses

import numpy as np

from forestpilot.sim.worlds.appearance import default_appearance
from forestpilot.sim.worlds.clearance import build_clearance_map
from forestpilot.sim.worlds.forest import ForestConfig, make_forest
from forestpilot.sim.worlds.roads.road import RoadWorld, Route
from forestpilot.sim.worlds.world import NO_BOXES, Bounds, World

BARE = make_forest(ForestConfig(density_per_m2=0.0), 0)


def forest_of(trees: np.ndarray) -> World:
    """A forest of exactly these trees (n, 7)."""
    return dataclasses.replace(BARE, trees=np.asarray(trees, np.float32).reshape(-1, 7))


def straight_route(length_m: float = 200.0, width_m: float = 5.0) -> Route:
    """A route along +x."""
    x = np.arange(0.0, length_m, 0.5)
    flat, half = np.zeros_like(x), np.full_like(x, width_m / 2)
    return Route(x, flat, flat, flat, half, half, np.full_like(x, 60.0), flat.astype(np.int8), False)


def circle_route(radius_m: float, width_m: float = 5.0) -> Route:
    """A circuit to the left around (0, radius)."""
    count = round(2 * np.pi * radius_m / 0.5)
    angle = 2 * np.pi * np.arange(count) / count
    flat, half = np.zeros(count), np.full(count, width_m / 2)
    bend = np.full(count, 1 / radius_m)
    x, y = radius_m * np.sin(angle), radius_m * (1 - np.cos(angle))
    return Route(x, y, angle, bend, half, half, np.full(count, 60.0), flat.astype(np.int8), True)


def road_of(route: Route, boxes: np.ndarray = NO_BOXES, grip: float = 0.95) -> RoadWorld:
    """A road along this route with these boxes (b, 8) and no trees."""
    low_x, high_x, low_y, high_y = route.x_m.min(), route.x_m.max(), route.y_m.min(), route.y_m.max()
    bounds = Bounds(low_x - 30, high_x + 30, low_y - 30, high_y + 30)
    trees, boxes = BARE.trees[:0], np.asarray(boxes, np.float32).reshape(-1, 8)
    fields = {f.name: getattr(BARE, f.name) for f in dataclasses.fields(World)}
    fields |= {
        "trees": trees, "boxes": boxes, "bounds_m": bounds, "start_m": np.zeros(3),
        "appearance": default_appearance(trees, boxes),
        "clearance": build_clearance_map(trees, bounds, boxes, 0.25),
    }  # fmt: skip
    return RoadWorld(**fields, route=route, grip=grip, width_m=float(route.left_m[0] + route.right_m[0]))
