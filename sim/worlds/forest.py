"""Forests from one seed: Poisson trees with a hard core, as plain arrays.

The published grid is that of Loquercio et al. 2021 (Science Robotics 6(59)): 30 x 60 m, trunks 0.6 m across,
1/49, 1/36 and 1/25 trees per square metre, a flight of 40 m, success within 5 m of the goal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.goals import AHEAD, GOALS, GOALS_WITHIN_M
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.seeds import rng_for
from forestpilot.sim.worlds.appearance import default_appearance, draw_appearance
from forestpilot.sim.worlds.clearance import build_clearance_map, has_free_path
from forestpilot.sim.worlds.coloured import ColouredRow, draw_coloured_rows, posts_of, walls_of
from forestpilot.sim.worlds.free_goals import least_distance_m, with_free_goal
from forestpilot.sim.worlds.growth import draw_grown_trees
from forestpilot.sim.worlds.hazards.free_lines import place_in_forest
from forestpilot.sim.worlds.rows import ASIDE_M, RADIUS_M, TrunkRow, draw_rows, stands_clear, trunks_of_rows
from forestpilot.sim.worlds.words import format_density, format_range
from forestpilot.sim.worlds.world import NO_BOXES, Bounds, Ribbon, World

MAX_REDRAWS = 50


@dataclass(frozen=True)
class ForestConfig:
    """Everything besides the seed that a forest depends on."""

    density_per_m2: Annotated[float, Range(0, 0.25)] = 1 / 25
    """Mean number of trees per square metre."""
    trunk_diameter_m: Annotated[tuple[float, float], Range(0.1, 1.5)] = (0.24, 0.70)
    """Smallest and largest trunk diameter in metres."""
    length_m: Annotated[float, Range(1, 2000)] = 60.0
    """Extent of the forest along x, the direction of flight, in metres."""
    width_m: Annotated[float, Range(1, 2000)] = 30.0
    """Extent of the forest along y in metres."""
    margin_behind_m: Annotated[float, Range(0, 2000)] = 5.0
    """How far the forest reaches behind the start, in metres."""
    flight_m: Annotated[float, Range(1, 2000)] = 40.0
    """Distance from start to goal in metres."""
    goal_radius_m: Annotated[float, Range(0, 2000, above=True)] = 5.0
    """A flight succeeds within this distance of the goal, in metres."""
    altitude_m: Annotated[float, Range(0, 1000)] = 1.8
    """Altitude of start and goal in metres."""
    hard_core_m: Annotated[float, Range(0, 100)] = 1.0
    """Least distance between the axes of two trunks in metres."""
    start_clear_m: Annotated[float, Range(0, 1000)] = 2.0
    """No trunk axis stands within this distance of the start, in metres."""
    passage_radius_m: Annotated[float, Range(0, 100)] = 0.35
    """A disc of this radius must find a way from the start to the goal, or the forest is drawn again; metres."""
    trail: bool = False
    """A winding trail without trees leads from the start to the goal."""
    trail_half_width_m: Annotated[float, Range(0, 1000)] = 1.0
    """Half the width of the trail in metres."""
    gaps: Annotated[int, Range(0, 6)] = 0
    """Rows of trunks stand across the way, each with so many gaps, and no other tree between them; 0 for none."""
    gaps_aside_m: Annotated[float, Range(0, 5)] = ASIDE_M
    """The middle of a row's gaps lies this far beside the straight way at most, in metres."""
    coloured: bool = False
    """Rows of coloured gates stand across the way: see `forestpilot.sim.worlds.coloured`."""
    goals: str = AHEAD
    """The goal lies straight `ahead` at `flight_m`, or `anywhere` in the same forest."""
    goals_within_m: Annotated[float, Range(9, 2000)] = GOALS_WITHIN_M
    """Goals anywhere lie within this distance of the start, in metres."""
    movers: Annotated[int, Range(0, 10)] = 0
    """So many hazards go to and fro across the way, where there are free lines between the trees."""
    domain_randomisation: bool = True
    """Draw colours, light, fog and textures per world; otherwise every world looks alike."""

    def __post_init__(self) -> None:
        require_ranges(self)
        low, high = self.trunk_diameter_m
        if low > high:
            raise InvalidArgumentError(f"trunk_diameter_m is {low} to {high}; the first must not be above the second")
        if self.flight_m + self.margin_behind_m > self.length_m:
            raise InvalidArgumentError(
                "the goal lies outside the forest: flight_m + margin_behind_m must not exceed length_m"
            )
        if self.goals not in GOALS:
            raise InvalidArgumentError(f"goals is {self.goals!r}; allowed: {', '.join(GOALS)}")
        if self.goals != AHEAD:
            self._require_free_goals()
        if (self.gaps or self.coloured) and self.trail:
            raise InvalidArgumentError("gaps and trail do not go together: rows of trunks would stand on the trail")
        if self.gaps and self.coloured:
            raise InvalidArgumentError("gaps and coloured gates do not go together: both are rows across the way")

    def _require_free_goals(self) -> None:
        """Raise InvalidArgumentError where goals cannot lie anywhere."""
        if self.gaps or self.coloured or self.trail:
            raise InvalidArgumentError(
                f"goals {self.goals} do not go together with gaps or a trail, which lead to the goal ahead"
            )
        if self.goals_within_m <= least_distance_m(self.goal_radius_m):
            raise InvalidArgumentError(
                f"goals_within_m is {self.goals_within_m:g}; goals lie {least_distance_m(self.goal_radius_m):g} m from "
                "the start at least"
            )

    @property
    def farthest_goal_m(self) -> float:
        """Largest distance from the start to a goal, in metres."""
        if self.goals == AHEAD:
            return self.flight_m
        ahead_m = max(self.margin_behind_m, self.length_m - self.margin_behind_m)
        return min(self.goals_within_m, math.hypot(ahead_m, self.width_m / 2))


@dataclass(frozen=True, eq=False)
class Forest(World):
    """Trees scattered over a rectangle, to be crossed from one end to the other."""

    config: ForestConfig
    """What it was drawn from, besides the seed."""
    rows: tuple[TrunkRow | ColouredRow, ...] = ()
    """Rows of trunks across the way, the first that is met first."""

    def describe(self) -> str:
        """For example `forest of 1/25 trees/m2, trunks 0.24-0.7 m`."""
        parts = [
            f"forest of {format_density(self.config.density_per_m2)} trees/m2",
            f"trunks {format_range(*self.config.trunk_diameter_m, 'm')}",
        ]
        if self.config.trail:
            parts.append("a trail")
        if self.config.gaps:
            parts.append(f"rows with {self.config.gaps} gaps")
        if self.config.coloured:
            parts.append("rows of coloured gates")
        if self.config.goals != AHEAD:
            parts.append(f"goals {self.config.goals}")
        if self.hazards:
            parts.append(f"{len(self.hazards)} mover{'s' * (len(self.hazards) > 1)}")
        return ", ".join(parts)


PRESETS = {
    "default": ForestConfig(),
    "loquercio": ForestConfig(trunk_diameter_m=(0.6, 0.6)),
}


def make_forest(config: ForestConfig, seed: int) -> Forest:
    """Draw the forest of a seed; one without a free path is drawn again from the same seed's next stream.

    Raises:
        ForestPilotError: no passable forest in `MAX_REDRAWS` draws; the density is too high.
    """
    for redraw in range(MAX_REDRAWS):
        rng = rng_for(seed, redraw)
        world = _draw(config, seed, redraw, rng)
        if has_free_path(world.clearance, world.start_m, world.goal_m, config.goal_radius_m, config.passage_radius_m):
            if config.goals == AHEAD:
                return world
            return with_free_goal(world, config.goals_within_m, config.passage_radius_m)
    raise ForestPilotError(
        f"no passable forest at {config.density_per_m2:.3f} trees/m2 in {MAX_REDRAWS} draws of seed {seed}; "
        "lower the density or the trunk diameters"
    )


def _draw(config: ForestConfig, seed: int, redraw: int, rng: np.random.Generator) -> Forest:
    """One forest, passable or not."""
    x_min = -config.margin_behind_m
    bounds = Bounds(x_min, x_min + config.length_m, -config.width_m / 2, config.width_m / 2)
    trail = _draw_trail(config, rng)
    centers = _hard_core_points(config, bounds, trail, rng)
    rows: tuple[TrunkRow | ColouredRow, ...] = ()
    if config.gaps:
        rows = draw_rows(config.gaps, config.gaps_aside_m, config.flight_m, rng)
    coloured = draw_coloured_rows(rng) if config.coloured else ()
    rows = rows or coloured
    if rows:
        centers = centers[stands_clear(centers, rows)]
    trees = _draw_trees(config, centers, rng)
    if rows:
        in_rows = walls_of(coloured, bounds, rng) if coloured else trunks_of_rows(rows, bounds, rng)
        trees = np.concatenate([trees, draw_grown_trees(in_rows, np.full(len(in_rows), RADIUS_M), rng)])
    posts = posts_of(coloured)
    trees = np.concatenate([trees, posts.trees])
    appearance = draw_appearance(rng, trees) if config.domain_randomisation else default_appearance(trees)
    appearance = appearance.painted(posts.colours)
    return Forest(
        seed=seed,
        trees=trees,
        boxes=NO_BOXES,
        bounds_m=bounds,
        start_m=np.array([0.0, 0.0, config.altitude_m]),
        start_yaw_rad=0.0,
        goal_m=np.array([config.flight_m, 0.0, config.altitude_m]),
        goal_radius_m=config.goal_radius_m,
        ribbons=_trail_ribbon(config, trail, appearance.trail_half_width_m),
        surface="trail",
        markings=False,
        appearance=appearance,
        clearance=build_clearance_map(trees, bounds),
        redraws=redraw,
        config=config,
        rows=rows,
        hazards=place_in_forest(config.movers, trees, bounds, config.flight_m, seed),
    )


def _draw_trail(config: ForestConfig, rng: np.random.Generator) -> np.ndarray:
    """(m,) y of the trail every 0.5 m: two sines faded out at the start."""
    if not config.trail:
        return np.zeros(0, np.float32)
    x = np.arange(0.0, config.length_m + 0.25, 0.5) - config.margin_behind_m
    short_m, long_m = rng.uniform(0.5, 2.0, 2)
    short_phase, long_phase = rng.uniform(0, 2 * np.pi, 2)
    waves = short_m * np.sin(x / 6 + short_phase) + long_m * np.sin(x / 11 + long_phase)
    return (waves * np.clip(x / 8, 0, 1) * np.clip((config.flight_m - x) / 8, 0, 1)).astype(np.float32)


def _trail_ribbon(config: ForestConfig, trail: np.ndarray, half_width_m: float) -> tuple[Ribbon, ...]:
    """The trail as a ribbon; as wide as it looks, which is less than the gap that is kept free of trees."""
    if not trail.size:
        return ()
    x = 0.5 * np.arange(trail.size) - config.margin_behind_m
    return (Ribbon(np.stack([x, trail], axis=1).astype(np.float32), half_width_m, closed=False),)


def _hard_core_points(config: ForestConfig, bounds: Bounds, trail: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 2) Poisson number of points, each at least `hard_core_m` from those before it (random sequential
    addition)."""
    depth = bounds.x_max - bounds.x_min
    width = bounds.y_max - bounds.y_min
    wanted = rng.poisson(config.density_per_m2 * depth * width)
    tries = 20 * wanted + 20
    candidates = rng.uniform((bounds.x_min, bounds.y_min), (bounds.x_max, bounds.y_max), (tries, 2))
    free = np.hypot(candidates[:, 0], candidates[:, 1]) >= config.start_clear_m
    if trail.size:
        trail_y = np.interp(candidates[:, 0], bounds.x_min + 0.5 * np.arange(trail.size), trail)
        free &= np.abs(candidates[:, 1] - trail_y) >= config.trail_half_width_m + config.trunk_diameter_m[1] / 2
    return _sequential_addition(candidates[free], wanted, config.hard_core_m)


def _sequential_addition(candidates: np.ndarray, wanted: int, spacing: float) -> np.ndarray:
    """The first `wanted` candidates that keep the spacing to those already taken; a hash grid keeps it linear."""
    taken: list[np.ndarray] = []
    cells: dict[tuple[int, int], list[np.ndarray]] = {}
    for point in candidates:
        if len(taken) == wanted:
            break
        cell = (int(point[0] // spacing), int(point[1] // spacing))
        if _is_crowded(point, cell, cells, spacing):
            continue
        taken.append(point)
        cells.setdefault(cell, []).append(point)
    return np.array(taken).reshape(-1, 2)


def _is_crowded(
    point: np.ndarray, cell: tuple[int, int], cells: dict[tuple[int, int], list[np.ndarray]], spacing: float
) -> bool:
    """Tell if a point that was taken stands within the spacing of this one, which falls into a cell."""
    column, row = cell
    for i in (column - 1, column, column + 1):
        for j in (row - 1, row, row + 1):
            for other in cells.get((i, j), ()):
                if (other[0] - point[0]) ** 2 + (other[1] - point[1]) ** 2 < spacing**2:
                    return True
    return False


def _draw_trees(config: ForestConfig, centers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 7) float32 trees at the given centres; radii in steps of 1 cm so that colliders can be shared."""
    low, high = config.trunk_diameter_m
    radii = np.round(rng.uniform(low, high, len(centers)) / 2, 2)
    return draw_grown_trees(centers, radii, rng)
