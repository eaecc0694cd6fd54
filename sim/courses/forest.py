"""The course through a forest: 40 m from one side to the other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from forestpilot.sim.courses.course import GoalCourse, require_choice
from forestpilot.sim.worlds.forest import PRESETS, ForestConfig, make_forest
from forestpilot.sim.worlds.rows import ASIDE_M
from forestpilot.sim.worlds.world import World

if TYPE_CHECKING:
    from typing_extensions import Self

CEILING_M = 3.0
"""A drone above this altitude has left the flight area: the lowest crown hangs above it."""


class ForestCourse(GoalCourse):
    """Get through a forest to the goal.

    Args:
        preset: `default` (trunks 0.24-0.70 m across) or `loquercio` (0.6 m), both 30 x 60 m.
        density: trees per square metre.
        trail: a winding trail without trees leads to the goal.
        domain_randomisation: draw colours, light, fog and textures per world.
        speed: speed set point, 1 m/s and up.
        max_speed_mps: largest one that is allowed.
        gaps: rows of trunks stand across the way, each with so many gaps; 0 for none.
        gaps_aside: the middle of a row's gaps lies up to so many metres beside the straight way.
    """

    name = "forest"
    ceiling_m = CEILING_M
    reset_options = ("speed", "density")

    def __init__(
        self,
        preset: str = "default",
        density: float = 1 / 25,
        trail: bool = False,
        domain_randomisation: bool = True,
        speed: float = 5.0,
        max_speed_mps: float = 12.0,
        gaps: int = 0,
        gaps_aside: float = ASIDE_M,
    ) -> None:
        require_choice("preset", preset, tuple(PRESETS))
        super().__init__(speed, max_speed_mps)
        self.config: ForestConfig = dataclasses.replace(
            PRESETS[preset],
            density_per_m2=density,
            trail=trail,
            domain_randomisation=domain_randomisation,
            gaps=gaps,
            gaps_aside_m=gaps_aside,
        )

    def with_options(self, options: dict[str, Any]) -> Self:
        """Another `speed` in m/s or `density` in trees per square metre."""
        changed = super().with_options(options)
        if "density" in options:
            changed.config = dataclasses.replace(self.config, density_per_m2=float(options["density"]))
        return changed

    def make_world(self, seed: int) -> World:
        """The forest of a seed."""
        return make_forest(self.config, seed)

    def time_limit_s(self) -> float:
        """Twice the time of a straight way, and 5 s."""
        return 2 * self.config.flight_m / self.speed_mps + 5.0

    def longest_s(self) -> float:
        """The same in every forest."""
        return self.time_limit_s()
