"""What an episode teaches: by whom, at which steps, and what. Told once, for training, counting and inspection.

Whoever said what to do is learned from, in this order: a human who watched and said it (`human_actions`), the expert
that was asked (`expert_actions`, at each camera's pose, with costs), and else whoever drove, except a policy, which
teaches nothing. Where a gate decided who is asked, `labelled` says at which steps there is an answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.cameras import CENTER
from forestpilot.sim.errors import InvalidArgumentError

ACTOR_POLICY = 0
ACTOR_EXPERT = 1
ACTOR_HUMAN = 2


class Teacher(Enum):
    """Who says what should have been done in an episode."""

    WATCHER = "a human who watched"
    EXPERT = "the expert"
    DRIVER = "whoever drove, unless a policy"


class Arrays(Protocol):
    """Arrays of an episode by name, in memory or in a file: what is not asked for is not read."""

    def __contains__(self, name: object, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Any: ...


class Lesson(NamedTuple):
    """Labels at the vehicle's own heading, from each step of an episode."""

    actions: NDArray[np.float32]
    """(T, 2); of no meaning where nothing is learned."""
    known: NDArray[np.bool_]
    """(T,) where there is something to learn."""


class EpisodeLabels:
    """The labels of one episode.

    Args:
        arrays: `actions` (T, 2) and `actor` (T,), and of `expert_actions` (T, 3, 2), `expert_costs` (T, 3, K),
            `human_actions` (T, 2) and `labelled` (T,) those that the episode has.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]] | h5py.Group | Arrays) -> None:
        self._arrays: Any = arrays

    @property
    def teacher(self) -> Teacher:
        """Who is learned from."""
        if "human_actions" in self._arrays:
            return Teacher.WATCHER
        if "expert_actions" in self._arrays:
            return Teacher.EXPERT
        return Teacher.DRIVER

    @property
    def has_costs(self) -> bool:
        """True where labels come with the expert's costs; a human who said what to do gives none."""
        return self.teacher is Teacher.EXPERT and "expert_costs" in self._arrays

    @property
    def has_actions(self) -> bool:
        """False where nobody recorded what was done: whoever drove then teaches nothing."""
        return "actions" in self._arrays

    @property
    def labelled_steps(self) -> NDArray[np.bool_]:
        """(T,) at which steps there is something to learn."""
        if "labelled" in self._arrays:
            labelled: NDArray[np.bool_] = self._arrays["labelled"][:]
            return labelled
        actor = self._arrays["actor"][:]
        if self.teacher is Teacher.DRIVER:
            return (actor != ACTOR_POLICY) & self.has_actions
        return np.ones(len(actor), bool)

    def lesson(self, control_hz: int, human_delay_s: float = 0.0) -> Lesson:
        """Labels at the vehicle's own heading.

        Args:
            control_hz: steps per second.
            human_delay_s: how late people drive, in seconds: what was done so much later is learned from each step.
                What a watching human said was moved when it was recorded.
        """
        known = self.labelled_steps
        if self.teacher is Teacher.WATCHER:
            return Lesson(self._arrays["human_actions"][:], known)
        if self.teacher is Teacher.EXPERT:
            return Lesson(self._arrays["expert_actions"][:, CENTER], known)
        actions = self._actions()
        by_hand = self._arrays["actor"][:] == ACTOR_HUMAN
        if human_delay_s == 0.0 or not by_hand.any():
            return Lesson(actions, known)
        moved, told = shift_labels(actions, human_delay_s, control_hz, by_hand)
        return Lesson(np.where(by_hand[:, None], moved, actions), known & (told | ~by_hand))

    def deeds(self, control_hz: int, human_delay_s: float = 0.0) -> Lesson:
        """What whoever drove meant to do, whatever it was good for; no step is without it, but those of a human that
        are moved beyond the end.

        Where the expert drove, that is its answer, without the noise that was put on what it did.

        Args:
            control_hz, human_delay_s: see `lesson`.
        """
        actions = self._actions()
        actor = self._arrays["actor"][:]
        driven = {"actions": actions, "actor": actor, "labelled": np.ones(len(actor), bool)}
        lesson = EpisodeLabels(driven).lesson(control_hz, human_delay_s)
        by_expert = self.expert_drove
        if not by_expert.any():
            return lesson
        answers = self._arrays["expert_actions"][:, CENTER]
        return Lesson(np.where(by_expert[:, None], answers, lesson.actions), lesson.known)

    def _actions(self) -> NDArray[np.float32]:
        """(T, 2) what was done; NaN where nobody recorded it."""
        if not self.has_actions:
            return np.full((len(self._arrays["actor"][:]), 2), np.nan, np.float32)
        actions: NDArray[np.float32] = self._arrays["actions"][:]
        return actions

    @property
    def expert_drove(self) -> NDArray[np.bool_]:
        """(T,) at which steps the expert drove, and was asked."""
        by_expert: NDArray[np.bool_] = self._arrays["actor"][:] == ACTOR_EXPERT
        if self.teacher is not Teacher.EXPERT:
            return np.zeros_like(by_expert)
        return by_expert & self.labelled_steps

    def expert_actions(self, steps: slice = slice(None)) -> NDArray[np.float32] | None:
        """(n, 3, 2) the expert's answers at left, center and right camera; None where they are not learned."""
        if self.teacher is not Teacher.EXPERT:
            return None
        answers: NDArray[np.float32] = self._arrays["expert_actions"][steps]
        return answers

    def expert_costs(self, steps: slice = slice(None)) -> NDArray[np.float32] | None:
        """(n, 3, K) the expert's cost of each candidate turn; None where it is not learned."""
        if not self.has_costs:
            return None
        costs: NDArray[np.float32] = self._arrays["expert_costs"][steps]
        return costs


def shift_labels(
    actions: NDArray[np.float32], delay_s: float, control_hz: int, present: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Labels moved back in time: for each step, what a human did `delay_s` later.

    Args:
        actions: (T, 2) float32, what the human did at each step.
        delay_s: how late that was, in seconds, 0 or more.
        control_hz: steps per second.
        present: (T,) bool, at which steps the human was there; None for all.

    Returns:
        (T, 2) float32 labels, interpolated between steps and zero where unknown; and (T,) bool, where they are known:
        not at the last steps, nor where the human was away.

    Raises:
        InvalidArgumentError: the delay is negative or not finite.
    """
    if not math.isfinite(delay_s) or delay_s < 0 or control_hz <= 0:
        raise InvalidArgumentError(f"delay_s is {delay_s} and control_hz {control_hz}; allowed: 0 or more, and above 0")
    there = present
    if there is None:
        there = np.ones(len(actions), bool)
    later = round(delay_s * control_hz, 6)
    whole = math.floor(later)
    part = later - whole
    steps = np.arange(len(actions))
    before = steps + whole
    after = before + (part > 0)
    last = len(actions) - 1
    inside = after <= last
    before = np.minimum(before, last)
    after = np.minimum(after, last)
    known = inside & there[before] & there[after]
    labels = ((1 - part) * actions[before] + part * actions[after]).astype(np.float32)
    labels[~known] = 0.0
    return labels, known
