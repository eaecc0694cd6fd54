"""What hazards need: room along a road, and the right ground."""

from __future__ import annotations

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.worlds.hazards import HAZARDS
from forestpilot.sim.worlds.hazards.hazard import ROAD

FIRST_M = 50.0
"""No hazard is nearer to the start than this."""
LAST_M = 20.0
"""No hazard is nearer to the goal than this."""
LEAST_GAP_M = 25.0
"""Room along the road that each hazard has for itself."""


def kinds_on(ground: str) -> tuple[str, ...]:
    """Names of the kinds of hazards that may be on a road or in a forest."""
    return tuple(name for name in HAZARDS.names() if HAZARDS.get(name).ground == ground)


def most_on_road(length_m: float) -> int:
    """How many hazards a road of this length has room for."""
    return max(0, int((length_m - FIRST_M - LAST_M) / LEAST_GAP_M))


def check_road_hazards(count: int, kinds: tuple[str, ...], length_m: float) -> None:
    """Raise ValueError where there is no room for so many hazards, or a kind is of no road."""
    most = most_on_road(length_m)
    if isinstance(count, bool) or int(count) != count or not 0 <= count <= most:
        raise InvalidArgumentError(
            f"hazards is {count} on a road of {length_m:g} m; allowed there: 0 to {most} (one per {LEAST_GAP_M:g} m)"
        )
    if not kinds:
        return
    known = kinds_on(ROAD)
    if unknown := [name for name in kinds if name not in known]:
        raise InvalidArgumentError(f"hazard_kinds has {unknown[0]!r}; allowed on a road: {', '.join(known)}")
