"""A world and its course: rows of fruit trees along winding alleys, and a goal at the end of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.sim.courses.course import GoalCourse, require_choice
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.worlds.appearance import default_appearance, draw_appearance
from forestpilot.sim.worlds.clearance import build_clearance_map
from forestpilot.sim.worlds.world import NO_BOXES, World

if TYPE_CHECKING:
    from typing_extensions import Self

LENGTH_M = 40.0
ROWS = 6
TREE_SPACING_M = 2.5
GOAL_RADIUS_M = 1.5


@dataclass(frozen=True)
class OrchardConfig:
    """Everything besides the seed that an orchard depends on."""

    row_spacing_m: float = 4.0
    """Distance between two rows in metres."""
    sphere_share: float = 1.0
    """Share of the trees with round crowns."""
    bend_m: float = 2.0
    """How far the rows wind to the side, in metres at most."""

    def __post_init__(self) -> None:
        if not 2.5 <= self.row_spacing_m <= 8.0:
            raise InvalidArgumentError(f"row_spacing is {self.row_spacing_m} m; allowed: 2.5 to 8")


PRESETS = {"apples": OrchardConfig(), "pears": OrchardConfig(row_spacing_m=3.2, sphere_share=0.0, bend_m=3.0)}


def make_orchard(config: OrchardConfig, seed: int, domain_randomisation: bool) -> World:
    """The orchard of a seed: the start in one alley, the goal at its end."""
    rng = np.random.default_rng([seed, 0x0A])
    x = np.arange(0.0, LENGTH_M, TREE_SPACING_M)
    bend = config.bend_m * rng.uniform(-1, 1) * np.sin(np.pi * x / LENGTH_M)
    rows = config.row_spacing_m * (np.arange(ROWS) - ROWS / 2 + 0.5)
    centers = np.array([(along, row + aside) for row in rows for along, aside in zip(x, bend)])
    centers += rng.normal(0.0, 0.08, centers.shape)
    trees = _plant(config, centers, rng)
    bounds = (-4.0, LENGTH_M + 6.0, float(rows[0]) - 6.0, float(rows[-1]) + 6.0)
    alley = config.row_spacing_m * rng.integers(-1, 2)
    looks = draw_appearance(rng, trees) if domain_randomisation else default_appearance(trees)
    return World(
        seed=seed,
        trees=trees,
        boxes=NO_BOXES,
        bounds_m=bounds,
        start_m=np.array([-2.0, alley, 0.0]),
        start_yaw_rad=0.0,
        goal_m=np.array([LENGTH_M + 1.0, alley, 0.0]),
        goal_radius_m=GOAL_RADIUS_M,
        ribbons=(),
        surface="trail",
        markings=False,
        appearance=looks,
        clearance=build_clearance_map(trees, bounds),
        redraws=0,
    )


def _plant(config: OrchardConfig, centers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 7) float32 trees: x, y, trunk radius and height, crown radius and height, kind (1 round)."""
    count = len(centers)
    columns = (
        centers,
        np.round(rng.uniform(0.06, 0.11, (count, 1)), 2),
        rng.uniform(1.6, 2.2, (count, 1)),
        rng.uniform(0.7, 1.0, (count, 1)),
        rng.uniform(1.6, 2.2, (count, 1)),
        rng.random((count, 1)) < config.sphere_share,
    )
    return np.hstack(columns).astype(np.float32)


class OrchardCourse(GoalCourse):
    """Get to the end of an alley.

    Args:
        preset: `apples` (alleys 4 m wide) or `pears` (3.2 m, winding).
        row_spacing: distance between two rows in metres; the preset's by default.
        domain_randomisation: draw colours, light, fog and textures per world.
        speed: speed set point, 1 m/s and up.
        max_speed_mps: largest one that is allowed.
    """

    name = "orchard"
    ceiling_m = 3.0
    reset_options = ("speed", "row_spacing")

    def __init__(
        self,
        preset: str = "apples",
        row_spacing: float | None = None,
        domain_randomisation: bool = True,
        speed: float = 2.0,
        max_speed_mps: float = 4.0,
    ) -> None:
        require_choice("preset", preset, tuple(PRESETS))
        super().__init__(speed, max_speed_mps)
        usual = PRESETS[preset]
        spacing = usual.row_spacing_m if row_spacing is None else float(row_spacing)
        self.config = OrchardConfig(spacing, usual.sphere_share, usual.bend_m)
        self._random_looks = domain_randomisation

    def with_options(self, options: dict[str, Any]) -> Self:
        """Another `speed` in m/s or `row_spacing` in metres."""
        changed = super().with_options(options)
        spacing = float(options.get("row_spacing", self.config.row_spacing_m))
        changed.config = OrchardConfig(spacing, self.config.sphere_share, self.config.bend_m)
        return changed

    def make_world(self, seed: int) -> World:
        """The orchard of a seed."""
        return make_orchard(self.config, seed, self._random_looks)

    def time_limit_s(self) -> float:
        """Twice the time of a straight way, and 10 s."""
        return 2 * LENGTH_M / self.speed_mps + 10.0

    def longest_s(self) -> float:
        """The same in every orchard."""
        return self.time_limit_s()
