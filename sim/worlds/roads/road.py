"""Winding forest roads from one seed, as plain arrays: the line to drive, junctions, obstacles and the trees beside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.worlds.appearance import default_appearance, draw_appearance
from forestpilot.sim.worlds.clearance import build_clearance_map
from forestpilot.sim.worlds.hazards.placing import place_on_road
from forestpilot.sim.worlds.obstacles import place_obstacles
from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.layout import COMMAND_NAMES, FOLLOW, LEFT, RIGHT, STRAIGHT, Layout, draw_layout
from forestpilot.sim.worlds.roads.road_config import PRESETS, ROUTES, SURFACE_GRIP, RoadConfig
from forestpilot.sim.worlds.roads.roadside import plant_trees
from forestpilot.sim.worlds.roads.route import Route, make_route
from forestpilot.sim.worlds.world import Bounds, Ribbon, World

__all__ = [
    "COMMAND_NAMES",
    "FOLLOW",
    "LEFT",
    "POINT_SPACING_M",
    "PRESETS",
    "RIGHT",
    "ROUTES",
    "STRAIGHT",
    "SURFACE_GRIP",
    "RoadConfig",
    "RoadWorld",
    "Route",
    "make_road",
]

MARGIN_M = 30.0
"""The world reaches this far beyond every road in it."""
GOAL_RADIUS_M = 4.0
CLEARANCE_CELL_M = 0.25
MARKED_SHARE = 0.6
"""Share of the asphalt roads that have markings."""


@dataclass(frozen=True, eq=False)
class RoadWorld(World):
    """A road through a forest."""

    route: Route
    """The line to drive."""
    grip: float
    """Friction coefficient of the surface."""
    width_m: float
    """Width of the road in metres."""

    def describe(self) -> str:
        """For example `asphalt road of 600 m, 4.7 m wide, 3 junctions`."""
        way = "circuit" if self.route.closed else "road"
        parts = [f"{self.surface} {way} of {self.route.length_m:.0f} m", f"{self.width_m:.1f} m wide"]
        junctions = self.route.junctions
        if junctions:
            parts.append(f"{junctions} junction{'s' * (junctions > 1)}")
        if len(self.boxes):
            parts.append("obstacles")
        if self.hazards:
            parts.append(f"{len(self.hazards)} hazard{'s' * (len(self.hazards) > 1)}")
        return ", ".join(parts)


def make_road(config: RoadConfig, seed: int) -> RoadWorld:
    """Draw the road of a seed.

    The ribbons are the road itself, which reaches a little behind the start and beyond the goal, and then one per
    junction arm that is not taken.

    Raises:
        ForestPilotError: no such road keeps clear of itself.
    """
    layout = draw_layout(config, seed)
    rng = rng_for(seed, SeedStream.ROAD_DETAILS)
    width = rng.uniform(*config.width_m)
    shoulder = rng.uniform(*config.shoulder_m)
    surface = config.surfaces[rng.integers(len(config.surfaces))]
    markings = surface == "asphalt" and bool(rng.random() < MARKED_SHARE)
    shift, boxes = place_obstacles(config, layout, width, rng)
    route = make_route(layout, config.length_m, width, shoulder, shift)
    ribbons = _ribbons(layout, width)
    trees = plant_trees(config, ribbons, shoulder, boxes, rng)
    looks = draw_appearance(rng, trees, boxes) if config.domain_randomisation else default_appearance(trees, boxes)
    bounds = _bounds(ribbons)
    return RoadWorld(
        seed=seed,
        trees=trees,
        boxes=boxes,
        bounds_m=bounds,
        start_m=np.array([route.x_m[0], route.y_m[0], 0.0]),
        start_yaw_rad=float(route.heading_rad[0]),
        goal_m=np.array([route.x_m[-1], route.y_m[-1], 0.0]),
        goal_radius_m=GOAL_RADIUS_M,
        ribbons=ribbons,
        surface=surface,
        markings=markings,
        appearance=looks,
        clearance=build_clearance_map(trees, bounds, boxes, CLEARANCE_CELL_M),
        redraws=layout.redraws,
        route=route,
        grip=SURFACE_GRIP[surface],
        width_m=width,
        hazards=place_on_road(config.hazards, config.hazard_kinds, route, width, seed),
    )


def _ribbons(layout: Layout, width_m: float) -> tuple[Ribbon, ...]:
    """The road and the arms of its junctions, all of one width."""
    road = np.stack([layout.line.x_m, layout.line.y_m], axis=1)
    ribbons = [Ribbon(road.astype(np.float32), 0.5 * width_m, layout.closed)]
    ribbons += [Ribbon(arm.astype(np.float32), 0.5 * width_m, closed=False) for arm in layout.arms]
    for ribbon in ribbons:
        ribbon.points_m.setflags(write=False)
    return tuple(ribbons)


def _bounds(ribbons: tuple[Ribbon, ...]) -> Bounds:
    """A rectangle around all ribbons."""
    points = np.concatenate([ribbon.points_m for ribbon in ribbons]).astype(float)
    x_min, y_min = (points.min(axis=0) - MARGIN_M).tolist()
    x_max, y_max = (points.max(axis=0) + MARGIN_M).tolist()
    return Bounds(x_min, x_max, y_min, y_max)
