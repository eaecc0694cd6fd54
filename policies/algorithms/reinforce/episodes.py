"""Episodes that a round was learned from: what each came to, in a file beside the round's policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forestpilot.data_collection.episodes.seals import read_sealed_json, write_sealed_json
from forestpilot.policies.reinforcement.shares import RolledOut
from forestpilot.sim.outcomes import CRASHES, succeeded

FILE = "training.json"


@dataclass(frozen=True)
class RoundOfSteps:
    """What a round's steps came to."""

    steps: int
    """Steps in the environment, those of episodes under way at its end included."""
    terms: dict[str, float]
    """Sum of each term of the reward over them."""
    episodes: tuple[RolledOut, ...]
    """Those that ended."""
    kept: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    """What terms of the reward have learned, by their names."""

    @property
    def successes(self) -> int:
        """Episodes that reached the goal unaided."""
        return sum(succeeded(episode.outcome, episode.interventions) for episode in self.episodes)

    @property
    def crashes(self) -> int:
        """Episodes that ended in a collision or out of bounds."""
        return sum(episode.outcome in CRASHES for episode in self.episodes)

    def write(self, folder: Path) -> None:
        """Write it beside a round's policy."""
        write_sealed_json(folder / FILE, dataclasses.asdict(self))

    @classmethod
    def read(cls, folder: Path) -> RoundOfSteps:
        """Read it there.

        Raises:
            DamagedFileError: it is not as it was written.
        """
        values = read_sealed_json(folder / FILE, is_required=True)
        episodes = tuple(RolledOut(**row) for row in values["episodes"])
        return cls(values["steps"], values["terms"], episodes, values["kept"])


NO_STEPS = RoundOfSteps(0, {}, ())


def per_episode(terms: Iterable[str], episodes: Sequence[RolledOut]) -> dict[str, float]:
    """Mean of each term of the reward over episodes that ended, by name."""
    count = max(1, len(episodes))
    return {name: sum(episode.terms[name] for episode in episodes) / count for name in terms}
