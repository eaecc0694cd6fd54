"""What every world is, forest or road: frozen arrays made from one seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forestpilot.sim.worlds.clearance import ClearanceMap
from forestpilot.sim.worlds.tables import (
    BARRIER,
    BOX,
    CAR_BODY,
    CAR_CABIN,
    CONE,
    LOG,
    NO_BOXES,
    SPHERE,
    TREE,
    Bounds,
    Boxes,
    Trees,
    records,
)
from forestpilot.sim.worlds.words import format_density

if TYPE_CHECKING:
    from forestpilot.sim.worlds.appearance import Appearance
    from forestpilot.sim.worlds.hazards.hazard import Hazard

__all__ = [
    "BARRIER",
    "BOX",
    "CAR_BODY",
    "CAR_CABIN",
    "CONE",
    "LOG",
    "NO_BOXES",
    "SPHERE",
    "TREE",
    "Bounds",
    "Boxes",
    "Ribbon",
    "Trees",
    "World",
    "records",
]


class Ribbon(NamedTuple):
    """A strip of ground with a surface of its own: a trail, a road, the arm of a junction."""

    points_m: np.ndarray
    """(n, 2) float32 points along its middle, 0.5 m apart."""
    half_width_m: float
    """Half its width in metres."""
    closed: bool
    """Whether the last point joins the first."""


@dataclass(frozen=True, eq=False)
class World:
    """Geometry and looks as arrays; knows neither PyBullet nor a vehicle."""

    seed: int
    """The seed it was made from."""
    trees: np.ndarray
    """(n, 7) float32, the columns of `Trees`."""
    boxes: np.ndarray
    """(b, 8) float32, the columns of `Boxes`: obstacles that stand upright on or above the ground."""
    bounds_m: Bounds
    """How far the world reaches; a plain (x_min, x_max, y_min, y_max) becomes one."""
    start_m: np.ndarray
    """(3,) start position in metres."""
    start_yaw_rad: float
    """Heading at the start in radians."""
    goal_m: np.ndarray
    """(3,) goal position in metres."""
    goal_radius_m: float
    """A flight succeeds within this distance of the goal, in metres; a drive has to reach the end of its route."""
    ribbons: tuple[Ribbon, ...]
    """Trail or road on the ground; where ribbons overlap they are one surface."""
    surface: str
    """What the ribbons are made of: `trail`, `asphalt`, `gravel` or `dirt`."""
    markings: bool
    """Whether the ribbons have a dashed middle line and edge lines."""
    appearance: Appearance
    """Colours, light, fog and textures."""
    clearance: ClearanceMap
    """Distance to the nearest trunk or box on a grid, for planners."""
    redraws: int
    """How many drawn worlds were thrown away: forests that nothing could pass through, roads that met themselves."""
    hazards: tuple[Hazard, ...] = field(default=(), kw_only=True)
    """What moves in it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds_m", Bounds(*self.bounds_m))

    def describe(self) -> str:
        """The world in a few words, for example `1/25 trees/m2`; for a scenario's, see a task's `describe`."""
        return f"{format_density(len(self.trees) / self.bounds_m.area_m2)} trees/m2"
