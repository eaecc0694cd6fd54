"""What flights through rows of trunks tell: which gaps were flown through, and whether a crash was one straight ahead.

An evaluation keeps seeds and actions; flights are simulated again for where they went.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.replay import load_stored_episode, make_replay_env, replay_episode
from forestpilot.sim.cameras import MIN_SIZE_PX
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.vehicles.quadrotor import BODY_RADIUS_M
from forestpilot.sim.worlds.rows import TrunkRow
from forestpilot.sim.worlds.tables import Trees

BEFORE_S = 1.0
"""What was straight ahead so long before a crash was seen, and not avoided."""


class Flight(NamedTuple):
    """Where a flight went."""

    crashed_ahead: bool
    """Whether it ended at a trunk that stood straight ahead `BEFORE_S` earlier."""
    gaps: list[int]
    """How often it passed a row by its first gap from the right, by its second, and so on."""


def flown(path: Path) -> Flight:
    """Simulate a stored flight again.

    Raises:
        EpisodeFileError: the file is missing or damaged.
        ReplayDivergedError: the simulation does not repeat it.
    """
    episode = load_stored_episode(path)
    # Nobody looks at the pictures, and the states do not depend on them.
    width, height = MIN_SIZE_PX
    kwargs: dict[str, Any] = {**episode.env_kwargs, "width": width, "height": height}
    env: Any = make_replay_env(dataclasses.replace(episode, env_kwargs=kwargs))
    try:
        env.unwrapped.draw_only(())
        way_m = np.array([step.position_m[:2] for step in replay_episode(episode, env)])
        world = env.unwrapped.course.world
    finally:
        env.close()
    crashed = episode.outcome == Outcome.COLLISION
    steps_before = round(BEFORE_S * kwargs["control_hz"])
    return Flight(crashed and was_ahead(way_m, world.trees, steps_before), gaps_passed(way_m, world.rows))


def was_ahead(way_m: NDArray[np.float64], trees: NDArray[np.float32], steps_before: int) -> bool:
    """Whether the trunk at the end of a way would have been met by flying straight on from some steps before.

    Args:
        way_m: (T, 2) places, the last one at the trunk.
        trees: (n, 7) the world's.
        steps_before: how many steps before the end.
    """
    columns = Trees.of(trees)
    places = np.stack([columns.x_m, columns.y_m], axis=1).astype(np.float64)
    met = int((np.hypot(*(places - way_m[-1]).T) - columns.radius_m).argmin())
    start = max(1, len(way_m) - 1 - steps_before)
    course = way_m[start] - way_m[start - 1]
    away = places[met] - way_m[start]
    aside_m = abs(course[0] * away[1] - course[1] * away[0]) / max(float(np.hypot(*course)), 1e-9)
    return bool(aside_m <= columns.radius_m[met] + BODY_RADIUS_M and course @ away > 0)


def gaps_passed(way_m: NDArray[np.float64], rows: tuple[TrunkRow, ...]) -> list[int]:
    """How often a way (T, 2) passes a row by each of its gaps, from the right; a row that it does not pass is left
    out."""
    counts = [0] * max((len(row.gaps_y_m) for row in rows), default=0)
    for row in rows:
        behind = np.flatnonzero(way_m[:, 0] > row.x_m + BODY_RADIUS_M)
        if len(behind):
            at = way_m[np.abs(way_m[: behind[0] + 1, 0] - row.x_m).argmin(), 1]
            counts[int(np.abs(np.array(row.gaps_y_m) - at).argmin())] += 1
    return counts
