"""What demonstrators with habits share: options, and the numbers that a habit is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from forestpilot.sim.courses.course import Course
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.ranges import SEEDS, require_ranges
from forestpilot.sim.seeds import SeedStream
from forestpilot.sim.worlds.rows import TrunkRow
from forestpilot.sim.worlds.world import World


@dataclass(frozen=True)
class HabitConfig(ExpertConfig):
    """Options of a demonstrator whose habits are drawn."""

    draw: Annotated[int, SEEDS] = 0
    """Which draw of the habits: in the same world another number has other ones."""

    def __post_init__(self) -> None:
        require_ranges(self)


def habit_rng(config: HabitConfig, course: Course) -> np.random.Generator:
    """The generator of an episode's habits, which follow from its world's seed and the number of the draw."""
    return np.random.default_rng([course.world.seed, int(SeedStream.HABITS), config.draw])


def rows_of(world: World) -> tuple[TrunkRow, ...]:
    """The rows of trunks with gaps across a forest; none in other worlds."""
    rows: Any = getattr(world, "rows", ())
    return tuple(rows)
