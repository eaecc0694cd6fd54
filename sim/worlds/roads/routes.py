"""Routes over three junctions: a family of tasks, of which somebody can be shown one.

At each junction three ways lead on, and look alike; which of them is the route no world tells. Where the junctions lie
is drawn for each world, within some metres of the same shares of the way.
"""

from __future__ import annotations

from forestpilot.sim.goals import ORDER_ROWS
from forestpilot.sim.worlds.orders import SEPARATOR, Orders

TURNS = ("left", "straight", "right")
"""Ways that lead on from a junction; the commands 1, 2 and 3 of `forestpilot.sim.worlds.roads.layout`."""
ROUTES = Orders(TURNS, "route", "turn", f"{ORDER_ROWS} turns, one for each junction", are_sides=True)
"""Routes, a turn for each junction. In a mirror a trained route is a trained one, and a held-out one is held out."""
SHORTEST_ROUTE_M = 200.0
"""A road with three junctions is not shorter than this."""
FORK_BEFORE_M = 22.0
"""The ways of a junction part so far before the place at which its choice counts as made."""
FORK_JITTER_M = 5.0
"""They part up to so much earlier or later."""
ROUTE_ANGLE_RAD = (0.9, 1.2)
"""How far a turn of a route leads aside: three to the same side stay clear of where they came from."""


def is_route(name: str) -> bool:
    """Whether a name is meant to tell the turn at each of some junctions, such as `left-right-straight`."""
    return SEPARATOR in name
