"""Arms compared over the worlds they share, world by world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from forestpilot.launch.reports.arms import Arm
from forestpilot.policies.evaluation.intervals import holm_adjusted, mcnemar_test, paired_difference

SIGNIFICANT = 0.05


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
        """Whether a difference is shown, after the correction."""
        return self.p_holm < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """What the pair shows, in a sentence."""
        if not self.shown:
            return f"No difference between {self.first.name} and {self.second.name} is shown."
        better, worse = (self.second, self.first) if self.difference > 0 else (self.first, self.second)
        return f"{better.name} succeeds in more of these worlds than {worse.name}."


def compare_arms(arms: Sequence[Arm]) -> tuple[list[Pair], list[str]]:
    """Every pair of arms of one task that share worlds, corrected for their number; and notes on those that do not.

    Args:
        arms: of one task.
    """
    counted, notes = [], []
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
        ends = [(first.episodes[world][1].succeeded, second.episodes[world][1].succeeded) for world in shared]
        counted.append((first, second, ends))
    p_values = [mcnemar_test(ends.count((True, False)), ends.count((False, True))) for _, _, ends in counted]
    pairs = [
        _pair(first, second, ends, p, p_holm)
        for (first, second, ends), p, p_holm in zip(counted, p_values, holm_adjusted(p_values))
    ]
    return pairs, notes


def _pair(first: Arm, second: Arm, ends: Sequence[tuple[bool, bool]], p: float, p_holm: float) -> Pair:
    """A pair of arms; `ends` says who succeeded in each of the worlds they share."""
    only_first, only_second = ends.count((True, False)), ends.count((False, True))
    difference, low, high = paired_difference(only_first, only_second, len(ends))
    return Pair(
        first, second, ends.count((True, True)), only_first, only_second, ends.count((False, False)),
        p, p_holm, difference, low, high,
    )  # fmt: skip
