"""No gate: plain DAgger (Ross, Gordon & Bagnell 2011, arXiv:1011.0686)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.rollouts.gates.gate import Gate, GateConfig, Judgement
from forestpilot.data_collection.rollouts.pilots import Decision


@dataclass(frozen=True)
class NoGateConfig(GateConfig):
    """Nobody takes over; the expert labels every state."""

    part: ClassVar[str] = "none"


class NoGate(Gate):
    """Lets the learner drive, and wants a label of every state."""

    Config = NoGateConfig
    helper = ACTOR_POLICY
    takes_beta = True
    judges = False

    def judge(self, infos: list[dict[str, Any]], learner: Decision, expert: np.ndarray) -> Judgement:
        """See `Gate.judge`."""
        everywhere = np.ones(len(infos), bool)
        return Judgement(~everywhere, everywhere, everywhere)
