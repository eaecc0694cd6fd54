"""Families of tasks that nothing but an order tells: three choices one after another, each among three.

Coloured gates in a forest are one such family, turns at the junctions of a road another. The orders of a family fall
into those for training and those held out, which are new as a whole only: each choice, and any two of them, occurs in
its place in training too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATION, NO_CHOICE, ORDER_CHOICES, ORDER_KINDS, ORDER_ROWS, WAY
from forestpilot.sim.registry import closest

SEPARATOR = "-"
TRAINING = "training"
HELD_OUT = "held-out"
ALL = "all"
SETS = (TRAINING, HELD_OUT, ALL)
"""Names of sets of orders."""


def _combinations() -> tuple[tuple[int, ...], ...]:
    """All orders by numbers, those for training first: in each three in a row of them every choice is in every place.

    Those held out are the ones whose numbers add up to a multiple of three. Where the first and the last choice change
    places, as left and right in a mirror do, trained orders stay trained ones and held-out orders held-out ones.
    """
    starts = list(itertools.product(range(ORDER_CHOICES), repeat=ORDER_ROWS))
    blocks: list[tuple[int, ...]] = []
    for remainder in (1, 2, 0):
        for start in starts:
            if sum(start) % ORDER_CHOICES == remainder and start not in blocks:
                blocks += [tuple((choice + shift) % ORDER_CHOICES for choice in start) for shift in range(3)]
    return tuple(blocks)


_COMBINATIONS = _combinations()


@dataclass(frozen=True)
class Orders:
    """A family of tasks, by the names of what is chosen."""

    choices: tuple[str, ...]
    """Names of the three choices."""
    order: str
    """What an order is called: `order`, `route`."""
    choice: str
    """What a choice is called, after `is no`: `colour of gates`."""
    needs: str
    """What an order needs, in words: `3 colours, one for each row`."""
    are_sides: bool = False
    """Whether in a mirror the first choice is the last one, as left is right."""

    def name_of(self, order: Sequence[int]) -> str:
        """For example `red-blue-red`."""
        return SEPARATOR.join(self.choices[choice] for choice in order)

    @cached_property
    def all(self) -> tuple[str, ...]:
        """Names of all orders, those for training first."""
        return tuple(self.name_of(order) for order in _COMBINATIONS)

    @cached_property
    def held_out(self) -> tuple[str, ...]:
        """Orders that nobody is trained with who is asked about new ones: any two of their choices also stand there in
        training, in no order with this third one."""
        return self.all[-len(self.all) // 3 :]

    @cached_property
    def training(self) -> tuple[str, ...]:
        """The others; the first 3, 6, 9, ... have each choice in each place equally often."""
        return self.all[: len(self.all) - len(self.held_out)]

    def parse(self, name: str) -> tuple[int, ...]:
        """Numbers of an order's choices by its name.

        Raises:
            InvalidArgumentError: there is no such order.
        """
        choices = name.split(SEPARATOR)
        if unknown := [choice for choice in choices if choice not in self.choices]:
            raise InvalidArgumentError(
                f"{self.order} is {name!r}, and {unknown[0]!r} is no {self.choice}; {closest(unknown[0], self.choices)}"
            )
        if len(choices) != ORDER_ROWS:
            raise InvalidArgumentError(f"{self.order} is {name!r}; it needs {self.needs}, such as {self.all[0]}")
        return tuple(self.choices.index(choice) for choice in choices)

    def named(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of orders, with those of sets in place of a set's name (`training`, `held-out`, `all`).

        Raises:
            InvalidArgumentError: there is no such order.
        """
        sets = {TRAINING: self.training, HELD_OUT: self.held_out, ALL: self.all}
        orders: list[str] = []
        for name in names:
            if name not in sets:
                self.parse(name)
            orders += sets.get(name, (name,))
        return tuple(orders)

    def mirrored(self, orders: np.ndarray) -> np.ndarray:
        """Numbers (..., 3) of what orders (..., 3) are in the world mirrored left to right; `NO_CHOICE` stays."""
        return np.where(orders == NO_CHOICE, orders, ORDER_CHOICES - 1 - orders) if self.are_sides else orders

    def require_shown(self, has_order: bool, shown: str, goal_kind: str, missing: str, goal_option: str) -> None:
        """Check that what is told of an order goes with the rest.

        Args:
            has_order: whether the world asks for one.
            shown: name of the order that is demonstrated; empty for the one that counts.
            goal_kind: how the goal is told.
            missing: what there is not without an order, and what to give.
            goal_option: what to write before `demonstration`.

        Raises:
            InvalidArgumentError: something is told of an order and there is none, or another one is demonstrated where
                nothing is.
        """
        if not has_order and (shown or goal_kind in (*ORDER_KINDS, WAY)):
            what = f"shown is {shown!r}" if shown else f"goal_kind is {goal_kind}"
            raise InvalidArgumentError(f"{what}, and {missing}")
        if shown:
            self.parse(shown)
            if goal_kind != DEMONSTRATION:
                raise InvalidArgumentError(
                    f"shown is {shown!r}, and nothing is demonstrated; give {goal_option} {DEMONSTRATION}"
                )
