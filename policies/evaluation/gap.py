"""The imitation gap: what the expert's episodes return above a policy's, in the environment's reward.

V(expert) - V(policy), where V is the expected return of an episode, here not discounted: metres of progress, less 10
for a crash and for every intervention. (For cloning it is bounded by a term that grows with the square of the horizon,
for DAgger by a linear one: Ross et al. 2011, arXiv:1011.0686, theorems 2.1 and 3.2.) Both go through the same worlds,
so the luck of a world cancels, and the interval is that of the mean difference. It covers the worlds, not the chance of
training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forestpilot.policies.evaluation.intervals import t_quantile
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow


@dataclass(frozen=True)
class ImitationGap:
    """How far a policy's episodes fall short of the expert's through the same worlds, metres of progress."""

    policy: str
    """Name of the policy."""
    worlds: int
    """Worlds that both went through."""
    expert_return: float
    """Mean return of the expert's episodes."""
    policy_return: float
    """Mean return of the policy's."""
    gap: float
    """Mean of the differences, the expert's less the policy's."""
    low: float | None
    """Lower end of its 95 % interval (Student's t over the worlds); None for a single world."""
    high: float | None
    """Upper end."""

    @property
    def words(self) -> str:
        """The gap with its interval, for example `3.1 (1.8 to 4.4)`."""
        if self.low is None or self.high is None:
            return f"{_told(self.gap)} (a single world)"
        return f"{_told(self.gap)} ({_told(self.low)} to {_told(self.high)})"

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> ImitationGap:
        """The gap that a summary.json holds.

        Raises:
            TypeError, ValueError: it holds none.
        """
        gap = cls(**values)
        figures = (gap.expert_return, gap.policy_return, gap.gap)
        ends = [end for end in (gap.low, gap.high) if end is not None]
        if not isinstance(gap.policy, str) or not all(map(math.isfinite, (*figures, *ends, gap.worlds))):
            raise ValueError(f"{dict(values)} is no imitation gap")
        return gap


def _told(value: float) -> str:
    """One decimal, and no minus before a zero."""
    return f"{round(value, 1) + 0.0:.1f}"


def imitation_gap(policy_rows: Sequence[OutcomeRow], expert_rows: Sequence[OutcomeRow]) -> ImitationGap:
    """The gap of one policy.

    Args:
        policy_rows: its episodes.
        expert_rows: the expert's; worlds that only one of them went through are left out.

    Raises:
        ValueError: they share no world.
    """
    expert = {row.seed: row.episode_return for row in expert_rows}
    policy = {row.seed: row.episode_return for row in policy_rows}
    seeds = sorted(expert.keys() & policy.keys())
    if not seeds:
        raise ValueError("the policy and the expert share no world")
    differences = np.array([expert[seed] - policy[seed] for seed in seeds])
    low = high = None
    if len(seeds) > 1:
        half = t_quantile(len(seeds) - 1) * float(differences.std(ddof=1)) / math.sqrt(len(seeds))
        low, high = float(differences.mean()) - half, float(differences.mean()) + half
    return ImitationGap(
        policy=policy_rows[0].policy,
        worlds=len(seeds),
        expert_return=float(np.mean([expert[seed] for seed in seeds])),
        policy_return=float(np.mean([policy[seed] for seed in seeds])),
        gap=float(differences.mean()),
        low=low,
        high=high,
    )
