"""The hazards of an episode: what time it is, who has woken, and where everybody is now and in a moment."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np

from forestpilot.sim.kernels import kernel
from forestpilot.sim.worlds.hazards.hazard import BASE, LENGTH, TOP, WIDTH, YAW, Hazard, X, Y
from forestpilot.sim.worlds.tables import Boxes

HEADROOM_M = 2.0
"""What hangs higher than this is in nobody's way."""
AWAY_M = 1e6
"""Where discs of what is in nobody's way are, in metres."""
USUAL_SPEED_MPS = 10.0
"""Who comes faster is noticed from farther off, in proportion."""
NOW = np.zeros(1)


class Traffic:
    """The hazards of an episode.

    Args:
        hazards: those of the world.
        speed_mps: speed set point of the vehicle.
    """

    def __init__(self, hazards: tuple[Hazard, ...] = (), speed_mps: float = USUAL_SPEED_MPS) -> None:
        self.hazards = hazards
        self.time_s = 0.0
        """Time since the start of the episode, lead-in included, in seconds."""
        hurry = max(1.0, speed_mps / USUAL_SPEED_MPS)
        self._wakes_at_m = [hazard.place_m - hurry * hazard.wake_m for hazard in hazards]
        self._next_m = min(self._wakes_at_m, default=math.inf)
        self._woken_s = [math.inf] * len(hazards)
        self._rests_s = [hazard.rests_s for hazard in hazards]
        self.most_mps = max((hazard.most_mps for hazard in hazards), default=0.0)
        """Nothing is ever faster, in m/s."""
        self._since = np.zeros(1)
        self._moving: tuple[int, ...] = ()
        """Numbers of the hazards that are awake and have not come to rest for good."""
        self._rows = _rows_of(hazards)
        self._firsts = np.array([rows.start for rows in self._rows], np.int64)
        self._discs = _discs_in(hazards)
        asleep = [hazard.boxes(NOW)[0] for hazard in hazards]
        self._places = np.concatenate(asleep) if asleep else np.zeros((0, len(Boxes._fields)))
        """(m, 8) float64 where everything is now."""
        self._boxes = self._places.astype(np.float32)

    def __bool__(self) -> bool:
        """True where there is any hazard."""
        return bool(self.hazards)

    @property
    def is_awake(self) -> np.ndarray:
        """(n,) bool: which hazards have woken."""
        return np.array(self._woken_s) <= self.time_s

    def wake(self, way_m: float) -> None:
        """Wake whom a vehicle at this way along the course has come near."""
        if way_m < self._next_m:
            return
        for number, place_m in enumerate(self._wakes_at_m):
            if way_m >= place_m and self._woken_s[number] == math.inf:
                self._woken_s[number] = self.time_s
                self._moving += (number,)
        asleep = [place for place, woken in zip(self._wakes_at_m, self._woken_s) if woken == math.inf]
        self._next_m = min(asleep, default=math.inf)

    def advance(self, seconds: float, way_m: float) -> None:
        """Go on by so much, at the end of which the vehicle is at this way along the course."""
        if not self.hazards:
            return
        self.time_s += seconds
        if self._moving:
            self._move()
        self.wake(way_m)

    def _move(self) -> None:
        """Find out where those are now that move."""
        places = self._places.copy()
        for number in self._moving:
            self._since[0] = self.time_s - self._woken_s[number]
            places[self._rows[number]] = self.hazards[number].boxes(self._since)[0]
        self._moving = tuple(n for n in self._moving if self.time_s - self._woken_s[n] < self._rests_s[n])
        self._places = places
        self._boxes = places.astype(np.float32)

    def _since_s(self, number: int) -> float:
        """Time since a hazard woke, 0 while it is asleep, in seconds."""
        return max(self.time_s - self._woken_s[number], 0.0)

    def snapshot(self) -> Traffic:
        """A copy that stays as it is now."""
        if not self.hazards:
            return self
        kept = copy.copy(self)
        kept._woken_s = list(self._woken_s)
        return kept

    def boxes(self) -> np.ndarray:
        """(m, 8) float32, the columns of `Boxes`: where everything is now, hazard after hazard; the same array until
        something has moved."""
        return self._boxes

    def places_m(self) -> np.ndarray:
        """(n, 2) float64: where each hazard is now, in metres."""
        places = np.empty((len(self.hazards), 2))
        for number, hazard in enumerate(self.hazards):
            places[number] = hazard.poses(np.array([self._since_s(number)]))[0, :2]
        return places

    def boxes_at(self, times_s: np.ndarray) -> np.ndarray:
        """(T, m, 8) float64: where everything is at times (T,) in seconds from now on, if nobody else wakes."""
        boxes = np.empty((len(times_s), *self._places.shape))
        boxes[:] = self._places
        for number in self._moving:
            boxes[:, self._rows[number]] = self.hazards[number].boxes(self._since_s(number) + times_s)
        return boxes

    def near(self, place_m: np.ndarray, within_m: float) -> Traffic:
        """The hazards of which a part is this near to a place (2,) now, for who looks at what is near only."""
        numbers = self._numbers_near(place_m, within_m)
        if not numbers:
            return NO_TRAFFIC
        if len(numbers) == len(self.hazards):
            return self
        some = Traffic(tuple(self.hazards[number] for number in numbers))
        some.time_s = self.time_s
        some._woken_s = [self._woken_s[number] for number in numbers]
        some._moving = tuple(new for new, old in enumerate(numbers) if old in self._moving)
        some._places = np.concatenate([self._places[self._rows[number]] for number in numbers])
        some._boxes = some._places.astype(np.float32)
        return some

    def ways_near(self, place_m: np.ndarray, within_m: float, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(r,) rows of the table of boxes of the hazards of which a part is this near to a place (2,) now, and
        (T, r, 8) where those are at times (T,) in seconds from now on."""
        rows = [np.zeros(0, np.int64)]
        ways = [np.zeros((len(times_s), 0, len(Boxes._fields)))]
        for number in self._numbers_near(place_m, within_m):
            own = self._rows[number]
            rows.append(np.arange(own.start, own.stop))
            if number in self._moving:
                ways.append(self.hazards[number].boxes(self._since_s(number) + times_s))
            else:
                ways.append(np.broadcast_to(self._places[own], (len(times_s), *self._places[own].shape)))
        return np.concatenate(rows), np.concatenate(ways, axis=1)

    def _numbers_near(self, place_m: np.ndarray, within_m: float) -> list[int]:
        """Numbers of the hazards of which a part's middle is this near to a place (2,) now."""
        if not self.hazards:
            return []
        x, y = place_m.tolist()
        away = np.hypot(self._places[:, X] - x, self._places[:, Y] - y)
        least = np.minimum.reduceat(away, self._firsts)
        return np.flatnonzero(least < within_m).tolist()

    def discs(self, times_s: np.ndarray) -> np.ndarray:
        """(T, M, 3) float64 x, y and radius in metres of discs that cover everything that can be run into, at times
        (T,) in seconds from now on; exact for who is awake, and the others stay where they are."""
        rows, along, radius = self._discs
        boxes = self.boxes_at(np.asarray(times_s, float))
        discs = np.empty((len(boxes), len(rows), 3))
        cover(boxes, rows, along, radius, HEADROOM_M, discs)
        return discs

    def clearance_m(self, places_m: np.ndarray) -> float:
        """Least distance in metres from any of the places (n, 2) to the outline of what is in the way now."""
        return float(least_gap(self._boxes, np.asarray(places_m, float), HEADROOM_M, 0.0))

    def state_bytes(self) -> bytes:
        """State, for hashes: the time, and who woke when; nothing where there is no hazard."""
        return np.array([*self._woken_s, self.time_s]).tobytes() if self.hazards else b""


def _rows_of(hazards: tuple[Hazard, ...]) -> list[slice]:
    """Which rows of the table of boxes are each hazard's."""
    ends = np.cumsum([0, *(len(hazard.solids) for hazard in hazards)]).tolist()
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


@kernel()
def least_gap(boxes, places, headroom, ground):  # type: ignore[no-untyped-def]
    """Least distance from places to the outlines of boxes that reach below a height and above another.

    Args:
        boxes: (m, 8) float32, the columns of `Boxes`.
        places: (n, 2) x and y in metres.
        headroom: boxes whose base is as high as this do not count, metres.
        ground: nor those whose top is as low as this, metres.

    Returns:
        Metres, negative inside of a box, infinite where there is none.
    """
    least = np.inf
    for b in range(boxes.shape[0]):
        if boxes[b, BASE] >= headroom or boxes[b, TOP] <= ground:
            continue
        radius = 0.5 * math.sqrt(boxes[b, LENGTH] * boxes[b, LENGTH] + boxes[b, WIDTH] * boxes[b, WIDTH])
        for n in range(places.shape[0]):
            east = places[n, 0] - boxes[b, X]
            north = places[n, 1] - boxes[b, Y]
            beyond = least + radius
            if least > 0.0 and east * east + north * north > beyond * beyond:
                continue
            cosine = math.cos(boxes[b, YAW])
            sine = math.sin(boxes[b, YAW])
            along = abs(east * cosine + north * sine) - 0.5 * boxes[b, LENGTH]
            aside = abs(north * cosine - east * sine) - 0.5 * boxes[b, WIDTH]
            outside = math.hypot(max(along, 0.0), max(aside, 0.0))
            least = min(least, outside + min(max(along, aside), 0.0))
    return least


@kernel()
def cover(boxes, rows, along, radius, headroom, discs):  # type: ignore[no-untyped-def]
    """Write the discs (T, M, 3) that cover boxes (T, m, 8); those of what is in nobody's way lie far away.

    Args:
        boxes: the columns of `Boxes`.
        rows: (M,) which box each disc is part of.
        along: (M,) how far ahead of the box's middle it is.
        radius: (M,) its radius.
        headroom: boxes whose base is as high as this are in nobody's way.
        discs: output.
    """
    for t in range(boxes.shape[0]):
        for m in range(len(rows)):
            box = boxes[t, rows[m]]
            if box[BASE] < headroom and box[TOP] > 0.0:
                discs[t, m, 0] = box[X] + along[m] * math.cos(box[YAW])
                discs[t, m, 1] = box[Y] + along[m] * math.sin(box[YAW])
                discs[t, m, 2] = radius[m]
            else:
                discs[t, m, 0] = AWAY_M
                discs[t, m, 1] = AWAY_M
                discs[t, m, 2] = 0.0


def _discs_in(hazards: tuple[Hazard, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The discs that cover the boxes of hazards: (M,) row of the box, place along it and radius in metres."""
    rows: list[np.ndarray] = [np.zeros(0, np.int64)]
    along: list[np.ndarray] = [np.zeros(0)]
    radius: list[np.ndarray] = [np.zeros(0)]
    for hazard, own in zip(hazards, _rows_of(hazards)):
        discs = [(k, *disc) for k, solid in enumerate(hazard.solids) for disc in _discs_on(solid)]
        parts, ahead, radii = np.array(discs).T
        parts = parts.astype(np.int64)
        seen = _widest(hazard.solids[parts], ahead, radii)
        rows.append(own.start + parts[seen])
        along.append(ahead[seen])
        radius.append(radii[seen])
    return np.concatenate(rows), np.concatenate(along), np.concatenate(radius)


def _discs_on(solid: np.ndarray) -> list[tuple[float, float]]:
    """Discs that cover a box: how far ahead of its middle, and radius, in metres."""
    length = float(max(solid[LENGTH], 1e-3))
    width = float(max(solid[WIDTH], 1e-3))
    count = max(1, math.ceil(length / max(width, 0.5)))
    radius = math.hypot(0.5 * length / count, 0.5 * width)
    return [(length * ((i + 0.5) / count - 0.5), radius) for i in range(count)]


def _widest(solids: np.ndarray, along: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(M,) bool: which of a hazard's discs lie in no wider one of its own; of several that are the same, the first."""
    x = solids[:, X] + along * np.cos(solids[:, YAW])
    y = solids[:, Y] + along * np.sin(solids[:, YAW])
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    order = np.arange(len(radius))
    is_wider = (radius > radius[:, None]) | ((radius == radius[:, None]) & (order < order[:, None]))
    return np.asarray(~(is_wider & (apart + radius[:, None] <= radius)).any(axis=1))


NO_TRAFFIC = Traffic()
"""Where nothing moves."""
