"""How held keys become smooth actions."""

from __future__ import annotations

from dataclasses import dataclass

from forestpilot.sim.errors import InvalidArgumentError


@dataclass(frozen=True)
class KeyShaping:
    """Rates at which held keys move the two axes of an action, and how sticks are softened."""

    turn_per_s: float = 2.0
    """How fast turn grows while a key is held."""
    turn_back_per_s: float = 3.0
    """How fast turn returns to straight ahead when the keys are let go."""
    go_per_s: float = 2.5
    """How fast go grows while a key is held."""
    go_back_per_s: float = 2.0
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
