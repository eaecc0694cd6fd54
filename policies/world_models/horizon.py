"""How far imagination can be trusted: errors of a model by the number of steps that it has imagined.

A model is told the first steps of a held-out stretch and imagines the rest along what was done there. The value over H
steps is the sum of their rewards (progress minus danger). A cloned model's error of the value grows like H^2 in the
worst case, an adversarial one's like H (Xu, Li & Yu 2020, arXiv:2010.11876).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import DatasetError
from forestpilot.policies.world_models.base import WorldModel, to_metres
from forestpilot.policies.world_models.seen import Seen
from forestpilot.policies.world_models.sequences import Sequences, Windows, unroll

APART = 5
"""Steps between the beginnings of imagined stretches of an episode."""
RESAMPLES = 1000
LONGEST_HORIZONS = 12
"""Horizons that are told at most."""


@dataclass(frozen=True)
class HorizonErrors:
    """Errors along held-out episodes, a row for each of N episodes, a column for each of H imagined steps."""

    seeds: list[int]
    """Worlds of the episodes."""
    value: NDArray[np.float64]
    """(N, H) mean distance of the imagined value over so many steps from the true one."""
    state: NDArray[np.float64]
    """(N, H) root mean square error of state and goal after so many steps, in units of their usual size."""
    nearest_m: NDArray[np.float64]
    """(N, H) mean error of the distance to the nearest thing after so many steps, in metres."""


@torch.inference_mode()
def measure(model: WorldModel, episodes: Sequence[Seen], horizon: int) -> HorizonErrors:
    """Imagine along held-out episodes.

    Args:
        model: in evaluation mode.
        episodes: those that are too short for the horizon are left out.
        horizon: H.

    Raises:
        DatasetError: all are too short.
    """
    length = model.context - 1 + horizon
    kept = [seen for seen in episodes if places_in(seen, length)]
    if not kept:
        raise DatasetError(
            f"no held-out episode has {length} steps in one go; give a smaller --horizon, or longer episodes"
        )
    rows = [_along(model, seen, length) for seen in kept]
    value, state, nearest = (np.stack(parts) for parts in zip(*rows))
    return HorizonErrors([seen.seed for seen in kept], value, state, nearest)


def places_in(seen: Seen, length: int) -> list[int]:
    """First steps of the stretches of an episode along which so many steps are imagined."""
    return [first for begin, end in seen.stretches for first in range(begin, end - length + 1, APART)]


def _along(model: WorldModel, seen: Seen, length: int) -> tuple[NDArray[np.float64], ...]:
    """Errors of an episode, (H,) each, the means over its stretches."""
    places = [(0, first) for first in places_in(seen, length)]
    windows = Sequences(model, [seen]).take(places, length)
    imagined = unroll(model, windows, model.context).after[model.context - 1 :]
    true = _told_later(windows, model.context)
    vector = torch.stack([after.vector for after in imagined], 1)
    nearest = torch.stack([model.nearest(after) for after in imagined], 1)
    gained = (model.reward(vector, nearest) - model.reward(true.vector, true.nearest)).cumsum(1)
    off_m = to_metres(nearest) - to_metres(true.nearest)
    return (
        gained.abs().mean(0).double().numpy(),
        (vector - true.vector).square().mean(-1).sqrt().mean(0).double().numpy(),
        off_m.abs().mean(0).double().numpy(),
    )


def _told_later(windows: Windows, context: int) -> Windows:
    """What came after the steps that were told."""
    return windows._replace(
        sight=windows.sight[:, context:], vector=windows.vector[:, context:], nearest=windows.nearest[:, context:]
    )


def horizons_of(horizon: int) -> NDArray[np.int64]:
    """The horizons at which errors are told, evenly on a logarithmic axis."""
    return np.unique(np.geomspace(1, horizon, LONGEST_HORIZONS).round().astype(np.int64))


def slope_of(errors: NDArray[np.float64], horizons: NDArray[np.int64]) -> NDArray[np.float64]:
    """Exponents of the power laws that errors (R, H) follow from the second half of the horizons on, (R,)."""
    chosen = horizons[len(horizons) // 3 :]
    logs = np.log(np.maximum(errors[:, chosen - 1], 1e-9))
    centred = np.log(chosen) - np.log(chosen).mean()
    slopes: NDArray[np.float64] = logs @ centred / (centred @ centred)
    return slopes


def interval_of(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean (H,) of rows (N, H) with its 95 % interval: a bootstrap over the episodes."""
    low, high = np.quantile(resampled(rows), (0.025, 0.975), axis=0)
    return rows.mean(0), low, high


def resampled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, H) means of rows drawn again with replacement."""
    rng = np.random.default_rng(0)
    shares = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES) / len(rows)
    means: NDArray[np.float64] = shares @ rows
    return means
