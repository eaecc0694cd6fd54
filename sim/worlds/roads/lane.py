"""What is in the lane ahead."""

from __future__ import annotations

import math

import numpy as np

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.roads.road import POINT_SPACING_M
from forestpilot.sim.worlds.roads.route_table import wrap_index


@kernel()
def first_in_lane(rows, closed, index, points, discs, reach):  # type: ignore[no-untyped-def]
    """How many points of the line ahead are free until the first one that something is near.

    Args:
        rows: `RouteTable.rows`.
        closed: the route is a circuit.
        index: the point from which on it is looked at.
        points: so many points are looked at.
        discs: (T, M, 3) x, y and radius in metres at T moments.
        reach: what is nearer to the line than this is in the lane, in metres.

    Returns:
        (T,) float64, infinite where everything is free.
    """
    free = np.full(discs.shape[0], np.inf)
    for t in range(discs.shape[0]):
        for m in range(discs.shape[1]):
            x = discs[t, m, 0]
            y = discs[t, m, 1]
            limit = discs[t, m, 2] + reach
            k = 0
            while k < points and k < free[t]:
                row = rows[wrap_index(index + k, rows.shape[0], closed)]
                away = math.hypot(row.x_m - x, row.y_m - y)
                if away < limit:
                    free[t] = k
                    break
                # The line is nowhere faster than straight on.
                k += max(1, int((away - limit) / POINT_SPACING_M))
    return free
