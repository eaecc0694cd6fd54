"""Runs through a world that was run through before in the same round, and how much their labels weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import h5py

from forestpilot.data_collection.episodes.bounded import parse_json
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class Rerun:
    """What sets an episode apart that is not the first through its world in its round."""

    take: Annotated[int, Range(0, 1_000_000)] = 0
    """Which run through the world it is: 0 for the first, 1 for one that begins again before a crash."""
    weight: Annotated[float, Range(0, 1_000_000, above=True)] = 1.0
    """How many times as often as others its labels are learned from."""

    def __post_init__(self) -> None:
        require_ranges(self)

    @classmethod
    def of(cls, demo: h5py.Group) -> Rerun:
        """What a file says.

        Raises:
            BrokenEpisodeError: it says something else than `json.dumps` of these fields.
        """
        if RERUN_ATTRIBUTE not in demo.attrs:
            return FIRST_RUN
        try:
            values = parse_json(str(demo.attrs[RERUN_ATTRIBUTE]), finite=True)
            if type(values["take"]) is not int:
                raise ValueError(f"take is {values['take']!r}; it must be a whole number")
            return cls(**values)
        except (TypeError, ValueError, KeyError) as error:
            raise BrokenEpisodeError(f"what it says of its run cannot be read: {error}") from error


FIRST_RUN = Rerun()
RERUN_ATTRIBUTE = "rerun"
