"""Side cameras from picture to picture: fixed, or drawn anew so that many mistakes are seen once.

| placement | where the side cameras stand |
|---|---|
| `fixed` | on their rig |
| `random` | anew for every picture: each shifted to its side and turned to either, within the vehicle's `SideRange` |
| `random-speed` | the same, and the expert is asked about another speed there, from standing to 1.3 set points |
| `random-path` | each glides from one such place to the next, as a vehicle beside this one could: for memories |

A vehicle that drifts (one whose `SideRange` asks for room) is shifted level, and no further than a body of its size
could go straight aside before a trunk, or what moves; its side cameras also have a speed along and across their
heading, which no picture shows: the state does, and the expert is asked about it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forestpilot.sim.cameras import (
    ACROSS,
    BEARING,
    CAMERA_NAMES,
    FASTER,
    FIXED,
    RANDOM_PATH,
    RANDOM_SPEED,
    SHIFT,
    SIDE_CAMERAS,
    YAW,
    YAW_RATE,
    Rig,
)
from forestpilot.sim.courses.course import require_choice
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.expert import CameraViews
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.vehicles.vehicle import Vehicle
from forestpilot.sim.worlds.clearance import ClearanceMap
from forestpilot.sim.worlds.hazards.traffic import NOW, Traffic
from forestpilot.sim.worlds.world import World

FASTEST_SHARE = 1.3
"""Largest speed, in speed set points, that the expert is asked about at a random side camera."""
PATH_S = 1.2
"""A camera on a path is on its way to a new place every so many seconds."""
SIDES = ((0, 1.0), (2, -1.0))
"""Rows of the side cameras, and the sign of a shift to their side."""


class SideCameras:
    """Says where the three cameras stand at each step: on their rig.

    Args:
        rig: where they usually stand.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._fixed = np.column_stack([rig.offsets, np.zeros(3, np.float32)])

    def begin(self, world: World, set_point_mps: float, traffic: Traffic) -> None:
        """A new episode; what is drawn follows from its world's seed."""

    def views(self, vehicle: Vehicle, position: np.ndarray, rotation: np.ndarray) -> CameraViews:
        """Where the cameras stand now.

        Args:
            vehicle: begun.
            position: (3,) of the body in metres.
            rotation: (3, 3) body to world.
        """
        offsets = self._offsets(vehicle)
        return CameraViews(*self._rig.poses(position, rotation, offsets), offsets)

    def _offsets(self, vehicle: Vehicle) -> np.ndarray:
        """(3, 3) float32: `SHIFT`, `YAW` and `FASTER` of left, center and right camera."""
        return self._fixed.copy()


class DrawnSideCameras(SideCameras):
    """Side cameras drawn anew for every picture, within the range of their vehicle; see the module.

    Args:
        rig: where they usually stand.
        placement: `random` or `random-speed`.
    """

    def __init__(self, rig: Rig, placement: str) -> None:
        super().__init__(rig)
        self._any_speed = placement == RANDOM_SPEED

    def begin(self, world: World, set_point_mps: float, traffic: Traffic) -> None:
        """A new episode."""
        self._rng = rng_for(world.seed, SeedStream.CAMERAS)
        self._set_point_mps = set_point_mps

    def _offsets(self, vehicle: Vehicle) -> np.ndarray:
        limits = vehicle.side_range
        shift_left, shift_right = self._rng.uniform(0, limits.shift_m, 2)
        yaw_left, yaw_right = limits.yaw_rad * self._rng.uniform(-1, 1, 2)
        faster_left, faster_right = self._draw_faster(vehicle)
        left = (shift_left, yaw_left, faster_left)
        right = (-shift_right, yaw_right, faster_right)
        return np.array([left, (0.0, 0.0, 0.0), right], np.float32)

    def _draw_faster(self, vehicle: Vehicle) -> np.ndarray:
        """(2,) changes of speed along the heading of the left and the right camera, in m/s."""
        if self._any_speed:
            return self._rng.uniform(0, FASTEST_SHARE * self._set_point_mps, 2) - vehicle.forward_mps
        furthest_mps = vehicle.side_range.along * self._set_point_mps
        return self._rng.uniform(-furthest_mps, furthest_mps, 2) if furthest_mps else np.zeros(2)


class DriftingSideCameras(DrawnSideCameras):
    """The same beside a vehicle that can drift: where there is room, and with a speed across."""

    def begin(self, world: World, set_point_mps: float, traffic: Traffic) -> None:
        """A new episode."""
        super().begin(world, set_point_mps, traffic)
        self._world = world
        self._traffic = traffic

    def views(self, vehicle: Vehicle, position: np.ndarray, rotation: np.ndarray) -> CameraViews:
        """Where the cameras stand now, as if the vehicle, tilted as it is, stood further left or right."""
        left = np.array([-math.sin(vehicle.yaw_rad), math.cos(vehicle.yaw_rad)])
        offsets = np.zeros((len(CAMERA_NAMES), BEARING + 1))
        self._place(offsets, vehicle, position[:2], left)
        turned = offsets[:, [SHIFT, YAW]]
        turned[:, SHIFT] = 0.0
        eyes, axes = self._rig.poses(position, rotation, turned)
        aside = np.outer(offsets[:, SHIFT], left)
        goal = (self._world.goal_m[:2] - position[:2]).tolist()
        for row, _ in SIDES:
            offsets[row, BEARING] = _change_of_bearing(goal, aside[row].tolist())
        eyes[:, :2] += aside.astype(np.float32)
        return CameraViews(eyes, axes, offsets.astype(np.float32))

    def _place(self, offsets: np.ndarray, vehicle: Vehicle, place_m: np.ndarray, left: np.ndarray) -> None:
        """Fill the columns of the side cameras, of `offsets` (3, 6), but for `BEARING`."""
        limits = vehicle.side_range
        shares = self._rng.uniform(0, 1, 2)
        yaws_rad = limits.yaw_rad * self._rng.uniform(-1, 1, 2)
        faster_mps = self._draw_faster(vehicle)
        across_mps = limits.across * self._set_point_mps * self._rng.uniform(-1, 1, 2)
        for k, (row, side) in enumerate(SIDES):
            shift_m = side * shares[k] * self._room_m(vehicle, place_m, side * left)
            offsets[row, :YAW_RATE] = shift_m, yaws_rad[k], faster_mps[k], across_mps[k]

    def _room_m(self, vehicle: Vehicle, place_m: np.ndarray, direction: np.ndarray) -> float:
        """How far the vehicle could go straight aside, at most as far as its cameras are shifted."""
        limits = vehicle.side_range
        assert limits.room_m is not None
        room_m = room_aside_m(self._world.clearance, place_m, direction, limits.shift_m, limits.room_m)
        if self._traffic:
            discs = self._traffic.discs(NOW)[0]
            room_m = min(room_m, room_before_discs_m(discs, place_m, direction, limits.room_m))
        return room_m


class GlidingSideCameras(DriftingSideCameras):
    """Side cameras that each glide from place to place, as another vehicle beside this one could, so that a memory is
    told one story: how fast they move and turn is what the state there reads."""

    def __init__(self, rig: Rig, control_hz: int) -> None:
        super().__init__(rig, RANDOM_PATH)
        self._control_hz = control_hz
        self._steps_to_place = max(1, round(PATH_S * control_hz))

    def begin(self, world: World, set_point_mps: float, traffic: Traffic) -> None:
        """A new episode, each camera at its first place."""
        super().begin(world, set_point_mps, traffic)
        self._step = 0
        self._before: _Places | None = None

    def _place(self, offsets: np.ndarray, vehicle: Vehicle, place_m: np.ndarray, left: np.ndarray) -> None:
        limits = vehicle.side_range
        if self._step % self._steps_to_place == 0:
            self._shares = self._rng.uniform(0, 1, 2)
            self._aims_rad = limits.yaw_rad * self._rng.uniform(-1, 1, 2)
        self._step += 1
        rooms_m = np.array([self._room_m(vehicle, place_m, side * left) for _, side in SIDES])
        shifts_m = self._shares * rooms_m
        yaws_rad = self._aims_rad
        before = self._before
        furthest_mps = limits.across * self._set_point_mps
        if before is not None:
            shifts_m = np.minimum(_towards(before.shifts_m, shifts_m, furthest_mps / self._control_hz), rooms_m)
            yaws_rad = _towards(before.yaws_rad, yaws_rad, limits.yaw_rate_radps / self._control_hz)
        now = _Places(shifts_m, yaws_rad, np.outer(shifts_m * [side for _, side in SIDES], left))
        for k, (row, side) in enumerate(SIDES):
            offsets[row, SHIFT] = side * shifts_m[k]
            offsets[row, YAW] = yaws_rad[k]
            if before is not None:
                offsets[row, FASTER : ACROSS + 1] = self._drift(now, before, k, vehicle.yaw_rad, furthest_mps)
                offsets[row, YAW_RATE] = (yaws_rad[k] - before.yaws_rad[k]) * self._control_hz
        self._before = now

    def _drift(
        self, now: _Places, before: _Places, k: int, heading_rad: float, furthest_mps: float
    ) -> tuple[float, float]:
        """How much faster than the vehicle a side camera moves, along and across its own heading, in m/s. One that a
        trunk has pushed aside did not fly there."""
        x, y = ((now.aside_m[k] - before.aside_m[k]) * self._control_hz).tolist()
        share = min(1.0, furthest_mps / max(math.hypot(x, y), 1e-9))
        cosine = share * math.cos(heading_rad + now.yaws_rad[k])
        sine = share * math.sin(heading_rad + now.yaws_rad[k])
        return cosine * x + sine * y, cosine * y - sine * x


class _Places(NamedTuple):
    """Where the two side cameras stood at a step."""

    shifts_m: np.ndarray
    """(2,) to their side."""
    yaws_rad: np.ndarray
    """(2,) to the left."""
    aside_m: np.ndarray
    """(2, 2) from the vehicle."""


def room_aside_m(
    clearance: ClearanceMap, place_m: np.ndarray, direction: np.ndarray, furthest_m: float, room_m: float
) -> float:
    """How far one can go straight from a place with so much room to the nearest trunk all the way, in metres.

    Args:
        clearance: the world's map; outside of it nobody can go.
        place_m: (2,) where from.
        direction: (2,) unit vector.
        furthest_m: answer where nothing is in the way.
        room_m: to the surface of the nearest trunk.
    """
    distance_m = clearance.distance_m
    rows, columns = distance_m.shape
    # In cells from the map's corner; a plain loop, which ends early, takes a third of what NumPy does.
    x = (float(place_m[0]) - clearance.x_min) / clearance.cell_m
    y = (float(place_m[1]) - clearance.y_min) / clearance.cell_m
    along_x, along_y = direction.tolist()
    for step in range(1, math.ceil(furthest_m / clearance.cell_m) + 1):
        column = round(x + step * along_x)
        row = round(y + step * along_y)
        is_free = 0 <= row < rows and 0 <= column < columns and distance_m.item(row, column) > room_m
        if not is_free:
            return (step - 1) * clearance.cell_m
    return furthest_m


def room_before_discs_m(discs: np.ndarray, place_m: np.ndarray, direction: np.ndarray, room_m: float) -> float:
    """How far one can go straight from a place with so much room to what moves, in metres.

    Args:
        discs: (M, 3) x, y and radius in metres.
        place_m: (2,) where from.
        direction: (2,) unit vector.
        room_m: to the edge of the nearest disc.
    """
    x, y, radius = (discs - (*place_m.tolist(), 0.0)).T
    along = x * direction[0] + y * direction[1]
    aside = y * direction[0] - x * direction[1]
    reach = radius + room_m
    in_the_way = (np.abs(aside) < reach) & (along > 0.0)
    enters_m = along[in_the_way] - np.sqrt(reach[in_the_way] ** 2 - aside[in_the_way] ** 2)
    return max(0.0, float(enters_m.min(initial=math.inf)))


def _towards(start: np.ndarray, end: np.ndarray, furthest: float) -> np.ndarray:
    """From start towards end, but no further than so much."""
    return start + np.clip(end - start, -furthest, furthest)


def _change_of_bearing(goal: list[float], aside: list[float]) -> float:
    """Radians by which the goal, (2,) from here, lies further left seen from a place (2,) aside."""
    x = goal[0] - aside[0]
    y = goal[1] - aside[1]
    return math.atan2(goal[0] * y - goal[1] * x, goal[0] * x + goal[1] * y)


def make_side_cameras(placement: str, rig: Rig, vehicle: type[Vehicle], control_hz: int) -> SideCameras:
    """The side cameras of a vehicle.

    Args:
        placement: see the module.
        rig: where they usually stand.
        vehicle: kind of vehicle.
        control_hz: steps per second.

    Raises:
        InvalidArgumentError: there is no such placement, or not beside this vehicle.
    """
    require_choice("side_cameras", placement, SIDE_CAMERAS)
    drifts = vehicle.side_range.room_m is not None
    if placement == RANDOM_PATH and not drifts:
        raise InvalidArgumentError(
            f"side_cameras is {placement!r}, which needs a vehicle that can drift, and a {vehicle.name} goes where it "
            "heads; give random or random-speed"
        )
    if placement == FIXED:
        return SideCameras(rig)
    if placement == RANDOM_PATH:
        return GlidingSideCameras(rig, control_hz)
    if drifts:
        return DriftingSideCameras(rig, placement)
    return DrawnSideCameras(rig, placement)
