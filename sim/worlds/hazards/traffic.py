"""The hazards of an episode: what time it is, who has woken, and where everybody is now and in a moment."""

from __future__ import annotations

import copy
import math

import numpy as np

from forestpilot.sim.worlds.hazards.hazard import ALWAYS, BASE, KIND, LENGTH, NEVER, TOP, WIDTH, YAW, Hazard, X, Y

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
        self._wakes_at_m = np.array([hazard.place_m - hurry * hazard.wake_m for hazard in hazards])
        self._woken_s = np.full(len(hazards), math.inf)
        self._discs = _discs_in(hazards)
        self._boxes: np.ndarray | None = None

    def __bool__(self) -> bool:
        """True where there is any hazard."""
        return bool(self.hazards)

    @property
    def is_awake(self) -> np.ndarray:
        """(n,) bool: which hazards have woken."""
        return self._woken_s <= self.time_s

    def wake(self, way_m: float) -> None:
        """Wake whom a vehicle at this way along the course has come near."""
        self._woken_s[(self._woken_s == math.inf) & (way_m >= self._wakes_at_m)] = self.time_s

    def advance(self, seconds: float, way_m: float) -> None:
        """Go on by so much, at the end of which the vehicle is at this way along the course."""
        if not self.hazards:
            return
        self.time_s += seconds
        self._boxes = None
        self.wake(way_m)

    def snapshot(self) -> Traffic:
        """A copy that stays as it is now."""
        if not self.hazards:
            return self
        kept = copy.copy(self)
        kept._woken_s = self._woken_s.copy()
        return kept

    def boxes(self) -> np.ndarray:
        """(m, 8) float32, the columns of `Boxes`: where everything is now, hazard after hazard."""
        if self._boxes is None:
            self._boxes = self.boxes_at(NOW)[0].astype(np.float32)
        return self._boxes

    def places_m(self) -> np.ndarray:
        """(n, 2) float64: where each hazard is now, in metres."""
        places = np.empty((len(self.hazards), 2))
        for number, hazard in enumerate(self.hazards):
            since = max(self.time_s - self._woken_s[number], 0.0)
            places[number] = hazard.poses(np.array([since]))[0, :2]
        return places

    def boxes_at(self, times_s: np.ndarray) -> np.ndarray:
        """(T, m, 8) float64: where everything is at times (T,) in seconds from now on, if nobody else wakes."""
        if not self.hazards:
            return np.zeros((len(times_s), 0, 8))
        since = np.maximum(self.time_s - self._woken_s[:, None] + times_s, 0.0)
        since[self._woken_s == math.inf] = 0.0
        return np.concatenate([hazard.boxes(times) for hazard, times in zip(self.hazards, since)], axis=1)

    def discs(self, times_s: np.ndarray) -> np.ndarray:
        """(T, M, 3) float64 x, y and radius in metres of discs that cover everything that can be run into, at times
        (T,) in seconds from now on; exact for who is awake, and the others stay where they are."""
        rows, along, radius = self._discs
        boxes = self.boxes_at(np.asarray(times_s, float))[:, rows]
        discs = np.empty((*boxes.shape[:2], 3))
        discs[..., 0] = boxes[..., X] + along * np.cos(boxes[..., YAW])
        discs[..., 1] = boxes[..., Y] + along * np.sin(boxes[..., YAW])
        discs[..., 2] = radius
        discs[~is_in_the_way(boxes)] = AWAY_M, AWAY_M, 0.0
        return discs

    def clearance_m(self, places_m: np.ndarray) -> float:
        """Least distance in metres from any of the places (n, 2) to the outline of what is in the way now."""
        boxes = self.boxes().astype(np.float64)
        boxes = boxes[is_in_the_way(boxes)]
        if not len(boxes):
            return math.inf
        east = places_m[:, None, 0] - boxes[:, X]
        north = places_m[:, None, 1] - boxes[:, Y]
        cosine = np.cos(boxes[:, YAW])
        sine = np.sin(boxes[:, YAW])
        along = np.abs(east * cosine + north * sine) - boxes[:, LENGTH] / 2
        aside = np.abs(north * cosine - east * sine) - boxes[:, WIDTH] / 2
        outside = np.hypot(np.maximum(along, 0.0), np.maximum(aside, 0.0))
        return float(np.min(outside + np.minimum(np.maximum(along, aside), 0.0)))

    def state_bytes(self) -> bytes:
        """State, for hashes: the time, and who woke when; nothing where there is no hazard."""
        return np.append(self._woken_s, self.time_s).tobytes() if self.hazards else b""


def is_in_the_way(boxes: np.ndarray) -> np.ndarray:
    """Which boxes (..., 8) a vehicle may run into: not what hangs above it, nor what has gone below the ground."""
    return (boxes[..., BASE] < HEADROOM_M) & (boxes[..., TOP] > 0.0)


def _discs_in(hazards: tuple[Hazard, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The discs that cover the boxes of hazards: (M,) row of the box, place along it and radius in metres."""
    rows: list[int] = []
    along: list[float] = []
    radius: list[float] = []
    first = 0
    for hazard in hazards:
        for k, solid in enumerate(hazard.solids):
            length = float(max(solid[LENGTH], 1e-3))
            width = float(max(solid[WIDTH], 1e-3))
            count = max(1, math.ceil(length / max(width, 0.5)))
            for i in range(count):
                rows.append(first + k)
                along.append(length * ((i + 0.5) / count - 0.5))
                radius.append(math.hypot(0.5 * length / count, 0.5 * width))
        first += len(hazard.solids)
    return np.array(rows, np.int64), np.array(along), np.array(radius)


NO_TRAFFIC = Traffic()
"""Where nothing moves."""

__all__ = ["ALWAYS", "KIND", "NEVER", "NO_TRAFFIC", "Traffic", "is_in_the_way"]
