"""Keyframes: the steps at which a label is another than just before, where whoever copies the last action is wrong.

Along demonstrations the last action is nearly always nearly right, and a policy that can tell it (from a history, or a
brake light) learns to repeat it. Drawing the steps at which it changes most more often makes that dear (Wen, Lin, Qian,
Gao & Jayaraman 2021, "Keyframe-Focused Visual Imitation Learning", arXiv:2106.06452; their predictor of the next action
from the last ones is here the last one itself).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader


@dataclass(frozen=True)
class Keyframes:
    """How much oftener keyframes are drawn."""

    weight: float = 1.0
    """How many times as often as other steps; 1 for no difference."""
    share: float = 0.1
    """Share of the labelled steps that are keyframes: those at which the label changes most."""


NO_KEYFRAMES = Keyframes()
"""All steps are drawn as often."""


class KeyframeWeights:
    """Weights of labels; episodes are read once.

    Args:
        keyframes: how much oftener they are drawn.
        human_delay_s: how late people drive, in seconds.
    """

    def __init__(self, keyframes: Keyframes, human_delay_s: float) -> None:
        self._keyframes = keyframes
        self._human_delay_s = human_delay_s
        self._changes: dict[Path, NDArray[np.float64]] = {}

    def of(self, headers: Sequence[EpisodeHeader]) -> NDArray[np.float64]:
        """(n,) weight of each label of some episodes, in their order."""
        weights = np.repeat([header.rerun.weight for header in headers], [header.num_labels for header in headers])
        if self._keyframes.weight == 1.0 or not headers:
            return weights
        changes = np.concatenate([self._changes_of(header)[header.labelled] for header in headers])
        least = max(float(np.quantile(changes, 1 - self._keyframes.share)), np.finfo(np.float32).tiny)
        return np.where(changes >= least, self._keyframes.weight * weights, weights)

    def _changes_of(self, header: EpisodeHeader) -> NDArray[np.float64]:
        """(T,) distance of each label from the one a step before; 0 where one of them is not known."""
        if header.path not in self._changes:
            lesson = load_episode(header.path, keys=()).labels.lesson(header.meta.control_hz, self._human_delay_s)
            self._changes[header.path] = label_changes(lesson.actions, lesson.known)
        return self._changes[header.path]


def label_changes(actions: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(T,) distance of each label (T, 2) from the one before; 0 for the first, and where one of them is not known."""
    changes = np.zeros(len(actions))
    both = known[1:] & known[:-1]
    apart = np.linalg.norm(np.diff(actions.astype(np.float64), axis=0), axis=1)
    changes[1:] = np.where(both, apart, 0.0)
    return changes
