"""Ranges of the numbers in configs: told once, beside the field; checked wherever a config is made; shown in the help.

    @dataclass(frozen=True)
    class Config:
        steps: Annotated[int, Range(1, 1_000_000)] = 3000

        def __post_init__(self) -> None:
            require_ranges(self)

A range holds what can work at all: far beyond what anybody needs, and short of what no machine could do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, get_type_hints

import numpy as np

from forestpilot.sim.errors import InvalidArgumentError


@dataclass(frozen=True)
class Range:
    """The numbers that are allowed, for a field's `Annotated`; of a sequence, for each of its numbers."""

    low: float
    """Smallest number."""
    high: float
    """Largest number."""
    above: bool = False
    """The smallest number is not allowed itself."""
    below: bool = False
    """The largest number is not allowed itself."""

    def __str__(self) -> str:
        low = f"above {_text(self.low)}" if self.above else _text(self.low)
        high = f"below {_text(self.high)}" if self.below else _text(self.high)
        return f"{low} to {high}"

    @property
    def short(self) -> str:
        """The range as an option's help shows it: `1..4096`."""
        return f"{'>' if self.above else ''}{_plain(self.low)}..{'<' if self.below else ''}{_plain(self.high)}"

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, `is 0; allowed: 1 to 10`; None where nothing is, or there is no value."""
        numbers_of = value if isinstance(value, (tuple, list)) else (value,)
        for number in numbers_of:
            if number is not None and not self._holds(number):
                return f"is {_told(value)}; allowed: {self}"
        return None

    def _holds(self, number: Any) -> bool:
        if not isinstance(number, (int, float, np.integer, np.floating)):
            return False
        if number == self.low:
            return not self.above
        if number == self.high:
            return not self.below
        return bool(number > self.low and number < self.high)  # false for NaN


SEEDS = Range(0, 2**31 - 1)
"""Seeds of random numbers, and of worlds."""
PROCESSES = Range(1, 4096)
EPISODES = Range(1, 1_000_000)
"""As many as there are training worlds."""
STEPS = Range(1, 1_000_000_000)
"""Gradient steps."""
ROUNDS = Range(0, 10_000)
SHARE = Range(0, 1)
SPEEDS_MPS = Range(1, 100)
"""Set points; a task bounds them more closely."""


class RangeError(InvalidArgumentError):
    """A number in a config that is out of its range.

    Attributes:
        name: the field.
        problem: what is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name
        self.problem = problem


def require_ranges(config: Any) -> None:
    """Raise RangeError where a number of a config (a dataclass) is out of the range that its field gives."""
    for name, allowed in ranges_of(type(config)).items():
        problem = allowed.problem(getattr(config, name))
        if problem:
            raise RangeError(name, problem)


def ranges_of(config_class: type[Any]) -> Mapping[str, Range]:
    """The ranges of the fields of a config class, by name; fields without one are left out."""
    hashable: Any = config_class
    return _ranges_of(hashable)


@cache
def _ranges_of(config_class: Any) -> Mapping[str, Range]:
    found: dict[str, Range] = {}
    for name, hint in get_type_hints(config_class, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Range):
                found[name] = note
    return MappingProxyType(found)


def _text(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _plain(number: float) -> str:
    return f"{number}" if isinstance(number, int) else f"{number:g}"


def _told(value: Any) -> str:
    """A value as it was given; what is long is cut short."""
    text = " ".join(map(repr, value)) if isinstance(value, (tuple, list)) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
