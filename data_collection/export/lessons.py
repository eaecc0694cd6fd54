"""Whose action is to be learned, and which steps of an episode are written: decided once for every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.export.exporter import ExporterConfig
from forestpilot.sim.cameras import CENTER
from forestpilot.sim.outcomes import Outcome

OF_ONE_EPISODE = ("lead_in", "pose_noise")
"""Arguments of an environment that say how one episode was recorded, not what is to be learned."""
ActionChoice = Literal["taught", "executed", "expert"]


@dataclass(frozen=True)
class LessonConfig(ExporterConfig):
    """What exporters for learners have in common."""

    action: ActionChoice = "taught"
    """What the action is: what the expert or a human said should be done, and what was done where nobody said anything
    (`taught`); what was done throughout (`executed`), which in data of DAgger is what a learner did, good or bad; or
    the expert's answer, in the steps that have one only (`expert`)."""


class Stretch(NamedTuple):
    """Steps of an episode that are one episode there."""

    start: int
    """First step."""
    stop: int
    """Step after the last."""


def stretches_of(header: EpisodeHeader, action: ActionChoice) -> list[Stretch]:
    """What an episode is written as: what happened in one go, and only runs of labelled steps where nothing else is
    wanted."""
    if action != "expert":
        return [Stretch(start, stop) for start, stop in header.stretches]
    runs = []
    for start, stop in header.stretches:
        edges = np.diff(np.concatenate([[0], header.labelled[start:stop].astype(np.int8), [0]]))
        begins = start + np.flatnonzero(edges == 1)
        ends = start + np.flatnonzero(edges == -1)
        runs += [Stretch(int(first), int(last)) for first, last in zip(begins, ends)]
    return runs


def transitions_of(header: EpisodeHeader, action: ActionChoice) -> list[Stretch]:
    """`stretches_of` for formats that tell what was seen after each step: what would have been seen next, had the
    vehicle not been put elsewhere, nobody knows, so the step before is left out."""
    elsewhere = {start for start, _ in header.stretches}
    known = [Stretch(start, stop - 1 if stop in elsewhere else stop) for start, stop in stretches_of(header, action)]
    return [stretch for stretch in known if stretch.stop > stretch.start]


def wanted_actions(episode: Episode, action: ActionChoice) -> NDArray[np.float32]:
    """(T, 2) float32 in [-1, 1]: what is to be learned at each step."""
    if action == "executed":
        return episode.actions
    lesson = episode.labels.lesson(episode.meta.control_hz)
    taught: NDArray[np.float32] = np.where(lesson.known[:, None], lesson.actions, episode.actions)
    return taught


def env_kwargs_of(header: EpisodeHeader) -> dict[str, Any]:
    """Arguments of the environment for whoever tries out what was learned: from the usual start, and nobody puts the
    vehicle elsewhere."""
    return {key: value for key, value in header.meta.env_kwargs.items() if key not in OF_ONE_EPISODE}


def step_columns(episode: Episode, action: ActionChoice, with_costs: bool) -> dict[str, NDArray[Any]]:
    """What learners are told of each step besides what was seen, (T, ...) each, the same names for every episode.

    Args:
        episode: the episode.
        action: whose action is to be learned.
        with_costs: tell the expert's costs; only where all episodes of a dataset have them.
    """
    steps = episode.num_steps
    answers = np.zeros((steps, 2), np.float32)
    if episode.expert_actions is not None:
        answers = episode.expert_actions[:, CENTER]
    ended = np.arange(steps) == steps - 1
    columns = {
        "action": wanted_actions(episode, action),
        "executed_action": episode.actions,
        "expert_action": answers,
        "labelled": episode.labelled_steps,
        "actor": episode.actor.astype(np.int64),
        "intervention": episode.actor == ACTOR_HUMAN,
        "success": ended & (episode.meta.outcome == Outcome.SUCCESS),
    }
    if with_costs and episode.expert_costs is not None:
        columns["expert_costs"] = episode.expert_costs[:, CENTER]
    return columns


def all_have_costs(headers: Sequence[EpisodeHeader]) -> bool:
    """Whether every episode comes with the expert's costs."""
    return all(header.has_expert_costs for header in headers)
