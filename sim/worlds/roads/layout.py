"""The lines of a road before it has a width: its middle, the junctions and their arms, kept clear of one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.goals import ORDER_PLACES
from forestpilot.sim.kernels import kernel
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.worlds.roads.centre_line import (
    POINT_SPACING_M,
    CentreLine,
    bend,
    draw_circuit,
    draw_piece,
    extend,
    joined,
    straight,
)
from forestpilot.sim.worlds.roads.road_config import RoadConfig
from forestpilot.sim.worlds.roads.routes import FORK_BEFORE_M, FORK_JITTER_M, ROUTE_ANGLE_RAD

FOLLOW, LEFT, STRAIGHT, RIGHT = range(4)
"""Route commands: follow the road; at the junction ahead turn left, go straight on, turn right."""
COMMAND_NAMES = ("follow", "left", "straight", "right")
GAP_M = 14.0
"""A road keeps this distance from other parts of itself and from foreign junction arms."""
LEAD_IN_M = 10.0
LEAD_OUT_M = 25.0
"""How far the road reaches behind the start and beyond the goal."""
START_STRAIGHT_M = 10.0
FILLET_RADIUS_M = (9.0, 12.0)
"""Tightest radius of a junction's corners."""
FILLET_ANGLE_RAD = (1.05, 1.6)
"""How far a junction turns."""
ARM_M = 45.0
"""How far an arm leads on behind the corner."""
STRAIGHT_BEFORE_JUNCTION_M = 12.0
FIRST_JUNCTION_M = (50.0, 90.0)
COMMAND_BEFORE_M = 25.0
COMMAND_AFTER_M = 5.0
"""The command is shown from this far before the middle of the junction until this far behind its corner."""
MAX_REDRAWS = 60
_TRIES = 10
_STRIKES = 40
_MOST_JUNCTIONS = 64
BEND_SHARE_WITH_OBSTACLES = 0.55
"""Bends of roads with obstacles are this much gentler: what is left is for driving around them."""


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


POINT = np.dtype([("x_m", np.float64), ("y_m", np.float64), ("step", np.float64), ("beyond_m", np.float64)])
"""A point that the road must keep away from: its place, the step of the line at which one leaves it to get there, and
the distance from there (0 for a point of the line itself)."""


def _points(x_m: np.ndarray, y_m: np.ndarray, step: np.ndarray | float, beyond_m: np.ndarray | float) -> np.ndarray:
    """(n,) records of the dtype `POINT`."""
    points = np.empty(len(x_m), POINT)
    points["x_m"] = x_m
    points["y_m"] = y_m
    points["step"] = step
    points["beyond_m"] = beyond_m
    return points


class Mark(NamedTuple):
    """Where a command is shown."""

    first: int
    """First step."""
    end: int
    """The step behind the last."""
    command: int
    """`LEFT`, `STRAIGHT` or `RIGHT`."""


class _Size(NamedTuple):
    """Size of a walk before a piece was laid, to take it back."""

    steps: int
    arms: int
    marks: int


@dataclass
class Walk:
    """A road in the making: the pieces laid so far and everything it must keep away from."""

    line: CentreLine
    """Starts as one point."""
    arms: list[np.ndarray] = field(default_factory=list)
    """The ways not taken, (n,) records of the dtype `POINT` each."""
    marks: list[Mark] = field(default_factory=list)
    """One for each junction."""
    history: list[_Size] = field(default_factory=list)
    """Before each piece."""

    @property
    def steps(self) -> int:
        """Number of points so far."""
        return len(self.line.x_m)

    def occupied(self) -> np.ndarray:
        """(m,) records of the dtype `POINT`: every second point laid so far."""
        line = _points(self.line.x_m[::2], self.line.y_m[::2], np.arange(0, self.steps, 2), 0.0)
        return np.concatenate([line, *(arm[::2] for arm in self.arms)])

    def append(self, curvature: np.ndarray, arms: Sequence[np.ndarray] = (), mark: Mark | None = None) -> bool:
        """Lay the next piece with its junction arms (curvature each), unless that would run into what is there."""
        piece = extend(self.line, curvature)
        ways = [_points(piece.x_m, piece.y_m, self.steps + np.arange(len(piece.x_m)), 0.0)]
        for arm in arms:
            ways.append(self._way(arm))
        there = self.occupied()
        for way in ways:
            if _comes_near(there, way, math.inf):
                return False
            there = np.concatenate([there, way])
        self.history.append(_Size(self.steps, len(self.arms), len(self.marks)))
        self.line = joined(self.line, piece)
        self.arms += ways[1:]
        if mark is not None:
            self.marks.append(mark)
        return True

    def take_back(self, pieces: int) -> None:
        """Take the last pieces up again."""
        before = self.history[max(0, len(self.history) - pieces)]
        del self.history[-pieces:]
        self.line = CentreLine(*(values[: before.steps] for values in self.line))
        del self.arms[before.arms :]
        del self.marks[before.marks :]

    def _way(self, curvature: np.ndarray) -> np.ndarray:
        """The points of an arm that leaves the line at its end."""
        arm = extend(self.line, curvature)
        distance = POINT_SPACING_M * np.arange(1, len(arm.x_m) + 1)
        return _points(arm.x_m, arm.y_m, self.steps - 1.0, distance)


@kernel()
def _comes_near(there: np.ndarray, new: np.ndarray, lap_m: float) -> bool:
    """Tell if new points come within `GAP_M` of points that are not near along the road as well; dtype `POINT`."""
    for i in range(0, new.shape[0], 2):
        a = new[i]
        for j in range(there.shape[0]):
            b = there[j]
            dx = a.x_m - b.x_m
            dy = a.y_m - b.y_m
            if dx * dx + dy * dy >= GAP_M * GAP_M:
                continue
            along = POINT_SPACING_M * abs(a.step - b.step) + a.beyond_m + b.beyond_m
            along = min(along, lap_m - along)
            # Where two ways fork they part more slowly than a bend comes around.
            on_line = a.beyond_m + b.beyond_m == 0.0
            if along > (30.0 if on_line else 50.0):
                return True
    return False


def draw_layout(config: RoadConfig, seed: int) -> Layout:
    """Draw the lines of a seed's road; one that runs into itself is drawn again from the same seed's next stream.

    Raises:
        ForestPilotError: no road in `MAX_REDRAWS` draws.
    """
    # How the road is to be comes from a stream of its own: what is hard to lay must not become rare.
    rng = rng_for(seed, SeedStream.ROAD_KIND)
    closed = rng.random() < config.closed_share and config.length_m * config.max_curvature_per_m > 10.0
    turns = rng.integers(LEFT, RIGHT + 1, _MOST_JUNCTIONS)
    if config.turns:
        turns = np.array(config.turns) + LEFT
    elif config.route != "seed":
        turns[:] = COMMAND_NAMES.index(config.route)
    for redraw in range(MAX_REDRAWS):
        stream = rng_for(seed, SeedStream.ROAD_LINES + redraw)
        if closed:
            layout = _closed(config, stream, redraw)
        else:
            layout = _open(config, turns, stream, redraw)
        if layout is not None:
            return layout
    raise ForestPilotError(f"no road that stays clear of itself in {MAX_REDRAWS} draws of seed {seed}; make it shorter")


def _closed(config: RoadConfig, rng: np.random.Generator, redraws: int) -> Layout | None:
    """A circuit, or None if it comes too near to itself."""
    line = draw_circuit(rng, config.length_m, config.max_curvature_per_m)
    if line is None:
        return None
    points = len(line.x_m)
    there = _points(line.x_m, line.y_m, np.arange(points), 0.0)[::2].copy()
    if _comes_near(there, there, POINT_SPACING_M * points):
        return None
    return Layout(line, 0, True, (), np.zeros(points, np.int8), redraws)


def _open(config: RoadConfig, turns: np.ndarray, rng: np.random.Generator, redraws: int) -> Layout | None:
    """A road with two ends, or None if it is stuck."""
    zero = np.zeros(1)
    first = CentreLine(zero - LEAD_IN_M, zero, zero, zero)
    ahead = extend(first, straight(LEAD_IN_M + START_STRAIGHT_M))
    walk = Walk(joined(first, ahead))
    start = round(LEAD_IN_M / POINT_SPACING_M)
    wanted = start + round((config.length_m + LEAD_OUT_M) / POINT_SPACING_M) + 1
    forks = start + _draw_forks(config, rng)
    for _ in range(_STRIKES):
        while walk.steps < wanted and _go_on(config, walk, forks, turns, rng):
            pass
        if walk.steps >= wanted:
            return _finish(walk, start, wanted, redraws)
        if walk.history:
            walk.take_back(4)
    return None


def _draw_forks(config: RoadConfig, rng: np.random.Generator) -> np.ndarray:
    """(k,) steps from the start to where the ways of each junction part; the last leaves room for its arm."""
    if config.turns:
        places_m = config.length_m * np.array(ORDER_PLACES) - FORK_BEFORE_M
        jitter_m = rng.uniform(-FORK_JITTER_M, FORK_JITTER_M, len(places_m))
        return np.round((places_m + jitter_m) / POINT_SPACING_M).astype(int)
    if config.junction_gap_m is None:
        return np.zeros(0, int)
    gaps = rng.uniform(*config.junction_gap_m, _MOST_JUNCTIONS)
    last = config.length_m - ARM_M - 25.0
    gaps[0] = rng.uniform(FIRST_JUNCTION_M[0], min(FIRST_JUNCTION_M[1], last))
    forks = np.cumsum(gaps)
    return np.round(forks[forks <= last] / POINT_SPACING_M).astype(int)


def _go_on(config: RoadConfig, walk: Walk, forks: np.ndarray, turns: np.ndarray, rng: np.random.Generator) -> bool:
    """Lay a next piece; False where none of several tries fits."""
    return any(_try_piece(config, walk, forks, turns, rng) for _ in range(_TRIES))


def _try_piece(config: RoadConfig, walk: Walk, forks: np.ndarray, turns: np.ndarray, rng: np.random.Generator) -> bool:
    """Try to lay a next piece: a bend or a straight, or what the next junction asks for."""
    heading = float(walk.line.heading_rad[-1])
    bound = config.max_curvature_per_m
    if config.obstacle_gap_m:
        bound *= BEND_SHARE_WITH_OBSTACLES
    junction = len(walk.marks)
    if junction == len(forks):
        return walk.append(draw_piece(rng, bound, heading))
    left = POINT_SPACING_M * (forks[junction] - walk.steps + 1)
    if left <= 0:
        return _lay_junction(walk, int(turns[junction]), bound, rng, bool(config.turns))
    if left <= 2 * STRAIGHT_BEFORE_JUNCTION_M:
        return walk.append(straight(left))
    piece = draw_piece(rng, bound, heading)
    if POINT_SPACING_M * len(piece) > left - STRAIGHT_BEFORE_JUNCTION_M:
        return False
    return walk.append(piece)


def _lay_junction(walk: Walk, turn: int, bound: float, rng: np.random.Generator, on_route: bool) -> bool:
    """Try to lay a junction at the end of the walk: the way to take, and one or two others that look as it does.

    Which others there are is drawn evenly whatever the turn, so that the picture says nothing about it. On a route over
    three junctions there are both, and their corners are the same whatever the turn.
    """
    others = [way for way in (LEFT, STRAIGHT, RIGHT) if way != turn]
    if not on_route and rng.random() < 2 / 3:
        others = [others[rng.integers(2)]]
    angle_rad = ROUTE_ANGLE_RAD if on_route else FILLET_ANGLE_RAD
    peak = 1 / rng.uniform(*FILLET_RADIUS_M)
    angles = {LEFT: rng.uniform(*angle_rad), RIGHT: -rng.uniform(*angle_rad)}
    corners = {way: bend(angles[way], peak) for way in (turn, *others) if way != STRAIGHT}
    longest = max(map(len, corners.values()))
    fork = walk.steps - 1
    middle = fork + max(map(_tangent_steps, corners.values()))
    corners[STRAIGHT] = np.zeros(longest)
    heading = float(walk.line.heading_rad[-1])
    arms = []
    for way in others:
        way_on = _draw_way_on(rng, bound, heading + angles.get(way, 0.0))
        arms.append(np.concatenate([corners[way], way_on]))
    first = middle - round(COMMAND_BEFORE_M / POINT_SPACING_M)
    end = fork + longest + round(COMMAND_AFTER_M / POINT_SPACING_M)
    return walk.append(corners[turn], arms, Mark(first, end, turn))


def _draw_way_on(rng: np.random.Generator, bound: float, heading: float) -> np.ndarray:
    """(n,) curvature of the 45 m behind a corner, laid as the road itself goes on."""
    pieces: list[np.ndarray] = []
    wanted = round(ARM_M / POINT_SPACING_M)
    while sum(map(len, pieces)) < wanted:
        pieces.append(draw_piece(rng, bound, heading))
        heading += POINT_SPACING_M * float(pieces[-1].sum())
    return np.concatenate(pieces)[:wanted]


def _tangent_steps(corner: np.ndarray) -> int:
    """Steps from the start of a corner to where its first and last direction cross: the middle of the junction."""
    zero = np.zeros(1)
    line = extend(CentreLine(zero, zero, zero, zero), corner)
    return round((line.x_m[-1] - line.y_m[-1] / math.tan(line.heading_rad[-1])) / POINT_SPACING_M)


def _finish(walk: Walk, start: int, wanted: int, redraws: int) -> Layout:
    """The layout of a walk, cut to the wanted number of points."""
    command = np.zeros(wanted, np.int8)
    for mark in walk.marks:
        command[mark.first : mark.end] = mark.command
    line = CentreLine(*(values[:wanted] for values in walk.line))
    arms = tuple(np.stack([arm["x_m"], arm["y_m"]], axis=1) for arm in walk.arms)
    return Layout(line, start, False, arms, command, redraws)
