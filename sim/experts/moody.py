"""The moody demonstrator: each episode has a style that no single picture shows, and that history reveals.

Whoever learns from it without a memory can at best learn the average of all styles: the demonstrator is no function of
what is seen (non-Markovian behaviour).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.braking import BRAKING_SHARE, GAP_M
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.driving import DriveMoment, DrivingExpert
from forestpilot.sim.experts.expert import CameraViews, Expert, Labels
from forestpilot.sim.experts.flight import FlightExpert, PlannerConfig
from forestpilot.sim.experts.habits import HabitConfig, habit_rng, rows_of
from forestpilot.sim.experts.own import own_expert
from forestpilot.sim.experts.passing import LEFT, RIGHT, THREADING, Passing, Threading
from forestpilot.sim.ranges import SHARE, Range
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.clearance import sample_clearance
from forestpilot.sim.worlds.world import World

NEAR_M = 1.5
"""Where less clearance than this lies ahead, a drone is near trunks, in metres."""
SIGHT_M = (1.0, 2.0, 3.0, 4.0)
"""How far ahead it looks for trunks, in metres."""
DECAY_SHARE = 0.8
"""What closeness to trunks costs falls by e over this share of the distance that is kept."""
ROAD_IS_FREE_M = 1.1
"""With less clearance than this a car keeps to the line, whatever its style, in metres."""


@dataclass(frozen=True)
class MoodyConfig(HabitConfig):
    """Has a style that is drawn per episode: the side on which it passes, the distance that it keeps, its speed."""

    part: ClassVar[str] = "moody"

    left_share: Annotated[float, SHARE] = 0.5
    """Share of episodes in which trunks are passed on their left; a car keeps left of its line in so many."""
    keep_m: Annotated[tuple[float, float], Range(0.1, 2)] = (0.2, 0.9)
    """Least and largest distance that it means to keep from a trunk, in metres from the body."""
    pace: Annotated[tuple[float, float], Range(0.3, 1)] = (0.5, 1.0)
    """Least and largest share of the speed at which a drone flies near trunks, and a car drives everywhere; in the open
    all drones fly at the set point, so that their speed does not tell their style."""
    aside_m: Annotated[tuple[float, float], Range(0, 0.6)] = (0.1, 0.4)
    """Least and largest distance from its line that a car keeps, in metres."""
    braking: Annotated[tuple[float, float], Range(0.02, 0.9)] = (BRAKING_SHARE, BRAKING_SHARE)
    """Least and largest share of the grip with which a car brakes for a hazard; with less it begins earlier."""
    gap_m: Annotated[tuple[float, float], Range(0.5, 20)] = (GAP_M, GAP_M)
    """Least and largest distance at which a car stops before a hazard, in metres."""
    ahead_m: Annotated[float, Range(2, 40)] = 10.0
    """From this distance on a trunk is in a drone's way, in metres."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("keep_m", "pace", "aside_m", "braking", "gap_m"):
            bounds = tuple(getattr(self, name))
            object.__setattr__(self, name, bounds)
            if len(bounds) != 2 or bounds[0] > bounds[1]:
                raise InvalidArgumentError(f"{name} is {bounds}; give two numbers, the least and the largest")


class Style(NamedTuple):
    """How a moody demonstrator goes about one episode."""

    side: float
    """`LEFT` or `RIGHT`."""
    keep_m: float
    pace: float
    aside_m: float
    braking: float
    gap_m: float


def draw_style(config: MoodyConfig, course: Course) -> Style:
    """The style of an episode."""
    rng = habit_rng(config, course)
    side = LEFT if rng.random() < config.left_share else RIGHT
    keep_m, pace, aside_m = (float(rng.uniform(*bounds)) for bounds in (config.keep_m, config.pace, config.aside_m))
    least, largest = config.braking
    return Style(
        side, keep_m, pace, aside_m, least * (largest / least) ** float(rng.random()), float(rng.uniform(*config.gap_m))
    )


class MoodyFlight(FlightExpert):
    """The flight expert with a style."""

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: MoodyConfig = MoodyConfig()) -> None:
        self.style = style = draw_style(config, course)
        super().__init__(vehicle, course, rig)
        world = course.world
        rows = rows_of(world)
        self._clearance = world.clearance
        self._will: Any = Passing(world, np.full(len(world.trees), style.side), style.keep_m, config.ahead_m)
        if rows:
            self._will = Threading(world, rows, [_gap_beside_the_middle(len(row.gaps_y_m), style) for row in rows])

    def planning(self, world: World) -> PlannerConfig:
        """Who keeps a larger distance minds trunks from further away; gaps in rows are as narrow for everybody."""
        if rows_of(world):
            return THREADING
        return PlannerConfig(clearance_decay_m=DECAY_SHARE * self.style.keep_m)

    def goals_m(self, motions: np.ndarray) -> np.ndarray | None:
        """(S, 2) float64: where it wants to fly to from each state (S, 8)."""
        return np.array([self._will.aim(x, y) for x, y in motions[:, :2].tolist()])

    def paces(self, motions: np.ndarray) -> list[float]:
        """The set point in the open, and less near trunks, as its style is."""
        return [1.0 - (1.0 - self.style.pace) * self._nearness(*motion[:4]) for motion in motions.tolist()]

    def _nearness(self, x: float, y: float, vx: float, vy: float) -> float:
        """How near trunks lie ahead: 0 in the open, 1 where the way would touch one."""
        speed = max(math.hypot(vx, vy), 1e-3)
        grid = self._clearance
        least = NEAR_M
        for sight in SIGHT_M:
            u = (x + sight * vx / speed - grid.x_min) / grid.cell_m
            v = (y + sight * vy / speed - grid.y_min) / grid.cell_m
            least = min(least, float(sample_clearance(grid.distance_m, u, v)))
        return 1.0 - max(least, 0.0) / NEAR_M


def _gap_beside_the_middle(gaps: int, style: Style) -> int:
    """Number, counted from the right, of the gap next to the middle on the style's side."""
    if style.side == LEFT:
        return min((gaps + 1) // 2, gaps - 1)
    return max(gaps // 2 - 1, 0)


class MoodyDrive(DrivingExpert):
    """The driving expert with a style: on one side of its line, faster or slower."""

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: MoodyConfig = MoodyConfig()) -> None:
        super().__init__(vehicle, course, rig)
        self.style = draw_style(config, course)
        self.pace = self.style.pace
        self.braking_share = self.style.braking
        self.gap_m = self.style.gap_m
        self._clearance = course.world.clearance

    def label_then(self, views: CameraViews, moment: DriveMoment) -> Labels:
        """What the driving expert would answer to who is as far to the other side: that leads beside the line."""
        grid = self._clearance
        x, y = moment.place_m.tolist()
        free = float(sample_clearance(grid.distance_m, (x - grid.x_min) / grid.cell_m, (y - grid.y_min) / grid.cell_m))
        if free < ROAD_IS_FREE_M:
            return super().label_then(views, moment)
        heading = self._course.table.point(moment.line_point).heading_rad
        aside = self.style.side * self.style.aside_m * np.array([-math.sin(heading), math.cos(heading)])
        return super().label_then(views, moment._replace(place_m=moment.place_m - aside))


class MoodyExpert(Expert):
    """Answers in the style of the episode, which follows from its world's seed.

    Args:
        vehicle: a quadrotor, or a car on a road; begun.
        course: begun.
        rig: where the cameras stand.
        config: which styles there are.
    """

    Config: ClassVar[type[ExpertConfig]] = MoodyConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: MoodyConfig = MoodyConfig()) -> None:
        self._own = own_expert(vehicle, course, rig, MoodyFlight, MoodyDrive, config)

    def label(self, views: CameraViews) -> Labels:
        """What is right in this style."""
        return self._own.label(views)
