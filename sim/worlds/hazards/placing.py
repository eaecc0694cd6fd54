"""Where along a road hazards are, and which."""

from __future__ import annotations

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
    known = kinds_on(ROAD)
    rng = rng_for(seed, SeedStream.HAZARDS)
    slot_m = (route.length_m - FIRST_M - LAST_M) / count
    hazards = []
    for number in range(count):
        name = str(rng.choice(kinds or known))
        at_m = FIRST_M + (number + rng.uniform(0.1, 0.9)) * slot_m
        point = round(at_m / POINT_SPACING_M)
        if route.command[point] != FOLLOW or abs(route.left_m[point] - route.right_m[point]) > 2 * STRAIGHT_M:
            continue
        site = RoadSite(route, point, width_m, POINT_SPACING_M * point)
        hazards.append(HAZARDS.get(name).draw(site, rng))
    return tuple(hazards)
