"""Labels of a round of DAgger: which states a gate asks about, and how many labels are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.rollouts.gates import Gate, RoundSoFar
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.sim.envs.task_spec import TaskSpec

LEAST_EPISODES_LEFT = 8
"""A round's labels are never planned for fewer episodes than this."""


def make_gate(
    config: DaggerConfig, spec: TaskSpec, earlier: Sequence[EpisodeHeader], before: Sequence[EpisodeHeader]
) -> Gate:
    """The gate of the next episodes of a round.

    Args:
        config: names it, and its options.
        spec: of the task.
        earlier: episodes of this round that count already.
        before: episodes of the round before.
    """
    # What was seen of this round so far, or else in the last one, says how rare is rare enough.
    seen = earlier or before
    steps = float(np.mean([header.num_steps for header in seen])) if seen else 1.0
    episodes_left = max(config.episodes - len(earlier), LEAST_EPISODES_LEFT)
    share = (config.labels_per_round - count_labels(earlier)) / (episodes_left * steps)
    disagreement = _disagreement(seen) if config.gate_class.needs_ensemble else np.zeros(0)
    so_far = RoundSoFar(spec.max_turn_rad, config.mix.control_hz, share, disagreement)
    return config.gate_class(config.gate, so_far)


def _disagreement(headers: Sequence[EpisodeHeader]) -> np.ndarray:
    """Spread of an ensemble's turns at each state, (n,) radians; nothing of episodes without an ensemble."""
    known = []
    for header in headers:
        values = load_episode(header.path, keys=()).disagreement
        if values is not None:
            known.append(values)
    return np.concatenate(known) if known else np.zeros(0)


def trim_labels(dataset: Dataset, headers: Sequence[EpisodeHeader], labels: int) -> None:
    """Forget the labels of some episodes beyond a number, the last ones first; the episodes stay.

    Args:
        dataset: holds the episodes.
        headers: of the episodes, the first one's labels being kept first.
        labels: how many stay.
    """
    left = labels
    for header in headers:
        if header.num_labels > left:
            _keep_first_labels(dataset, header, left)
        left -= min(left, header.num_labels)


def _keep_first_labels(dataset: Dataset, header: EpisodeHeader, labels: int) -> None:
    episode = load_episode(header.path)
    assert episode.expert_actions is not None and episode.expert_costs is not None
    kept = header.labelled & (np.cumsum(header.labelled) <= labels)
    asked = kept[:, None, None]
    trimmed = dataclasses.replace(
        episode,
        labelled=kept,
        expert_actions=np.where(asked, episode.expert_actions, 0),
        expert_costs=np.where(asked, episode.expert_costs, 0),
    )
    dataset.replace(trimmed)


def count_labels(headers: Sequence[EpisodeHeader]) -> int:
    """Labelled states of some episodes."""
    return sum(header.num_labels for header in headers)
