"""A gate that spends a budget: the expert takes over where an ensemble disagrees most.

ThriftyDAgger (Hoque et al. 2021, arXiv:2109.08273); of its two reasons, novelty and risk, the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from forestpilot.data_collection.rollouts.gates.gate import (
    Gate,
    GateConfig,
    Judgement,
    RoundSoFar,
    spread_rad,
    steps_of,
)
from forestpilot.data_collection.rollouts.pilots import Decision
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class BudgetGateConfig(GateConfig):
    """The expert takes over where an ensemble disagrees most; only what it did is labelled."""

    part: ClassVar[str] = "budget"
    agree_deg: Annotated[float, Range(0, 180)] = 6.0
    """Hand back once the learner's turn is this near to the expert's, in degrees."""
    calm_s: Annotated[float, Range(0, 3600)] = 1.0
    """Hand back when this long, in seconds, nothing has spoken against it."""

    def __post_init__(self) -> None:
        require_ranges(self)


class BudgetGate(Gate):
    """Takes over where the ensemble disagrees more than at all but the affordable share of the states.

    The learner has the wheel again when it and the expert agree.
    """

    Config = BudgetGateConfig
    needs_ensemble = True
    needs_budget = True

    def __init__(self, config: BudgetGateConfig, so_far: RoundSoFar) -> None:
        super().__init__(config, so_far)
        self.threshold_rad = novelty_threshold(so_far.disagreement, so_far.share)
        self._agree_rad = np.radians(config.agree_deg)
        self._max_turn_rad = so_far.max_turn_rad
        self._calm_steps = steps_of(config.calm_s, so_far.control_hz)

    @property
    def calm_steps(self) -> int:
        """See `Gate.calm_steps`."""
        return self._calm_steps

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        apart_rad = np.abs(learner.actions[:, 0] - expert[:, 0]) * self._max_turn_rad
        novel = spread_rad(learner) > self.threshold_rad
        return Judgement(novel, apart_rad < self._agree_rad, np.zeros(len(infos), bool))


def novelty_threshold(disagreement: np.ndarray, share: float) -> float:
    """The disagreement that only this share of the states seen so far exceeds; infinite before any was seen.

    Args:
        disagreement: (n,) of states that the learner came to, as in `Episode.disagreement`.
        share: of the states at which help is affordable, 0 to 1.
    """
    if not len(disagreement):
        return float("inf")
    return float(np.quantile(disagreement, 1.0 - min(max(share, 0.0), 1.0)))
