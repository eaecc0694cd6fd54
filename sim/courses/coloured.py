"""The course through rows of coloured gates: one order of colours leads on, and the world does not say which."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from forestpilot.sim.courses.forest import ForestCourse
from forestpilot.sim.goals import ORDER, ORDER_CHOICES, ORDER_ROWS, VECTOR
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.coloured import ALL_ORDERS, ColouredRow, parse_order
from forestpilot.sim.worlds.world import World


class ColouredCourse(ForestCourse):
    """Get to the goal through one gate of each row, that of the order's colour; any other one leaves the course.

    Args:
        order: which colour leads through each row, for example `red-blue-red`.
        shown: the order that a demonstration follows, where goals are demonstrated; the same by default. Another one
            is a wrong demonstration.
        goal_kind: one of `order`, `demonstration`, `vector`, `bearing`; see `forestpilot.sim.goals`.
        forest: arguments of `ForestCourse` by name.

    Raises:
        ValueError: there is no such order.
    """

    name = "coloured"
    reset_options: ClassVar[tuple[str, ...]] = ("speed", "density")

    def __init__(self, order: str = ALL_ORDERS[0], shown: str = "", goal_kind: str = VECTOR, **forest: Any) -> None:
        super().__init__(goal_kind=goal_kind or VECTOR, **forest)
        self.config = dataclasses.replace(self.config, coloured=True)
        self.order = parse_order(order)
        self.shown = shown or order
        """Name of the order that is demonstrated."""
        parse_order(self.shown)
        told = np.zeros((ORDER_ROWS, ORDER_CHOICES), np.float32)
        told[np.arange(ORDER_ROWS), self.order] = 1.0
        self._told = told.reshape(-1)
        self._ahead: tuple[ColouredRow, ...] = ()
        self._is_wrong = False

    def demonstrated_with(self) -> dict[str, Any]:
        """The gates of the order that is shown, told by nothing but direction and distance, and no walkers."""
        return {"order": self.shown, "shown": "", "goal_kind": VECTOR, "movers": 0}

    def gates(self) -> list[int]:
        """For each row of this episode's world, the number of the gap that leads on."""
        rows: Any = getattr(self.world, "rows", ())
        return [row.gap_of(colour) for row, colour in zip(rows, self.order, strict=True)]

    def gates_by_choice(self) -> list[list[int]]:
        """For each colour, the number of its gap in each row of this episode's world."""
        rows: Any = getattr(self.world, "rows", ())
        return [[row.gap_of(colour) for row in rows] for colour in range(ORDER_CHOICES)]

    def begin(self, world: World, vehicle: Vehicle) -> None:
        """At the start, before all rows."""
        rows: Any = getattr(world, "rows", ())
        self._ahead = tuple(rows)
        self._is_wrong = False
        super().begin(world, vehicle)

    def follow(self, vehicle: Vehicle) -> None:
        """Note through which gate the vehicle has just come, if any."""
        if not self._ahead:
            return
        x, y = vehicle.base_position()[:2].tolist()
        row = self._ahead[0]
        if x > row.x_m:
            colour = self.order[len(self.order) - len(self._ahead)]
            self._is_wrong |= row.colour_at(y) != colour
            self._ahead = self._ahead[1:]

    def is_left(self, vehicle: Vehicle) -> bool:
        """Outside the forest, or through a gate of another colour than the order's."""
        return self._is_wrong or super().is_left(vehicle)

    def goal(self, vehicle: Vehicle) -> np.ndarray:
        """The goal as its kind tells it; of kind `order` with a one for the colour of each row, zeros for others."""
        told = super().goal(vehicle)
        return np.concatenate([told, self._told]) if self.goal_kind == ORDER else told
