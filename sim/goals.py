"""Goals: where one may lie, and how it is told to whoever is to get there.

| kind | what is told |
|---|---|
| `bearing` | cosine and sine of the direction to the goal from the heading |
| `vector` | the same, and the distance as d / (d + 10 m), 0 at the goal and 1 far away |
| `image` | nothing but the picture that is seen at the goal; direction and distance read 0 |
| `order` | direction and distance, and for each row of coloured gates which colour's gap leads on |
| `demonstration` | direction and distance, and what a demonstrator saw and did on such a way in another world |

On a road a goal is the command at the junction ahead, which goes by the name `bearing`; or the way that is left,
without a direction:

| kind | what is told |
|---|---|
| `way` | 0, 0, and the way d that is left of a road of length L, as d / (d + L / 4) |
| `order` | the same, and for each of three junctions the command there |
| `demonstration` | the same, and what a demonstrator saw and did on such a route in another world |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

AHEAD = "ahead"
ANYWHERE = "anywhere"
GOALS = (AHEAD, ANYWHERE)
"""Where goals may lie: straight ahead behind the forest, or anywhere in it."""
BEARING = "bearing"
VECTOR = "vector"
IMAGE = "image"
ORDER = "order"
DEMONSTRATION = "demonstration"
WAY = "way"
GOAL_KINDS = (BEARING, VECTOR, IMAGE, ORDER, DEMONSTRATION, WAY)
"""How a goal may be told."""
FOREST_KINDS = (BEARING, VECTOR, IMAGE, ORDER, DEMONSTRATION)
"""How it may be told in a forest."""
ROAD_KINDS = (BEARING, WAY, ORDER, DEMONSTRATION)
"""How it may be told on a road."""
ORDER_KINDS = (ORDER, DEMONSTRATION)
"""Kinds of goals that tell more than a place: an order of choices that leads there."""
PLACED_KINDS = (VECTOR, IMAGE)
"""Kinds of goals that any place can be, so that in hindsight a place that was reached can."""
DISTANT_KINDS = (VECTOR, *ORDER_KINDS)
"""Kinds of goals whose third element tells the distance."""
ORDER_ROWS = 3
"""Choices on a way, one after another: rows of coloured gates, or junctions."""
ORDER_CHOICES = 3
"""Colours that gates have, or ways that lead on from a junction."""
NO_CHOICE = -1
"""Where nobody says what was chosen."""
ORDER_PLACES = (0.25, 0.525, 0.8)
"""Shares of the way at which the choices of an order are behind one, about."""
GOAL_MIRRORS = {
    BEARING: (1.0, -1.0),
    VECTOR: (1.0, -1.0, 1.0),
    IMAGE: (1.0, -1.0),
    ORDER: (1.0, -1.0, 1.0, *([1.0] * ORDER_ROWS * ORDER_CHOICES)),
    DEMONSTRATION: (1.0, -1.0, 1.0),
    WAY: (1.0, -1.0, 1.0),
}
"""For each kind, +1 or -1 for each element of the goal: its sign in the world mirrored left to right. Of an order in a
forest, where a colour is a one of three."""
COMMAND_MIRROR = (1.0, -1.0)
"""The same for each command of an order on a road."""
WAY_PART = 0.25
"""Share of the way that is left at which a goal of kind `way` reads 0.5; of 40 m through a forest `HALF_WAY_M` is the
same share."""
GOALS_WITHIN_M = 60.0
"""Usual bound of the distance to goals that may lie anywhere, in metres: the whole forest."""
GOAL_IMAGE = "goal_image"
"""Key of the picture at the goal in observations."""
DEMONSTRATED = "demonstration"
"""Key of a demonstration's pictures in observations, (F, H, W, 3)."""
DEMONSTRATED_STEPS = "demonstration_steps"
"""Key of what the demonstrator's state, goal and action were when it saw them, (F, S + 3 + 2)."""
DEMONSTRATED_FRAMES = 12
"""Pictures F of a demonstration, evenly apart in time."""
REMOTENESS = 2
"""Element of goals that tells the distance."""
LAST_NUMBERS = 5
"""So many numbers at the end of a demonstrator's step are direction and distance of its goal, and its action."""
ONCE_KEYS = (DEMONSTRATED, DEMONSTRATED_STEPS)
"""Observations that are the same at every step of an episode, and are stored once."""
PLACE = "place"
"""Key in `info` and in episodes of where a vehicle is: x and y in metres, and its heading in radians."""
ANSWERS = "answers"
"""Key in `info` and in episodes of what the expert would do whatever the next choice of the order were: see
`forestpilot.sim.experts.expert.Expert.answers`."""
HALF_WAY_M = 10.0
"""At this distance a goal of kind `vector` reads 0.5."""


def usual_kind(goals: str) -> str:
    """How goals are told where nobody says otherwise: those ahead by their bearing, those anywhere with distance."""
    return BEARING if goals == AHEAD else VECTOR


def tell_goal(kind: str, ahead_m: Any, left_m: Any) -> np.ndarray:
    """The goal as it is observed.

    Args:
        kind: one of `FOREST_KINDS`; of an order no more than direction and distance is told here.
        ahead_m: (...) how far the goal lies along the heading, metres.
        left_m: (...) how far to the left of it.

    Returns:
        (..., 2 or 3) float32.
    """
    ahead_m = np.asarray(ahead_m, np.float64)
    left_m = np.asarray(left_m, np.float64)
    if kind == IMAGE:
        return np.zeros((*ahead_m.shape, 2), np.float32)
    bearing_rad = np.arctan2(left_m, ahead_m)
    told = [np.cos(bearing_rad), np.sin(bearing_rad)]
    if kind in DISTANT_KINDS:
        told.append(remoteness_of(np.hypot(ahead_m, left_m)))
    return np.stack(told, axis=-1).astype(np.float32)


def remoteness_of(distance_m: Any) -> Any:
    """A distance (...) in metres as goals of kind `vector` tell it."""
    return distance_m / (distance_m + HALF_WAY_M)


def tell_way(left_m: float, length_m: float) -> np.ndarray:
    """(3,) float32 a goal of kind `way`: no direction, and how far is left of a way of that length, both in metres."""
    left_m = max(left_m, 0.0)
    return np.array([0.0, 0.0, left_m / (left_m + WAY_PART * length_m)], np.float32)


def distance_of(share: Any) -> Any:
    """The distance (...) in metres that `remoteness_of` has told."""
    return HALF_WAY_M * share / np.maximum(1.0 - share, 1e-6)


def mirror_of_steps(state_mirror: Sequence[float]) -> np.ndarray:
    """(S + 3 + 2,) float32 +1 or -1: the sign of each number of a demonstrator's step in the world mirrored left to
    right, given those of the state (S,)."""
    return np.array((*state_mirror, *GOAL_MIRRORS[VECTOR], -1.0, 1.0), np.float32)


def demonstrated_here(observation: Mapping[str, np.ndarray]) -> np.ndarray:
    """(H, W, 3) uint8: of a demonstration the picture that was seen as far from its goal as this goal is."""
    remoteness = observation[DEMONSTRATED_STEPS][:, REMOTENESS - LAST_NUMBERS]
    picture: np.ndarray = observation[DEMONSTRATED][np.abs(remoteness - observation["goal"][REMOTENESS]).argmin()]
    return picture
