"""Everything besides the seed that a road depends on, and the presets by name."""

from __future__ import annotations

from dataclasses import dataclass

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.worlds.hazards.room import check_road_hazards
from forestpilot.sim.worlds.roads.routes import ROUTES as ROUTES_OF_THREE
from forestpilot.sim.worlds.roads.routes import SHORTEST_ROUTE_M, is_route

SURFACE_GRIP = {"asphalt": 0.95, "gravel": 0.65, "dirt": 0.75}
"""Friction coefficient of tyres on each surface."""
ROUTES = ("seed", "left", "straight", "right")
"""How the junctions are taken: as the seed says, or all alike."""
MAX_CURVATURE_PER_M = 1 / 8
"""At its steering lock the car turns with a radius of 4.4 m; bends tighter than 8 m leave too little to correct."""


@dataclass(frozen=True)
class RoadConfig:
    """Everything besides the seed that a road depends on."""

    length_m: float = 600.0
    """Length of the route from start to goal in metres."""
    max_curvature_per_m: float = 1 / 12
    """The line to drive bends no tighter than this, in 1/m; the corners of junctions have a bound of their own."""
    width_m: tuple[float, float] = (3.5, 6.0)
    """Narrowest and widest road in metres; one road has one width."""
    shoulder_m: tuple[float, float] = (0.6, 1.5)
    """Least and greatest gap between the road's edge and the nearest trunk or low branch, in metres; one road has one
    gap."""
    closed_share: float = 0.0
    """Share of the worlds, 0 to 1, whose road is a circuit; where a lap is too short for that, all roads are open."""
    junction_gap_m: tuple[float, float] | None = None
    """Least and greatest distance between the middles of two junctions in metres; None for a road without."""
    route: str = "seed"
    """How to take the junctions: `seed` draws each evenly, or `left`, `straight` or `right` at every one. The turns at
    three junctions, such as `left-right-straight`, make a road that has these three, with three ways at each; then
    `junction_gap_m` does not matter."""
    obstacle_gap_m: float | None = None
    """Mean distance between two obstacles in metres; None for a free road."""
    hazards: int = 0
    """Number of hazards along the road: what moves when somebody comes."""
    hazard_kinds: tuple[str, ...] = ()
    """Kinds of hazards to draw from; empty for all that may be on a road."""
    density_per_m2: float = 0.12
    """Mean number of trees per square metre in the 14 m beside the road; the forest behind is thinner."""
    surfaces: tuple[str, ...] = ("asphalt", "gravel", "dirt")
    """What the road may be made of; one is drawn per world."""
    domain_randomisation: bool = True
    """Draw colours, light, fog and textures per world; otherwise worlds differ in shape and surface only."""

    @property
    def turns(self) -> tuple[int, ...]:
        """Of a route over three junctions, the numbers of its turns in `forestpilot.sim.worlds.roads.routes`."""
        return ROUTES_OF_THREE.parse(self.route) if is_route(self.route) else ()

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_kind(self)
        unknown = [name for name in self.surfaces if name not in SURFACE_GRIP]
        if unknown or not self.surfaces:
            raise InvalidArgumentError(
                f"surfaces are {self.surfaces}; allowed: one or more of {', '.join(SURFACE_GRIP)}"
            )


def _check_sizes(config: RoadConfig) -> None:
    """Raise ValueError for a road that cannot be built."""
    shortest = 150.0 if config.junction_gap_m or config.obstacle_gap_m else 40.0
    if is_route(config.route):
        shortest = SHORTEST_ROUTE_M
    if not shortest <= config.length_m <= 3000.0:
        raise InvalidArgumentError(
            f"length is {config.length_m} m; allowed for this kind of road: {shortest:g} to 3000 m"
        )
    low, high = config.width_m
    if not 3.0 <= low <= high <= 6.0:
        raise InvalidArgumentError(f"widths are {low} to {high} m; allowed: 3 <= narrowest <= widest <= 6")
    near, far = config.shoulder_m
    if not 0.3 <= near <= far <= 3.0:
        raise InvalidArgumentError(f"shoulders are {near} to {far} m; allowed: 0.3 <= least <= greatest <= 3")
    if not 1 / 500 <= config.max_curvature_per_m <= MAX_CURVATURE_PER_M:
        raise InvalidArgumentError(
            f"the tightest bend is {config.max_curvature_per_m:.4g} per m; allowed: 0.002 to {MAX_CURVATURE_PER_M} "
            "(1/8 per m: tighter bends leave the car too little room to correct)"
        )
    room = high / 2 + far + 3.0  # some trees fit into the inside of the bend
    if 1 / config.max_curvature_per_m < room:
        raise InvalidArgumentError(
            f"a road {high} m wide with a shoulder of {far} m needs bends of at least {room:g} m radius, but "
            f"max_curvature_per_m allows {1 / config.max_curvature_per_m:.3g} m; lower the curvature or the width"
        )
    if not 0.0 <= config.density_per_m2 <= 0.3:
        raise InvalidArgumentError(f"density is {config.density_per_m2} trees/m2; allowed: 0 to 0.3")


def _check_kind(config: RoadConfig) -> None:
    """Raise ValueError for kinds of roads that do not exist."""
    if not 0.0 <= config.closed_share <= 1.0:
        raise InvalidArgumentError(f"closed_share is {config.closed_share}; allowed: 0 to 1")
    if not config.turns and config.route not in ROUTES:
        example = ROUTES_OF_THREE.all[0]
        raise InvalidArgumentError(f"route is {config.route!r}; allowed: {', '.join(ROUTES)}, or turns like {example}")
    if not config.turns and config.route != "seed" and config.junction_gap_m is None:
        raise InvalidArgumentError(f"route is {config.route!r} on a road without junctions; allowed there: seed")
    junctions = config.junction_gap_m or config.turns
    if sum(map(bool, (config.closed_share, junctions, config.obstacle_gap_m))) > 1:
        raise InvalidArgumentError("circuits, junctions and obstacles exclude one another; ask for one of them")
    if config.junction_gap_m and not 80.0 <= config.junction_gap_m[0] <= config.junction_gap_m[1] <= 400.0:
        raise InvalidArgumentError(
            f"junctions are {config.junction_gap_m} m apart; allowed: 80 <= least <= greatest <= 400"
        )
    if config.obstacle_gap_m is not None and not 40.0 <= config.obstacle_gap_m <= 1000.0:
        raise InvalidArgumentError(f"obstacles are {config.obstacle_gap_m} m apart; allowed: 40 to 1000")
    check_road_hazards(config.hazards, config.hazard_kinds, config.length_m)
    if config.obstacle_gap_m and config.width_m[0] < 5.0:
        raise InvalidArgumentError(
            f"obstacles need a road at least 5 m wide, but width_m starts at {config.width_m[0]}"
        )


PRESETS = {
    "easy": RoadConfig(max_curvature_per_m=1 / 40, width_m=(5.0, 6.0), closed_share=0.3),
    "winding": RoadConfig(max_curvature_per_m=1 / 12, width_m=(3.5, 6.0), closed_share=0.3),
    "junctions": RoadConfig(
        max_curvature_per_m=1 / 15, width_m=(4.0, 6.0), junction_gap_m=(80.0, 120.0), density_per_m2=0.11
    ),
    "obstacles": RoadConfig(max_curvature_per_m=1 / 25, width_m=(5.0, 6.0), obstacle_gap_m=70.0),
}
