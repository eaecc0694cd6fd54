"""Pools of rollouts that advance side by side, step by step.

A rollout is one long chain of divisions and square roots, each waiting for the one before: alone it leaves most of the
processor idle. So rollouts of many candidates, seen from all cameras, are the lanes of a pool. A pool is a flat array:
each number of a rollout (its x, its cost) fills `LANES` consecutive places. Of a single array the compiler knows that
its lanes do not overlap, and moves several of them with one instruction. A lane that has ended leaves the pool, and the
last one takes its place.
"""

from __future__ import annotations

from forestpilot.sim.kernels import helper

LANES = 128
"""Rollouts that fit into a pool."""
NEVER = 1e9
"""A cost that no rollout reaches."""
_WIDTH = 8


@helper(forceinline=True)
def whole_vectors(count):  # type: ignore[no-untyped-def]
    """The number of lanes rounded up to whole vectors; what happens in those too many does not matter."""
    return (count + _WIDTH - 1) // _WIDTH * _WIDTH


@helper(forceinline=True)
def move_lane(source, i, target, k, numbers):  # type: ignore[no-untyped-def]
    """Copy the first `numbers` numbers of lane i of a pool to lane k of another, or of the same."""
    for n in range(numbers):
        target[n * LANES + k] = source[n * LANES + i]


@helper()
def choose(turns, costs, refining, chosen, least):  # type: ignore[no-untyped-def]
    """Choose the cheapest turn of each state, the first where several are.

    Args:
        turns, costs: (S, n).
        refining: what is chosen already stays where none of these costs less.
        chosen, least: (S,) outputs: the turn and its cost.
    """
    for s in range(turns.shape[0]):
        best = 0
        for k in range(1, turns.shape[1]):
            if costs[s, k] < costs[s, best]:
                best = k
        if not refining or costs[s, best] < least[s]:
            chosen[s] = turns[s, best]
            least[s] = costs[s, best]


@helper()
def look_around(chosen, least, step, first, last, turns, costs):  # type: ignore[no-untyped-def]
    """Turns beside the chosen ones, which must cost less to be of interest.

    Args:
        chosen, least: (S,) as `choose` tells them.
        step: how far to either side, in radians.
        first, last: the outermost turns.
        turns, costs: (S, 2) outputs: the turns, and what they must undercut.
    """
    for s in range(chosen.shape[0]):
        turns[s, 0] = min(max(chosen[s] - step, first), last)
        turns[s, 1] = min(max(chosen[s] + step, first), last)
        for k in range(2):
            costs[s, k] = least[s]
