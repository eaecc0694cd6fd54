"""Pools of rollouts that advance side by side, step by step.

A rollout is one long chain of divisions and square roots, each waiting for the one before: alone it leaves most of the
processor idle. So rollouts of many candidates, seen from all cameras, are the lanes of a pool. A pool is a flat array:
each number of a rollout (its x, its cost) fills `LANES` consecutive places. Of a single array the compiler knows that
its lanes do not overlap, and moves several of them with one instruction. A lane that has ended leaves the pool, and the
last one takes its place.
"""

from __future__ import annotations

import math

import numpy as np

from forestpilot.sim.kernels import helper

LANES = 128
"""Rollouts that fit into a pool."""
NEVER = 1e9
"""A cost that no rollout reaches."""
_WIDTH = 8
_TWO_PI = 2.0 * math.pi
_LN2 = math.log(2.0)
_LN2_HIGH = 6.93147180369123816490e-01
"""The leading bits of ln 2, so that whole multiples of it are exact."""
_LN2_LOW = 1.90821492927058770002e-10
_LEAST_EXPONENT = -700.0


@helper(forceinline=True)
def whole_vectors(count):  # type: ignore[no-untyped-def]
    """The number of lanes rounded up to whole vectors; what happens in those too many does not matter."""
    return (count + _WIDTH - 1) // _WIDTH * _WIDTH


@helper(forceinline=True)
def move_lane(source, i, target, k, numbers):  # type: ignore[no-untyped-def]
    """Copy the first `numbers` numbers of lane i of a pool to lane k of another, or of the same."""
    for n in range(numbers):
        target[n * LANES + k] = source[n * LANES + i]


@helper(forceinline=True)
def angle_between(angle):  # type: ignore[no-untyped-def]
    """Size of an angle in radians, whole turns left out: from 0 to pi."""
    return abs(angle - _TWO_PI * math.floor(angle / _TWO_PI + 0.5))


@helper(fastmath={"contract", "nsz"}, forceinline=True)
def exponential(x):  # type: ignore[no-untyped-def]
    """e to the power of x, at most 0, but for the last digit: in operations that lanes can do side by side.

    Powers of 2 by the exponent's bits, the rest by Taylor's polynomial (Cody & Waite 1980, Software Manual for the
    Elementary Functions, chapter 6).
    """
    x = max(x, _LEAST_EXPONENT)
    power = math.floor(x * (1.0 / _LN2) + 0.5)
    r = x - power * _LN2_HIGH
    r -= power * _LN2_LOW
    q = 1.0 / 6227020800.0
    q = q * r + 1.0 / 479001600.0
    q = q * r + 1.0 / 39916800.0
    q = q * r + 1.0 / 3628800.0
    q = q * r + 1.0 / 362880.0
    q = q * r + 1.0 / 40320.0
    q = q * r + 1.0 / 5040.0
    q = q * r + 1.0 / 720.0
    q = q * r + 1.0 / 120.0
    q = q * r + 1.0 / 24.0
    q = q * r + 1.0 / 6.0
    q = q * r + 0.5
    q = q * r * r + r + 1.0
    return q * np.int64((np.int64(np.int32(power)) + 1023) << 52).view(np.float64)


@helper()
def cheapest(turns, costs, chosen, least):  # type: ignore[no-untyped-def]
    """The cheapest turn of each state, the first where several are.

    Args:
        turns, costs: (S, n).
        chosen, least: (S,) outputs: the turn and its cost.
    """
    for s in range(turns.shape[0]):
        best = 0
        for k in range(1, turns.shape[1]):
            if costs[s, k] < costs[s, best]:
                best = k
        chosen[s] = turns[s, best]
        least[s] = costs[s, best]


@helper()
def look_around(chosen, least, step, first, last, turns, costs):  # type: ignore[no-untyped-def]
    """Turns beside the chosen ones, which must cost less to be of interest.

    Args:
        chosen, least: (S,) as `cheapest` tells them.
        step: how far to either side, in radians.
        first, last: the outermost turns.
        turns, costs: (S, 2) outputs: the turns, and what they must undercut.
    """
    for s in range(chosen.shape[0]):
        turns[s, 0] = min(max(chosen[s] - step, first), last)
        turns[s, 1] = min(max(chosen[s] + step, first), last)
        costs[s, :] = least[s]


@helper()
def take_cheaper(turns, costs, chosen, least):  # type: ignore[no-untyped-def]
    """Take a turn beside the chosen one where it costs less: the reverse of `look_around`."""
    for s in range(turns.shape[0]):
        k = 1 if costs[s, 1] < costs[s, 0] else 0
        if costs[s, k] < least[s]:
            chosen[s] = turns[s, k]
            least[s] = costs[s, k]
