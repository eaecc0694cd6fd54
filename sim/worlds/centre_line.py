"""Centre lines of roads: smooth bends laid one after another, junctions, and circuits that close on themselves.

Every line is made from its curvature, which rises and falls as a raised cosine (as a clothoid's would, but without
kinks), so heading and curvature are exact by construction and the bound on curvature holds everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit

from sim.errors import ForestPilotError
from sim.worlds.road_config import RoadConfig

POINT_SPACING_M = 0.5
"""Distance between two points of a centre line and of a route."""
FOLLOW, LEFT, STRAIGHT, RIGHT = 0, 1, 2, 3
"""Route commands: follow the road; at the junction ahead turn left, go straight on, turn right."""
GAP_M = 14.0
"""A road keeps this distance from other parts of itself and from foreign junction arms."""
LEAD_IN_M, LEAD_OUT_M = 10.0, 25.0
"""How far the road reaches behind the start and beyond the goal."""
START_STRAIGHT_M = 10.0
FILLET_RADIUS_M = (9.0, 12.0)
"""Tightest radius of a junction's corners."""
FILLET_ANGLE_RAD = (1.05, 1.6)
ARM_M = 45.0
"""How far the arm that is not taken leads into the forest."""
STRAIGHT_BEFORE_JUNCTION_M = 12.0
COMMAND_BEFORE_M, COMMAND_AFTER_M = 25.0, 5.0
"""The command is shown from this far before the middle of the junction until this far behind its corner."""


class CentreLine(NamedTuple):
    """Points `POINT_SPACING_M` apart along a road's middle, each array (n,) float64."""

    x_m: np.ndarray
    y_m: np.ndarray
    heading_rad: np.ndarray
    """Unwrapped."""
    curvature_per_m: np.ndarray
    """Left positive."""


class Layout(NamedTuple):
    """A road as lines, before it has a width."""

    line: CentreLine
    """From `start` steps before the start of the drive to beyond its goal; a circuit's first point is the start."""
    start: int
    """Index of the point where the drive starts."""
    closed: bool
    """Whether the last point joins the first."""
    arms: tuple[np.ndarray, ...]
    """(n, 2) each, the ways not taken, from where they leave the line."""
    command: np.ndarray
    """(n,) int8 per point of the line."""
    redraws: int
    """How many layouts were thrown away because they ran into themselves."""


def extend(line: CentreLine, curvature: np.ndarray) -> CentreLine:
    """The points that follow the last one of a line when it goes on with the given (n,) curvature."""
    known = np.concatenate([line.curvature_per_m[-1:], curvature])
    turns = 0.5 * POINT_SPACING_M * (known[1:] + known[:-1])
    heading = line.heading_rad[-1] + np.concatenate([[0.0], np.cumsum(turns)])
    middle = 0.5 * (heading[1:] + heading[:-1])
    x = line.x_m[-1] + POINT_SPACING_M * np.cumsum(np.cos(middle))
    y = line.y_m[-1] + POINT_SPACING_M * np.cumsum(np.sin(middle))
    return CentreLine(x, y, heading[1:], curvature)


def bend(angle_rad: float, peak_per_m: float) -> np.ndarray:
    """(n,) curvature of a bend through an angle (left positive) that is nowhere tighter than the peak."""
    length = abs(angle_rad) / peak_per_m
    ramp = min(max(4.0, 0.4 * length), 15.0)
    ramp = max(1, round(ramp / POINT_SPACING_M))
    hold = max(0, round(length / POINT_SPACING_M) - ramp)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, ramp) / ramp)
    shape = np.concatenate([rise, np.ones(hold + 1), rise[::-1], [0.0]])
    return shape * math.copysign(min(peak_per_m, abs(angle_rad) / (shape.sum() * POINT_SPACING_M)), angle_rad)


def _straight(length_m: float) -> np.ndarray:
    return np.zeros(max(1, round(length_m / POINT_SPACING_M)))


def draw_piece(rng: np.random.Generator, max_curvature_per_m: float, heading_rad: float) -> np.ndarray:
    """(n,) curvature of a random straight or bend; bends lead back rather than on when the road heads far from +x."""
    if rng.random() < 0.15:
        return _straight(rng.uniform(4.0, 20.0))
    peak = max_curvature_per_m * rng.uniform(0.45, 1.0)
    angle = min(rng.uniform(0.35, 1.9), 60.0 * peak)
    left = rng.random() < 1 / (1 + math.exp(2.5 * heading_rad))
    return bend(angle if left else -angle, peak)


@dataclass
class Walk:
    """A road in the making: the pieces laid so far and everything it must keep away from."""

    line: CentreLine
    """Starts as one point."""
    arms: list[np.ndarray] = field(default_factory=list)
    """(n, 4) each: x, y, the step at which it leaves the line, and the distance from there in metres."""
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    """(first step, step behind the last, command) of each junction."""
    history: list[tuple[int, int, int]] = field(default_factory=list)
    """Steps, arms and marks before each piece, to take pieces back."""

    @property
    def steps(self) -> int:
        """Number of points so far."""
        return len(self.line.x_m)

    def occupied(self) -> np.ndarray:
        """(m, 4) x, y, step of leaving the line, distance from there in metres: every second point laid so far."""
        line = np.zeros(((self.steps + 1) // 2, 4))
        line[:, 0], line[:, 1] = self.line.x_m[::2], self.line.y_m[::2]
        line[:, 2] = np.arange(0, self.steps, 2)
        return np.concatenate([line, *(arm[::2] for arm in self.arms)])

    def append(
        self,
        curvature: np.ndarray,
        arms: list[np.ndarray] | None = None,
        mark: tuple[int, int, int] | None = None,
    ) -> bool:
        """Lay the next piece with its junction arms (curvature each), unless that would run into what is there."""
        piece = extend(self.line, curvature)
        new = np.stack([piece.x_m, piece.y_m, self.steps + np.arange(len(piece.x_m)), 0 * piece.x_m], axis=1)
        ways = [self._way(arm) for arm in arms or []]
        there = self.occupied()
        for i, way in enumerate([new, *ways]):
            if _comes_near(np.concatenate([there, *([new, *ways][:i])]), way):
                return False
        self.history.append((self.steps, len(self.arms), len(self.marks)))
        self.line = CentreLine(*(np.concatenate(pair) for pair in zip(self.line, piece)))
        self.arms += ways
        self.marks += [mark] if mark else []
        return True

    def take_back(self, pieces: int) -> None:
        """Take the last pieces up again."""
        for _ in range(min(pieces, len(self.history))):
            steps, arms, marks = self.history.pop()
        self.line = CentreLine(*(values[:steps] for values in self.line))
        del self.arms[arms:], self.marks[marks:]

    def _way(self, curvature: np.ndarray) -> np.ndarray:
        """(n, 4) rows as in `arms` of an arm that leaves the line at its end."""
        arm = extend(self.line, curvature)
        distance = POINT_SPACING_M * np.arange(1, len(arm.x_m) + 1)
        return np.stack([arm.x_m, arm.y_m, np.full(len(arm.x_m), self.steps - 1.0), distance], axis=1)


@njit(cache=True)
def _comes_near(there: np.ndarray, new: np.ndarray) -> bool:
    """Whether new points come within `GAP_M` of points that are not near along the road as well; rows as in `Walk`."""
    for i in range(0, new.shape[0], 2):
        for j in range(there.shape[0]):
            dx, dy = new[i, 0] - there[j, 0], new[i, 1] - there[j, 1]
            if dx * dx + dy * dy < GAP_M * GAP_M:
                along = POINT_SPACING_M * abs(new[i, 2] - there[j, 2]) + new[i, 3] + there[j, 3]
                # Where two ways fork they part more slowly than a bend comes around.
                if along > (30.0 if new[i, 3] + there[j, 3] == 0.0 else 50.0):
                    return True
    return False


MAX_REDRAWS = 60


def draw_layout(config: RoadConfig, seed: int) -> Layout:
    """Draw the lines of a seed's road; one that runs into itself is drawn again from the same seed's next stream.

    Raises:
        ForestPilotError: no road in `MAX_REDRAWS` draws.
    """
    rng = np.random.default_rng([seed, 0])
    closed = rng.random() < config.closed_share and config.length_m * config.max_curvature_per_m > 10.0
    turns = rng.integers(LEFT, RIGHT + 1, 200) if config.route == "seed" else np.full(200, _TURN[config.route])
    for redraw in range(MAX_REDRAWS):
        stream = np.random.default_rng([seed, 1 + redraw])
        layout = _open(config, turns, stream, redraw)
        if layout is not None:
            return layout
    raise ForestPilotError(f"no road that stays clear of itself in {MAX_REDRAWS} draws of seed {seed}; make it shorter")


_TURN = {"left": LEFT, "straight": STRAIGHT, "right": RIGHT}


def _open(config: RoadConfig, turns: np.ndarray, rng: np.random.Generator, redraws: int) -> Layout | None:
    """A road with two ends, or None if it is stuck."""
    zero = np.zeros(1)
    walk = Walk(CentreLine(zero - LEAD_IN_M, zero, zero, zero))
    walk.append(_straight(LEAD_IN_M + START_STRAIGHT_M))
    start = round(LEAD_IN_M / POINT_SPACING_M)
    wanted = start + round((config.length_m + LEAD_OUT_M) / POINT_SPACING_M) + 1
    bound = config.max_curvature_per_m
    for _ in range(40):
        while walk.steps < wanted and any(
            walk.append(draw_piece(rng, bound, walk.line.heading_rad[-1])) for _ in range(8)
        ):
            pass
        if walk.steps >= wanted:
            return _finish(walk, start, wanted, redraws)
        walk.take_back(3)
    return None


def _finish(walk: Walk, start: int, wanted: int, redraws: int) -> Layout:
    """The layout of a walk, cut to the wanted number of points."""
    command = np.zeros(wanted, np.int8)
    for first, end, turn in walk.marks:
        command[first:end] = turn
    line = CentreLine(*(values[:wanted] for values in walk.line))
    return Layout(line, start, False, tuple(arm[:, :2] for arm in walk.arms), command, redraws)
