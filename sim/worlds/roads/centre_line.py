"""Centre lines of roads: smooth bends one after another, and circuits that close on themselves.

Every line is made from its curvature, which rises and falls smoothly (as a clothoid's would, but without kinks), so
heading and curvature are exact by construction and the bound on curvature holds everywhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

POINT_SPACING_M = 0.5
"""Distance between two points of a centre line and of a route."""


class CentreLine(NamedTuple):
    """Points `POINT_SPACING_M` apart along a road's middle, each array (n,) float64."""

    x_m: np.ndarray
    y_m: np.ndarray
    heading_rad: np.ndarray
    """Unwrapped."""
    curvature_per_m: np.ndarray
    """Left positive."""


def extend(line: CentreLine, curvature: np.ndarray) -> CentreLine:
    """The points that follow the last one of a line when it goes on with the given (n,) curvature."""
    known = np.concatenate([line.curvature_per_m[-1:], curvature])
    turns = 0.5 * POINT_SPACING_M * (known[1:] + known[:-1])
    heading = line.heading_rad[-1] + np.concatenate([[0.0], np.cumsum(turns)])
    middle = 0.5 * (heading[1:] + heading[:-1])
    x = line.x_m[-1] + POINT_SPACING_M * np.cumsum(np.cos(middle))
    y = line.y_m[-1] + POINT_SPACING_M * np.cumsum(np.sin(middle))
    return CentreLine(x, y, heading[1:], curvature)


def joined(line: CentreLine, further: CentreLine) -> CentreLine:
    """A line and what follows it as one line."""
    return CentreLine(*(np.concatenate(pair) for pair in zip(line, further)))


def bend(angle_rad: float, peak_per_m: float) -> np.ndarray:
    """(n,) curvature of a bend through an angle (left positive) that is nowhere tighter than the peak."""
    length = abs(angle_rad) / peak_per_m
    ramp = min(max(4.0, 0.4 * length), 15.0)
    ramp = max(1, round(ramp / POINT_SPACING_M))
    hold = max(0, round(length / POINT_SPACING_M) - ramp)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, ramp) / ramp)
    shape = np.concatenate([rise, np.ones(hold + 1), rise[::-1], [0.0]])
    return shape * math.copysign(min(peak_per_m, abs(angle_rad) / (shape.sum() * POINT_SPACING_M)), angle_rad)


def straight(length_m: float) -> np.ndarray:
    """(n,) curvature of a straight."""
    return np.zeros(max(1, round(length_m / POINT_SPACING_M)))


def draw_piece(rng: np.random.Generator, max_curvature_per_m: float, heading_rad: float) -> np.ndarray:
    """(n,) curvature of a random straight or bend; bends lead back rather than on when the road heads far from +x."""
    if rng.random() < 0.15:
        return straight(rng.uniform(4.0, 20.0))
    peak = max_curvature_per_m * rng.uniform(0.45, 1.0)
    angle = min(rng.uniform(0.35, 1.9), 60.0 * peak)
    left = rng.random() < 1 / (1 + math.exp(2.5 * heading_rad))
    if not left:
        angle = -angle
    return bend(angle, peak)


def draw_circuit(rng: np.random.Generator, length_m: float, max_curvature_per_m: float) -> CentreLine | None:
    """A lap of the given length that starts at the origin, heading +x, on its straightest 10 m and ends there.

    The curvature is a sum of waves, about as long as the road's bends, squeezed below the bound by a tanh. Its mean
    and its slowest wave are solved for so that the lap closes.

    Returns:
        The lap, or None where no lap closes with the waves that were drawn.
    """
    points = round(length_m / POINT_SPACING_M)
    u = 2 * np.pi * np.arange(points) / points
    usual = max(3.0, length_m * max_curvature_per_m / (2 * np.pi * _USUAL_SWING_RAD))
    waves = np.arange(2, round(1.5 * usual) + 1)
    # Slow waves turn the road far: they are smaller, or long laps would run into themselves.
    size = rng.normal(0.0, np.minimum(1.0, waves / (0.7 * usual)))
    phase = rng.uniform(0, 2 * np.pi, len(waves))
    size *= max_curvature_per_m * rng.uniform(0.9, 1.3) / math.sqrt(0.5 * float(size @ size))
    curvature = _close_lap(size @ np.sin(waves[:, None] * u + phase[:, None]), u, max_curvature_per_m)
    if curvature is None:
        return None
    bends = np.convolve(np.concatenate([np.abs(curvature), np.abs(curvature[:20])]), np.ones(20), "valid")[:points]
    curvature = np.roll(curvature, -int(np.argmin(bends))) * rng.choice([-1.0, 1.0])
    heading, step = _drive_lap(curvature)
    place = np.concatenate([[0.0], np.cumsum(step)[:-1]])
    return CentreLine(place.real.copy(), place.imag.copy(), heading, curvature)


_USUAL_SWING_RAD = 0.8
"""A usual bend of a circuit turns this far to either side."""


def _close_lap(waves: np.ndarray, u: np.ndarray, bound: float) -> np.ndarray | None:
    """(n,) curvature, within the bound, of a closed lap with these waves; its slow part is found by Newton's method."""
    slow = np.stack([np.ones_like(u), np.cos(u), np.sin(u)])
    scale = 2 * np.pi / (POINT_SPACING_M * len(u))

    def miss(weights: np.ndarray) -> np.ndarray:
        curvature = bound * np.tanh((waves + scale * weights @ slow) / bound)
        end = _drive_lap(curvature)[1].sum() * scale
        return np.array([POINT_SPACING_M * curvature.sum() - 2 * np.pi, end.real, end.imag])

    weights = np.array([1.0, 0.0, 0.0])
    for _ in range(12):
        here = miss(weights)
        slopes = np.stack([(miss(weights + 1e-5 * unit) - here) / 1e-5 for unit in np.eye(3)], axis=1)
        weights = weights - np.clip(np.linalg.solve(slopes + 1e-9 * np.eye(3), here), -1.0, 1.0)
        if np.abs(miss(weights)).max() < 1e-9:
            return bound * np.tanh((waves + scale * weights @ slow) / bound)
    return None


def _drive_lap(curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heading (n,) at each point of a lap and the step (n,) to the next point, x + iy in metres."""
    turns = 0.5 * POINT_SPACING_M * (curvature + np.roll(curvature, -1))
    heading = np.concatenate([[0.0], np.cumsum(turns)])
    return heading[:-1], POINT_SPACING_M * np.exp(0.5j * (heading[1:] + heading[:-1]))
