"""Boxes of a world as renderers draw them: with the sine of their yaw and half their size, and wheels under cars."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.hazards.traffic import Traffic
from forestpilot.sim.worlds.tables import CAR_BODY, Boxes
from forestpilot.sim.worlds.world import World

WHEEL_RADIUS_M = 0.31
WHEEL_HALF_WIDTH_M = 0.1
"""Size of a parked car's wheels."""
WHEELS = 4
"""A car has so many."""
WHEEL_PLACE = 0.62
"""Distance of its axles from its middle, as a share of half its length."""

SOLID = np.dtype(
    [
        ("x_m", np.float32),
        ("y_m", np.float32),
        ("cosine", np.float32),
        ("sine", np.float32),
        ("half_length_m", np.float32),
        ("half_width_m", np.float32),
        ("base_m", np.float32),
        ("top_m", np.float32),
        ("kind", np.int32),
        ("box", np.int32),
    ],
    align=True,
)
"""An upright box, or a cylinder that lies along its width and fits into it: its middle, the direction of its length,
half its length and width, the heights of its underside and top, its kind, and the box of the world that it is part
of."""


def all_boxes(world: World) -> NDArray[np.float32]:
    """(b, 8) boxes of a world: those that stand, and those of its hazards, asleep."""
    if not world.hazards:
        return world.boxes
    return np.concatenate([world.boxes, Traffic(world.hazards).boxes()])


def solids_of(boxes: NDArray[np.float32]) -> np.ndarray:
    """(b,) records of the dtype `SOLID` for the boxes (b, 8) of a world."""
    columns = Boxes.of(np.asarray(boxes, np.float32).reshape(-1, len(Boxes._fields)))
    solids = np.empty(len(columns.x_m), SOLID)
    solids["x_m"] = columns.x_m
    solids["y_m"] = columns.y_m
    solids["cosine"] = np.cos(columns.yaw_rad)
    solids["sine"] = np.sin(columns.yaw_rad)
    solids["half_length_m"] = columns.length_m / 2
    solids["half_width_m"] = columns.width_m / 2
    solids["base_m"] = columns.base_m
    solids["top_m"] = columns.top_m
    solids["kind"] = columns.kind
    solids["box"] = np.arange(len(solids))
    return solids


def wheels_of(solids: np.ndarray) -> np.ndarray:
    """(w,) records of the dtype `SOLID`: the wheels of the parked cars among these, lying cylinders on the ground."""
    wheels = []
    for car in solids[solids["kind"] == CAR_BODY]:
        axle = WHEEL_PLACE * car["half_length_m"]
        side = car["half_width_m"] - WHEEL_HALF_WIDTH_M
        for along in (axle, -axle):
            for aside in (side, -side):
                wheel = car.copy()
                wheel["x_m"] = car["x_m"] + along * car["cosine"] - aside * car["sine"]
                wheel["y_m"] = car["y_m"] + along * car["sine"] + aside * car["cosine"]
                wheel["cosine"] = -car["sine"]
                wheel["sine"] = car["cosine"]
                wheel["half_length_m"] = WHEEL_HALF_WIDTH_M
                wheel["half_width_m"] = WHEEL_RADIUS_M
                wheel["base_m"] = min(0.0, car["base_m"])  # below the ground where the car is gone
                wheel["top_m"] = wheel["base_m"] + 2 * WHEEL_RADIUS_M
                wheels.append(wheel)
    return np.array(wheels, SOLID)


@kernel()
def move_solids(boxes, table, wheels):  # type: ignore[no-untyped-def]
    """Write where boxes are into a table of solids, and where the wheels of the cars among them are.

    Args:
        boxes: (m, 8) float32, the columns of `Boxes`.
        table: (m, 9) float32 as `table_of` makes it, changed.
        wheels: (4 * cars, 9) float32, `table_of(wheels_of(...), "box")`, changed; the last column stays.
    """
    wheel = 0
    for b in range(boxes.shape[0]):
        x, y, yaw, length, width, base, top, kind = boxes[b]
        cosine = np.float32(math.cos(yaw))
        sine = np.float32(math.sin(yaw))
        table[b, 0] = x
        table[b, 1] = y
        table[b, 2] = cosine
        table[b, 3] = sine
        table[b, 6] = base
        table[b, 7] = top
        if kind != CAR_BODY:
            continue
        axle = WHEEL_PLACE * 0.5 * length
        side = 0.5 * width - WHEEL_HALF_WIDTH_M
        for number in range(WHEELS):
            along = axle if number < 2 else -axle
            aside = side if number % 2 == 0 else -side
            wheels[wheel, 0] = x + along * cosine - aside * sine
            wheels[wheel, 1] = y + along * sine + aside * cosine
            wheels[wheel, 2] = -sine
            wheels[wheel, 3] = cosine
            wheels[wheel, 6] = min(0.0, base)
            wheels[wheel, 7] = min(0.0, base) + 2 * WHEEL_RADIUS_M
            wheel += 1


def table_of(solids: np.ndarray, last: str = "kind") -> NDArray[np.float32]:
    """Solids as a table (n, 9): the first eight fields, and one more."""
    geometry = (SOLID.names or ())[:8]
    columns = [solids[name] for name in (*geometry, last)]
    return np.stack(columns, axis=1).astype(np.float32)
