"""How good an embedding is, on episodes that it has not learned from.

Alignment (Sermanet et al. 2018, section IV-A): for each moment of one view the nearest moment of another view of the
same episode is looked for; how far apart in time they are, as a share of the episode's length, is 0 where the right
one is always found, and a third by guessing. Raw pixels are held beside it. And a linear probe: how much of the
variance of what the vehicle did a ridge regression reads, from what the trunks read of its own view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forestpilot.policies.embeddings.options import OWN_VIEW
from forestpilot.policies.embeddings.recordings import Recording, moments_of, stacks_at
from forestpilot.policies.networks.embedding import Embedding
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.sim.envs.task_spec import TaskSpec

AT_ONCE = 256
"""Stacks that are embedded at once."""
RIDGE = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Penalties on the probe's weights, per point, of which cross-validation chooses."""
MOST_ROWS = 1000
"""Moments, spread evenly, that the probe of raw pixels is fitted to, chosen by and measured on: the more the slower."""
LEAST_VARIANCE = 1e-4
"""Of a target, in its unit squared, below which there is nothing to read."""
PROGRESS = "progress_m"
"""Name of the probe's target that is no element of the state: metres made good."""

PointsOf = Callable[[Recording, str], NDArray[np.float32]]
"""(M, D) points of a recording's moments in one of its views."""


@dataclass(frozen=True)
class Checks:
    """What an embedding came to."""

    alignment: dict[int, float]
    """Time-alignment error of each recording, 0 to 1, by its world; the mean over pairs of views."""
    pixels: dict[int, float]
    """The same of raw pixels."""
    probes: dict[str, float]
    """Share of the variance that a linear probe reads (R squared), by what is read."""
    pixel_probes: dict[str, float]
    """The same of raw pixels."""


def embedded(embedding: Embedding) -> PointsOf:
    """Points of an embedding."""
    return _made_by(embedding, lambda stacks: embedding(stacks)[0])


def features_of(embedding: Embedding) -> PointsOf:
    """What an embedding's trunks read, before points are made of it: that leaves out what does not tell moments apart
    (see Chen et al. 2020, arXiv:2002.05709, section 4.2)."""
    return _made_by(embedding, embedding.features)


def _made_by(embedding: Embedding, make: Callable[[Tensor], Tensor]) -> PointsOf:
    """What is made of stacks (N, K, h, w, 3)."""

    @torch.inference_mode()
    def points_of(recording: Recording, view: str) -> NDArray[np.float32]:
        frames = embedding.shape.frames
        moments = moments_of(recording, frames)
        found = []
        embedding.eval()
        with torch_threads(1):
            for first in range(0, len(moments), AT_ONCE):
                stacks = stacks_at(recording.views[view], moments[first : first + AT_ONCE], frames)
                found.append(make(torch.from_numpy(stacks)).numpy())
        return np.concatenate(found)

    return points_of


def raw_pixels(frames: int) -> PointsOf:
    """Points that are the pixels of a stack, colours from -1 to 1."""

    def points_of(recording: Recording, view: str) -> NDArray[np.float32]:
        stacks = stacks_at(recording.views[view], moments_of(recording, frames), frames)
        return stacks.reshape(len(stacks), -1).astype(np.float32) / 127.5 - 1

    return points_of


def check(embedding: Embedding, learned: Sequence[Recording], held_out: Sequence[Recording], spec: TaskSpec) -> Checks:
    """Check an embedding.

    Args:
        embedding: what to check.
        learned: recordings on which the probe is fitted.
        held_out: recordings of other worlds, on which all is measured.
        spec: the task.
    """
    frames = embedding.shape.frames
    pixels = raw_pixels(frames)
    aligned = [
        {seen.seed: alignment_error(seen, points) for seen in held_out} for points in (embedded(embedding), pixels)
    ]
    probes = [
        probe(points, learned, held_out, Targets(spec, frames, most))
        for points, most in ((features_of(embedding), None), (pixels, MOST_ROWS))
    ]
    return Checks(aligned[0], aligned[1], probes[0], probes[1])


def alignment_error(recording: Recording, points_of: PointsOf) -> float:
    """Mean distance in time, as a share of the length, of each moment to its nearest in another view."""
    points = {view: points_of(recording, view) for view in sorted(recording.views)}
    errors = [
        np.abs(nearest(points[first], points[second]) - np.arange(len(points[first]))).mean()
        for first, second in permutations(points, 2)
    ]
    length = max(1, len(next(iter(points.values()))) - 1)
    return float(np.mean(errors) / length) if errors else 0.0


def nearest(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) row of the nearest of the second points (M, D), by Euclidean distance, to each of the first (N, D)."""
    gaps = np.square(second).sum(1)[None] - 2 * first @ second.T
    return gaps.argmin(1)


@dataclass(frozen=True)
class Targets:
    """What a probe is to read."""

    spec: TaskSpec
    """Names the elements of the state."""
    frames: int
    """Pictures of a stack."""
    most: int | None = None
    """Moments that are looked at, at most; None for all."""

    @property
    def names(self) -> tuple[str, ...]:
        """The elements of the state, and the metres made good."""
        return (*self.spec.state_names, PROGRESS)

    def of(
        self, recordings: Sequence[Recording], points_of: PointsOf
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points (N, D) of the own view of recordings, and what is to be read of them (N, Y)."""
        points, targets = [], []
        count = sum(len(moments_of(seen, self.frames)) for seen in recordings)
        every = 1 if self.most is None else -(-count // self.most)
        for seen in recordings:
            moments = moments_of(seen, self.frames)
            points.append(points_of(seen, OWN_VIEW)[::every].astype(np.float64))
            targets.append(np.concatenate([seen.state[moments], seen.progress_m[moments, None]], axis=1)[::every])
        return np.concatenate(points), np.concatenate(targets).astype(np.float64)


def probe(
    points_of: PointsOf, learned: Sequence[Recording], held_out: Sequence[Recording], targets: Targets
) -> dict[str, float]:
    """R squared of ridge regressions from points of the vehicle's own view to its state, and to the metres made good.

    Args:
        points_of: makes points.
        learned: recordings that the regression is fitted to; every fifth chooses the penalty.
        held_out: recordings that it is measured on.
        targets: what is to be read.
    """
    parts = [seen for number, seen in enumerate(learned) if number % 5], list(learned[::5]), list(held_out)
    if not all(parts):
        return {}
    fitted, chosen, measured = (targets.of(part, points_of) for part in parts)
    regression = Ridge(*fitted)
    weights = [regression.weights(penalty) for penalty in RIDGE]
    scores = np.stack([_explained(regression.predict(chosen[0], each), chosen[1]) for each in weights])
    best = scores.argmax(0)
    told = np.stack([regression.predict(measured[0], each) for each in weights])
    answers = told[best, :, np.arange(len(best))].T
    explained = _explained(answers, measured[1])
    varies = measured[1].var(0) > LEAST_VARIANCE
    return {name: float(explained[i]) for i, name in enumerate(targets.names) if varies[i]}


class Ridge:
    """Linear regression with a penalty, in closed form; in its dual form where there are more inputs than rows.

    Args:
        inputs: (N, D).
        targets: (N, Y).
    """

    def __init__(self, inputs: NDArray[np.float64], targets: NDArray[np.float64]) -> None:
        self._mean = inputs.mean(0)
        self._offset = targets.mean(0)
        self._inputs = inputs - self._mean
        self._targets = targets - self._offset
        self._is_dual = inputs.shape[1] > len(inputs)
        rows = self._inputs
        self._gram = rows @ rows.T if self._is_dual else rows.T @ rows

    def weights(self, penalty: float) -> NDArray[np.float64]:
        """(D, Y) weights that make |Xw - y|^2 + N penalty |w|^2 least."""
        damped = self._gram + penalty * len(self._inputs) * np.eye(len(self._gram))
        if self._is_dual:
            found: NDArray[np.float64] = self._inputs.T @ np.linalg.solve(damped, self._targets)
            return found
        found = np.linalg.solve(damped, self._inputs.T @ self._targets)
        return found

    def predict(self, inputs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, Y) answers for inputs (N, D)."""
        answers: NDArray[np.float64] = (inputs - self._mean) @ weights + self._offset
        return answers


def _explained(answers: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Y,) share of the variance of targets (N, Y) that answers (N, Y) explain; below 0 where the mean is better."""
    variance = np.maximum(targets.var(0), LEAST_VARIANCE)
    explained: NDArray[np.float64] = 1 - np.square(answers - targets).mean(0) / variance
    return explained
