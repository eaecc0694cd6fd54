"""A gate that never takes over: it asks where an ensemble disagrees about the turn.

EnsembleDAgger (Menda et al. 2019, arXiv:1807.08364) without its takeover; active learning from queries as in SHIV
(Laskey et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.rollouts.gates.gate import (
    Gate,
    GateConfig,
    Judgement,
    RoundSoFar,
    spread_rad,
)
from forestpilot.data_collection.rollouts.pilots import Decision
from forestpilot.sim.ranges import Range, require_ranges


@dataclass(frozen=True)
class UncertaintyGateConfig(GateConfig):
    """The expert labels where an ensemble disagrees; nobody takes over."""

    part: ClassVar[str] = "uncertainty"
    unsure_deg: Annotated[float, Range(0, 180)] = 1.5
    """Ask where the ensemble's turns spread by more than this, standard deviation in degrees."""

    def __post_init__(self) -> None:
        require_ranges(self)


class UncertaintyGate(Gate):
    """Asks where the ensemble disagrees; the learner always drives."""

    Config = UncertaintyGateConfig
    helper = ACTOR_POLICY
    needs_ensemble = True

    def __init__(self, config: UncertaintyGateConfig, so_far: RoundSoFar) -> None:
        super().__init__(config, so_far)
        self._unsure_rad = np.radians(config.unsure_deg)

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        nowhere = np.zeros(len(infos), bool)
        return Judgement(nowhere, ~nowhere, spread_rad(learner) > self._unsure_rad)
