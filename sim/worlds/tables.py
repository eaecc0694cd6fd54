"""Tables of trees and boxes: their columns by name, for NumPy and for kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LOG, CAR_BODY, CAR_CABIN, BARRIER, DEER, WALKER = range(6)
"""Kinds of boxes: a fallen log, a car's body and the cabin on top of it, a barrier with its stripes, part of a deer, of
a walker.

Renderers paint a kind that they know nothing else of in its plain colour."""
CONE, SPHERE = range(2)
"""Kinds of trees, by their crowns."""


class Trees(NamedTuple):
    """The columns of `World.trees` by name, each (n,) float32 in metres: `Trees.of(world.trees).radius_m`.

    Kernels read the same fields of one tree from a row of `records(world.trees, TREE)`.
    """

    x_m: Any
    y_m: Any
    radius_m: Any
    """Of the trunk."""
    height_m: Any
    """Of the trunk."""
    crown_radius_m: Any
    crown_height_m: Any
    kind: Any
    """`CONE` or `SPHERE`."""

    @classmethod
    def of(cls, table: np.ndarray) -> Trees:
        """The columns of a table (n, 7)."""
        return cls(*table.T)


class Boxes(NamedTuple):
    """The columns of `World.boxes` by name, each (b,) float32 in metres: `Boxes.of(world.boxes).yaw_rad`."""

    x_m: Any
    y_m: Any
    yaw_rad: Any
    length_m: Any
    """Along the yaw."""
    width_m: Any
    base_m: Any
    """Height of the underside above the ground."""
    top_m: Any
    """Height of the top above the ground."""
    kind: Any
    """`LOG`, `CAR_BODY`, `CAR_CABIN`, `BARRIER`, `DEER` or `WALKER`."""

    @classmethod
    def of(cls, table: np.ndarray) -> Boxes:
        """The columns of a table (b, 8)."""
        return cls(*table.T)


TREE = np.dtype([(name, np.float32) for name in Trees._fields], align=True)
BOX = np.dtype([(name, np.float32) for name in Boxes._fields], align=True)
"""A tree and a box as records, for kernels."""

NO_BOXES = np.zeros((0, len(Boxes._fields)), np.float32)
NO_BOXES.setflags(write=False)


def records(table: np.ndarray, row: np.dtype) -> np.ndarray:
    """The rows of a table as a new array (n,) of records, whose fields kernels read by name.

    Args:
        table: (n, k), of trees or boxes.
        row: `TREE` or `BOX`, or another dtype of k float32 fields.
    """
    copy = np.array(table, np.float32).reshape(-1, len(row.names or ()))
    return copy.view(row).reshape(-1)


class Bounds(NamedTuple):
    """A rectangle on the ground, in metres."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    @property
    def area_m2(self) -> float:
        """Its area in square metres."""
        return (self.x_max - self.x_min) * (self.y_max - self.y_min)
