"""How fast a car may go so that it stops before what blocks, or will block, the lane ahead, or follows what drives
there.

A car that brakes evenly from now on must at no time be further than a gap before whatever is in its lane then. What
that allows is the speed to drive: before something that stands, sqrt(2 a d); behind something that drives, its speed
and what may be closed up besides.
"""

from __future__ import annotations

import numpy as np

from forestpilot.sim.vehicles.car_parameters import LENGTH_M, WIDTH_M
from forestpilot.sim.worlds.hazards.traffic import Traffic
from forestpilot.sim.worlds.roads.lane import first_in_lane
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M
from forestpilot.sim.worlds.roads.route_table import RouteTable
from forestpilot.sim.worlds.roads.speeds import GRAVITY_MPS2

TIMES_S = np.arange(0.0, 6.01, 0.2)
"""Moments from now on at which the lane is looked at, in seconds."""
AHEAD_M = 80.0
"""The lane is looked at so far ahead, in metres."""
ASIDE_M = 0.4
"""What comes this near to the car's sides is in its lane, in metres."""
GAP_M = 3.5
"""Distance from the car's front at which it stops, in metres."""
BRAKING_SHARE = 0.4
"""Share of the grip that braking for a hazard uses."""


class LaneAhead:
    """What is in a lane at some moments from now on.

    Args:
        table: the route.
        traffic: the hazards, now.
        grip: friction coefficient of the road.
        share: share of the grip that braking uses.
        gap_m: distance from the car's front at which it stops, in metres.
    """

    def __init__(
        self, table: RouteTable, traffic: Traffic, grip: float, share: float = BRAKING_SHARE, gap_m: float = GAP_M
    ) -> None:
        self._table = table
        self._discs = traffic.discs(TIMES_S)
        self._gap_m = gap_m
        self._braking_mps2 = share * grip * GRAVITY_MPS2

    def speed_mps(self, index: int, before_m: float) -> float:
        """Largest speed in m/s, at a place on the route.

        Args:
            index: the route's point where the middle of the car is.
            before_m: distance further along at which the speed is to be driven.
        """
        rows = self._table.rows
        reach = 0.5 * WIDTH_M + ASIDE_M
        points = round(AHEAD_M / POINT_SPACING_M)
        free_m = first_in_lane(rows, self._table.route.closed, index, points, self._discs, reach) * POINT_SPACING_M
        room_m = free_m - 0.5 * LENGTH_M - self._gap_m - before_m
        return float(np.min(_speeds(room_m, self._braking_mps2)))


def _speeds(room_m: np.ndarray, braking_mps2: float) -> np.ndarray:
    """(T,) speeds in m/s from which a car that brakes evenly has come no further than (T,) metres at `TIMES_S`."""
    standing = np.sqrt(2 * braking_mps2 * np.maximum(room_m, 0.0))
    times = np.maximum(TIMES_S, 1e-3)
    rolling = room_m / times + 0.5 * braking_mps2 * times
    return np.where(standing <= braking_mps2 * times, standing, np.maximum(rolling, 0.0))
