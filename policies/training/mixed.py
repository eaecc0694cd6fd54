"""Windows from two readers: so many of each batch from one, the rest from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forestpilot.data_collection.windows.batch import Batch
from forestpilot.policies.training.batches import Reader, ReaderRecipe


def rows_of_first(windows: int, share: float) -> int:
    """How many of a batch's windows, its first ones, come from the first reader: one at least of either.

    Args:
        windows: in the batch, two at least.
        share: of them that the second reader gives.
    """
    return windows - min(max(round(share * windows), 1), windows - 1)


class MixedReader:
    """Draws the first windows of each batch from one reader, and the others from a second one.

    Args:
        first: draws the first `rows_of_first` windows.
        second: draws the rest.
        share: of the windows that the second one gives, above 0 to below 1.
    """

    def __init__(self, first: Reader, second: Reader, share: float) -> None:
        self._readers = (first, second)
        self._share = share

    @property
    def has_gaps(self) -> bool:
        """True where some steps have no label."""
        return any(reader.has_gaps for reader in self._readers)

    def sample(self, batch: int, rng: np.random.Generator, *, burn_in: int = 0) -> Batch:
        """Draw windows; costs come along where both readers have them."""
        count = rows_of_first(batch, self._share)
        first, second = self._readers
        ours = first.sample(count, rng, burn_in=burn_in)
        theirs = second.sample(batch - count, rng, burn_in=burn_in)
        return Batch(*(_joined(values) for values in zip(ours, theirs, strict=True)))

    def share(self) -> MixedRecipe:
        """See `SharedReader.share`.

        Raises:
            AttributeError: one of the readers has no recipe.
        """
        first, second = self._readers
        return MixedRecipe(first.share(), second.share(), self._share)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close both readers."""
        for reader in self._readers:
            reader.close()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class MixedRecipe:
    """A mixed reader on its way to another process."""

    first: ReaderRecipe
    """Of the first reader."""
    second: ReaderRecipe
    """Of the second."""
    share: float
    """Of the second's windows."""

    def open(self) -> MixedReader:
        """The reader."""
        return MixedReader(self.first.open(), self.second.open(), self.share)


def _joined(values: Sequence[Any]) -> Any:
    """Arrays of both, one after the other; None where one has none."""
    return None if any(array is None for array in values) else np.concatenate(values)
