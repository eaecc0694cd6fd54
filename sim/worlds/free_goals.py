"""Goals anywhere in a forest: drawn where there is room, or said by somebody and checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.worlds.clearance import ClearanceMap, has_free_path
from forestpilot.sim.worlds.world import World

RIM_M = 1.5
"""Goals lie this far inside the forest at least, in metres."""
ROOM_M = 0.6
"""Distance from a goal to the surface of the nearest trunk at least, in metres: a drone can stand there."""
BEYOND_RADIUS_M = 3.0
"""Goals lie this far outside the radius, seen from the start, in metres: who has not set off has not arrived."""
TRIES = 1000
WorldT = TypeVar("WorldT", bound=World)


def least_distance_m(goal_radius_m: float) -> float:
    """Least distance from the start at which goals are drawn, in metres."""
    return goal_radius_m + BEYOND_RADIUS_M


def with_free_goal(world: WorldT, within_m: float, passage_radius_m: float) -> WorldT:
    """The world with a goal anywhere in it, uniform over the places that can be reached; it follows from the seed.

    Args:
        world: trees, start and goal radius; nothing but its goal changes.
        within_m: largest distance from the start, in metres.
        passage_radius_m: a disc of this radius finds a way from the start to the goal.

    Raises:
        ForestPilotError: there is no such place in `TRIES` draws.
    """
    rng = rng_for(world.seed, SeedStream.GOALS)
    x_min, x_max, y_min, y_max = world.bounds_m
    start = world.start_m[:2]
    least_m = least_distance_m(world.goal_radius_m)
    for _ in range(TRIES):
        place = rng.uniform((x_min + RIM_M, y_min + RIM_M), (x_max - RIM_M, y_max - RIM_M))
        if not least_m <= math.dist(place, start) <= within_m or room_at(world.clearance, place) < ROOM_M:
            continue
        if has_free_path(world.clearance, start, place, 0.5 * ROOM_M, passage_radius_m):
            return _with_goal(world, place)
    raise ForestPilotError(f"no free place for a goal within {within_m:g} m in {TRIES} draws of seed {world.seed}")


def with_goal_at(world: WorldT, place_m: Sequence[float]) -> WorldT:
    """The world with its goal where somebody wants it.

    Args:
        world: nothing but its goal changes.
        place_m: x and y in metres.

    Raises:
        InvalidArgumentError: that is no place to fly to: outside the forest, or in a tree.
    """
    place = _numbers(place_m)
    if place.shape != (2,) or not np.isfinite(place).all():
        raise InvalidArgumentError(f"goal is {place_m}; give two numbers, x and y in metres, for example (20, -5)")
    told = f"goal is ({place[0]:g}, {place[1]:g}) m"
    x_min, x_max, y_min, y_max = world.bounds_m
    if not (x_min <= place[0] <= x_max and y_min <= place[1] <= y_max):
        raise InvalidArgumentError(
            f"{told}, outside the forest; allowed: x from {x_min:g} to {x_max:g}, y from {y_min:g} to {y_max:g}"
        )
    if _depth_in_tree(world, place) > 0.0:
        raise InvalidArgumentError(f"{told}, inside a tree of world {world.seed}; choose a place between the trunks")
    return _with_goal(world, place)


def room_at(clearance: ClearanceMap, place_m: np.ndarray) -> float:
    """Distance from a place (2,) inside the map to the surface of the nearest trunk, at the nearest grid point, in
    metres."""
    column = round((float(place_m[0]) - clearance.x_min) / clearance.cell_m)
    row = round((float(place_m[1]) - clearance.y_min) / clearance.cell_m)
    return float(clearance.distance_m[row, column])


def _numbers(values: Any) -> np.ndarray:
    """The values as an array of numbers; empty where they are none."""
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return np.empty(0)


def _depth_in_tree(world: World, place: np.ndarray) -> float:
    """How far below a trunk's surface a place lies, in metres; negative outside of all."""
    if not len(world.trees):
        return -math.inf
    x, y, radius = world.trees[:, :3].astype(np.float64).T
    return float((radius - np.hypot(x - place[0], y - place[1])).max())


def _with_goal(world: WorldT, place: np.ndarray) -> WorldT:
    return dataclasses.replace(world, goal_m=np.array([*place.tolist(), world.start_m[2]]))
