"""Held keys, turned into the smooth commands that a vehicle and a learner can follow.

A key is down or up. Taken as it is, it would make labels that jump between full left and full right. So each axis moves
towards what the keys ask for at a limited rate, and back to its middle when they are let go.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.people.console import Input, Key, Screen
from forestpilot.sim.errors import InvalidArgumentError


@dataclass(frozen=True)
class Shaping:
    """How keys and sticks become an action; rates are in full deflections per second."""

    turn_per_s: float
    """How fast turn grows while a key is held."""
    turn_back_per_s: float
    """How fast turn returns to straight ahead when the keys are let go."""
    go_per_s: float
    """How fast go grows while a key is held."""
    go_back_per_s: float
    """How fast go returns to 0 when the keys are let go: half the set point for a drone, rolling for a car."""
    across: float = 2.0
    """How many times faster an axis moves while a key pushes against the side it is on."""
    full_turn_mps: float | None = None
    """Speed in m/s up to which turn reaches 1. Above, it reaches less, with the square of the speed, so that the push
    to the side stays the same; None for any speed."""
    dead_zone: float = 0.12
    """Deflection of a stick, 0 to 1, below which it is taken for resting."""
    expo: float = 0.4
    """How gentle a stick is around its middle: 0 for a straight line, 1 for a cubic."""

    def __post_init__(self) -> None:
        for field in ("turn_per_s", "turn_back_per_s", "go_per_s", "go_back_per_s", "full_turn_mps"):
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise InvalidArgumentError(f"{field} is {value}; give a number above 0")
        if not self.across >= 1:
            raise InvalidArgumentError(f"across is {self.across}; give 1 or more")
        if not (0 <= self.dead_zone < 1 and 0 <= self.expo <= 1):
            raise InvalidArgumentError(
                f"dead_zone is {self.dead_zone} and expo {self.expo}; allowed: 0 to 1, dead_zone below 1"
            )


SHAPINGS = {
    "drone": Shaping(turn_per_s=2.5, turn_back_per_s=4.0, go_per_s=2.5, go_back_per_s=1.5),
    "drive": Shaping(turn_per_s=1.6, turn_back_per_s=2.4, go_per_s=2.5, go_back_per_s=4.0, full_turn_mps=5.0),
}
"""What suits each task. A drone's turn is a change of heading, so that it may be quick; a car's is its steering
angle."""


class KeyShaper:
    """Turns what is held into an action, moment by moment; the same at every control rate.

    Args:
        shaping: rates and limits.
    """

    def __init__(self, shaping: Shaping) -> None:
        self._shaping = shaping
        self._turn = self._go = 0.0

    @property
    def action(self) -> NDArray[np.float32]:
        """(2,) float32, turn and go as they are now, each in [-1, 1]."""
        return np.array([self._turn, self._go], np.float32)

    def start_from(self, action: NDArray[np.floating]) -> None:
        """Go on from an action (2,) that somebody else has taken, so that control passes without a jerk."""
        self._turn, self._go = (float(value) for value in np.clip(action, -1.0, 1.0))

    def step(
        self, keys: Key, dt_s: float, sticks: tuple[float, float] | None = None, speed_mps: float = 0.0
    ) -> NDArray[np.float32]:
        """What to do after `dt_s` more seconds.

        Args:
            keys: steering keys held all that time; opposite ones cancel.
            dt_s: seconds since the last call.
            sticks: (turn, go) of a gamepad that is touched; it decides at once, whatever the keys say.
            speed_mps: present speed.

        Returns:
            (2,) float32, turn and go in [-1, 1].
        """
        own = self._shaping
        reach = 1.0
        if own.full_turn_mps is not None and speed_mps > own.full_turn_mps:
            reach = (own.full_turn_mps / speed_mps) ** 2
        if sticks is not None:
            self._turn, self._go = reach * self._eased(sticks[0]), self._eased(sticks[1])
            return self.action
        turn_key, go_key = _wish(keys, Key.LEFT, Key.RIGHT), _wish(keys, Key.FORWARD, Key.BACK)
        self._turn = _moved(self._turn, turn_key, reach, own.turn_per_s, own.turn_back_per_s, own.across, dt_s)
        self._go = _moved(self._go, go_key, 1.0, own.go_per_s, own.go_back_per_s, own.across, dt_s)
        return self.action

    def _eased(self, deflection: float) -> float:
        """A stick's deflection without its dead zone, gentle around the middle."""
        own, size = self._shaping, min(1.0, abs(deflection))
        beyond = max(0.0, size - own.dead_zone) / (1.0 - own.dead_zone)
        eased = (1.0 - own.expo) * beyond + own.expo * beyond**3
        return eased if deflection >= 0 else -eased


def shaper_of(task: str, **changes: float) -> KeyShaper:
    """The shaper that suits a task, with some fields of its `Shaping` changed.

    Raises:
        ValueError: there is no shaping for the task.
    """
    if task not in SHAPINGS:
        raise InvalidArgumentError(f"task is {task!r}; keys are shaped for {', '.join(SHAPINGS)}")
    return KeyShaper(dataclasses.replace(SHAPINGS[task], **changes))


class FreshKeys:
    """Looks at a screen and leaves out steering keys and sticks that were held before they were asked for.

    Args:
        screen: where the keys are.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.settle()

    def settle(self) -> None:
        """What is held now counts only once it has been let go."""
        self._stale, self._stick_is_stale = Key.LEFT | Key.RIGHT | Key.FORWARD | Key.BACK, True

    def look(self) -> Input:
        """What was pressed since the last look."""
        given = self._screen.poll()
        self._stale &= given.keys
        self._stick_is_stale &= given.sticks is not None
        sticks = None if self._stick_is_stale else given.sticks
        return Input(given.keys & ~self._stale, sticks, given.commands, given.present)


def _wish(keys: Key, positive: Key, negative: Key) -> int:
    return bool(keys & positive) - bool(keys & negative)


def _moved(
    value: float, wish: int, reach: float, push_per_s: float, back_per_s: float, across: float, dt_s: float
) -> float:
    """An axis after `dt_s`: back to the middle without a wish, else towards `wish * reach`.

    The rate changes where the axis passes its middle, and time is split there: two steps of half the time lead to the
    same place as one.
    """
    if wish == 0:
        return _towards(value, 0.0, back_per_s * dt_s)
    if value * wish < 0:
        to_middle_s = abs(value) / (across * push_per_s)
        if to_middle_s >= dt_s:
            return value + wish * across * push_per_s * dt_s
        value, dt_s = 0.0, dt_s - to_middle_s
    too_far = abs(value) > reach
    return _towards(value, wish * reach, (back_per_s if too_far else push_per_s) * dt_s)


def _towards(value: float, target: float, most: float) -> float:
    return target if abs(target - value) <= most else value + (most if target > value else -most)
