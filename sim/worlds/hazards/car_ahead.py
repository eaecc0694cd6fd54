"""A car ahead: it stands in the lane, drives off when somebody comes, stops now and then, and is gone at last."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.hazards.hazard import BASE, ROAD, TOP, Hazard, RoadSite, value_at
from forestpilot.sim.worlds.roads.centre_line import POINT_SPACING_M
from forestpilot.sim.worlds.roads.route import Route
from forestpilot.sim.worlds.tables import CAR_BODY, CAR_CABIN, Boxes

WAKE_M = (30.0, 45.0)
"""A vehicle is this near when it drives off."""
CRUISE_MPS = (4.0, 7.0)
LEAVES_MPS = 15.0
"""Its speed between its stops, and after the last one."""
SIDEWAYS_MPS2 = 2.0
"""It takes bends no faster than this acceleration allows."""
GAS_MPS2 = 2.2
BRAKE_MPS2 = 3.0
NEXT_STOP_M = (25.0, 50.0)
"""Way from one stop to the next."""
MOST_STOPS = 3
STOP_S = (1.0, 3.5)
LEAVES_ROOM_M = 50.0
"""So far before whatever comes next along the road it has made its last stop."""
BEYOND_M = 40.0
"""It is gone this far beyond the end of the route."""
GONE_M = -50.0
"""Height of what is gone."""
PAINTS = ((170, 30, 34), (38, 70, 150), (226, 226, 220), (34, 36, 40), (196, 160, 40), (40, 112, 74))

BODY = (
    Boxes(0.0, 0.0, 0.0, 4.2, 1.75, 0.22, 0.85, CAR_BODY),
    Boxes(-0.1, 0.0, 0.0, 2.2, 1.59, 0.85, 1.45, CAR_CABIN),
)


@dataclass(frozen=True, eq=False)
class CarAhead(Hazard):
    """A car on the line to drive, which knows its way from the first moment."""

    ground: ClassVar[str] = ROAD
    least_room_m: ClassVar[float] = NEXT_STOP_M[1] + LEAVES_ROOM_M

    route: Route
    """The line that it drives along."""
    times_s: np.ndarray
    """(n,) times since it woke, ascending, in seconds."""
    ways_m: np.ndarray
    """(n,) way along the route by then, in metres; a circuit is gone around again."""
    held_up_s: float
    """Time until it has made its last stop."""

    @classmethod
    def draw(cls, site: RoadSite, rng: np.random.Generator) -> CarAhead:
        """A car at a place of a road."""
        wake_m = float(rng.uniform(*WAKE_M))
        cruise_mps = float(rng.uniform(*CRUISE_MPS))
        stop_m = site.place_m + np.cumsum(rng.uniform(*NEXT_STOP_M, MOST_STOPS))
        stop_s = rng.uniform(*STOP_S, MOST_STOPS)
        paint = PAINTS[rng.integers(len(PAINTS))]
        stops_here = (stop_m < site.place_m + site.room_m - LEAVES_ROOM_M) & (stop_m < site.route.length_m - 5.0)
        times_s, ways_m, held_up_s = _drive(site, cruise_mps, stop_m[stops_here], stop_s[stops_here])
        return cls(
            place_m=site.place_m,
            wake_m=wake_m,
            solids=np.array(BODY, np.float64),
            colors=np.array([paint, paint], np.float32),
            route=site.route,
            times_s=times_s,
            ways_m=ways_m,
            held_up_s=held_up_s,
        )

    @property
    def rests_s(self) -> float:
        """At the end of its way."""
        return float(self.times_s[-1])

    @property
    def longest_s(self) -> float:
        """Until it has made its last stop."""
        return self.held_up_s

    def poses(self, times_s: np.ndarray) -> np.ndarray:
        """(T, 3) along the line, and straight on beyond its end."""
        route = self.route
        line = (route.x_m, route.y_m, route.heading_rad, route.closed)
        poses = np.empty((len(times_s), 3))
        poses_on_line(times_s, self.times_s, self.ways_m, line, poses)
        return poses

    def boxes(self, times_s: np.ndarray) -> np.ndarray:
        """(T, k, 8) body and cabin; below the ground where it is gone."""
        rows = super().boxes(times_s)
        if times_s[-1] >= self.times_s[-1]:
            is_gone = times_s >= self.times_s[-1]
            rows[is_gone, :, BASE] += GONE_M
            rows[is_gone, :, TOP] += GONE_M
        return rows


@kernel()
def poses_on_line(times, knots_s, ways_m, line, poses):  # type: ignore[no-untyped-def]
    """Write x, y and yaw (T, 3) at times (T,) on a line, along which knots (n,) tell the way by then.

    The line is x, y and heading of its points (p,), and whether it is closed; beyond its end it goes straight on.
    """
    x_m, y_m, heading_rad, closed = line
    count = len(x_m)
    for t in range(len(times)):
        at = value_at(times[t], knots_s, ways_m) / POINT_SPACING_M
        index = int(at)
        if not closed:
            index = min(index, count - 1)
        share = at - index
        following = index + 1
        if closed:
            following %= count
            index %= count
        following = min(following, count - 1)
        turn = (heading_rad[following] - heading_rad[index] + math.pi) % (2 * math.pi) - math.pi
        turn *= min(share, 1.0)
        halfway = heading_rad[index] + 0.5 * turn
        poses[t, 0] = x_m[index] + POINT_SPACING_M * share * math.cos(halfway)
        poses[t, 1] = y_m[index] + POINT_SPACING_M * share * math.sin(halfway)
        poses[t, 2] = heading_rad[index] + turn


def _drive(
    site: RoadSite, cruise_mps: float, stop_m: np.ndarray, stop_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """When it is where, from rest at its place on.

    Args:
        site: where it begins.
        cruise_mps: its speed until the last stop.
        stop_m: (s,) ways along the route at which it stops, ascending, in metres.
        stop_s: (s,) for how long.

    Returns:
        (n,) times in seconds, (n,) ways in metres by then, and the time at which it leaves its last stop.
    """
    count = round((site.route.length_m + BEYOND_M - site.place_m) / POINT_SPACING_M) + 1
    ways_m = site.place_m + POINT_SPACING_M * np.arange(count)
    stops = np.round((stop_m - site.place_m) / POINT_SPACING_M).astype(int)
    points = site.point + np.arange(count)
    bends = np.abs(site.route.curvature_per_m[_held(points, site.route)])
    speed = np.minimum(np.sqrt(SIDEWAYS_MPS2 / np.maximum(bends, 1e-6)), LEAVES_MPS)
    speed[: stops[-1] + 1] = np.minimum(speed[: stops[-1] + 1], cruise_mps)
    speed[[0, *stops]] = 0.0
    for i in range(count - 2, -1, -1):
        speed[i] = min(speed[i], math.sqrt(speed[i + 1] ** 2 + 2 * BRAKE_MPS2 * POINT_SPACING_M))
    for i in range(1, count):
        speed[i] = min(speed[i], math.sqrt(speed[i - 1] ** 2 + 2 * GAS_MPS2 * POINT_SPACING_M))
    arrives_s = np.append(0.0, np.cumsum(2 * POINT_SPACING_M / (speed[1:] + speed[:-1])))
    waits_s = np.zeros(count)
    waits_s[stops] = stop_s
    leaves_s = arrives_s + np.cumsum(waits_s)
    arrives_s = leaves_s - waits_s
    # Where it stops it is twice: when it comes and when it goes.
    times_s = np.sort(np.concatenate([leaves_s, arrives_s[stops]]))
    return times_s, np.sort(np.concatenate([ways_m, ways_m[stops]])), float(leaves_s[stops[-1]])


def _held(points: np.ndarray, route: Route) -> np.ndarray:
    """Indices of the route's points: around a circuit, or held at the end."""
    count = len(route.x_m)
    return points % count if route.closed else np.minimum(points, count - 1)
