"""Goals in hindsight: the state that was reached becomes the goal, and what led there a demonstration of getting there.

Whoever went somewhere has shown how to get there, whether or not anybody wanted to: play, a flight to another goal, one
that failed. See Andrychowicz et al. 2017, Hindsight Experience Replay (arXiv:1707.01495, section 3.3 and 4.5: `final`
and `future`), and Ghosh et al. 2021, Learning to Reach Goals via Iterated Supervised Learning (arXiv:1912.06088).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import BEARING, ORDER_KINDS, PLACED_KINDS, tell_goal

Relabel = Literal["none", "final", "future", "orders"]
RELABELS: tuple[Relabel, ...] = ("none", "final", "future", "orders")
"""What `relabel` may say: goals stay as they were told; the last state of the episode; any state after the window; the
order that another window was told."""
IN_HINDSIGHT: tuple[Relabel, ...] = ("final", "future")
"""Those by which a state that was reached becomes the goal."""
EXCHANGED: Relabel = "orders"
"""That by which windows exchange their orders."""

NO_STEP = -1


def require_relabel(relabel: str, spec: TaskSpec | None = None) -> None:
    """Check that goals can be relabelled so.

    Args:
        relabel: one of `RELABELS`.
        spec: the task of the episodes, where it is known.

    Raises:
        InvalidArgumentError: they cannot.
    """
    if relabel not in RELABELS:
        raise InvalidArgumentError(f"relabel is {relabel!r}; allowed: {', '.join(RELABELS)}")
    if relabel == EXCHANGED and spec is not None and spec.goal_kind not in ORDER_KINDS:
        raise InvalidArgumentError(
            f"relabel is {relabel}, but goals of kind {spec.goal_kind} tell no order; collect others with "
            "--mix.options.goal-kind order or demonstration"
        )
    if relabel in IN_HINDSIGHT and spec is not None and spec.goal_kind not in (BEARING, *PLACED_KINDS):
        raise InvalidArgumentError(
            f"relabel is {relabel}, but goals of kind {spec.goal_kind} say which way leads there, which no place "
            "that was reached does; train without it, or with relabel orders"
        )
    if relabel in IN_HINDSIGHT and spec is not None and spec.goal_kind == BEARING:
        raise InvalidArgumentError(
            f"relabel is {relabel}, but these episodes tell no more of their goals than a bearing or a command, and "
            "not where the vehicle was; collect others with --mix.options.goal-kind vector, which the drone's task has"
        )


def as_in_hindsight(header: EpisodeHeader) -> EpisodeHeader:
    """An episode as it teaches in hindsight: at every step, and with costs only where the expert flew all of it: what
    each turn cost on its way to where it was bound for. To others it spoke of where they should have gone instead."""
    by_expert = bool((header.labelled & (header.actor == ACTOR_EXPERT)).all())
    return dataclasses.replace(
        header, labelled=np.ones_like(header.labelled), has_expert_costs=header.has_expert_costs and by_expert
    )


def goal_step(relabel: Relabel, after: int, end: int, share: float, most_steps: int = 0) -> int:
    """The step of the state that becomes a window's goal; `NO_STEP` where its goal stays.

    Args:
        relabel: see `RELABELS`.
        after: the step after the window.
        end: the step after the last one that happened in one go with it.
        share: which of the states after the window, 0 to below 1; the last one, where there are none.
        most_steps: how many of those states may be the goal, the next ones; 0 for all.
    """
    if relabel not in IN_HINDSIGHT:
        return NO_STEP
    if relabel == "final":
        return end - 1
    choice = end - after if not most_steps else min(end - after, most_steps)
    return min(after + int(share * max(choice, 1)), end - 1)


def goals_seen_from(kind: str, places: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Goals as they are told at some places.

    Args:
        kind: of goal.
        places: (B, T, 3) x and y in metres, heading in radians.
        goals: (B, >= 2) x and y in metres.

    Returns:
        (B, T, G) float32.
    """
    way = goals[:, None, :2].astype(np.float64) - places[..., :2]
    cosine = np.cos(places[..., 2].astype(np.float64))
    sine = np.sin(places[..., 2].astype(np.float64))
    return tell_goal(kind, cosine * way[..., 0] + sine * way[..., 1], cosine * way[..., 1] - sine * way[..., 0])


def place_beside(place: np.ndarray, shift_m: np.ndarray, heading_change_rad: np.ndarray) -> np.ndarray:
    """(n, 3) float32: places (n, 3) so far to the left (n,) and turned so far to the left (n,)."""
    x, y, yaw_rad = place.astype(np.float64).T
    moved = [x - shift_m * np.sin(yaw_rad), y + shift_m * np.cos(yaw_rad), yaw_rad + heading_change_rad]
    return np.stack(moved, axis=1).astype(np.float32)
