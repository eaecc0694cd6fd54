"""A vehicle's parts placed in the world, as kernels read them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from forestpilot.sim.looks import Shadow, VehicleLook
from forestpilot.sim.rendering.protocol import VehiclePose
from forestpilot.sim.rendering.raycast.intersect import Floats, Ids

F = np.float32


class Parts(NamedTuple):
    """A vehicle's parts in the world."""

    centers: Floats
    """(n, 3) in metres."""
    to_unit: Floats
    """(n, 3, 3) matrices that take a world vector to one in which the part is the unit ball, cube or drum."""
    from_unit: Floats
    """(n, 3, 3) their inverses."""
    shapes: Ids
    """(n,) `BALL`, `BLOCK` or `DRUM`."""
    colors: Floats
    """(n, 3) red, green, blue, 0 to 255."""
    opacities: Floats
    """(n,) 0 to 1."""
    origin: Floats
    """(3,) of the vehicle in metres."""
    ahead: Floats
    """(2,) unit direction of the vehicle's x axis over the ground."""
    shadow: Shadow
    """Its fields as float32."""


class _Tables(NamedTuple):
    """What does not change of a look."""

    centers: np.ndarray
    halves: np.ndarray
    shapes: Ids
    colors: Floats
    opacities: Floats
    shadow: Shadow


@functools.lru_cache(maxsize=32)
def _tables(look: VehicleLook) -> _Tables:
    parts = look.parts
    return _Tables(
        centers=np.array([part.center for part in parts], np.float64),
        halves=np.array([part.half for part in parts], np.float64),
        shapes=np.array([part.shape for part in parts], np.int32),
        colors=np.array([part.color for part in parts], F),
        opacities=np.array([part.opacity for part in parts], F),
        shadow=Shadow(*np.array(look.shadow, F)),
    )


def place_parts(vehicle: VehiclePose) -> Parts:
    """The parts of a vehicle in the world."""
    tables = _tables(vehicle.look)
    to_world = np.asarray(vehicle.rotation, np.float64)
    origin = np.asarray(vehicle.position, np.float64)
    turns = to_world @ vehicle.part_turns()
    ahead = to_world[:2, 0]
    ahead = ahead / max(float(np.hypot(*ahead)), 1e-9)
    return Parts(
        centers=(origin + tables.centers @ to_world.T).astype(F),
        to_unit=np.ascontiguousarray(np.swapaxes(turns, 1, 2) / tables.halves[:, :, None], F),
        from_unit=np.ascontiguousarray(turns * tables.halves[:, None, :], F),
        shapes=tables.shapes,
        colors=tables.colors,
        opacities=tables.opacities,
        origin=origin.astype(F),
        ahead=ahead.astype(F),
        shadow=tables.shadow,
    )
