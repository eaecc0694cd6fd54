"""Where along a road hazards are, and which."""

from __future__ import annotations

import numpy as np

from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.worlds.hazards import HAZARDS
from forestpilot.sim.worlds.hazards.hazard import ROAD, Hazard, RoadSite
from forestpilot.sim.worlds.hazards.room import FIRST_M, LAST_M, kinds_on
from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.layout import FOLLOW
from forestpilot.sim.worlds.roads.route import Route

STRAIGHT_M = 0.2
"""Where the line to drive leads around an obstacle, further than this from the road's middle, no hazard is."""


def place_on_road(count: int, kinds: tuple[str, ...], route: Route, width_m: float, seed: int) -> tuple[Hazard, ...]:
    """Draw the hazards of a road.

    Args:
        count: how many; where the road leads around obstacles or through junctions, there may be fewer.
        kinds: names of kinds to draw from; empty for all that may be on a road.
        route: the line to drive.
        width_m: width of the road.
        seed: the world's.
    """
    if not count:
        return ()
    rng = rng_for(seed, SeedStream.HAZARDS)
    hazards = []
    for site in _sites(count, route, width_m, rng):
        fitting = [name for name in kinds or kinds_on(ROAD) if HAZARDS.get(name).least_room_m <= site.room_m]
        if fitting:
            hazards.append(HAZARDS.get(fitting[rng.integers(len(fitting))]).draw(site, rng))
    return tuple(hazards)


def _sites(count: int, route: Route, width_m: float, rng: np.random.Generator) -> list[RoadSite]:
    """So many places along a road, in order, without those at junctions and obstacles."""
    stretch_m = (route.length_m - FIRST_M - LAST_M) / count
    at_m = FIRST_M + (np.arange(count) + rng.uniform(0.1, 0.9, count)) * stretch_m
    points = np.round(at_m / POINT_SPACING_M).astype(int)
    on_the_middle = np.abs(route.left_m[points] - route.right_m[points]) <= 2 * STRAIGHT_M
    points = points[(route.command[points] == FOLLOW) & on_the_middle]
    places_m = POINT_SPACING_M * points
    room_m = np.diff(np.append(places_m, route.length_m))
    return [
        RoadSite(route, point, width_m, place, room)
        for point, place, room in zip(points.tolist(), places_m.tolist(), room_m.tolist())
    ]
