"""Arms compared over the worlds they share, world by world."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from forestpilot.launch.reports.arms import Arm, WorldKey
from forestpilot.policies.evaluation.intervals import holm_adjusted, mcnemar_test, paired_difference

SIGNIFICANT = 0.05
"""p below which a difference is shown."""


@dataclass(frozen=True)
class Pair:
    """Two arms over the worlds that both were run in."""

    first: Arm
    """What is compared with."""
    second: Arm
    """What is compared."""
    both: int
    """Worlds in which both succeeded."""
    only_first: int
    """Worlds in which only the first did."""
    only_second: int
    """Worlds in which only the second did."""
    neither: int
    """Worlds in which neither did."""
    p: float
    """McNemar's exact p."""
    p_holm: float
    """The same, corrected for the number of pairs."""
    difference: float
    """Share of the second minus share of the first."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""

    @property
    def worlds(self) -> int:
        """Number of worlds shared."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def shown(self) -> bool:
        """True where a difference is shown, after the correction."""
        return self.p_holm < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """The finding about the pair, in a sentence."""
        if not self.shown:
            return f"No difference between {self.first.name} and {self.second.name} is shown."
        if self.difference > 0:
            return f"{self.second.name} succeeds in more of these worlds than {self.first.name}."
        return f"{self.first.name} succeeds in more of these worlds than {self.second.name}."

    def other(self, arm: Arm) -> Arm | None:
        """The arm that this one is paired with; None where it is in neither place."""
        if arm is self.first:
            return self.second
        return self.first if arm is self.second else None


def compare_arms(arms: Sequence[Arm]) -> tuple[list[Pair], list[str]]:
    """Every pair of arms of one task that share worlds, corrected for their number; and notes on those that do not.

    Args:
        arms: of one task.
    """
    pairs: list[Pair] = []
    notes: list[str] = []
    for first, second in combinations(arms, 2):
        shared = [world for world in first.episodes if world in second.episodes]
        if not shared:
            notes.append(f"{first.name} and {second.name} share no world and are not compared.")
            continue
        if len(shared) < max(len(first.episodes), len(second.episodes)):
            notes.append(
                f"{first.name} ({len(first.episodes)} worlds) and {second.name} ({len(second.episodes)}) share only "
                f"{len(shared)}; the comparison is over these."
            )
        pairs.append(_pair(first, second, shared))
    adjusted = holm_adjusted([pair.p for pair in pairs])
    return list(map(_corrected, pairs, adjusted)), notes


def _pair(first: Arm, second: Arm, worlds: Sequence[WorldKey]) -> Pair:
    """A pair of arms over the worlds they share, not corrected yet."""
    ends = Counter((first.row(world).succeeded, second.row(world).succeeded) for world in worlds)
    only_first = ends[True, False]
    only_second = ends[False, True]
    difference, low, high = paired_difference(only_first, only_second, len(worlds))
    p = mcnemar_test(only_first, only_second)
    return Pair(
        first=first,
        second=second,
        both=ends[True, True],
        only_first=only_first,
        only_second=only_second,
        neither=ends[False, False],
        p=p,
        p_holm=p,
        difference=difference,
        low=low,
        high=high,
    )


def _corrected(pair: Pair, p_holm: float) -> Pair:
    return dataclasses.replace(pair, p_holm=p_holm)
