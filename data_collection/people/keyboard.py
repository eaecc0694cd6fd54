"""Held keys, turned into the smooth commands that a vehicle and a learner can follow.

A key is down or up. Taken as it is, it would make labels that jump between full left and full right. So each axis moves
towards what the keys ask for at a limited rate, and back to its middle when they are let go.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.people.console import Input, Key, Screen
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.keys import KeyShaping


class KeyShaper:
    """Turns what is held into an action, moment by moment; the same at every control rate.

    Args:
        shaping: rates and limits.
    """

    def __init__(self, shaping: KeyShaping) -> None:
        self._shaping = shaping
        self._turn = 0.0
        self._go = 0.0

    @property
    def action(self) -> NDArray[np.float32]:
        """(2,) float32, turn and go as they are now, each in [-1, 1]."""
        return np.array([self._turn, self._go], np.float32)

    def start_from(self, action: NDArray[np.floating]) -> None:
        """Go on from an action (2,) that somebody else has taken, so that control passes without a jerk."""
        turn, go = np.clip(action, -1.0, 1.0)
        self._turn = float(turn)
        self._go = float(go)

    def step(
        self, keys: Key, dt_s: float, sticks: tuple[float, float] | None = None, speed_mps: float = 0.0
    ) -> NDArray[np.float32]:
        """The action after `dt_s` more seconds.

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
            turn_stick, go_stick = sticks
            self._turn = reach * self._eased(turn_stick)
            self._go = self._eased(go_stick)
            return self.action
        turn_key = _wish(keys, Key.LEFT, Key.RIGHT)
        go_key = _wish(keys, Key.FORWARD, Key.BACK)
        self._turn = _moved(self._turn, turn_key, reach, own.turn_per_s, own.turn_back_per_s, own.across, dt_s)
        self._go = _moved(self._go, go_key, 1.0, own.go_per_s, own.go_back_per_s, own.across, dt_s)
        return self.action

    def _eased(self, deflection: float) -> float:
        """A stick's deflection without its dead zone, gentle around the middle."""
        own = self._shaping
        size = min(1.0, abs(deflection))
        beyond = max(0.0, size - own.dead_zone) / (1.0 - own.dead_zone)
        eased = (1.0 - own.expo) * beyond + own.expo * beyond**3
        if deflection < 0:
            return -eased
        return eased


def shaper_of(task: str, **changes: float) -> KeyShaper:
    """The shaper that suits a task, with some fields of its `KeyShaping` changed.

    Raises:
        UnknownNameError: there is no such task.
    """
    return KeyShaper(dataclasses.replace(TASKS.get(task).keys, **changes))


class FreshKeys:
    """Looks at a screen and leaves out steering keys and sticks that were held before they were asked for.

    Args:
        screen: where the keys are.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.settle()

    def settle(self) -> None:
        """Ignore what is held now until it has been let go."""
        self._stale = Key.LEFT | Key.RIGHT | Key.FORWARD | Key.BACK
        self._stick_is_stale = True

    def look(self) -> Input:
        """Tell what was pressed since the last look."""
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
        value = 0.0
        dt_s -= to_middle_s
    per_s = push_per_s
    if abs(value) > reach:
        per_s = back_per_s
    return _towards(value, wish * reach, per_s * dt_s)


def _towards(value: float, target: float, most: float) -> float:
    """The value moved towards a target, by no more than `most`."""
    if abs(target - value) <= most:
        return target
    return value + math.copysign(most, target - value)
