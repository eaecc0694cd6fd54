"""Whose action is to be learned, and which steps of an episode are written: decided once for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.export.exporter import ExporterConfig

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
