"""Windows of data that is read part by part, for it has no room: see `forestpilot.data_collection.episodes.remote`.

While a part is there, windows are drawn from all of it at random. Which part that is follows from the gradient step, so
that a training which is killed goes on with the same windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.progress import Progress
from forestpilot.data_collection.episodes.remote import FarDatasets
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.data_collection.windows.windows import WindowReader

LEAST_VISITS = 20
"""A training sees at least so many parts, some of them again, so that what it has seen last is no half of the data."""


class PartsReader:
    """Draws windows from the part of the data whose turn it is.

    Args:
        far: the data.
        steps: gradient steps of the training.
        make: opens a reader of some datasets.
        progress: who watches.
    """

    def __init__(
        self, far: FarDatasets, steps: int, make: Callable[[Sequence[Dataset]], WindowReader], progress: Progress
    ) -> None:
        self._far = far
        self._steps = steps
        self._make = make
        self._progress = progress
        self._visits = min(steps, far.num_parts * math.ceil(LEAST_VISITS / far.num_parts))
        self._number = 0
        self._reader = make(far.part(0, progress))

    @property
    def has_gaps(self) -> bool:
        """True where some steps have no label."""
        return self._reader.has_gaps

    def go_to(self, step: int) -> None:
        """Have the part whose turn it is at a gradient step."""
        number = min(step, self._steps - 1) * self._visits // self._steps
        if number != self._number:
            self._reader.close()
            self._reader = self._make(self._far.part(number, self._progress))
            self._number = number

    def sample(self, batch: int, rng: np.random.Generator, *, burn_in: int = 0) -> Batch:
        """Draw windows of the part that is here."""
        return self._reader.sample(batch, rng, burn_in=burn_in)

    def describe(self) -> str:
        """One line for people."""
        return (
            f"{self._far.num_bytes / 1e9:.1f} GB in {self._far.num_parts} parts, read {self._visits} times a part; "
            f"the first: {self._reader.describe()}"
        )

    def close(self) -> None:
        """Remove what is decoded."""
        self._reader.close()
