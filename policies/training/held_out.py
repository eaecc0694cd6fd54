"""What a training of no policy is checked on: worlds that nothing was learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError


class OfAWorld(Protocol):
    """What was recorded in a world."""

    @property
    def seed(self) -> int:
        """Of the world."""


RecordedT = TypeVar("RecordedT", bound=OfAWorld)


def require_apart(datasets: Sequence[Dataset], held_out: Sequence[Dataset], how: str) -> None:
    """Raise DatasetError where held-out worlds are learned from.

    Args:
        datasets: what is learned from.
        held_out: what it is checked on.
        how: a command that records what may be held out.
    """
    learned = {header.meta.seed for dataset in datasets for header in dataset.episodes}
    for dataset in held_out:
        both = sorted(learned & {header.meta.seed for header in dataset.episodes})
        if both:
            raise DatasetError(
                f"{dataset.folder} is held out, and world {both[0]} of it is learned from; give what was recorded in "
                f"other worlds, for example by `{how}`"
            )


def keep_back(recorded: Sequence[RecordedT], share: float) -> tuple[list[RecordedT], list[RecordedT]]:
    """What is learned from, and what was recorded in the last worlds, which is kept back.

    Args:
        recorded: all of it.
        share: of the worlds that are kept back; at least one is.

    Raises:
        DatasetError: there are too few worlds.
    """
    worlds = sorted({each.seed for each in recorded})
    count = max(1, round(share * len(worlds)))
    if count >= len(worlds):
        raise DatasetError(f"too few worlds to keep some back: {len(worlds)}; record more, or give --held-out")
    back = set(worlds[-count:])
    return [each for each in recorded if each.seed not in back], [each for each in recorded if each.seed in back]
