"""Facts about an episode as a whole: what ran, where, by whom, and how it ended."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated, Any

from forestpilot.data_collection.episodes.bounded import parse_json
from forestpilot.data_collection.episodes.errors import EpisodeError
from forestpilot.sim.outcomes import OUTCOMES
from forestpilot.sim.ranges import Range, RangeError, require_ranges

_META_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("outcome", "env_id", "renderer", "package_version", "policy_id"), (str,)),
    **dict.fromkeys(("seed", "control_hz", "dagger_round"), (int,)),
    **dict.fromkeys(("env_kwargs", "task_spec"), (dict,)),
    "progress_m": (float, int),
}
"""Types that the facts about an episode may have."""


@dataclass(frozen=True)
class EpisodeMeta:
    """Facts about an episode as a whole; plain JSON values only."""

    outcome: str
    """One of `OUTCOMES`; `running` when the recording was stopped before the end."""
    seed: Annotated[int, Range(0, 2**63 - 1)]
    """Seed of the world."""
    env_id: str
    """Gymnasium id of the environment."""
    env_kwargs: dict[str, Any]
    """Arguments the environment was made with."""
    control_hz: Annotated[int, Range(1, 10_000)]
    """Actions per second."""
    renderer: str
    """Renderer that drew the images."""
    package_version: str
    """Version of ForestPilot that recorded the episode."""
    dagger_round: Annotated[int, Range(0, 1_000_000)]
    """DAgger round, 0 for demonstrations."""
    policy_id: str
    """Who acted: `expert`, `human`, or the name of a policy."""
    progress_m: Annotated[float, Range(-1e9, 1e9)]
    """Distance made good towards the goal in metres."""
    task_spec: dict[str, Any]
    """`TaskSpec.to_dict()` of the environment."""

    def __post_init__(self) -> None:
        for name, kinds in _META_KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds):
                raise EpisodeError(f"{name} is {value!r}; it must be {kinds[0].__name__}")
        if self.outcome not in OUTCOMES:
            raise EpisodeError(f"outcome is {self.outcome!r}; allowed: {', '.join(OUTCOMES)}")
        try:
            require_ranges(self)
        except RangeError as error:
            raise EpisodeError(str(error)) from error

    def to_json(self) -> str:
        """This record as one JSON object.

        Raises:
            EpisodeError: a value is no plain JSON value, or not finite.
        """
        try:
            return json.dumps(dataclasses.asdict(self), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EpisodeError(f"episode metadata must be plain, finite JSON values: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> EpisodeMeta:
        """The record that `to_json` wrote.

        Raises:
            EpisodeError: not JSON, or a key is missing or unknown.
        """
        try:
            return cls(**parse_json(text, finite=True))
        except (TypeError, ValueError) as error:
            raise EpisodeError(f"episode metadata cannot be read: {error}") from error
