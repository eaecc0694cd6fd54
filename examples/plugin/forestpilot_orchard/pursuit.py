"""An expert: the shortest way to the goal on the clearance map, followed by pure pursuit (Coulter 1992).

It needs no model of the vehicle, so it drives a rover through an orchard as well as through a forest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from forestpilot.sim.cameras import CENTER, FORWARD, Rig
from forestpilot.sim.courses.course import Course, GoalCourse
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.expert import CameraViews, Expert, Labels, UnsuitableExpertError
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.clearance import ClearanceMap

GRID_M = 0.4
"""Spacing of the points between which the way is searched."""
LOOKAHEAD_M = 2.0
COMFORTABLE_M = 1.2
"""From this clearance on, a way is no dearer than in the open."""
SIGHT_M = (0.6, 1.2, 1.8, 2.4)
"""Distances along a candidate turn at which its clearance is looked up."""


class Field(NamedTuple):
    """Values on a regular grid over the world."""

    x_min: float
    y_min: float
    spacing_m: float
    values: np.ndarray
    """(rows along y, columns along x)."""

    def at(self, places: np.ndarray) -> np.ndarray:
        """The value of the grid point nearest to each place (..., 2), the rim's beyond it."""
        rows, columns = self.values.shape
        nearest = np.rint((places - (self.x_min, self.y_min)) / self.spacing_m).astype(int)
        return self.values[nearest[..., 1].clip(0, rows - 1), nearest[..., 0].clip(0, columns - 1)]


@dataclass(frozen=True)
class PursuitConfig(ExpertConfig):
    """Pure pursuit has no options; its name lets `--mix.expert pursuit` choose it."""

    part: ClassVar[str] = "pursuit"


class PursuitExpert(Expert):
    """Knows the shortest way from everywhere.

    Args:
        vehicle: any vehicle whose turn is a change of heading, begun.
        course: any course with a goal, begun.
        rig: where the cameras stand.
        config: nothing.
    """

    Config: ClassVar[type[ExpertConfig]] = PursuitConfig

    def __init__(self, vehicle: Vehicle, course: Course, rig: Rig, config: Any = None) -> None:
        if vehicle.turn_kind != "heading" or not isinstance(course, GoalCourse):
            raise UnsuitableExpertError(f"pure pursuit knows no way for a {vehicle.name} through a {course.name}")
        self._vehicle = vehicle
        grid = course.world.clearance
        self._clearance = Field(grid.x_min, grid.y_min, grid.cell_m, grid.distance_m)
        self._to_go = distance_to_go(grid, course.world.goal_m)
        self._turns_rad = vehicle.candidate_turns_rad()

    def label(self, views: CameraViews) -> Labels:
        """The turn towards the way, at each camera's place and heading."""
        labels = Labels.empty(len(views.eyes))
        here = self._vehicle.base_position()[:2]
        for c, eye in enumerate(views.eyes):
            forward = views.axes[c, FORWARD]
            place = here + eye[:2] - views.eyes[CENTER, :2]
            yaw_rad = math.atan2(forward[1], forward[0])
            labels.costs[c] = self._costs(place, yaw_rad)
            turn_rad = self._turns_rad[int(np.argmin(labels.costs[c]))]
            labels.actions[c] = turn_rad / self._vehicle.max_turn_rad, self._go(turn_rad)
        return labels

    def _go(self, turn_rad: float) -> float:
        """Full speed straight on, half of it in a sharp turn."""
        return 1.0 - abs(turn_rad) / self._vehicle.max_turn_rad

    def _costs(self, place: np.ndarray, yaw_rad: float) -> np.ndarray:
        """(K,) metres of detour that each turn means, and a penalty for what stands in its way."""
        yaws = yaw_rad + self._turns_rad
        ahead = np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
        left_m = self._to_go.at(place + LOOKAHEAD_M * ahead)
        least_m = self._clearance.at(place + np.multiply.outer(SIGHT_M, ahead)).min(axis=0)
        costs = 4.0 * left_m + 20.0 * np.maximum(0.0, 0.6 - least_m) + 0.2 * np.abs(self._turns_rad)
        return (costs - costs.min()).astype(np.float32)


def distance_to_go(grid: ClearanceMap, goal_m: np.ndarray) -> Field:
    """Metres to the goal (>= 2,) on a coarser grid, dearer close to trunks."""
    every = max(1, round(GRID_M / grid.cell_m))
    clearance = grid.distance_m[::every, ::every]
    rows, columns = clearance.shape
    spacing = grid.cell_m * every
    dearness = 1.0 + 6.0 * np.clip(COMFORTABLE_M - clearance, 0.0, None) ** 2
    dearness[clearance < 0.3] = 200.0
    numbers = np.arange(rows * columns).reshape(rows, columns)
    starts, ends, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = numbers[: rows - down, max(0, -right) : columns - max(0, right)]
        b = numbers[down:, max(0, right) : columns + min(0, right)]
        starts.append(a.ravel())
        ends.append(b.ravel())
        lengths.append(spacing * math.hypot(down, right) * (dearness.flat[a.ravel()] + dearness.flat[b.ravel()]) / 2)
    edges = (np.concatenate(starts), np.concatenate(ends))
    graph = coo_matrix((np.concatenate(lengths), edges), shape=(rows * columns,) * 2)
    column = min(columns - 1, max(0, round((goal_m[0] - grid.x_min) / spacing)))
    row = min(rows - 1, max(0, round((goal_m[1] - grid.y_min) / spacing)))
    metres = dijkstra(graph.tocsr(), directed=False, indices=numbers[row, column])
    return Field(grid.x_min, grid.y_min, spacing, metres.reshape(rows, columns))
